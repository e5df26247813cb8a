"""Makes scores of what the feature models see, picture by picture; ``judging.scores`` says what each of them means."""

# N pictures, R of them at once, M training pictures, K of them the nearest, D width of the features

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from loratui_agent.demo import score
from loratui_agent.demo.concept import Concept
from loratui_protocol.judging.grid import Cell, Grid
from loratui_protocol.judging.prompts import WITH_TRIGGER, Role

NUM_NEAREST = 3
"""Training pictures that a likeness is the mean of: one alone may be an odd one."""
COPY_QUANTILE = 0.95
"""Of how near each training picture is to its nearest: what is nearer than that is taken for a copy."""
ROWS = 1024
"""Pictures that are compared with all training pictures at once: all at once might not fit into memory."""
_SAME = 0.999
"""Training pictures that are nearer than this are one picture twice, and say nothing of how near two may be."""

Scores = dict[Cell, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What DINO says of the drawn pictures (N, D), in the order of their cells, and of the training pictures (M, D)."""

    drawn_ND: Tensor
    trained_MD: Tensor


def of_likeness(grid: Grid, cells: Sequence[Cell], seen: Seen) -> Scores:
    """Return likeness, copying, bleed and resisted; nothing without training pictures."""
    # Of a picture that no number comes of nothing is known, and with it in between nothing of the others.
    trained_MD = seen.trained_MD[seen.trained_MD.isfinite().all(1)]
    if not len(trained_MD):
        return {}
    nearest, most = [], []
    for start in range(0, len(seen.drawn_ND), ROWS):
        near_RM = seen.drawn_ND[start : start + ROWS] @ trained_MD.T
        highest_RK = near_RM.topk(min(NUM_NEAREST, len(trained_MD))).values
        nearest += highest_RK.mean(1).tolist()
        most += highest_RK[:, 0].tolist()
    limit = copy_limit(trained_MD)
    by_cell = dict(zip(cells, nearest, strict=True))
    scores: Scores = {cell: {} for cell in cells}
    for cell, likeness, closest in zip(cells, nearest, most, strict=True):
        role = grid.prompts[cell.prompt].role
        if role in WITH_TRIGGER or role is Role.TOGETHER:
            scores[cell]["likeness"] = likeness
            if limit is not None and math.isfinite(closest):
                scores[cell]["copying"] = float(closest > limit)
        elif cell.weight and (base := by_cell.get(_without_lora(cell))) is not None:
            scores[cell]["bleed" if role is Role.WITHOUT else "resisted"] = likeness - base
    return scores


def copy_limit(trained_MD: Tensor) -> float | None:
    """Return how near two different training pictures are to each other at most; None: there are no two."""
    nearest = []
    for start in range(0, len(trained_MD), ROWS):
        near_RM = trained_MD[start : start + ROWS] @ trained_MD.T
        near_RM.diagonal(start).fill_(-1)
        near_RM[near_RM > _SAME] = -1
        nearest.append(near_RM.max(1).values)
    nearest_M = torch.cat(nearest)
    nearest_M = nearest_M[nearest_M > -1]
    return float(torch.quantile(nearest_M, COPY_QUANTILE)) if len(nearest_M) else None


def of_diversity(grid: Grid, cells: Sequence[Cell], drawn_ND: Tensor) -> Scores:
    """Return how far each picture is from those of other seeds; nothing for a prompt with one picture."""
    groups: dict[tuple[int, float, int], list[int]] = defaultdict(list)
    for index, cell in enumerate(cells):
        if grid.prompts[cell.prompt].role in WITH_TRIGGER:
            groups[cell.file, cell.weight, cell.prompt].append(index)
    scores: Scores = {}
    known = drawn_ND.isfinite().all(1)
    for whole in groups.values():
        indices = [index for index in whole if known[index]]
        if len(indices) < 2:
            continue
        near = drawn_ND[indices] @ drawn_ND[indices].T
        others = (near.sum(1) - near.diagonal()) / (len(indices) - 1)
        scores |= {cells[index]: {"diversity": 1 - float(each)} for index, each in zip(indices, others, strict=True)}
    return scores


def of_prompts(grid: Grid, cells: Sequence[Cell], drawn_ND: Tensor, texts_ND: Tensor) -> Scores:
    """Return how near each picture is to its prompt in ordinary words; ``texts_ND`` has one row a prompt."""
    return {
        cell: {"prompt": float(drawn_ND[index] @ texts_ND[cell.prompt])}
        for index, cell in enumerate(cells)
        if grid.prompts[cell.prompt].role in WITH_TRIGGER
    }


def of_concept(grid: Grid, pictures: Mapping[Cell, Image.Image], concept: Concept) -> Scores:
    """Return what can be said exactly of a built-in concept: whether it shows, bleeds, and on the ground asked for."""
    scores: Scores = {}
    shows = {cell: score.shows_concept(picture, concept) for cell, picture in pictures.items()}
    for cell, picture in pictures.items():
        prompt = grid.prompts[cell.prompt]
        if prompt.role in WITH_TRIGGER:
            ground = score.describe(picture).ground
            scores[cell] = {"concept": float(shows[cell]), "prompt": float(f"{ground} background" in prompt.plain)}
        elif prompt.role is not Role.TOGETHER and cell.weight:
            name = "bleed" if prompt.role is Role.WITHOUT else "resisted"
            scores[cell] = {name: float(shows[cell]) - float(shows.get(_without_lora(cell), False))}
    return scores


def of_artefacts(pictures: Mapping[Cell, Image.Image]) -> Scores:
    """Return which pictures are burnt out, flat or noisy beyond any that the base model drew; nothing without those."""
    facts = {cell: _facts(picture) for cell, picture in pictures.items()}
    base = np.array([each for cell, each in facts.items() if not cell.weight])
    if not len(base):
        return {}
    # Beyond all of the base model's by as much as they differ among each other.
    highest = base.max(0) + (base.max(0) - base.min(0)) / 2 + _LEAST_DIFFERENCES
    return {cell: {"artefacts": float((each > highest).any())} for cell, each in facts.items() if cell.weight}


_LEAST_DIFFERENCES = np.array((0.05, 0.10, 0.02))
_FLAT = 2.0
"""Of 255: the most that pixels of a flat area differ from those beside them."""


def _facts(picture: Image.Image) -> npt.NDArray[np.float64]:
    """Return the shares of burnt-out and of flat pixels, and how strong noise between neighbours is."""
    grey = np.asarray(picture.convert("L"), float)
    across, down = np.abs(np.diff(grey, axis=1)), np.abs(np.diff(grey, axis=0))
    # Of single pixels: an edge has neighbours that are alike along it, noise has not.
    lone = np.abs(grey[1:-1, 1:-1] - (grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]) / 4)
    return np.array(
        (
            float(((grey <= 1) | (grey >= 254)).mean()),
            float(((across[:-1] < _FLAT) & (down[:, :-1] < _FLAT)).mean()),
            float(np.median(lone)) / 255,
        )
    )


def _without_lora(cell: Cell) -> Cell:
    return Cell(-1, 0.0, cell.prompt, cell.seed)
