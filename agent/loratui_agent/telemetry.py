"""How the machine is: NVML when there is a GPU, the operating system otherwise. Never imports torch.

On Linux the kernel's own files are read: a box has no psutil.

A thread of its own measures: NVML can hang for good on a broken GPU, and the agent must not.
"""

import importlib
import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from loratui_protocol.messages import Telemetry

log = logging.getLogger(__name__)
_GIB = float(1 << 30)
T = TypeVar("T")
_CGROUP = Path("/sys/fs/cgroup")
_FIRST_AFTER_S = 0.2
_WORTH_ROUNDS = 3
"""So many times the distance of two measurements is the last one shown."""


class TelemetrySource:
    """Measures every ``every_s`` seconds; ``latest`` is the last that came back, as long as it is worth showing."""

    def __init__(self, folder: Path, every_s: float, machine: "ProcMachine | PsutilMachine | None" = None) -> None:
        """Start measuring; ``folder`` is on the disk whose free space counts."""
        self._folder = folder
        self._every_s = every_s
        self._closing = threading.Event()
        self._nvml: Any = None
        self._gpu: Any = None
        self._machine = machine or (ProcMachine() if sys.platform == "linux" else PsutilMachine())
        self._measured = (Telemetry(source=self._machine.source), time.monotonic())
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    @property
    def latest(self) -> Telemetry:
        """Return the last figures; none when the measuring hangs: old ones would pass for those of now."""
        telemetry, measured_s = self._measured
        is_old = time.monotonic() - measured_s > _WORTH_ROUNDS * self._every_s
        return Telemetry(source=telemetry.source) if is_old else telemetry

    def close(self) -> None:
        """Stop measuring; a hanging measurement is not waited for."""
        self._closing.set()

    def _run(self) -> None:
        self._open_gpu()
        _figure(self._machine.cpu_pct)
        # The first one soon, so that no heartbeat goes out without figures; the load needs a moment to be one.
        wait_s = min(_FIRST_AFTER_S, self._every_s)
        while not self._closing.wait(wait_s):
            self._measured = (self._measure(), time.monotonic())
            wait_s = self._every_s

    def _open_gpu(self) -> None:
        try:
            self._nvml = importlib.import_module("pynvml")
            self._nvml.nvmlInit()
            self._gpu = self._nvml.nvmlDeviceGetHandleByIndex(0)
        except ImportError:
            log.info("telemetry source=%s, nvidia-ml-py is not installed", self._machine.source)
        except self._nvml.NVMLError as error:
            log.info("telemetry source=%s, no GPU: %s", self._machine.source, error)

    def _measure(self) -> Telemetry:
        used, total = _figure(lambda: _within_limit(*self._machine.memory())) or (None, None)
        machine: dict[str, Any] = {
            "cpu_pct": _figure(self._machine.cpu_pct),
            "ram_used_gib": used and used / _GIB,
            "ram_total_gib": total and total / _GIB,
            "disk_free_gib": _figure(lambda: shutil.disk_usage(self._folder).free / _GIB),
        }
        if self._gpu is None:
            return Telemetry(source=self._machine.source, **machine)
        ask, nvml = self._ask, self._nvml
        return Telemetry(
            source="nvml",
            **machine,
            gpu_name=ask(nvml.nvmlDeviceGetName),
            gpu_util_pct=ask(lambda gpu: float(nvml.nvmlDeviceGetUtilizationRates(gpu).gpu)),
            vram_used_gib=ask(lambda gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).used / _GIB),
            vram_total_gib=ask(lambda gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).total / _GIB),
            gpu_temp_c=ask(lambda gpu: float(nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU))),
            gpu_power_w=ask(lambda gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000),
        )

    def _ask(self, question: Callable[[Any], T]) -> T | None:
        """Return the GPU's answer, None where this GPU has none: shared ones keep their power to themselves."""
        try:
            return question(self._gpu)
        except self._nvml.NVMLError as error:
            log.debug("the GPU does not answer: %s", error)
            return None


class ProcMachine:
    """Load and memory from ``/proc``."""

    source = "proc"

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._seen = (0, 0)

    def cpu_pct(self) -> float:
        """Return how busy the processors were since the last call, in percent of all of them."""
        words = (self._proc / "stat").read_text("ascii").partition("\n")[0].split()
        # user nice system idle iowait irq softirq steal; guests are counted in user already.
        ticks = [int(word) for word in words[1:9]]
        total, idle = sum(ticks), sum(ticks[3:5])
        total_before, idle_before = self._seen
        self._seen = (total, idle)
        passed = total - total_before
        return 100.0 * (1 - (idle - idle_before) / passed) if passed > 0 else 0.0

    def memory(self) -> tuple[int, int]:
        """Return used and total bytes."""
        lines = (self._proc / "meminfo").read_text("ascii").splitlines()
        kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        return (kib["MemTotal"] - kib["MemAvailable"]) << 10, kib["MemTotal"] << 10


class PsutilMachine:
    """Load and memory where there is no ``/proc``."""

    source = "psutil"

    def __init__(self) -> None:
        self._psutil = importlib.import_module("psutil")

    def cpu_pct(self) -> float:
        """Return how busy the processors were since the last call, in percent of all of them."""
        return float(self._psutil.cpu_percent())

    def memory(self) -> tuple[int, int]:
        """Return used and total bytes."""
        memory = self._psutil.virtual_memory()
        return memory.total - memory.available, memory.total


def _figure(measure: Callable[[], T]) -> T | None:
    """Return what is measured, None where it can't be now: the other figures are none the worse for it."""
    try:
        return measure()
    except (OSError, LookupError, ValueError) as error:
        log.debug("a figure is missing: %s", error)
        return None


def _within_limit(used: int, total: int) -> tuple[int, int]:
    """Return used and total bytes; in a container what counts is its own limit, not the host's memory."""
    try:
        limit = (_CGROUP / "memory.max").read_text("ascii").strip()
        if limit != "max" and int(limit) < total:
            current = int((_CGROUP / "memory.current").read_text("ascii"))
            stat = dict(line.split() for line in (_CGROUP / "memory.stat").read_text("ascii").splitlines())
            # The page cache counts as used there, and goes as soon as anyone wants the room.
            return current - int(stat["inactive_file"]), int(limit)
    except (OSError, ValueError, KeyError):
        pass
    return used, total
