"""The questions of ``loratui new``, one after the other in the place of the footer."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from loratui.domain.presets import BASES
from loratui.sessions.new_config import Wanted, check_name, likely_name, make, model_of, pictures_of, proposed_trigger
from loratui.sessions.presets import SHIPPED, all_presets, default_model, write_new
from loratui.ui.typed_path import typed_path
from loratui.ui.widgets.prompt import Typed
from loratui.ui.work import look_first
from loratui_protocol.dataset import Picture
from loratui_protocol.errors import LoratuiError
from loratui_protocol.findings import plural
from loratui_protocol.harmless import clean

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_SAY_S = 30.0
FOLDER, PRESET, BASE, KIND, NAME, TRIGGER, TARGET = range(7)


class NewConfig:
    """Asks what is to be trained, and writes a config; ``done`` gets its path.

    A word that is none of those to choose from is asked for again. What else is refused ends the questions, and
    ``refused`` gets why, and what helps; asked the next time, they have the answers that were given.
    """

    def __init__(self, shell: "Shell", done: Callable[[Path], None], refused: Callable[[str, str], None]) -> None:
        self._shell = shell
        self._done = done
        self._refused = refused
        self._answers: dict[int, str] = {}
        self._data = Path()
        self._pictures: tuple[Picture, ...] = ()
        self._presets: dict[str, str] = {}
        """What there is to choose from, and what each is for."""
        self._model = self._base = ""

    def ask(self) -> None:
        """Ask for the folder of pictures, and then for the rest."""
        self._ask(FOLDER, "folder of pictures", "", self._with_folder)

    def ask_of(self, folder: Path) -> None:
        """Ask for the rest: the pictures are known."""
        self._answers[FOLDER] = str(folder)
        self._with_folder(str(folder))

    def _ask(
        self, question: int, label: str, usual: str, then: Callable[[str], None], told: Mapping[str, str] | None = None
    ) -> None:
        """Ask, with what is ``told`` of each answer that can be chosen."""

        def answered(text: str) -> None:
            self._answers[question] = text.strip() or usual
            then(self._answers[question])

        kind = Typed.PATH if question == FOLDER else Typed.TEXT if question == TARGET else Typed.ANSWER
        self._shell.ask_text(f"{label}:", answered, self._answers.get(question, usual), kind)
        if told:
            self._shell.prompt.tell([f"{name:<{max(map(len, told))}}  {about}" for name, about in told.items()])

    def _with_folder(self, text: str) -> None:
        def look() -> None:
            # A relative folder counts from where the interface was started, as it does in a shell.
            self._data = typed_path(text or ".")
            self._pictures = pictures_of(self._data)
            presets = all_presets(self._shell.desk.preferences)
            self._presets = {preset.name: preset.about for preset in presets}
            if self._answers.keys() > {FOLDER}:
                # Of other pictures perhaps.
                self._answers = {key: each for key, each in self._answers.items() if key in (FOLDER, PRESET, BASE)}

        self._check(look, lambda: self._ask_preset(f"{plural(len(self._pictures), 'picture')}; preset"))

    def _ask_preset(self, about: str) -> None:
        self._ask(PRESET, about, SHIPPED[0], self._with_preset, self._presets)

    def _with_preset(self, text: str) -> None:
        if text not in self._presets:
            del self._answers[PRESET]
            self._ask_preset(f"no {clean(text, 12)!r}; preset")
            return
        bases = {base: default_model(base) for base in BASES}
        self._ask(BASE, "base model: one of these, a hub id or a path", BASES[0], self._with_base, bases)

    def _with_base(self, text: str) -> None:
        def look() -> None:
            self._model, base = model_of(text)
            self._base = base or ""

        def then() -> None:
            if self._base:
                self._with_kind(self._base)
            else:
                self._ask_kind("its kind")

        self._check(look, then)

    def _ask_kind(self, about: str) -> None:
        self._ask(KIND, about, "sdxl", self._with_kind, {base: f"as {default_model(base)}" for base in BASES})

    def _with_kind(self, text: str) -> None:
        if text not in BASES:
            del self._answers[KIND]
            self._ask_kind(f"no {clean(text, 12)!r}; its kind")
            return
        self._base = text
        self._ask(NAME, "what the LoRA is called", likely_name(self._data), self._with_name)

    def _with_name(self, text: str) -> None:
        def then() -> None:
            self._ask(
                TRIGGER,
                "the word that calls it",
                proposed_trigger(self._data, self._pictures, text).word,
                self._with_trigger,
            )

        self._check(lambda: check_name(text), then)

    def _with_trigger(self, _: str) -> None:
        self._ask(TARGET, "write it to", str(Path.cwd() / f"{self._answers[NAME]}.toml"), self._with_target)

    def _with_target(self, text: str) -> None:
        target = Path(text).expanduser().absolute()
        wanted = Wanted(
            preset=self._answers[PRESET],
            base=self._base,
            model=self._model,
            data=self._data,
            trigger=clean(self._answers[TRIGGER]),
            name=self._answers[NAME],
        )

        def write() -> None:
            write_new(target, make(wanted, target, self._shell.desk.preferences).text)

        def then() -> None:
            self._answers = {}
            self._done(target)

        def missed() -> None:
            # It came too late to leave nothing behind: a file that nobody knows of would be one.
            opens = self._shell.actions.name_of("config_open")
            self._shell.say(f"{target.name} was written already, and is not opened: {opens} on Config does", _SAY_S)

        self._check(write, then, missed)

    def _check(
        self, look: Callable[[], None], then: Callable[[], None], missed: Callable[[], None] = lambda: None
    ) -> None:
        """Do what reads files in a thread, and go on; ``missed`` where it was done, but escape pressed meanwhile."""

        def looked() -> Callable[[], None]:
            try:
                look()
            except LoratuiError as error:
                return partial(self._refused, error.what, error.fix)
            return then

        def given_up(go_on: Callable[[], None]) -> None:
            if go_on is then:
                missed()

        look_first(self._shell, "looking…", looked, lambda go_on: go_on(), "the new config", given_up)
