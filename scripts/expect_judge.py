"""How often can the gate of bench_judge.py be met? Seeds drawn from what it measured, judged by more and more pictures.

    python scripts/expect_judge.py [FOLDER]    # what bench_judge.py kept; a minute

The shares that were measured with held-out prompts are taken for the truth. Pictures of the same prompt and seed look
alike from file to file: how much so is not known, and tried out. Two judges are asked: the advice, which takes the
earliest file within one standard error of the best, and one that takes the file that looked best.
"""

import argparse
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

from loratui_protocol.judging.advice import Pair, advise, error_of
from loratui_protocol.judging.summary import mean_of

KEPT = Path(__file__).with_name("measured") / "bench_judge"
WEIGHT = 1.0
HELD_OUT = 40
JUDGED = (15, 60, 240)
ALIKE = (0.9, 0.97)
"""Correlation of what decides whether the concept shows, between two files' pictures of one prompt and seed."""
GATE = 9
NUM_TRIALS = 300
SCORE = "concept"


def drawn(files: Sequence[dict[str, Any]], count: int, alike: float, rng: random.Random) -> list[Pair]:
    """Return the files with as many pictures each, in which the concept shows as often as it truly does, by chance."""
    normal, shared = NormalDist(), [rng.gauss(0, 1) for _ in range(count)]
    pairs = []
    for file in files:
        # All of 40 is not certainty.
        limit = normal.inv_cdf((file["value"] * file["count"] + 0.5) / (file["count"] + 1))
        own = (math.sqrt(alike) * each + math.sqrt(1 - alike) * rng.gauss(0, 1) for each in shared)
        means = {SCORE: mean_of([float(each < limit) for each in own])}
        name = file["artifact_id"]
        pairs.append(Pair(artifact_id=name, name=name, step=file["step"], weight=WEIGHT, means=means))
    return pairs


def best_of(pairs: Sequence[Pair]) -> Pair:
    """Return the one with the highest value."""
    return max(pairs, key=lambda pair: pair.means[SCORE].value)


def is_good(chosen: Pair | None, held_out: Sequence[Pair]) -> bool:
    """Return whether a choice is within one standard error of the best of the held-out."""
    best = best_of(held_out)
    value = next(pair.means[SCORE].value for pair in held_out if chosen and pair.artifact_id == chosen.artifact_id)
    return value >= best.means[SCORE].value - error_of(best, SCORE)


def seeds(folder: Path) -> list[list[dict[str, Any]]]:
    """Return the files of each seed that was measured, with their steps."""
    found = []
    for path in sorted(folder.glob("*.json")):
        kept = json.loads(path.read_text("utf-8"))
        steps = {each["artifact_id"]: each["step"] for each in kept["scores"]}
        files = [{**each, "step": steps[each["artifact_id"]]} for each in kept["held_out"] if each["weight"] == WEIGHT]
        found.append(files)
    return found


def at_least(shares: Sequence[float], number: int) -> float:
    """Return how likely so many of them come true, each with its own share."""
    likely = [1.0]
    for share in shares:
        missed = [each * (1 - share) for each in likely] + [0.0]
        likely = [a + b for a, b in zip(missed, [0.0, *(each * share for each in likely)], strict=True)]
    return math.fsum(likely[number:])


def main() -> None:
    """Print a row for every number of pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=KEPT)
    measured, rng = seeds(parser.parse_args().folder), random.Random(1)
    print(f"{len(measured)} seeds, {HELD_OUT} held-out pictures a file; seeds judged well, and {GATE} of them or more")
    print("judged by  alike     the advice      the best-looking file")
    for count in JUDGED:
        for alike in ALIKE:
            good = [[0, 0] for _ in measured]
            for index, files in enumerate(measured):
                for _ in range(NUM_TRIALS):
                    judged, held_out = (drawn(files, number, alike, rng) for number in (count, HELD_OUT))
                    good[index][0] += is_good(advise(judged).advised, held_out)
                    good[index][1] += is_good(best_of(judged), held_out)
            told = []
            for judge in (0, 1):
                shares = [each[judge] / NUM_TRIALS for each in good]
                told.append(f"{math.fsum(shares):5.1f}, {at_least(shares, GATE):4.0%}")
            print(f"{count:>9}  {alike:<5}  {told[0]:>14}  {told[1]:>18}")


if __name__ == "__main__":
    main()
