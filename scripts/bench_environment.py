"""How long a box takes to make what it trains in, tried out and ready: over its own torch at most 45 s.

Everything is installed for real from wheels on loopback; what a network of 100 Mbit/s adds is computed from their size.

python scripts/bench_environment.py [--torch-index URL]      the index adds torch's CPU build, for a clean environment
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from loratui.domain.environment_choice import TORCH, Lock
from loratui.remote.environment_files import lock_path
from loratui.remote.uv_binary import wheel_for
from loratui_agent.environment.ensure import ensure
from loratui_protocol.inputs import EnvironmentKind, EnvironmentSpec
from loratui_protocol.messages import Setup
from loratui_protocol.paths import AgentHome
from support.environments import PYTHON, SITE, put_blob
from support.wheel_index import WHEELS, wheel_index

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
OVERLAY_GATE_S = 45.0
NETWORK_BYTES_PER_S = 100e6 / 8


def torch_wheels(folder: Path, index: str) -> bool:
    """Fetch torch's CPU build and what it needs; return False where it can't be had."""
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), f"torch=={TORCH}+cpu"]
    argv += ["-c", str(CONSTRAINTS)] + (["--extra-index-url", index] if index else [])
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0


async def measure(home: AgentHome, spec: EnvironmentSpec) -> list[tuple[str, float]]:
    """Make the environment; return when each step began, in seconds, and the end."""
    start_s = time.perf_counter()
    began: dict[int, tuple[str, float]] = {}

    def hear(setup: Setup) -> None:
        began.setdefault(setup.done, (setup.message, time.perf_counter() - start_s))

    await ensure(home, spec, hear)
    return list(began.values())


def show(name: str, began: list[tuple[str, float]], num_bytes: int) -> float:
    """Print what an environment took; return the seconds, those of a network included."""
    network_s = num_bytes / NETWORK_BYTES_PER_S
    total_s = began[-1][1] + network_s
    print(
        f"  {name:<34} {total_s:5.1f} s: {began[-1][1]:.1f} s of work, {network_s:.1f} s for {num_bytes / 1e6:.0f} MB"
    )
    for (step, since_s), (_, until_s) in pairwise(began):
        print(f"    {until_s - since_s:5.1f} s  {step}")
    return total_s


def size_of(folder: Path) -> int:
    """Return the bytes of the wheels in a folder, uv's left out: it comes from the client."""
    return sum(path.stat().st_size for path in folder.glob("*.whl") if not path.name.startswith("uv-"))


def main() -> int:
    """Measure, print a table, and return 1 if the gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch-index", default="", help="an index that has torch's CPU build")
    arguments = parser.parse_args()
    print("environments, from nothing to tried out, at 100 Mbit/s")
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        home = AgentHome(folder / "home")
        torch = folder / "torch"
        has_torch = torch_wheels(torch, arguments.torch_index)
        uv = WHEELS / wheel_for("x86_64", "glibc").name
        with wheel_index(WHEELS, torch) as index:
            overlay = EnvironmentSpec(
                kind=EnvironmentKind.OVERLAY,
                python=PYTHON,
                torch=TORCH,
                torch_folder=str(SITE),
                backend="cpu",
                uv=f"sha256:{put_blob(home, uv)}",
                lock_sha256s=[put_blob(home, lock_path(Lock.TRAIN))],
                index_url=index.url,
            )
            total_s = show("over the torch that is there", asyncio.run(measure(home, overlay)), size_of(WHEELS))
            again = asyncio.run(measure(home, overlay))[-1][1]
            print(f"  {'the same again':<34} {again:5.1f} s")
            if has_torch:
                clean = replace(
                    overlay,
                    kind=EnvironmentKind.CLEAN,
                    python=f"{sys.base_prefix}/bin/python3",
                    torch_folder="",
                    torch_index_url=f"{index.url}/cpu",
                )
                other = AgentHome(folder / "other")
                for path in home.blobs.iterdir():
                    put_blob(other, path)
                show(
                    "clean, with torch for the CPU",
                    asyncio.run(measure(other, clean)),
                    size_of(WHEELS) + size_of(torch),
                )
            else:
                print("  clean: left out, torch's CPU build can't be had here (--torch-index)")
    print(f"  sent by the client: {(uv.stat().st_size + lock_path(Lock.TRAIN).stat().st_size) / 1e6:.1f} MB")
    print(f"over the torch that is there: {total_s:.1f} s (at most {OVERLAY_GATE_S:.0f} s)")
    return 1 if total_s > OVERLAY_GATE_S else 0


if __name__ == "__main__":
    sys.exit(main())
