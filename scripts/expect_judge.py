"""How many pictures does it take to judge by? Files of the demo concept, of which 120 pictures each are drawn.

    python scripts/expect_judge.py [FOLDER] [--seeds 1 5 6 8]    # what was measured is kept; anew 7 min a seed

Each picture is drawn from a seed of its own, and the same ones of every file. From these both what judges and what is
held out are drawn by chance, with replacement, and the advice is good if its file is within one standard error of the
best of 40 that are held out: what ``bench_judge.py`` asks of ten seeds once.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from judged_demo import judged_config, train

from loratui_agent.demo import score
from loratui_agent.demo.concept import DEMO
from loratui_agent.judge.draw import NUM_INFERENCE_STEPS
from loratui_agent.model_path import resolve_model
from loratui_agent.train.sampling import generate, load_pipeline
from loratui_protocol.judging.advice import Pair, advise, error_of
from loratui_protocol.judging.summary import mean_of

KEPT = Path(__file__).with_name("measured") / "expect_judge"
NUM_STEPS = 700
STEPS = (348, 464, 580, 696)
"""Of the files; earlier ones are worse by far."""
SEEDS_A_PROMPT = 24
HELD_OUT = 40
JUDGED = (15, 60, 120, 240)
NUM_TRIALS = 500
SCORE = "concept"

Shown = Mapping[int, Sequence[int]]
"""For the file of each step whether the concept shows in each picture, 1 or 0."""


def measure(seed: int) -> Shown:
    """Train with a seed, and return what the pictures of its files show."""
    asked = [
        (text, 20_000 + 1000 * number + index)
        for index in range(SEEDS_A_PROMPT)
        for number, text in enumerate(DEMO.test_prompts)
    ]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        config = judged_config(folder, NUM_STEPS, seed=seed, evaluate_checkpoints=0)
        train(folder, config)
        pipeline = load_pipeline(resolve_model(config.pretrained_model_name_or_path))
        found = {}
        for step in STEPS:
            pipeline.load_lora_weights(folder / "job" / "artifacts" / f"lora-step{step:08d}.safetensors")
            pictures = generate(
                pipeline,
                [text for text, _ in asked],
                [noise for _, noise in asked],
                size_px=config.resolution,
                num_inference_steps=NUM_INFERENCE_STEPS,
            )
            pipeline.unload_lora_weights()
            found[step] = [int(score.shows_concept(picture, DEMO)) for picture in pictures]
    return found


def by_chance(shown: Shown, count: int, rng: random.Random) -> list[Pair]:
    """Return the files with as many pictures each, the same ones of every file."""
    chosen = rng.choices(range(len(next(iter(shown.values())))), k=count)
    return [
        Pair(
            artifact_id=str(step),
            name=str(step),
            step=step,
            weight=1.0,
            means={SCORE: mean_of([float(values[index]) for index in chosen])},
        )
        for step, values in shown.items()
    ]


def is_good(advised: Pair | None, held_out: Sequence[Pair]) -> bool:
    """Return whether the advised file is within one standard error of the best of the held-out."""
    best = max(held_out, key=lambda pair: pair.means[SCORE].value)
    values = [pair.means[SCORE].value for pair in held_out if advised is not None and pair.step == advised.step]
    return bool(values) and values[0] >= best.means[SCORE].value - error_of(best, SCORE)


def main() -> None:
    """Measure what is not measured yet, and print a row for every number of pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=KEPT)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 5, 6, 8])
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    known: dict[int, Shown] = {}
    for seed in arguments.seeds:
        path = arguments.folder / f"seed{seed}.json"
        if not path.exists():
            path.write_text(json.dumps(measure(seed)), "utf-8")
        known[seed] = {int(step): shown for step, shown in json.loads(path.read_text("utf-8")).items()}
    rng = random.Random(1)
    print(f"{HELD_OUT} held out; how often the advice is good, by seed")
    print("judged by  " + "  ".join(f"{seed:>4}" for seed in known) + "  mean")
    for count in JUDGED:
        shares = []
        for shown in known.values():
            trials = [
                is_good(advise(by_chance(shown, count, rng)).advised, by_chance(shown, HELD_OUT, rng))
                for _ in range(NUM_TRIALS)
            ]
            shares.append(sum(trials) / NUM_TRIALS)
        print(f"{count:>9}  " + "  ".join(f"{each:4.2f}" for each in [*shares, sum(shares) / len(shares)]))


if __name__ == "__main__":
    main()
