"""The library of LoRAs as a list, and all that is known of the chosen file below it."""

import shlex
from collections.abc import Hashable

from loratui.domain import formatting, library
from loratui.domain.apart import Named
from loratui.domain.library import MOST_STARS, SUFFIX, FileState, LibraryFile
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cut, row_width, spread
from loratui.ui.widgets.list_pane import ListPane
from loratui.ui.widgets.log_lines import folded
from loratui.ui.widgets.pane import Pane
from loratui.ui.widgets.same_names import SameNames

_STATES: dict[FileState, tuple[str, Role]] = {
    FileState.HERE: ("● here", Role.GOOD),
    FileState.AWAY: ("○ on its machine", Role.TEXT),
    FileState.PARTLY: ("◐ partly here", Role.WARN),
    FileState.MISSING: ("! missing from disk", Role.ALARM),
    FileState.FAILED: ("x not fetched", Role.ALARM),
    FileState.CHANGED: ("x not what came", Role.ALARM),
    FileState.GONE: ("x gone", Role.DIM),
}
_STATE_CELLS = 19
_PATH_LINES = 3
_RUN_FROM = 100
"""From so many cells on the run stands beside the file."""
_SHA_FROM = 76


def stars(number: int) -> str:
    """Return a rating in five cells, blank where there is none."""
    return f"{'*' * number}{'.' * (MOST_STARS - number)}" if number else " " * MOST_STARS


class FileList(ListPane[LibraryFile]):
    """All LoRAs, in the order that was asked for."""

    order = library.ORDERS[0]
    is_read = False
    trouble = ""
    progress = ""
    """What is being verified, and how far that is."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._names = SameNames(_named)

    def name_of(self, entry: LibraryFile) -> Hashable:
        """Return what tells this version of the file from all others."""
        return entry.key

    def yanked(self, entry: LibraryFile) -> str:
        """Return where it is, or what fetches it."""
        return str(entry.copy or entry.path) if entry.is_here else f"loratui download {shlex.quote(entry.run_name)}"

    def matches(self, entry: LibraryFile, query: str) -> bool:
        """Ask the library's own grammar."""
        return library.matches(entry, query)

    def heading(self, _: Frame) -> list[Span]:
        """Return the name of the list and its order."""
        return [("LoRAs", Role.TITLE), (f"  by {self.order}", Role.DIM)]

    def remark(self, _: Frame) -> str:
        """Return how far a verification is."""
        return self.progress or ("filter: here missing rated>=4 run:…" if self.is_filtering else "")

    def nothing(self, _: Frame) -> list[Row]:
        """Return why there is nothing; until the records were read, nothing is claimed."""
        if self.trouble:
            return [[(f" ! the library can't be read: {self.trouble}", Role.ALARM)]]
        if not self.is_read:
            return [[(" reading…", Role.DIM)]]
        return [
            [(" No LoRA was made yet.", Role.STRONG)],
            [(" Every checkpoint and result of a run appears here as soon as it is saved.", Role.TEXT)],
        ]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the rows; of what has one name, what tells it apart stands beside it."""
        self._names.look(self.entries, frame)
        return super().lines(frame, width, height)

    def entry_row(self, entry: LibraryFile, width: int) -> Row:
        """Return name, rating, step, size, sum and state; the run where there is room."""
        words, role = _STATES[entry.state]
        right: Row = [(f"{stars(entry.stars)}  ", Role.KEY)]
        if width >= _RUN_FROM:
            right = [(f"{cut(entry.run_name, 24):<24}  ", Role.DIM), *right]
        step = f"{entry.step}" if entry.step else ""
        right += [(f"{step:>6}  ", Role.TEXT), (f"{formatting.size(entry.size):>6}  ", Role.TEXT)]
        if width >= _SHA_FROM:
            right.append((f"{cut(entry.sha256, 8):<8}  ", Role.DIM))
        right.append((f"{words:<{_STATE_CELLS}}", role))
        return [*self._names.row(entry.key, entry.name.removesuffix(SUFFIX), width - row_width(right)), *right]

    def head(self, _: Frame, width: int) -> list[Row]:
        """Return the names of the columns."""
        inner = width - 2
        right = "rated    step    size  "
        if inner >= _RUN_FROM:
            right = f"{'run':<24}  {right}"
        if inner >= _SHA_FROM:
            right += "sha256    "
        row = spread([("file", Role.DIM)], [(f"{right}{'state':<{_STATE_CELLS}}", Role.DIM)], inner)
        return [[("  ", Role.DIM), *row]]


def _named(file: LibraryFile) -> Named:
    return Named(file.key, file.name, file.ts, file.run_id)


class FilePane(Pane):
    """The chosen file."""

    file: LibraryFile | None = None
    verdict: tuple[str, str] = ("", "")
    """When it was verified here, and what was wrong with it."""

    def title(self, _: Frame) -> list[Span]:
        """Return which file it is."""
        return [("file", Role.TITLE)]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - cut by the caller
        """Return where it comes from, where it is, and whether it is what was announced."""
        file = self.file
        if file is None:
            return []
        _, role = _STATES[file.state]
        why = f": {file.why}" if file.why else ""
        rows: list[Row] = [[(f" {file.state.value}{why}", role)]]
        if (path := file.copy or file.path) is not None:
            # Whole: it is there to be copied.
            pieces = folded(formatting.homely(path), max(10, width - 2), _PATH_LINES)
            rows += [[(f" {piece}", Role.TEXT)] for piece in pieces]
        at, wrong = self.verdict
        if wrong:
            rows.append([(f" ! verified {at}: {wrong}", Role.ALARM)])
        elif at:
            rows.append([(f" verified again {at}", Role.GOOD), (f"  sha256 {file.sha256}", Role.DIM)])
        else:
            rows.append([(f" sha256 {file.sha256}", Role.DIM)])
        base = f", base {file.base}" if file.base else ""
        made = f" run {file.run_name} on {file.target}, {formatting.day_and_time(file.ts)}"
        return [*rows, [(f"{made}{base}", Role.DIM)]]
