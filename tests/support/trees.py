"""Folders as values: what is in them, and what becomes of them when a program is killed at work."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from loratui.preflight.places import UNDO_FOLDER

_DISK = ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod")


def tree(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Return mode and content of all below a folder by name; None is a folder's. Records of edits are left out."""
    return {
        path.relative_to(folder).as_posix(): (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
        if UNDO_FOLDER not in path.parts
    }


def killed_everywhere(original: Path, work: Callable[[Path], object]) -> Iterator[Path]:
    """Yield copies of a folder on which ``work`` was killed: before what it first does on the disk, before the second
    and so on; the last copy is one on which it came to its end. Only for programs with one thread.
    """
    index, is_done = 0, False
    while not is_done:
        copy = original.with_name(f"{original.name}-{index}")
        shutil.copytree(original, copy)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                _kill_before(index)
                work(copy)
                status = 0
            finally:
                # The tests around it are the parent's.
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status in (0, -signal.SIGKILL)
        is_done = status == 0
        yield copy
        shutil.rmtree(copy)
        index += 1


def interrupted_everywhere(
    original: Path, work: Callable[[Path], int], step: int = 1
) -> Iterator[tuple[Path, int, str]]:
    """Yield copies of a folder on which ``work`` got a SIGINT, each at another thing that it did on the disk there,
    with its exit status and what it said on stderr; the last one got none. ``step``: at the first such thing, and at
    each that is so many further on.
    """
    index, is_done = 0, False
    while not is_done:
        copy, said = original.with_name(f"{original.name}-{index}"), original.with_name(f"said-{index}")
        shutil.copytree(original, copy)
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT), 2)
                sys.stderr = os.fdopen(2, "w", closefd=False)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                is_sent = _signal_before(index, signal.SIGINT, within=str(copy))
                status = work(copy)
                sys.stderr.flush()
                (copy.parent / f"{said.name}-done").touch()
                if is_sent():
                    (copy.parent / f"{said.name}-sent").touch()
            finally:
                # The tests around it are the parent's.
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert said.with_name(f"{said.name}-done").exists(), said.read_text("utf-8")
        is_done = not said.with_name(f"{said.name}-sent").exists()
        yield copy, status, said.read_text("utf-8")
        shutil.rmtree(copy)
        index += step


def _kill_before(index: int) -> None:
    _signal_before(index, signal.SIGKILL)


def _signal_before(index: int, number: signal.Signals, within: str = "") -> Callable[[], bool]:
    """Have this process get a signal before the ``index``-th thing it does on the disk; return whether it got it."""
    left = index

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in _DISK and any(str(each).startswith(within) for each in arguments):
            left -= 1
            if left == -1:
                os.kill(os.getpid(), number)

    sys.addaudithook(hear)
    return lambda: left < 0
