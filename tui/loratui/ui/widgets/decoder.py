"""Pictures that a thread turns into rows: a large one takes longer than a key may wait."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, Protocol

from loratui.ui.text import Row
from loratui.ui.widgets.half_block import picture_rows

_MOST_KEPT = 256
"""More than are ever in sight: else those in sight would push each other out without end."""


class Stored(Protocol):
    """A picture that is in no file of its own, equal to itself alone or to what is in the same place."""

    def read(self) -> bytes | None:
        """Return its bytes, None where they can't be had."""


Source = Path | Stored
"""Where a picture is."""


class _Wish(NamedTuple):
    source: Source
    version: str
    columns: int
    lines: int
    only_ascii: bool


class Decoder:
    """Keeps the pictures that were asked for last, and decodes what is missing, in the order in which it was asked for.

    ``ready`` is called by the thread after each picture.
    """

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready = ready
        self._lock = threading.Lock()
        self._done: OrderedDict[_Wish, list[Row]] = OrderedDict()
        self._waiting: OrderedDict[_Wish, None] = OrderedDict()
        self._is_at_work = False

    def rows(
        self, source: Source, columns: int, lines: int, *, version: str = "", only_ascii: bool = False
    ) -> list[Row] | None:
        """Return the picture within ``columns`` x ``lines`` cells; None: it will come.

        ``version`` changes when another picture has taken the place of the one there.
        """
        wish = _Wish(source, version, columns, lines, only_ascii)
        with self._lock:
            if wish in self._done:
                self._done.move_to_end(wish)
                return self._done[wish]
            self._waiting[wish] = None
            if not self._is_at_work:
                self._is_at_work = True
                # A daemon: a slow disk keeps nobody from leaving.
                threading.Thread(target=self._work, name="loratui-pictures", daemon=True).start()
        return None

    def forget_wishes(self) -> None:
        """Decode nothing more of what was asked for so far: other pictures are looked at now."""
        with self._lock:
            self._waiting.clear()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_at_work = False
                    return
                wish, _ = self._waiting.popitem(last=False)
            source = wish.source
            file = source if isinstance(source, Path) else BytesIO(source.read() or b"")
            rows = picture_rows(file, wish.columns, wish.lines, only_ascii=wish.only_ascii)
            with self._lock:
                self._done[wish] = rows
                self._waiting.pop(wish, None)
                if len(self._done) > _MOST_KEPT:
                    self._done.popitem(last=False)
            self._ready()
