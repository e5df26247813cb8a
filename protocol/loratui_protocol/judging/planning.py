"""Which files a training will have judged, and the grid of any files: laptop and box reckon with the same one."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Picture
from loratui_protocol.dataset_folders import repeats_of
from loratui_protocol.errors import ConfigError
from loratui_protocol.judging.grid import Grid, TriedFile, seeds, spread_by_step
from loratui_protocol.judging.judgement import MAX_PICTURES
from loratui_protocol.judging.prompts import grid_prompts
from loratui_protocol.safetensors_header import read_header
from loratui_protocol.save_points import SavePoint, superseded
from loratui_protocol.subsets import subsets_of

_OF_THE_FILE = frozenset({"ss_steps", "ss_epoch", "ss_training_finished_at"})
"""What sd-scripts, and we, write of each file anew; the rest of its ``ss_`` keys is of the training."""
_OF_ONE_TRAINING = frozenset({"ss_session_id", "ss_seed"})
"""One of these at least is in what is no leftover of the metadata."""
_MOST_PIXELS = 8_000_000_000
"""About 3.2 GB as JPEGs. The archive of a judgement is read up to 4 GiB (``report/judgement_zip.py``)."""
_STEPS = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


def grid_of(config: TrainingConfig, files: Sequence[TriedFile], pictures: Sequence[Picture]) -> Grid:
    """Return what is drawn of these files. ``pictures`` are what they were trained on; empty: nobody knows."""
    own = [picture for picture in pictures if not picture.is_reg]
    return Grid(
        files=tuple(files),
        weights=config.evaluate_weights,
        seeds=seeds(config.evaluate_seeds),
        prompts=grid_prompts(config, [picture.caption for picture in own], _class_tokens(config, own)),
    )


def planned_grid(
    config: TrainingConfig, pictures: Sequence[Picture], points: Sequence[SavePoint], steps: int
) -> Grid | None:
    """Return the grid of files alone, or of a training that writes these and a last one after its steps; None: none.

    Raises:
        ConfigError: it has more pictures than one judgement holds.
    """
    files = files_named(config.evaluate_loras)
    if not files and config.evaluate_checkpoints:
        gone = superseded(config, points)
        written = {point.step: point.name for point in points if point not in gone} | {steps: config.output_name}
        every = [TriedFile(id=name, name=name, step=step) for step, name in sorted(written.items())]
        files = [every[index] for index in spread_by_step([file.step for file in every], config.evaluate_checkpoints)]
    if not files:
        return None
    grid = grid_of(config, files, pictures)
    width, height = config.resolution
    most = min(MAX_PICTURES, _MOST_PIXELS // (width * height))
    if grid.num_pictures > most:
        raise ConfigError(
            f"to try the files out {grid.num_pictures:,} pictures of {width}x{height} would be drawn, and no more than "
            f"{most:,} can be kept together",
            fix="fewer files, evaluate_weights, evaluate_seeds or evaluate_prompts",
            code="evaluate.too_many",
        )
    return grid


def files_named(paths: Sequence[str]) -> list[TriedFile]:
    """Return the files of these paths, each of which is there once, as they are tried out alone."""
    return [TriedFile(id=name, name=name) for name in told_apart(paths)]


def steps_said(paths: Sequence[Path]) -> list[int]:
    """Return after how many steps each file was written, by its own ``ss_steps``; all 0 if it can't be told.

    Steps of several trainings say nothing of which file is the earlier one: they count where everything else that the
    files say of their training is the same.

    Raises:
        ModelError: a file can't be read, or is no safetensors file.
    """
    said = [{key: text for key, text in read_header(path).metadata.items() if key.startswith("ss_")} for path in paths]
    steps = [int(each["ss_steps"]) if _STEPS.fullmatch(each.get("ss_steps", "")) else 0 for each in said]
    trainings = [{key: text for key, text in each.items() if key not in _OF_THE_FILE} for each in said]
    is_one = all(each == trainings[0] and not _OF_ONE_TRAINING.isdisjoint(each) for each in trainings)
    return steps if is_one and all(steps) else [0] * len(steps)


def told_apart(paths: Sequence[str]) -> list[str]:
    """Return what each file is called: its name, after as many of its folders as tell it from others of that name."""
    every = [PurePath(path).parts for path in paths]
    names = []
    for own in every:
        others = [other for other in every if other != own]
        lengths = (n for n in range(1, len(own)) if all(other[-n:] != own[-n:] for other in others))
        names.append(PurePath(*own[-next(lengths, len(own)) :]).as_posix())
    return names


def _class_tokens(config: TrainingConfig, own: Sequence[Picture]) -> str:
    """Return what the folder of the first picture is called by, as kohya's folders say it or the config does."""
    if not own:
        return ""
    subset = subsets_of(config)[own[0].subset]
    folder = repeats_of(own[0].path.parent.name)
    return subset.class_tokens or (folder[1] if folder else "")
