"""``new``: asks a handful of questions and writes a training config, or makes a preset of a finished run."""

import shlex
import sys
from pathlib import Path

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.check import print_findings
from loratui.cli.plan_size import size_rows
from loratui.cli.runs import choose
from loratui.domain.card_fit import least_gb
from loratui.domain.presets import BASES
from loratui.sessions.new_config import (
    Made,
    Wanted,
    base_kind,
    check_name,
    likely_name,
    likely_trigger,
    make,
    model_of,
    pictures_of,
)
from loratui.sessions.presets import SHIPPED, all_presets, preset_of_run, save_own, write_new
from loratui.settings import Settings
from loratui.store import Store
from loratui_protocol.errors import UsageError
from loratui_protocol.harmless import clean
from loratui_protocol.messages import JobState
from loratui_protocol.picture_names import PICTURE_EXTENSIONS

_LIKELY_FOLDERS = ("training_data", "pictures", "images", "dataset", "data", "train")


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
    wanted = _wanted(arguments, preferences)
    target = arguments.output or Path(f"{wanted.name}.toml")
    made = make(wanted, target, preferences)
    write_new(target, made.text)
    print(target)
    _tell(made, wanted, target)
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


def _wanted(arguments: Arguments, preferences: Settings) -> Wanted:
    """Return what is to be trained: as it was typed, else as it is answered, else as is usual."""
    is_asked = not arguments.yes and sys.stdin.isatty() and sys.stderr.isatty()

    def ask(question: str, given: str | None, usual: str) -> str:
        if given is not None:
            return given
        if is_asked:
            print(f"{question} [{usual}] ", end="", file=sys.stderr, flush=True)
            return clean(sys.stdin.readline()).strip() or usual
        return usual

    own = [preset.name for preset in all_presets(preferences) if preset.is_own]
    data = Path(ask("Where are the pictures?", _text(arguments.data), _likely_folder())).expanduser()
    pictures = pictures_of(data)
    if is_asked:
        print(
            f"  {len(pictures)} pictures, the smallest {min(min(each.width, each.height) for each in pictures)} px",
            file=sys.stderr,
        )
    preset = ask(f"What do they show? {', '.join((*own, *SHIPPED))}", arguments.preset, SHIPPED[0])
    named = ask(f"Trained on which base model? {', '.join(BASES)}, a hub id or a path", arguments.base, BASES[0])
    model, base = model_of(named)
    base = arguments.kind or base
    if base is None and is_asked:
        base = ask(f"What kind of model is that? {', '.join(BASES)}", None, "sdxl")
    if base not in BASES:
        raise UsageError(
            f"what kind of model {named!r} is can't be told from here",
            fix=f"give --kind {'|'.join(BASES)}",
            code="usage.kind",
        )
    name = ask("What is the LoRA called?", arguments.name, likely_name(data))
    check_name(name)
    trigger = ask("Which word calls it?", arguments.trigger, likely_trigger(pictures) or name)
    return Wanted(
        preset=preset, base=base, model=model, data=data, trigger=clean(trigger), name=name, gpu=arguments.gpu
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _likely_folder() -> str:
    """Return a folder here that may have the pictures."""
    here = [Path(name) for name in _LIKELY_FOLDERS if Path(name).is_dir()]
    return str(next((each for each in here if _has_pictures(each)), here[0] if here else Path()))


def _has_pictures(folder: Path) -> bool:
    return any(path.suffix.lower() in PICTURE_EXTENSIONS for path in folder.rglob("*"))


def _tell(made: Made, wanted: Wanted, target: Path) -> None:
    """Say what the config comes to, and what to type next."""
    config, plan = made.loaded.config, made.plan
    worth = [*made.loaded.findings, *made.dataset.findings, *plan.findings]
    print_findings(finding for finding in worth if finding.severity != "info")
    rows = [
        ("pictures", f"{plan.num_pictures}, each shown {plan.exposures_per_picture:.0f} times"),
        ("steps", f"{plan.steps} of {plan.effective_batch} pictures, in {plan.epochs} epochs"),
        *size_rows(config),
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
