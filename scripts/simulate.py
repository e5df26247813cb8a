"""Simulate rentals from seeds: client, reaper, provider, clock and faults. What came of them is in docs/reliability.md.

    python scripts/simulate.py --seed 41                # one, with everything that happened
    python scripts/simulate.py --seeds 0:20000 --jobs 2

Ends with status 1 if a seed breaks a rule, and says which.
"""

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from simulation.simulate import Outcome, simulate

_AT_ONCE = 50


def main() -> int:
    """Simulate what is asked for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--seed", type=int, help="one seed, with its trace")
    what.add_argument("--seeds", type=_range, default=range(20_000), metavar="A:B", help="from A to B, without B")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="processes")
    options = parser.parse_args()
    if options.seed is not None:
        return _trace(simulate(options.seed))
    return _many(options.seeds, options.jobs)


def _range(text: str) -> range:
    first, _, last = text.partition(":")
    return range(int(first), int(last))


def _trace(outcome: Outcome) -> int:
    print("\n".join(outcome.trace))
    for violation in outcome.violations:
        print(f"seed {outcome.seed}: {violation}", file=sys.stderr)
    return 1 if outcome.violations else 0


def _many(seeds: range, num_jobs: int) -> int:
    began_s = time.monotonic()
    totals, faults, failed = Counter[str](), Counter[str](), 0
    with multiprocessing.Pool(num_jobs) as pool:
        for outcome in pool.imap(_quiet, seeds, chunksize=_AT_ONCE):
            for violation in outcome.violations:
                print(f"seed {outcome.seed}: {violation}", flush=True)
            failed += bool(outcome.violations)
            faults.update(outcome.happened)
            totals.update(
                machines=outcome.num_machines,
                saved=outcome.num_saved,
                hours=round(outcome.virtual_s),
                events=outcome.num_events,
            )
    took_s = time.monotonic() - began_s
    print(f"{len(seeds)} seeds, {failed} that break a rule; {took_s:.0f} s in {num_jobs} processes, ", end="")
    print(f"{1e3 * took_s * num_jobs / max(1, len(seeds)):.0f} ms each")
    print(
        f"{totals['machines']} machines rented, {totals['saved']} results brought home, "
        f"{totals['hours'] / 3600:.0f} hours lived, {totals['events']} events"
    )
    for fault, times in sorted(faults.items(), key=lambda each: -each[1]):
        print(f"{times:8}  {fault}")
    return 1 if failed else 0


def _quiet(seed: int) -> Outcome:
    return simulate(seed, keeps_trace=False)


if __name__ == "__main__":
    sys.exit(main())
