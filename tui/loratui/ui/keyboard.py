"""What a key means at this moment, and who does it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.events import Key

from loratui.ui.frame import Frame
from loratui.ui.over import Over
from loratui.ui.registry import Action, Scope

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

READ_ONLY = "this screen is read-only"


class Keyboard:
    """Finds the action of a key: a question takes all keys, then the palette, a text that is typed, and the page."""

    def __init__(self, shell: "Shell") -> None:
        self._shell = shell

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Return where the keys work now, beside the global ones."""
        return self.unasked if self._shell.strip.scope is None else (self._shell.strip.scope,)

    @property
    def unasked(self) -> tuple[Scope, ...]:
        """Return where they work while no question is open."""
        if self._shell.over is Over.HELP:
            return (Scope.HELP,)
        if self._shell.over is Over.COST:
            return (Scope.COST,)
        return self.of_page

    @property
    def of_page(self) -> tuple[Scope, ...]:
        """Return where the keys work on the page that is shown, whatever is asked or lies over it."""
        filtered = (Scope.FOUND,) if self._is_filtered else ()
        return (*filtered, *self._shell.page.scopes, Scope.PAGES)

    @property
    def _is_filtered(self) -> bool:
        main_list = self._shell.page.main_list
        return main_list is not None and main_list.is_filtered

    def is_hidden(self, action: Action) -> bool:
        """Return whether the key of an action of the page means something else while a filter stands."""
        if not self._is_filtered or action.scope is Scope.FOUND:
            return False
        return any(action.keys[0] in found.keys for found in self._shell.actions.within(Scope.FOUND))

    def press(self, event: Key) -> bool:
        """Do what the key means now; return whether it means anything."""
        self._shell.pages.give_way()
        if self._shell.focused is not None:
            return self._pressed_in_field(event)
        self._press(event)
        return True

    def _pressed_in_field(self, event: Key) -> bool:
        """Type, unless the key types nothing and means the same everywhere."""
        if event.key == "escape":
            self._shell.leave_field()
            return True
        action = None if event.is_printable else self._shell.actions.find(event.key, ())
        if action is not None:
            self.perform(action)
            return True
        return self._shell.prompt.press(event)

    def _press(self, event: Key) -> None:
        typed = event.character if event.is_printable and event.character != " " else None
        key = typed or event.key
        is_asked = self._shell.strip.scope is not None
        if is_asked and self._shell.strip.swallows(self._shell.clock.monotonic_s()):
            return
        if self._shell.jump.is_on and not is_asked:
            self._shell.jump.press(event)
            return
        if self._shell.over is Over.PALETTE and not is_asked:
            self._palette_key(event)
            return
        if not is_asked and self._shell.over is Over.NOTHING and self._is_typed(event):
            return
        if is_asked and self._shell.strip.press(event.key, typed or ("" if event.character == " " else None)):
            return
        action = self._taking_back(key) or self._of_filter(key) or self._shell.actions.find(key, self.scopes)
        if action is not None:
            self.perform(action)

    def _taking_back(self, key: str) -> Action | None:
        """Return what takes a termination back, while that can be: its key means that on every screen."""
        return self._shell.actions.find(key, (Scope.UNDO_WINDOW,)) if self._shell.money.takes_back else None

    def _of_filter(self, key: str) -> Action | None:
        """Return what goes from match to match: its keys come before what they mean on the page else."""
        return self._shell.actions.find(key, (Scope.FOUND,)) if Scope.FOUND in self.scopes else None

    @property
    def is_filtering(self) -> bool:
        """Return whether what is typed is the filter of the page's list."""
        main_list = self._shell.page.main_list
        return self._shell.over is Over.NOTHING and main_list is not None and main_list.is_filtering

    def _is_typed(self, event: Key) -> bool:
        """Return whether the key belonged to a text that is being typed; then it is taken."""
        main_list = self._shell.page.main_list
        if main_list is not None and main_list.is_filtering:
            is_taken = main_list.press(event.key, event.character if event.is_printable else None)
            if main_list.is_filtered:
                # Other keys work now, and the footer names them.
                self._shell.refresh_view()
            return is_taken
        return False

    def _palette_key(self, event: Key) -> None:
        if event.key == "escape":
            self._shell.lay_over(Over.NOTHING)
        elif not event.is_printable and (action := self._shell.actions.find(event.key, ())) is not None:
            self.perform(action)
        elif (chosen := self._shell.palette.press(event.key, event.character)) is not None:
            self._shell.lay_over(Over.NOTHING)
            self.perform(chosen)

    def why_not(self, action: Action, frame: Frame) -> str:
        """Return why an action can't be done now; nothing where it can."""
        if frame.options.readonly and not action.is_for_watching:
            return READ_ONLY
        return action.why_not(frame) or frame.refusals.get(action.id, "")

    def perform(self, action: Action) -> None:
        """Do an action, or say why it can't be done now."""
        reason = self.why_not(action, self._shell.frame())
        if reason:
            self._shell.strip.close()
            self._shell.say(f"{action.label}: not now, {reason}")
        else:
            self._doer(action.id)()

    def _doer(self, action_id: str) -> Callable[[], None]:
        if action_id.startswith("go_"):
            return lambda: self._shell.go(action_id.removeprefix("go_"))
        name = f"do_{action_id}"
        # The open run can be stopped from every page, and a rental ended.
        shell = self._shell
        owners = (shell.page, shell.pages["run"], shell.money, shell.help, shell.jump, shell.yank, shell, shell.app)
        doer: Callable[[], None] = next(getattr(owner, name) for owner in owners if hasattr(owner, name))
        return doer
