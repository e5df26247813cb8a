"""Vast.ai and RunPod on loopback, whose machines are SSH servers here: a whole rental for real, without money.

    python scripts/fake_provider.py [--seconds 3600]

Prints the settings that lead loratui there, and what is rented and ended. Ctrl-C ends it and all that it started.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.rental_market import runpod_with_machines, vast_with_machines
from support.wheel_index import locked_wheels, wheel_index


def main() -> int:
    """Serve until the time is over or Ctrl-C is pressed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, help="end after so long")
    until_s = time.monotonic() + parser.parse_args().seconds
    with (
        tempfile.TemporaryDirectory(prefix="fp") as name,
        wheel_index(locked_wheels()) as index,
        vast_with_machines(Path(name) / "v") as (vast, vast_machines),
        runpod_with_machines(Path(name) / "r") as (runpod, runpod_machines),
        contextlib.suppress(KeyboardInterrupt),
    ):
        for variable, value in {
            "LORATUI_PROVIDERS__VAST__URL": vast.url,
            "LORATUI_PROVIDERS__VAST__SPACING": "0",
            "LORATUI_VAST_API_KEY": vast.key,
            "LORATUI_PROVIDERS__RUNPOD__URL": runpod.url,
            "LORATUI_PROVIDERS__RUNPOD__GRAPHQL_URL": runpod.graphql_url,
            "LORATUI_RUNPOD_API_KEY": runpod.key,
            "LORATUI_REMOTE__INDEX_URL": index.url,
            # Everything is on this machine: no network is in the way.
            "LORATUI_NETWORK__PORT_PROBE": "none",
        }.items():
            print(f"export {variable}={value}", flush=True)
        known: set[str] = set()
        while time.monotonic() < until_s:
            now = {*vast_machines.running, *runpod_machines.running}
            for rental in sorted(now - known):
                print(f"# rented: {rental}", flush=True)
            for rental in sorted(known - now):
                print(f"# ended: {rental}", flush=True)
            known = now
            time.sleep(0.5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
