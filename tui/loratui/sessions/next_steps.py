"""What to try after a run: each remedy as a config that can be accepted, and what its steps took and cost here."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from loratui.domain import formatting
from loratui.domain.remedies import Evidence, Remedy, continuing, remedies
from loratui.domain.run import RunView
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A remedy as a config. ``text`` is empty where no setting mends it; times and money are those of its steps."""

    remedy: Remedy
    text: str
    diff: str
    steps: int
    seconds: float | None
    microusd: int | None

    @property
    def price(self) -> str:
        """Return what its steps would take and cost, in a sentence; empty where that is not known."""
        if not self.text or self.seconds is None or self.microusd is None:
            return ""
        took = formatting.duration(self.seconds, exact=False)
        cost = formatting.money(self.microusd, exact=False)
        return f"{self.steps} steps: {took} and {cost} at the pace and price of this run"


def next_steps(
    preferences: Settings, run: StoredRun, view: RunView, advised: Advice, downloads: Mapping[str, Download]
) -> list[Change]:
    """Return the changes, the one for the cause of others first; none of a run whose config can't be read here."""
    try:
        config = parse_config(run.config_toml, preferences.run_folder(run.id)).config
    except LoratuiError:
        # It was found on a host, or another version wrote it: there is nothing to change.
        return []
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
        found = [replace(each, changes={}) for each in found]
    elif advised.advised is not None and (here := downloads.get(advised.advised.artifact_id)) is not None:
        found.append(continuing(known, str(here.path), advised.advised.step))
    return [_change(remedy, run, view) for remedy in found]


def _captions(config: TrainingConfig) -> list[str]:
    """Return the captions as the trainer reads them; none where the pictures are not here any more."""
    try:
        pictures = scan_config(config, tell_all=True).pictures
    except LoratuiError:
        return []
    around = config.caption_prefix or "", config.caption_suffix or ""
    return [f"{around[0]} {picture.caption} {around[1]}" for picture in pictures if not picture.is_reg]


def _change(remedy: Remedy, run: StoredRun, view: RunView) -> Change:
    text = run.config_toml
    for key, value in remedy.changes.items():
        text = with_value(text, key, value)
    if "max_train_steps" in remedy.changes:
        # It would decide, and a training that stops to be looked at has another end.
        text = without(text, "stop_at_epoch")
    before, after = ([without_secrets(clean(line)) for line in each.splitlines()] for each in (run.config_toml, text))
    diff = "\n".join(difflib.unified_diff(before, after, run.name, f"{run.name}, {remedy.code}", lineterm="", n=1))
    steps = _steps(remedy, view)
    seconds = steps / view.it_s if view.it_s and view.it_s > 0 and remedy.changes else None
    price = view.price_microusd_per_h or run.price_microusd_per_h
    microusd = round(seconds / 3600 * price) if seconds is not None else None
    return Change(
        remedy=remedy,
        text=text if remedy.changes else "",
        diff=diff,
        steps=steps,
        seconds=seconds,
        microusd=microusd,
    )


def _steps(remedy: Remedy, view: RunView) -> int:
    if "max_train_steps" in remedy.changes:
        return int(remedy.changes["max_train_steps"])
    if "max_train_epochs" in remedy.changes and view.epoch:
        return round(view.total * int(remedy.changes["max_train_epochs"]) / view.epoch)
    return view.total
