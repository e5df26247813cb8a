"""``new``: asks a handful of questions and writes a training config, or makes a preset of a finished run."""

import shlex
import sys
from pathlib import Path

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.check import print_findings
from loratui.cli.new_questions import ask_wanted
from loratui.cli.plan_size import size_rows
from loratui.cli.runs import choose
from loratui.domain.card_fit import least_gb
from loratui.preflight.caption_words import has_trigger
from loratui.preflight.likely_trigger import Origin
from loratui.preflight.triggers import trigger_findings
from loratui.sessions.new_config import Made, Wanted, base_kind, make
from loratui.sessions.presets import all_presets, preset_of_run, save_own, write_new
from loratui.settings import Settings
from loratui.store import Store
from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.errors import UsageError
from loratui_protocol.harmless import clean
from loratui_protocol.messages import JobState

_WHENCE = {
    "captions": "most captions begin with it",
    "folder": "after the folder's name",
    "made up": "made up, since no rare word begins the captions",
}


def new(arguments: Arguments) -> int:
    """Write a config, list the presets, or save one."""
    preferences = settings.load()
    if arguments.list:
        for preset in all_presets(preferences):
            print(f"{preset.name:<16} {clean(preset.about)}{' (yours)' if preset.is_own else ''}")
        return 0
    if arguments.save_preset is not None and arguments.from_run is not None:
        return _save(arguments.from_run, arguments.save_preset, preferences)
    if arguments.save_preset is not None or arguments.from_run is not None:
        raise UsageError("--from-run and --save-preset go together", fix="--from-run RUN --save-preset NAME")
    wanted, target, origin = ask_wanted(arguments, preferences)
    made = make(wanted, target, preferences)
    write_new(target, made.text)
    print(target)
    _tell(made, wanted, target, origin)
    return 0


def _save(run_name: str, name: str, preferences: Settings) -> int:
    with Store(preferences.database) as store:
        run = choose(store.runs(), run_name)
    if run.state is not JobState.DONE or not run.config_toml:
        raise UsageError(
            f"{run.name} is {run.state}: a preset is made of a run that is done, and was started here",
            fix="loratui ls shows which are",
            code="preset.run",
        )
    path = save_own(preset_of_run(name, run.name, run.config_toml), preferences)
    print(path)
    print(f"loratui new --preset {name} takes it", file=sys.stderr)
    return 0


def _tell(made: Made, wanted: Wanted, target: Path, origin: Origin | None) -> None:
    """Say what the config comes to, and what to type next."""
    config, plan = made.loaded.config, made.plan
    is_clip = not config.pretrained_model_name_or_path.startswith(BUILTIN_PREFIX)
    of_trigger = trigger_findings(wanted.trigger, [], [], ",", counts_tokens=is_clip)
    worth = [*made.loaded.findings, *made.dataset.findings, *of_trigger, *plan.findings]
    print_findings(finding for finding in worth if finding.severity != "info")
    rows = [
        ("pictures", f"{plan.num_pictures}, each shown {plan.exposures_per_picture:.0f} times"),
        ("steps", f"{plan.steps} of {plan.effective_batch} pictures, in {plan.epochs} epochs"),
        *size_rows(config),
        *_trigger_rows(made, wanted, origin),
    ]
    if plan.stop_step < plan.steps:
        rows.append(("first", f"{plan.stop_step} steps, then you look; loratui resume goes on"))
    for name, text in rows:
        print(f"  {name:<12} {text}", file=sys.stderr)
    least = least_gb(config, base_kind(wanted))
    if wanted.gpu is None and least is not None:
        print(
            f"it can be written to fit {least} GB, or to be faster with more: --gpu {least}GB, --gpu 'RTX 4090'",
            file=sys.stderr,
        )
    typed = shlex.quote(str(target))
    print(f"next: loratui check {typed}   then: loratui plan {typed} --all", file=sys.stderr)


def _trigger_rows(made: Made, wanted: Wanted, origin: Origin | None) -> list[tuple[str, str]]:
    """Return where the trigger is from, in how many captions it is, and what brings it into the others."""
    pictures, trigger = made.dataset.pictures, wanted.trigger
    lacking = [each for each in pictures if not has_trigger(each.caption, trigger)]
    said = f"{clean(trigger)}{f' ({_WHENCE[origin]})' if origin else ''}"
    if not lacking:
        return [("trigger", f"{said}, in all {len(pictures)} captions")]
    rows = [("trigger", f"{said}, missing from {len(lacking)} of {len(pictures)} captions; to bring it into them:")]
    folder, word = shlex.quote(str(wanted.data)), shlex.quote(trigger)
    if not any(each.caption for each in lacking):
        captioner = "wd14" if wanted.base == "sdxl-anime" else "florence2"
        rows.append(
            ("", f"loratui caption {folder} --with {captioner} --trigger {word}   drafts captions, for you to read")
        )
    rows.append(
        ("", f"loratui caption {folder} --trigger {word}   puts it first where it is missing, and shows that first")
    )
    return rows
