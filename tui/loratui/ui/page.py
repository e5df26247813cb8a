"""A screen between the tabs and the footer: what it shows, where its keys work, and what they do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Container
from textual.message import Message
from textual.widget import Widget

from loratui.domain import formatting
from loratui.domain.overview import RentalLine
from loratui.ui.drafts import ConfigDraft
from loratui.ui.errands import Errand
from loratui.ui.frame import Frame
from loratui.ui.registry import Scope
from loratui.ui.widgets.list_pane import ListPane
from loratui.ui.widgets.rows import Rows

if TYPE_CHECKING:
    from loratui.ui.shell import Shell


class Page(Container):
    """A subclass sets ``place`` and ``scopes`` and has a method ``do_<id>`` for each action of those scopes.

    Only the page that is in sight is shown frames. A page with one list at its heart names it as ``main_list``, and
    gets the keys of lists.
    """

    place: ClassVar[str]
    """Its name in ``places``."""
    own_scopes: ClassVar[tuple[Scope, ...]]
    main_list: ListPane[Any] | None = None

    @dataclass
    class Came(Message):
        """A page that was made has all its rows."""

        page: "Page"

    def __init__(self, shell: "Shell") -> None:
        super().__init__(id=f"page-{self.place}", classes="page")
        self.shell = shell
        self._whole: Widget | None = None

    def on_mount(self) -> None:
        """Tell that there is something to fill."""
        self.post_message(self.Came(self))

    def on_list_pane_moved(self) -> None:
        """Name the keys that matter of what is under the cursor now."""
        self.shell.footer.show(self.shell.frame())

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Return where the keys work now."""
        return (*self.own_scopes, Scope.LIST, Scope.MARKS) if self.main_list is not None else self.own_scopes

    def refusals(self) -> Mapping[str, str]:
        """Return the ids of actions that can't be done now, and why in a few words."""
        return {}

    def entered(self) -> None:
        """Take up what was parked: called when the page comes into sight."""

    def left(self) -> None:
        """Park: called when another page comes into sight."""

    def show(self, frame: Frame) -> None:
        """Show a moment in every row."""
        for rows in self.query(Rows):
            rows.show(frame)

    def chosen_rental(self, frame: Frame) -> RentalLine | None:  # noqa: ARG002 - most screens have none
        """Return the rental that the cursor is on, or on a run of; None: the one of the open run is meant."""
        return None

    def choose_rental(self) -> None:
        """Let a rental be chosen: the screen that lists them puts the cursor there."""

    def errand_ended(self, errand: Errand) -> None:
        """Take note that a command which was sent out has ended."""

    def kept(self) -> dict[str, str]:
        """Return what of the page is to be found again when the interface is opened the next time."""
        return {}

    def restore(self, kept: Mapping[str, str]) -> None:
        """Take up what ``kept`` returned in an earlier session; it may be damaged, and then is left alone."""

    def draft(self) -> ConfigDraft | None:
        """Return what was changed here and is nowhere else yet."""
        return None

    def yank_text(self) -> str:
        """Return what is worth taking along from here, of what is chosen first; nothing where there is nothing."""
        chosen = None if self.main_list is None else self.main_list.chosen
        if self.main_list is not None and chosen is not None and (text := self.main_list.yanked(chosen)):
            return text
        source = self.shell.source
        return "" if source is None else formatting.attach_command(source.view().name)

    @property
    def panes(self) -> tuple[Widget, ...]:
        """Return the widgets that can have the whole page, one after the other."""
        return ()

    def maximise_next(self) -> bool:
        """Give the page to its next pane, or back to all of them; return whether one has it now."""
        shown = [*self.panes, None]
        # One that was jumped to is none of them; then all come back.
        at = shown.index(self._whole) if self._whole in shown else -2
        self._maximise(shown[(at + 1) % len(shown)])
        self.shell.refresh_view()
        return self._whole is not None

    def jump_to(self, pane: Rows) -> None:
        """Give the cursor to a pane that takes it, the page to one that has none; again, the page to all."""
        if pane is not self.main_list and not self.take_cursor(pane):
            self._maximise(None if pane is self._whole else pane)
            is_whole, goes_on = self._whole is not None, self.shell.actions.name_of("maximise")
            self.shell.say(f"enlarged · {goes_on} goes on" if is_whole else "")

    def take_cursor(self, pane: Rows) -> bool:  # noqa: ARG002 - most pages have one list
        """Put the cursor into a pane that is jumped to; return whether it has one."""
        return False

    def _maximise(self, pane: Widget | None) -> None:
        self._whole = pane
        self.set_class(self._whole is not None, "-maximised")
        for node in self.query(Widget):
            is_on_way = self._whole is not None and (node is self._whole or self._whole in node.query(Widget))
            node.set_class(is_on_way, "-whole")
            node.set_class(self._whole is not None and not is_on_way and self._whole not in node.ancestors, "-aside")

    # --- the main list -----------------------------------------------------------------------------------------------

    def do_list_down(self) -> None:
        """Choose the next entry."""
        self._move(1)

    def do_list_up(self) -> None:
        """Choose the entry before."""
        self._move(-1)

    def do_list_page_down(self) -> None:
        """Go a page further."""
        self._move(self.main_list.page if self.main_list else 0)

    def do_list_page_up(self) -> None:
        """Go a page back."""
        self._move(-self.main_list.page if self.main_list else 0)

    def do_list_first(self) -> None:
        """Choose the first entry."""
        self._move(-len(self.main_list.found) if self.main_list else 0)

    def do_list_last(self) -> None:
        """Choose the last entry."""
        self._move(len(self.main_list.found) if self.main_list else 0)

    def do_mark(self) -> None:
        """Mark the chosen entry, or unmark it."""
        if self.main_list is not None:
            self.main_list.mark()

    def do_filter(self) -> None:
        """Let the keys type the filter."""
        if self.main_list is not None:
            self.main_list.is_filtering = True
            self.main_list.rebuild()
            self.shell.refresh_view()

    def do_found_next(self) -> None:
        """Choose the next match, after the last one the first."""
        if self.main_list is not None:
            self.main_list.turn(1)

    def do_found_before(self) -> None:
        """Choose the match before, before the first one the last."""
        if self.main_list is not None:
            self.main_list.turn(-1)

    def do_found_all(self) -> None:
        """Clear the filter."""
        if self.main_list is not None:
            self.main_list.set_query("")
            self.shell.refresh_view()

    def _move(self, by: int) -> None:
        if self.main_list is not None:
            self.main_list.move(by)
