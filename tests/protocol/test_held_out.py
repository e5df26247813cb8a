from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol.dataset import Picture
from loratui_protocol.held_out import LEAST, held_out
from loratui_protocol.plan import plan
from loratui_protocol.schedule import Schedule
from support.protocol_strategies import plain_config


def pictures(number: int, num_reg: int = 0) -> list[Picture]:
    return [
        Picture(path=Path(f"{n}.png"), name=f"{n}.png", width=64, height=64, caption="", is_reg=n >= number)
        for n in range(number + num_reg)
    ]


def chosen(number: int, **changes: Any) -> Sequence[int]:
    return held_out(plain_config(**changes), pictures(number, 5)).indices


def test_with_nothing_said_a_few_are_kept_out_where_that_is_enough_to_judge_by() -> None:
    assert [len(chosen(number)) for number in (4, 29, 30, 60, 100, 200)] == [0, 0, 3, 4, 7, 14]
    assert chosen(100, validation_split=0.0) == ()
    finding = held_out(plain_config(), pictures(29)).findings[0]
    assert finding.what.startswith("29 pictures are too few")


def test_a_share_is_kept_to_or_said_to_be_too_small() -> None:
    assert len(chosen(40, validation_split=0.2)) == 8
    small = held_out(plain_config(validation_split=0.05), pictures(40))
    assert (small.indices, [finding.severity for finding in small.findings]) == ((), ["warning"])


@given(st.integers(30, 300), st.integers(0, 99), st.floats(0.1, 0.9))
def test_what_is_held_out_is_never_trained_on_and_everything_else_is(number: int, seed: int, split: float) -> None:
    config = plain_config(validation_split=split, validation_seed=seed, train_batch_size=4, max_train_epochs=1)
    all_of_them = pictures(number, 5)
    held = held_out(config, all_of_them)
    planned, schedule = plan(config, all_of_them), Schedule(config, all_of_them, 1)
    shown = {
        exposure.picture_index
        for step in range(1, planned.steps + 1)
        for micro in range(schedule.num_micro(step))
        for exposure in schedule.batch(step, micro)
    }
    assert not shown.intersection(held.indices)
    trained = {index for index in shown if not all_of_them[index].is_reg}
    assert trained | set(held.indices) == set(range(number))
    assert set(held.compared) <= shown
    assert len(held.indices) >= LEAST
    assert (planned.num_pictures, planned.num_reg_pictures) == (number - len(held.indices), 5)


def test_the_same_ones_are_chosen_anywhere_and_others_by_another_seed() -> None:
    assert chosen(100) == chosen(100)
    assert chosen(100) != chosen(100, validation_seed=1)


def test_they_are_looked_at_as_often_as_costs_a_twentieth_of_the_time() -> None:
    # 3 and 3 pictures at 4 timesteps are 8 training exposures: every 160 of them.
    planned = plan(plain_config(max_train_steps=500), pictures(40))
    assert planned.validation_steps == (0, 160, 320, 480, 500)
    assert plan(plain_config(max_train_steps=500, train_batch_size=4), pictures(40)).validation_steps[1] == 40
    by_step = plain_config(max_train_steps=9, validate_every_n_steps=4)
    assert plan(by_step, pictures(40)).validation_steps == (0, 4, 8, 9)
    by_epoch = plain_config(max_train_epochs=4, validate_every_n_epochs=2)
    assert plan(by_epoch, pictures(40)).validation_steps == (0, 74, 148)
    assert plan(plain_config(), pictures(20)).validation_steps == ()


def test_with_keep_best_every_file_is_judged() -> None:
    config = plain_config(max_train_steps=90, validate_every_n_steps=60, save_every_n_steps=25)
    assert plan(config, pictures(40)).validation_steps == (0, 60, 90)
    best = replace(config, keep_best=True)
    assert plan(best, pictures(40)).validation_steps == (0, 25, 50, 60, 75, 90)
    assert "plan.no_best" not in {each.code for each in plan(best, pictures(40)).findings}
    assert "plan.no_best" in {each.code for each in plan(best, pictures(20)).findings}
