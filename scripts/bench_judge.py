"""Is what the scores advise any good? Trainings of the demo concept, of each six files, judged by 100 pictures a file.

    python scripts/bench_judge.py FOLDER [--seeds 10] [--steps 700]    # some minutes a seed; exits 1 below 9 of 10
    python scripts/bench_judge.py FOLDER --first 6    # at the same time, for the seeds from there on

Every file is then measured by 40 pictures, of prompts and seeds that nothing was judged by. The advice is good if its
file is within one standard error of the best there. All prompts name the two grounds that no training picture has, as a
user's own will be of scenes that the set never showed; of the ways to ask for each, half are for the judge.
What was measured of a seed is kept in FOLDER: a bench that was
interrupted goes on with the next one.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from judged_demo import NUM_FILES, judged_config, train

from loratui_agent.demo import score
from loratui_agent.demo.concept import DEMO, phrase
from loratui_agent.judge.draw import BATCH_SIZE, Base, Drawer
from loratui_agent.model_path import resolve_model
from loratui_protocol import messages
from loratui_protocol.config import TrainingConfig
from loratui_protocol.judging.advice import Pair, advise, error_of, pairs_of
from loratui_protocol.judging.grid import Grid, TriedFile
from loratui_protocol.judging.prompts import MARK, GridPrompt, Role
from loratui_protocol.judging.summary import Mean, mean_of

GATE = 0.9
WEIGHTS = (1.0,)
"""At lower ones the demo's concept shows less often, whichever the file."""
_ASKED = [(ground, form) for number, ground in enumerate(DEMO.grounds[1]) for form in range(number, number + 4)]
"""Every second one has each way to ask once, and each ground twice."""
JUDGED_PROMPTS = tuple(phrase(MARK, ground, form) for ground, form in _ASKED[::2])
HELD_OUT_PROMPTS = tuple(phrase(DEMO.trigger, ground, form) for ground, form in _ASKED[1::2])
NUM_JUDGED_SEEDS = 25
HELD_OUT_SEEDS = tuple(range(9001, 9011))


def measure(steps: int, seed: int) -> dict[str, Any]:
    """Return what the training of a seed was judged to be, and what its files are."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        config = judged_config(
            folder,
            steps,
            seed=seed,
            evaluate_weights=(0.0, *WEIGHTS),
            evaluate_prompts=JUDGED_PROMPTS,
            evaluate_seeds=NUM_JUDGED_SEEDS,
        )
        events = train(folder, config)
        scores = [event for event in events if isinstance(event, messages.Scores)]
        ids = list(dict.fromkeys(event.artifact_id for event in scores if event.weight))
        return {
            "steps": steps,
            "scores": [asdict(event) for event in scores],
            "held_out": held_out(config, [folder / "job" / "artifacts" / each for each in ids]),
        }


def held_out(config: TrainingConfig, paths: list[Path]) -> list[dict[str, Any]]:
    """Return for every file and weight the mean and count of how often the concept shows with the held-out prompts."""
    prompts = tuple(GridPrompt(role=Role.SCENE, text=text, plain=text) for text in HELD_OUT_PROMPTS)
    files = tuple(TriedFile(id=path.name, name=path.name) for path in paths)
    grid = Grid(files=files, weights=WEIGHTS, seeds=HELD_OUT_SEEDS, prompts=prompts)
    model = resolve_model(config.pretrained_model_name_or_path)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    drawer = Drawer(Base(path=model, configs=None, device=device, dtype=torch.float32), grid, paths, config)
    shown: dict[tuple[str, float], list[float]] = {}
    for batch in grid.batches(BATCH_SIZE):
        for cell, picture in zip(batch, drawer.draw(batch), strict=True):
            shows = float(score.shows_concept(picture, DEMO))
            shown.setdefault((files[cell.file].id, cell.weight), []).append(shows)
    return [
        {"artifact_id": file, "weight": weight, **asdict(mean_of(values)), "values": values}
        for (file, weight), values in shown.items()
    ]


def judge(seed: int, found: dict[str, Any]) -> bool:
    """Print a row and return whether the advised pair is within one standard error of the best."""
    advised = advise(pairs_of(messages.Scores(**each) for each in found["scores"])).advised
    truth = {(each["artifact_id"], each["weight"]): _pair(each) for each in found["held_out"]}
    best = max(truth.values(), key=lambda pair: pair.means["concept"].value)
    error = error_of(best, "concept")
    if advised is None:
        print(f"{seed:>4}  no advice")
        return False
    value, highest = (pair.means["concept"].value for pair in (truth[advised.artifact_id, advised.weight], best))
    kept = value >= highest - error
    told = f"{value:9.2f}{highest:9.2f} ± {error:.2f}"
    print(f"{seed:>4}  {advised.told:<34}{told}  {best.told:<34}  {'ok' if kept else 'MISSED'}")
    return kept


def _pair(row: dict[str, Any]) -> Pair:
    means = {"concept": Mean(row["value"], row["error"], row["count"])}
    return Pair(artifact_id=row["artifact_id"], name=row["artifact_id"], weight=row["weight"], means=means)


def main() -> int:
    """Measure what is not measured yet, and judge all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=10, help="the last one")
    parser.add_argument("--steps", type=int, default=700)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print(f"{NUM_FILES} files at weights {', '.join(map(str, WEIGHTS))}; shares of pictures that show the concept")
    print(f"seed  {'advised':<34}{'held out':>9}{'best':>9}{'':7}  which")
    kept = []
    for seed in range(arguments.first, arguments.seeds + 1):
        path = arguments.folder / f"steps{arguments.steps}-seed{seed}.json"
        if not path.exists():
            found = measure(arguments.steps, seed)
            part = path.with_suffix(".part")
            part.write_text(json.dumps(found), "utf-8")
            part.replace(path)
        sys.stdout.flush()
        kept.append(judge(seed, json.loads(path.read_text("utf-8"))))
    print(f"within one standard error of the best: {sum(kept)} of {len(kept)}; gate {GATE:.0%}")
    return 0 if sum(kept) >= GATE * len(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
