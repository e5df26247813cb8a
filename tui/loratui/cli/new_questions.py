"""What ``new`` asks: each question until the answer is one, and none at all where nobody is there to be asked."""

import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from loratui.cli.arguments import Arguments
from loratui.domain.presets import BASES
from loratui.preflight.likely_trigger import Origin
from loratui.sessions.new_config import Wanted, check_name, likely_name, model_of, pictures_of, proposed_trigger
from loratui.sessions.presets import SHIPPED, all_presets, check_free
from loratui.settings import Settings
from loratui_protocol.dataset import Picture
from loratui_protocol.errors import LoratuiError, UsageError
from loratui_protocol.harmless import clean
from loratui_protocol.picture_names import PICTURE_EXTENSIONS

T = TypeVar("T")

_LIKELY_FOLDERS = ("training_data", "pictures", "images", "dataset", "data", "train")


_WHENCE = {
    "captions": "most captions begin with a word that the base model doesn't know",
    "folder": "the folder is called by a word that the base model doesn't know",
    "made up": "no rare word begins the captions or names the folder: this one is made up",
}


class Questions:
    """Asks a person at a terminal; where nobody is, what was not given is as usual."""

    def __init__(self, *, is_asked: bool) -> None:
        self.is_asked = is_asked

    def ask(self, question: str, given: str | None, usual: str, read: Callable[[str], T]) -> T:
        """Return what ``read`` makes of what was given, or is answered, or is usual; a wrong answer is asked again.

        Raises:
            LoratuiError: nobody is there to give another answer.
        """
        if given is not None or not self.is_asked:
            return read(usual if given is None else given)
        while True:
            print(f"{question} [{usual}] ", end="", file=sys.stderr, flush=True)
            line = sys.stdin.readline()
            try:
                return read(clean(line).strip() or usual)
            except LoratuiError as error:
                if not line:  # nothing will ever be answered
                    raise
                print(f"  {error.what}\n  {error.fix}", file=sys.stderr)

    def tell(self, text: str) -> None:
        """Say what helps to answer the next question."""
        if self.is_asked:
            print(f"  {text}", file=sys.stderr)


def ask_wanted(arguments: Arguments, preferences: Settings) -> tuple[Wanted, Path, Origin | None]:
    """Return what is to be trained, where its config goes, and where its trigger is from; None: a person gave it.

    Raises:
        UsageError, DatasetError: what was given can't be meant.
    """
    questions = Questions(is_asked=not arguments.yes and sys.stdin.isatty() and sys.stderr.isatty())
    if arguments.output is not None:
        check_free(arguments.output)
    data, pictures = questions.ask("Where are the pictures?", _text(arguments.data), _likely_folder(), _data)
    smallest = min(min(each.width, each.height) for each in pictures)
    questions.tell(f"{len(pictures)} pictures, the smallest {smallest} px")
    presets = (*(preset.name for preset in all_presets(preferences) if preset.is_own), *SHIPPED)
    preset = questions.ask(
        f"What do they show? {', '.join(presets)}", arguments.preset, SHIPPED[0], partial(_preset, presets)
    )
    model, base = questions.ask(
        f"Trained on which base model? {', '.join(BASES)}, a hub id or a path", arguments.base, BASES[0], _base_model
    )
    base = arguments.kind or base or _kind_of(model, questions)
    read_name = partial(_name, arguments.output)
    name, target = questions.ask("What is the LoRA called?", arguments.name, likely_name(data), read_name)
    likely = proposed_trigger(data, pictures, name)
    if arguments.trigger is None:
        questions.tell(_WHENCE[likely.origin])
    trigger = questions.ask("Which word calls it?", arguments.trigger, likely.word, _trigger)
    wanted = Wanted(preset=preset, base=base, model=model, data=data, trigger=trigger, name=name, gpu=arguments.gpu)
    return wanted, target, likely.origin if trigger == likely.word else None


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _likely_folder() -> str:
    """Return a folder here that may have the pictures."""
    here = [Path(name) for name in _LIKELY_FOLDERS if Path(name).is_dir()]
    return str(next((each for each in here if _has_pictures(each)), here[0] if here else Path()))


def _has_pictures(folder: Path) -> bool:
    return any(path.suffix.lower() in PICTURE_EXTENSIONS for path in folder.rglob("*"))


def _data(text: str) -> tuple[Path, tuple[Picture, ...]]:
    data = Path(text).expanduser()
    pictures = pictures_of(data)
    if not pictures:
        raise UsageError(
            f"none of the pictures in {data} can be read",
            fix=f"loratui check {shlex.quote(text)} says why",
            code="usage.pictures",
        )
    return data, pictures


def _preset(known: Sequence[str], name: str) -> str:
    if name not in known:
        raise UsageError(f"there is no preset {name!r}", fix=f"take one of {', '.join(known)}", code="preset.unknown")
    return name


def _base_model(named: str) -> tuple[str, str | None]:
    model, base = model_of(named)
    if base is None and not {"/", "\\", ":"} & set(named) and not Path(named).exists():
        raise UsageError(
            f"{named!r} is no base model: there is no such file or folder, and a hub id is owner/name",
            fix=f"take {', '.join(BASES)}, a hub id or a path",
            code="usage.base",
        )
    return model, base


def _kind_of(model: str, questions: Questions) -> str:
    given = None if questions.is_asked else ""
    return questions.ask(f"What kind of model is that? {', '.join(BASES)}", given, "sdxl", partial(_kind, model))


def _kind(model: str, kind: str) -> str:
    if kind not in BASES:
        raise UsageError(
            f"what kind of model {model!r} is can't be told from here",
            fix=f"give --kind {'|'.join(BASES)}",
            code="usage.kind",
        )
    return kind


def _name(output: Path | None, name: str) -> tuple[str, Path]:
    """Return the name of the LoRA, and the file for its config."""
    check_name(name)
    target = output or Path(f"{name}.toml")
    check_free(target)
    return name, target


def _trigger(text: str) -> str:
    trigger = clean(text).strip()
    if not trigger or "," in trigger:
        raise UsageError(
            f"{trigger!r} can't be a trigger: it is one word, or a few without a comma",
            fix="take a word that means nothing, as zorbix",
            code="usage.trigger",
        )
    return trigger
