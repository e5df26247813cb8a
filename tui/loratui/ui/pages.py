"""The pages, each made when it is first needed: the code of nine screens takes longer than the first frame may."""

import gc
import sys
import threading
import time
from importlib import import_module
from typing import TYPE_CHECKING

from loratui.ui.page import Page
from loratui.ui.places import ASIDE, PLACES

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_REST_S = 2.0
"""So long after the start, or a key, nothing is loaded that nobody asked for: it would halve the speed of what is."""


def page_class(place: str) -> type[Page]:
    """Return the page of a place: it is in the module of ``screens`` that is called so."""
    name = f"loratui.ui.screens.{place}"
    is_new = name not in sys.modules
    if is_new:
        # What is loaded stays: the collector would look through all of it on the way, again and again.
        gc.disable()
    try:
        # One that another thread is loading is waited for.
        module = import_module(name)
    finally:
        if is_new:
            gc.freeze()
            gc.enable()
    found: type[Page] = getattr(module, f"{place.capitalize()}Page")
    return found


class Pages(dict[str, Page]):
    """The pages that were made, by the names of their places; one that is asked for is made."""

    def __init__(self, shell: "Shell") -> None:
        super().__init__()
        self._shell = shell
        self._rests_until_s = 0.0
        self._is_left = threading.Event()

    def __missing__(self, place: str) -> Page:
        page = self[place] = page_class(place)(self._shell)
        self._shell.add_page(page)
        return page

    def make_all(self) -> None:
        """Make those that are missing, one after the other: for a thread, so that keys are answered in between."""
        self.give_way()
        for place in (*PLACES, *ASIDE):
            while (rest_s := self._rests_until_s - time.monotonic()) > 0:
                if self._is_left.wait(rest_s) or not self._shell.is_running:
                    return
            page_class(place.name)
            self._shell.app.call_from_thread(self._make, place.name)

    def give_way(self) -> None:
        """Load nothing for a moment: a key was pressed."""
        self._rests_until_s = time.monotonic() + _REST_S

    def leave(self) -> None:
        """Load nothing any more."""
        self._is_left.set()

    def _make(self, place: str) -> None:
        # One who left at once needs no more screens.
        if self._shell.is_attached and self._shell.is_running:
            self[place]
