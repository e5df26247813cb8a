"""Trains the tiny model well, too short, too long and wrongly, and writes down what was measured of each.

    python scripts/record_diagnoses.py [NAME...] [--out FILE]

tests/tui/domain/test_diagnoses.py reads the file: the remedies must tell these trainings apart. Each is done with both
built-in concepts; the rules were drawn up with the first. Runs that are in the file already are kept, unless they are
named ("second.good"). Takes half an hour of a core.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from judged_demo import judged_config, shuffle_captions, train

from loratui_agent.demo.concept import CONCEPTS
from loratui_protocol import messages
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_write import to_toml
from loratui_protocol.dataset import scan_config

OUT = Path(__file__).resolve().parents[1] / "tests/tui/domain/recorded_diagnoses.json"


def _good(folder: Path, concept: str) -> TrainingConfig:
    return judged_config(folder, 420, concept, reg_data_dir=None)


def _undertrained(folder: Path, concept: str) -> TrainingConfig:
    return judged_config(folder, 24, concept, reg_data_dir=None)


def _overtrained(folder: Path, concept: str) -> TrainingConfig:
    """Show four pictures of one ground a thousand times; that it got worse at its end takes many pictures to see."""
    config = judged_config(
        folder, 720, concept, reg_data_dir=None, lr_scheduler="constant", evaluate_checkpoints=3, evaluate_seeds=12
    )
    for index, path in enumerate(sorted(Path(str(config.train_data_dir)).rglob("*.png"))):
        if index % 6:
            path.unlink()
            path.with_suffix(".txt").unlink()
    return config


def _wrong_trigger(folder: Path, concept: str) -> TrainingConfig:
    return judged_config(folder, 120, concept, reg_data_dir=None, trigger_word="vexlor")


def _no_rate(folder: Path, concept: str) -> TrainingConfig:
    return judged_config(folder, 24, concept, reg_data_dir=None, learning_rate=1e-8, unet_lr=1e-8, text_encoder_lr=1e-8)


def _shuffled(folder: Path, concept: str) -> TrainingConfig:
    config = judged_config(folder, 420, concept, reg_data_dir=None)
    shuffle_captions(Path(str(config.train_data_dir)))
    return config


KINDS: dict[str, Callable[[Path, str], TrainingConfig]] = {
    "no_rate": _no_rate,
    "undertrained": _undertrained,
    "wrong_trigger": _wrong_trigger,
    "shuffled": _shuffled,
    "good": _good,
    "overtrained": _overtrained,
}
RUNS = [f"{concept}.{kind}" for concept in CONCEPTS for kind in KINDS]


def recorded(name: str) -> dict[str, Any]:
    """Return what there is to know of a training, without the pictures."""
    concept, _, kind = name.partition(".")
    with tempfile.TemporaryDirectory() as place:
        config = KINDS[kind](Path(place), concept)
        captions = [picture.caption for picture in scan_config(config).pictures]
        events = train(Path(place), config, concept)
        text = to_toml(config).replace(place, "/demo")
    norms = [event for event in events if isinstance(event, messages.DeltaNorms)]
    return {
        "config": text,
        "captions": captions,
        "total": config.max_train_steps,
        "size": max(norms[-1].relative.values()),
        "scores": [asdict(event) for event in events if isinstance(event, messages.Scores)],
    }


def main() -> int:
    """Train what is not recorded yet, and what is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*RUNS, []])
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    known = json.loads(arguments.out.read_text("utf-8")) if arguments.out.exists() else {}
    for name in arguments.names or [name for name in RUNS if name not in known]:
        known[name] = recorded(name)
        # After each: what took minutes is not done twice.
        arguments.out.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
        print(f"{name}: {len(known[name]['scores'])} rows of files and weights", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
