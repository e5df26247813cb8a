"""``caption --with``: lets a model draft captions where a person wrote none."""

import json
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

from loratui import settings
from loratui.captioning import models
from loratui.captioning.captioner import KINDS, Captioner, Kind, check_installed, load
from loratui.captioning.download import Hub
from loratui.cli.arguments import Arguments
from loratui.cli.editing import undo_command
from loratui.cli.leaving import interrupted_at_rest, tell
from loratui.cli.limits import agrees
from loratui.domain import formatting
from loratui.sessions.drafting import Outcome, persons_caption, pictures_of, replace_captions
from loratui.sessions.drafting import draft as draft_one
from loratui.settings import Settings
from loratui_protocol.errors import UsageError
from loratui_protocol.harmless import clean

_SHOWN_CHARS = 100
_MIB = 1 << 20
_TOLD_EVERY_BYTES = 50 * _MIB


def draft(arguments: Arguments, captioner_name: str) -> int:
    """Draft the captions of a dataset, tell of each, and return 1 if one could not be drafted."""
    kind = KINDS[captioner_name]
    if arguments.threshold is not None and not kind.writes_tags:
        raise UsageError(f"{kind.name} writes no tags, so --threshold has no effect", fix="leave it out")
    trigger = clean(arguments.trigger or "").strip()
    if "," in trigger or "\n" in trigger:
        raise UsageError("a trigger is one tag, without commas", fix="give the others to loratui caption --prefix")
    check_installed(kind)
    pictures = pictures_of(arguments.folder)
    if not arguments.overwrite and all(map(persons_caption, pictures)):
        return _sum_up(arguments, [Outcome(picture=picture, is_kept=True) for picture in pictures])
    model = _model(arguments, kind)
    if model is None:
        return 1
    captioner = load(kind, model, arguments.threshold)
    outcomes: list[Outcome] = []
    try:
        for number, picture in enumerate(pictures, 1):
            outcomes.append(_draft_told(arguments, captioner, picture, trigger, f"{number}/{len(pictures)}"))
    except KeyboardInterrupt:
        drafted = sum(each.path is not None and not each.replaces for each in outcomes)
        tell(f"interrupted: {drafted} captions were drafted, and stay as drafts; none of yours was touched")
        raise
    # Until here an interruption costs nobody a caption, and from here on it waits.
    with interrupted_at_rest():
        if replace_captions(arguments.folder, outcomes, captioner.name):
            print(f"to take back what was of yours: {undo_command(arguments.folder)}", file=sys.stderr)
    return _sum_up(arguments, outcomes)


def _draft_told(arguments: Arguments, captioner: Captioner, picture: Path, trigger: str, number: str) -> Outcome:
    outcome = draft_one(picture, captioner, trigger, may_replace=arguments.overwrite)
    outcome = replace(outcome, why=clean(outcome.why))
    said = outcome.caption if outcome.path else f"left alone: {outcome.why}"
    print(f"{number} {clean(picture.name)}: {textwrap.shorten(said, _SHOWN_CHARS, placeholder='…')}", file=sys.stderr)
    return outcome


def _sum_up(arguments: Arguments, outcomes: list[Outcome]) -> int:
    drafted = [each for each in outcomes if each.path]
    kept = [each for each in outcomes if each.is_kept]
    failed = [each for each in outcomes if not each.path and not each.is_kept]
    if arguments.json:
        document = {
            "drafted": [{"path": str(each.path), "caption": each.caption} for each in drafted],
            "kept": [str(each.picture) for each in kept],
            "failed": [{"path": str(each.picture), "why": each.why} for each in failed],
        }
        print(json.dumps(document))
    else:
        print(f"{len(drafted)} drafted, {len(kept)} of yours kept, {len(failed)} failed")
    if drafted:
        print("they are marked as drafts until you have read them; one that you change is yours", file=sys.stderr)
    return 1 if failed else 0


def _model(arguments: Arguments, kind: Kind) -> Path | None:
    """Return the folder or file of the model, downloaded if that is agreed to; None: it is not."""
    named = arguments.model or kind.hub_id
    here = models.local_model(named)
    if here is not None:
        return here
    preferences = settings.load()
    folder = models.folder_of(named, preferences.state_dir / "cache")
    hub = Hub(preferences.remote_hub_url)
    model = models.recorded(named, folder) or models.on_hub(named, kind, hub)
    lacking = models.missing(model, folder)
    if not lacking:
        return folder
    if not _agrees_to_download(arguments, model, sum(file.size for file in lacking), preferences):
        return None
    told = 0

    def tell(name: str, here: int, size: int) -> None:
        nonlocal told
        if here == size or not told <= here < told + _TOLD_EVERY_BYTES:
            told = here
            print(f"{name}: {here / _MIB:.0f} of {size / _MIB:.0f} MiB", file=sys.stderr)

    fetched = models.fetch(model, folder, hub, tell)
    if not fetched.is_pinned:
        print(
            f"no checksum of {model.hub_id} was known: what came now is trusted, and written down in {folder}. "
            "A later download must be the same",
            file=sys.stderr,
        )
    return folder


def _agrees_to_download(arguments: Arguments, model: models.HubModel, num_bytes: int, preferences: Settings) -> bool:
    what = f"{model.hub_id} ({formatting.size(num_bytes)}) from {preferences.remote_hub_url}"
    if arguments.yes:
        print(f"downloading {what}", file=sys.stderr)
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"the model has to be downloaded, and there is nobody to ask: {what}",
            fix="give --yes, or name a folder that has it with --model",
            code="usage.unasked",
        )
    return agrees(f"Download {what}?", otherwise="nothing was downloaded, no caption was touched")
