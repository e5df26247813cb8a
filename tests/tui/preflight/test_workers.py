"""Whatever becomes of the processes that decode pictures, every file gets an answer and none of them stays."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from loratui.preflight.facts import Fault
from loratui.preflight.workers import Wanted, measure_all
from support.drawn_pictures import photo

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a picture that hangs is a named pipe")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    photo(1, (64, 64)).save(tmp_path / "good.png")
    return tmp_path / "good.png"


@pytest.fixture
def hanging(tmp_path: Path) -> Path:
    """A file that never gives a byte."""
    os.mkfifo(tmp_path / "hanging.png")
    return tmp_path / "hanging.png"


def workers_of(parent: psutil.Process) -> list[psutil.Process]:
    return [each for each in parent.children() if "loratui.preflight.worker" in " ".join(each.cmdline())]


def test_a_picture_that_takes_too_long_is_given_up_and_the_others_are_not(good: Path, hanging: Path) -> None:
    first, slow, last = measure_all([Wanted(good), Wanted(hanging), Wanted(good)], limit_s=1.0)
    assert slow.fault is Fault.SLOW
    assert "1 s" in slow.why
    assert first.fault is None
    assert first == last
    assert workers_of(psutil.Process()) == []


def test_a_picture_over_which_its_process_dies_is_named_and_the_others_are_looked_at(good: Path, hanging: Path) -> None:
    ends = contextlib.ExitStack()

    def kill_the_worker_that_hangs(done: int, _: int) -> None:
        if done == 1:
            # A pipe opens once there is somebody at both ends: the worker is at its second picture.
            ends.enter_context(hanging.open("wb"))
            [worker] = workers_of(psutil.Process())
            worker.send_signal(signal.SIGSEGV)

    with ends:
        found = measure_all([Wanted(good), Wanted(hanging), Wanted(good)], progress=kill_the_worker_that_hangs)
    assert [each.fault for each in found] == [None, Fault.CRASHED, None]
    assert str(-signal.SIGSEGV) in found[1].why


def test_no_worker_outlives_a_parent_that_is_killed(hanging: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from loratui.preflight.workers import Wanted, measure_all\n"
        "measure_all([Wanted(Path(sys.argv[1]))])"
    )
    argv = [sys.executable, "-c", program, str(hanging)]
    # The pipe opens once the worker is at its picture.
    with subprocess.Popen(argv) as parent, hanging.open("wb"):
        [worker] = workers_of(psutil.Process(parent.pid))
        parent.kill()
        gone, alive = psutil.wait_procs([worker], timeout=10)
    assert (len(gone), alive) == (1, [])


def test_an_interruption_ends_the_workers(good: Path, hanging: Path) -> None:
    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    before = {*threading.enumerate()}
    with pytest.raises(KeyboardInterrupt):
        measure_all([Wanted(good), Wanted(hanging)], progress=interrupt)
    assert workers_of(psutil.Process()) == []
    # A timer that was called off needs a moment to end.
    for thread in {*threading.enumerate()} - before:
        thread.join(timeout=10)
    assert {*threading.enumerate()} <= before


def test_nothing_to_look_at_starts_nothing() -> None:
    assert measure_all([]) == []


def test_a_name_that_is_no_text_arrives(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe\n.png"))
    try:
        photo(1, (64, 64)).save(path)
    except OSError:
        pytest.skip("this file system takes only names that are text")
    [facts] = measure_all([Wanted(path)])
    assert facts.fault is None


def test_what_was_measured_is_known_until_the_file_changes(good: Path) -> None:
    # Nobody could measure it within no time at all.
    [first], [again] = measure_all([Wanted(good)]), measure_all([Wanted(good)], limit_s=0.0)
    assert first.fault is None
    assert again == first

    photo(2, (80, 64)).save(good)
    assert measure_all([Wanted(good)])[0].width == 80


def test_what_was_given_up_is_tried_again(good: Path) -> None:
    assert measure_all([Wanted(good)], limit_s=0.0)[0].fault is Fault.SLOW
    assert measure_all([Wanted(good)])[0].fault is None
