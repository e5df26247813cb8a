"""However many processes share a step, every picture is done once and counts as much as it does with one."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui_agent.train.ranks import num_processes
from loratui_agent.train.share import share_of
from support.tiny_training import tiny_config

pytestmark = pytest.mark.torch


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 12), st.integers(1, 9))
def test_every_picture_of_a_step_is_done_once_and_counts_what_it_should(sizes: list[int], count: int, at_once: int):
    counted: dict[tuple[int, int], Fraction] = {}
    numbers = []
    for index in range(count):
        pieces = share_of(sizes, index, count, at_once)
        numbers.append(sum(piece.rows.stop - piece.rows.start for piece in pieces))
        for piece in pieces:
            assert piece.rows.stop - piece.rows.start <= at_once
            rows = range(*piece.rows.indices(sizes[piece.micro]))
            for row in rows:
                assert (piece.micro, row) not in counted
                counted[piece.micro, row] = Fraction(piece.share).limit_denominator(1000) / len(rows)
    mean_of_means = {(m, row): Fraction(1, size * len(sizes)) for m, size in enumerate(sizes) for row in range(size)}
    assert counted == mean_of_means
    assert max(numbers) - min(numbers) <= 1, "nobody waits for another one longer than a picture takes"


def test_alone_a_process_does_its_micro_batches_whole():
    assert [(piece.rows, piece.share) for piece in share_of([4, 4, 1], 0, 1, 4)] == [
        (slice(0, 4), 1 / 3),
        (slice(0, 4), 1 / 3),
        (slice(0, 1), 1 / 3),
    ]


@pytest.mark.parametrize(
    ("changes", "num_gpus", "expected"),
    [
        ({}, 4, 1),
        ({"num_processes": 4}, 4, 4),
        ({"num_processes": 4}, 2, 2),
        ({"num_processes": 4}, 0, 4),
        ({"num_processes": 4, "train_batch_size": 1}, 4, 1),
        ({"num_processes": 4, "train_batch_size": 1, "gradient_accumulation_steps": 3}, 4, 3),
    ],
    ids=["unset", "asked for", "too few GPUs", "CPU", "one picture", "three pictures"],
)
def test_no_process_is_without_a_gpu_or_a_picture(tmp_path, changes: dict[str, Any], num_gpus: int, expected: int):
    config = tiny_config(tmp_path, **{"train_batch_size": 8, **changes})
    assert num_processes(config, num_gpus) == expected
