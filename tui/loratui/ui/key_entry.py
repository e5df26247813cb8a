"""A provider's key, entered hidden and tried before it is kept: whose, what it must be allowed, and what it opens."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from loratui.sessions.market import PROVIDERS, SCOPES
from loratui.sessions.provider_keys import keep_key, what_opens
from loratui.store.keys import Keys, variable
from loratui.ui.frame import Frame
from loratui.ui.questions import Question
from loratui.ui.registry import Scope
from loratui.ui.text import Role
from loratui.ui.widgets.paper import Paragraph
from loratui.ui.widgets.prompt import Typed
from loratui.ui.work import look_first

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_SAY_S = 30.0


class KeyEntry:
    """``told`` is called when there is something new to say, ``kept`` when a key was kept."""

    def __init__(self, shell: "Shell", told: Callable[[], None], kept: Callable[[], None]) -> None:
        self._shell = shell
        self._told = told
        self._kept = kept
        self._reason = ""
        self._origins: dict[str, str] = {}
        self.is_asking = False

    def begin(self, reason: str = "") -> None:
        """Look which keys there are, and ask whose is to be entered; ``reason`` is why one is needed."""
        folder = self._shell.desk.preferences.config_dir

        def look() -> dict[str, str]:
            keys = Keys(folder)
            return {name: key.origin for name in PROVIDERS if (key := keys.read(name)) is not None}

        look_first(
            self._shell,
            "looking which keys there are…",
            look,
            lambda found: self._ask(reason, found),
            "the keys can't be read",
        )

    def _ask(self, reason: str, origins: dict[str, str]) -> None:
        self._reason, self._origins, self.is_asking = reason, origins, True
        self._shell.ask(Scope.KEYS_STRIP, self._question)
        self._told()

    def _question(self, _: Frame) -> Question:
        return Question(
            title=(("KEY", Role.TITLE), (" of a provider", Role.STRONG)),
            stake="Whose key do you want to enter? It is tried, and kept if it works.",
        )

    def enter(self, name: str) -> None:
        """Let the key be typed, hidden."""
        self._shell.ask_text(
            f"key of {name}, not shown:", lambda text: self._try(name, text.strip()), kind=Typed.SECRET
        )

    def _try(self, name: str, text: str) -> None:
        self.close()
        if not text:
            self._shell.say("no key was entered; nothing has changed")
            return
        self._shell.say(f"trying the key of {name}…", _SAY_S)
        preferences, outranked = self._shell.desk.preferences, self._outranked(name)

        def keep() -> None:
            where, account = keep_key(name, text, preferences)
            said = f"{name}: the key works. {what_opens(account)}{outranked}. It is kept in {where}"
            self._shell.app.call_from_thread(self._tell, said)

        self._shell.work(keep, f"{name}, key not kept")

    def _outranked(self, name: str) -> str:
        return f". {variable(name)} outranks it" if self._origins.get(name) == variable(name) else ""

    def _tell(self, sentence: str) -> None:
        self._shell.say(sentence, _SAY_S)
        self._kept()

    def close(self) -> None:
        """Ask no more."""
        self.is_asking = False
        self._shell.stop_asking()
        self._told()

    def paragraphs(self) -> list[Paragraph]:
        """Return which keys there are, and what each must be allowed."""
        said: list[Paragraph] = [(self._reason, Role.WARN)] if self._reason else []
        for name in PROVIDERS:
            origin = self._origins.get(name)
            said.append((f"{name}: {f'a key from {origin}' if origin else 'no key'}", Role.STRONG))
            said.append((f"It needs: {SCOPES[name]}.", Role.TEXT))
        said.append(("Keys stay on this machine; a rented machine gets one of its own, for itself alone.", Role.DIM))
        return said
