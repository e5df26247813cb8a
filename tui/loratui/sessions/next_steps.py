"""What to try after a run: each remedy as a config or a command to accept, and what its steps take and cost."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from loratui.domain.next_cost import NextCost
from loratui.domain.remedies import UNDERTRAINED, Evidence, Remedy, continuing, may_continue, remedies
from loratui.domain.run import RunView
from loratui.sessions.going_on import GoingOn, going_on
from loratui.sessions.next_cost import Pricing
from loratui.settings import Settings
from loratui.store import Download, StoredRun
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_edit import with_value, without
from loratui_protocol.config_file import parse_config
from loratui_protocol.config_fix import without_secrets
from loratui_protocol.dataset import scan_config
from loratui_protocol.errors import LoratuiError
from loratui_protocol.harmless import clean
from loratui_protocol.judging.advice import Advice
from loratui_protocol.messages import Artifact, ArtifactKind

_LORAS = (ArtifactKind.LORA, ArtifactKind.CHECKPOINT_LORA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A remedy as a config, or as the command by which the run itself goes on; neither where no setting mends it."""

    remedy: Remedy
    text: str = ""
    """Of the config to write; empty: there is none."""
    command: str = ""
    going_on: GoingOn | None = None
    """What the command does."""
    diff: str = ""
    cost: NextCost | None = None
    why_no_cost: str = ""

    @property
    def price(self) -> list[str]:
        """Return what it takes and costs in sentences, or why that is not known; none where there is nothing to do."""
        if self.cost is not None:
            return self.cost.lines
        return [f"what it takes and costs is not known: {self.why_no_cost}"] if self.why_no_cost else []


def next_steps(
    preferences: Settings, run: StoredRun, view: RunView, advised: Advice, downloads: Mapping[str, Download]
) -> list[Change]:
    """Return the changes, the one for the cause of others first; none of a run whose config can't be read here."""
    try:
        loaded = parse_config(run.config_toml, preferences.run_folder(run.id))
    except LoratuiError:
        # It was found on a host, or another version wrote it: there is nothing to change.
        return []
    config = loaded.config
    known = Evidence(
        config=config,
        scores=view.scores,
        looks=view.validations,
        size=max(view.delta_norms.relative.values(), default=None) if view.delta_norms else None,
        captions=_captions(config),
        total=view.total,
    )
    found = remedies(known)
    if config.evaluate_loras:
        # It trained nothing: what it was told is not what they were trained with.
        return [Change(remedy=replace(each, changes={})) for each in found]
    pricing = Pricing(preferences, run, view)
    changes = [_new_run(each, run, pricing) for each in found]
    is_over = view.state.is_final or not pricing.is_kept
    if not is_over or not may_continue(found):
        return changes
    is_under = any(each.code == UNDERTRAINED for each in found)
    going = going_on(preferences, run, view, loaded, is_kept=pricing.is_kept)
    best = advised.advised
    if going is not None and (is_under or best is None or best.step in (0, going.step)):
        changes.append(_same_run(going, run, pricing))
    elif not is_under and best is not None and (here := _here(downloads, best.artifact_id)) is not None:
        changes.append(_new_run(continuing(known, str(here), best.step), run, pricing))
    elif newest := _newest(view, downloads):
        file, here = newest
        changes.append(_new_run(continuing(known, str(here), file.step or 0, file.name), run, pricing))
    return changes


def _newest(view: RunView, downloads: Mapping[str, Download]) -> tuple[Artifact, Path] | None:
    """Return the LoRA of the last step that is on this machine, and where it is."""
    files = [each for each in view.artifacts.values() if each.kind in _LORAS]
    for file in sorted(files, key=lambda each: (each.step or 0, each.kind is ArtifactKind.LORA), reverse=True):
        if (path := _here(downloads, file.id)) is not None:
            return file, path
    return None


def _here(downloads: Mapping[str, Download], artifact_id: str) -> Path | None:
    known = downloads.get(artifact_id)
    return known.path if known is not None and known.path.is_file() else None


def _captions(config: TrainingConfig) -> list[str]:
    """Return the captions as the trainer reads them; none where the pictures are not here any more."""
    try:
        pictures = scan_config(config, tell_all=True).pictures
    except LoratuiError:
        return []
    around = config.caption_prefix or "", config.caption_suffix or ""
    return [f"{around[0]} {picture.caption} {around[1]}" for picture in pictures if not picture.is_reg]


def _new_run(remedy: Remedy, run: StoredRun, pricing: Pricing) -> Change:
    if not remedy.changes:
        return Change(remedy=remedy)
    text = _changed(run.config_toml, remedy.changes)
    cost = pricing.of_new_run(text)
    return _priced(Change(remedy=remedy, text=text, diff=_diff(run, remedy, text)), cost)


def _same_run(going: GoingOn, run: StoredRun, pricing: Pricing) -> Change:
    text = without(_changed(run.config_toml, going.remedy.changes), "stop_at_epoch")
    cost = pricing.of_going_on(text, going.step, going.state_bytes)
    change = Change(remedy=going.remedy, command=going.command, going_on=going, diff=_diff(run, going.remedy, text))
    return _priced(change, cost)


def _priced(change: Change, cost: NextCost | str) -> Change:
    return replace(change, why_no_cost=cost) if isinstance(cost, str) else replace(change, cost=cost)


def _changed(text: str, changes: Mapping[str, str]) -> str:
    for key, value in changes.items():
        text = with_value(text, key, value)
    # It would decide, and a training that stops to be looked at has another end.
    return without(text, "stop_at_epoch") if changes.keys() & {"max_train_steps", "max_train_epochs"} else text


def _diff(run: StoredRun, remedy: Remedy, text: str) -> str:
    before, after = ([without_secrets(clean(line)) for line in each.splitlines()] for each in (run.config_toml, text))
    return "\n".join(difflib.unified_diff(before, after, run.name, f"{run.name}, {remedy.code}", lineterm="", n=1))
