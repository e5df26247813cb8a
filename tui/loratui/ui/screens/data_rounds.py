"""Looks at a dataset in a thread, round after round: first at what lies there, then at every picture."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from loratui.preflight.undo_records import has_records
from loratui.sessions.dataset import Found, Listed, OpenDataset, found, likely_word, listed, open_dataset, with_names
from loratui.ui.widgets.data_lists import gravest_first
from loratui_protocol.errors import LoratuiError

if TYPE_CHECKING:
    from loratui.ui.shell import Shell


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a round has seen so far."""

    path: Path
    dataset: OpenDataset | None = None
    pictures: tuple[Listed, ...] = ()
    found: tuple[Found, ...] | None = None
    """None: the check is under way."""
    of_picture: Mapping[str, tuple[Found, ...]] = field(default_factory=dict)
    """The findings by the names of pictures."""
    trigger: str = ""
    """The word that is to be in all captions, or is likely to be."""
    has_edits: bool = False
    """Whether there is one that can be taken back."""
    trouble: str = ""
    """Why the pictures or the findings can't be had."""


class _SupersededError(Exception):
    """Nobody waits for this round any more."""


class Rounds:
    """Only the newest round tells what it sees; those before it end at their next picture."""

    def __init__(self, shell: "Shell", tell: Callable[[Seen], None]) -> None:
        self._shell = shell
        self._tell = tell
        self._number = 0
        self.progress: tuple[int, int] | None = None
        """How many pictures are checked, and how many there are; None: no check is under way."""
        self.is_under_way = False

    def begin(self, path: Path) -> None:
        """Look at the folder, or at what the config names."""
        self._number += 1
        self.is_under_way, self.progress = True, None
        number = self._number
        self._shell.work(lambda: self._round(path, number), "looking at the pictures")

    def end(self) -> None:
        """Let the round that is under way come to nothing."""
        self._number += 1
        self.is_under_way, self.progress = False, None

    def _round(self, path: Path, number: int) -> None:
        try:
            self._look(path, number)
        except _SupersededError:
            return
        except LoratuiError as error:
            self._say(number, Seen(path=path, trouble=_told(error)), is_last=True)

    def _look(self, path: Path, number: int) -> None:
        dataset = open_dataset(path)
        pictures = listed(dataset)
        has_edits = has_records(dataset.folder)
        seen = Seen(path=path, dataset=dataset, pictures=pictures, has_edits=has_edits)
        self._say(number, seen, is_last=False)

        def progress(done: int, total: int) -> None:
            if number != self._number:
                raise _SupersededError
            self.progress = (done, total)

        try:
            findings = gravest_first(with_names(found(dataset, progress), pictures, dataset.folder))
        except LoratuiError as error:
            # The pictures are there all the same.
            findings, trouble = (), _told(error)
        else:
            trouble = ""
        of_picture: dict[str, list[Found]] = defaultdict(list)
        for each in findings:
            for name in each.names:
                of_picture[name].append(each)
        whole = Seen(
            path=path,
            dataset=dataset,
            pictures=pictures,
            found=findings,
            of_picture={name: tuple(those) for name, those in of_picture.items()},
            trigger=dataset.trigger or likely_word(dataset, pictures),
            has_edits=has_edits,
            trouble=trouble,
        )
        self._say(number, whole, is_last=True)

    def _say(self, number: int, seen: Seen, *, is_last: bool) -> None:
        def say() -> None:
            if number == self._number:
                if is_last:
                    self.is_under_way, self.progress = False, None
                self._tell(seen)

        if number != self._number:
            raise _SupersededError
        self._shell.app.call_from_thread(say)


def _told(error: LoratuiError) -> str:
    return f"{error.what}. {error.fix}" if error.fix else error.what
