"""All LoRAs that were made here, over all runs: what state each file is in, how it is found, in which order. Pure."""

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from loratui.domain.natural import natural
from loratui_protocol.messages import ArtifactKind

MOST_STARS = 5
SUFFIX = ".safetensors"
FEWEST_SUM_DIGITS = 4
"""Of a file's sha256, to name it by."""
LORA_KINDS = (ArtifactKind.LORA, ArtifactKind.CHECKPOINT_LORA)
ORDERS = ("newest", "name", "rating", "step")
_COMPARE = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_BY_NUMBER = re.compile(r"(rated|step)(>=|<=|>|<|=)(\d{1,9})")


class FileState(StrEnum):
    """Where a file is, as people say it."""

    HERE = "here, verified"
    AWAY = "on its machine"
    PARTLY = "partly here"
    MISSING = "missing from disk"
    FAILED = "not fetched"
    CHANGED = "not what was fetched"
    GONE = "gone with its machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryFile:
    """A LoRA file of a run. ``sha256`` and ``size`` are those that its machine announced."""

    run_id: str
    run_name: str
    target: str
    """Where the run was trained."""
    artifact_id: str
    name: str
    kind: ArtifactKind
    size: int
    sha256: str
    ts: float
    """When it was announced, epoch seconds."""
    state: FileState
    step: int = 0
    base: str = ""
    """The model that it was trained on, as its config names it; empty: this machine has no config of the run."""
    why: str = ""
    """What there is to say of its state beside the word for it."""
    path: Path | None = None
    """The file, where it is or was; None: it was never here."""
    copy: Path | None = None
    """The copy in the folder that the config names, if that is there."""
    can_come: bool = False
    """Whether its machine may still have it."""
    stars: int = 0
    """What the user thinks of it, 1 to 5; 0: nothing was said."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what tells this version of this file from all others."""
        return self.run_id, self.artifact_id, self.sha256

    @property
    def is_here(self) -> bool:
        """Return whether there is a file of it on this machine."""
        return self.path is not None and self.state in (FileState.HERE, FileState.CHANGED)


_STATE_WORDS: dict[str, tuple[FileState, ...]] = {
    "here": (FileState.HERE,),
    "missing": (FileState.MISSING, FileState.GONE),
    "failed": (FileState.FAILED, FileState.CHANGED),
    "away": (FileState.AWAY, FileState.PARTLY, FileState.FAILED),
}


def matches(file: LibraryFile, query: str) -> bool:
    """Return whether every word of ``query`` lets the file through.

    ``here``, ``missing``, ``failed``, ``away``, ``final`` and ``rated`` ask for a state, ``rated>=4`` and ``step<900``
    compare, ``run:`` and ``base:`` look there alone, and any other word is a part of a name, a run or a base.
    """
    return all(test(file) for test in _tests(query))


@lru_cache(maxsize=8)
def _tests(query: str) -> tuple[Callable[[LibraryFile], bool], ...]:
    return tuple(_test(word) for word in query.lower().split())


def _test(word: str) -> Callable[[LibraryFile], bool]:
    field, colon, value = word.partition(":")
    if by_number := _BY_NUMBER.fullmatch(word):
        name, compare, number = by_number[1], _COMPARE[by_number[2]], int(by_number[3])
        return lambda file: compare(file.stars if name == "rated" else file.step, number)
    if word in _STATE_WORDS:
        return lambda file: file.state in _STATE_WORDS[word]
    if word == "rated":
        return lambda file: file.stars > 0
    if word == "final":
        return lambda file: file.kind is ArtifactKind.LORA
    if colon and field == "run":
        return lambda file: value in file.run_name.lower() or file.run_id.lower().startswith(value)
    if colon and field == "base":
        return lambda file: value in file.base.lower()
    return lambda file: word in f"{file.name} {file.run_name} {file.base}".lower()


def named(files: Iterable[LibraryFile], meant: str, path: Path) -> list[LibraryFile]:
    """Return the files that a person means: by their path, else by name, else by how their sum begins.

    ``path`` is what was ``meant`` as an absolute path. A name may lack its ending.
    """
    known = list(files)
    by_path = [file for file in known if path in (file.path, file.copy)]
    by_name = [file for file in known if meant in (file.name, file.name.removesuffix(SUFFIX))]
    is_sum = len(meant) >= FEWEST_SUM_DIGITS
    return by_path or by_name or [file for file in known if is_sum and file.sha256.startswith(meant.lower())]


def what_stays(file: LibraryFile, again: str) -> str:
    """Return what there still is of a file once it is deleted here; ``again`` is what would fetch it."""
    if file.copy is not None:
        return f"A copy stays at {file.copy}."
    if file.can_come:
        return f"Its machine ({file.target}) may still have it; {again} would fetch it again."
    return "This is the only copy: its machine does not have it any more."


def ordered(files: Iterable[LibraryFile], order: str) -> list[LibraryFile]:
    """Return the files in one of ``ORDERS``, of what is alike the newest first."""
    newest = sorted(files, key=lambda file: (file.ts, file.step), reverse=True)
    if order == "name":
        return sorted(newest, key=lambda file: natural(file.name))
    if order == "rating":
        return sorted(newest, key=lambda file: -file.stars)
    if order == "step":
        return sorted(newest, key=lambda file: (file.run_name.lower(), file.run_id, file.step))
    return newest
