"""The pages, each made when it is first needed: the code of nine screens takes longer than the first frame may."""

from importlib import import_module
from typing import TYPE_CHECKING

from loratui.ui.page import Page
from loratui.ui.places import ASIDE, PLACES

if TYPE_CHECKING:
    from loratui.ui.shell import Shell


def page_class(place: str) -> type[Page]:
    """Return the page of a place: it is in the module of ``screens`` that is called so."""
    module = import_module(f"loratui.ui.screens.{place}")
    found: type[Page] = getattr(module, f"{place.capitalize()}Page")
    return found


class Pages(dict[str, Page]):
    """The pages that were made, by the names of their places; one that is asked for is made."""

    def __init__(self, shell: "Shell") -> None:
        super().__init__()
        self._shell = shell

    def __missing__(self, place: str) -> Page:
        page = self[place] = page_class(place)(self._shell)
        self._shell.add_page(page)
        return page

    def make_all(self) -> None:
        """Make those that are missing, one after the other: for a thread, so that keys are answered in between."""
        for place in (*PLACES, *ASIDE):
            page_class(place.name)
            self._shell.app.call_from_thread(self._make, place.name)

    def _make(self, place: str) -> None:
        # One who left at once needs no more screens.
        if self._shell.is_attached and self._shell.is_running:
            self[place]
