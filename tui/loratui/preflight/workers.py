"""Measures many pictures in processes of their own, one to a core, and outlives every one of them."""

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from loratui.preflight.facts import Fault, PictureFacts, facts_from

Progress = Callable[[int, int], None]
"""Called with how many pictures are done, and how many there are."""

LIMIT_S = 60.0
"""For one picture. The largest that Pillow agrees to takes a few seconds; files made to take for ever exist."""
_MAX_WORKERS = 4
"""Each holds about 45 MB, with a picture more, and all of them are to stay under 300 MB."""
_WORTH_A_WORKER = 8
"""Pictures: to measure so many takes as long as to start a process."""
_MOST_KNOWN = 4096
"""Pictures whose facts are kept: 30 MB."""
_LARGE_PIXELS = 32_000_000
"""Of which only one is decoded at a time: as PNG that takes 100 MB and more."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to be measured; ``num_pixels`` as far as it is known."""

    path: Path
    num_pixels: int = 0
    is_mask: bool = False


_Mark = tuple[bool, int, int, int, int]
_known: dict[_Mark, PictureFacts] = {}
"""What was measured already in this process: captions are checked again and again, and pictures stay as they are."""


def measure_all(
    wanted: Sequence[Wanted], *, progress: Progress | None = None, limit_s: float = LIMIT_S
) -> list[PictureFacts]:
    """Return the facts of every file, in their order. None of them can make it fail."""
    marks = [_mark(each) for each in wanted]
    found = [PictureFacts() if mark is None else _known.get(mark, PictureFacts()) for mark in marks]
    answers: SimpleQueue[tuple[int, PictureFacts] | Exception] = SimpleQueue()
    unknown = [index for index, mark in enumerate(marks) if mark is None or mark not in _known]
    num_known, todo = len(wanted) - len(unknown), deque(unknown)
    large = threading.Lock()

    def work(worker: _Worker) -> None:
        while not worker.is_closed:
            try:
                index = todo.popleft()
            except IndexError:
                return
            each = wanted[index]
            turn: AbstractContextManager[object] = large if each.num_pixels > _LARGE_PIXELS else nullcontext()
            try:
                with turn:
                    answers.put((index, worker.measure(each)))
            except Exception as error:  # noqa: BLE001  raised again below, where somebody waits for an answer
                answers.put(error)

    workers = [_Worker(limit_s) for _ in range(_num_workers(len(unknown)))]
    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers]
    try:
        for thread in threads:
            thread.start()
        if progress is not None:
            for done in range(1, num_known + 1):
                progress(done, len(wanted))
        for done in range(num_known + 1, len(wanted) + 1):
            answer = answers.get()
            if isinstance(answer, Exception):
                raise answer
            found[answer[0]] = answer[1]
            _remember(marks[answer[0]], wanted[answer[0]], answer[1])
            if progress is not None:
                progress(done, len(wanted))
    finally:
        for worker in workers:
            worker.close()
        for thread in threads:
            thread.join()
    return found


def _mark(wanted: Wanted) -> _Mark | None:
    """Return what changes when the file does; None: it can't be told."""
    try:
        facts = wanted.path.stat()
    except OSError:
        return None
    return wanted.is_mask, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _remember(mark: _Mark | None, wanted: Wanted, facts: PictureFacts) -> None:
    # Whatever the machine was too busy for is tried again; and a file may change while it is read.
    if mark is not None and facts.fault not in (Fault.CRASHED, Fault.SLOW) and mark == _mark(wanted):
        _known[mark] = facts
        while len(_known) > _MOST_KNOWN:
            del _known[next(iter(_known))]


def _num_workers(num_pictures: int) -> int:
    # What this process may use, which in a container is less than what the machine has.
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(cores, _MAX_WORKERS, -(-num_pictures // _WORTH_A_WORKER))


class _Worker:
    """A process that measures one picture after the other; another takes its place when it ends."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._process: subprocess.Popen[str] | None = None
        self._changing = threading.Lock()
        self.is_closed = False

    def measure(self, wanted: Wanted) -> PictureFacts:
        """Return the facts of a file; that the process has ended over it, or was ended for its time, is one."""
        process = self._started()
        if process is None:
            return PictureFacts(fault=Fault.CRASHED, why="it was not looked at")
        if (told := process.stdin) is None or (telling := process.stdout) is None:
            raise AssertionError("it was started with pipes")
        too_slow = threading.Event()

        def end() -> None:
            too_slow.set()
            process.kill()

        timer = threading.Timer(self._limit_s, end)
        timer.daemon = True
        timer.start()
        try:
            told.write(json.dumps({"path": str(wanted.path), "is_mask": wanted.is_mask}) + "\n")
            told.flush()
            answer = telling.readline()
        except OSError:
            answer = ""
        finally:
            timer.cancel()
        if answer.endswith("\n"):
            return facts_from(json.loads(answer))
        self._ended(process)
        if too_slow.is_set():
            return PictureFacts(fault=Fault.SLOW, why=f"it was given up after {self._limit_s:.0f} s")
        return PictureFacts(fault=Fault.CRASHED, why=f"the process that decoded it ended with {process.returncode}")

    def close(self) -> None:
        """End the process, whatever it is doing; there will be no other."""
        with self._changing:
            self.is_closed = True
            if self._process is not None:
                self._process.kill()
                self._ended(self._process)

    def _started(self) -> "subprocess.Popen[str] | None":
        with self._changing:
            if self.is_closed:
                return None
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    # -P: a folder of that name where the command is typed is none of ours.
                    [sys.executable, "-P", "-m", "loratui.preflight.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    encoding="ascii",
                )
            return self._process

    @staticmethod
    def _ended(process: "subprocess.Popen[str]") -> None:
        process.wait()
        for pipe in (process.stdin, process.stdout):
            # What was not written any more has nobody to read it.
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
