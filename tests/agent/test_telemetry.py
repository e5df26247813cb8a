"""What is measured of this machine, and what is said where it can't be."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loratui_agent.telemetry import ProcMachine, TelemetrySource
from support.agent_process import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
STAT = "cpu  100 0 100 800 0 0 0 0 0 0\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Return a folder that says what /proc does."""
    folder = tmp_path / "proc"
    folder.mkdir()
    (folder / "stat").write_text(STAT)
    shutil.copy("/proc/meminfo", folder)
    return folder


@contextmanager
def measuring(folder: Path, proc: Path) -> Iterator[TelemetrySource]:
    source = TelemetrySource(folder, 0.05, ProcMachine(proc))
    try:
        yield source
    finally:
        source.close()


def test_a_figure_that_is_missing_for_a_while_takes_no_other_with_it(tmp_path, proc):
    disk = tmp_path / "disk"
    disk.mkdir()
    with measuring(disk, proc) as source:
        wait_until(lambda: source.latest.disk_free_gib, "the first figures")
        disk.rmdir()
        wait_until(lambda: source.latest.disk_free_gib is None, "the disk to be missed")
        (proc / "meminfo").rename(tmp_path / "aside")
        wait_until(lambda: source.latest.ram_used_gib is None, "the memory to be missed")
        assert source.latest.cpu_pct is not None
        disk.mkdir()
        (tmp_path / "aside").rename(proc / "meminfo")
        wait_until(lambda: source.latest.disk_free_gib and source.latest.ram_used_gib, "both to be back")


def test_figures_of_a_measurement_that_hangs_are_not_shown_as_those_of_now(tmp_path, proc):
    with measuring(tmp_path, proc) as source:
        wait_until(lambda: source.latest.ram_used_gib, "the first figures")
        # It opens when someone writes into it.
        os.mkfifo(proc / "pipe")
        (proc / "pipe").rename(proc / "stat")
        wait_until(lambda: source.latest.ram_used_gib is None, "the old figures to go")
        assert source.latest.source == "proc"
        writer = os.open(proc / "stat", os.O_WRONLY)
        (proc / "new").write_text(STAT)
        (proc / "new").rename(proc / "stat")
        os.write(writer, STAT.encode())
        os.close(writer)
        wait_until(lambda: source.latest.ram_used_gib, "new figures")
