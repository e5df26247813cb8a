from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Picture
from loratui_protocol.errors import DatasetError
from loratui_protocol.plan import Schedule, plan
from support.protocol_strategies import picture, pictures, plain_config

run_configs = st.builds(
    lambda batch, accumulate, epochs: plain_config(
        train_batch_size=batch, gradient_accumulation_steps=accumulate, max_train_epochs=epochs
    ),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(1, 3),
)


@given(run_configs, pictures)
def test_the_numbers_of_a_plan_add_up(config: TrainingConfig, dataset: list[Picture]) -> None:
    planned = plan(config, dataset)
    assert planned.num_pictures + planned.num_reg_pictures == len(dataset) == len(planned.placements)
    assert planned.num_exposures == sum(p.num_repeats for p in dataset if not p.is_reg)
    assert planned.num_reg_exposures == (planned.num_exposures if planned.num_reg_pictures else 0)
    assert sum(use.num_exposures for use in planned.buckets) == planned.num_exposures + planned.num_reg_exposures
    assert sum(use.num_batches for use in planned.buckets) == planned.batches_per_epoch
    assert planned.steps_per_epoch == -(-planned.batches_per_epoch // config.gradient_accumulation_steps)
    assert planned.steps == planned.epochs * planned.steps_per_epoch
    assert planned.epoch_of(1) == 1
    assert planned.epoch_of(planned.steps) == planned.epochs
    assert planned.exposures_per_picture == pytest.approx(planned.num_exposures * planned.epochs / planned.num_pictures)


def test_steps_are_counted_as_sd_scripts_counts_them() -> None:
    dataset = [picture(index, num_repeats=10) for index in range(5)]
    planned = plan(plain_config(train_batch_size=4, max_train_epochs=2), dataset)
    assert (planned.batches_per_epoch, planned.steps, planned.effective_batch) == (13, 26, 4)
    accumulated = plan(plain_config(train_batch_size=4, max_train_epochs=2, gradient_accumulation_steps=2), dataset)
    assert (accumulated.steps_per_epoch, accumulated.steps, accumulated.effective_batch) == (7, 14, 8)


def test_a_number_of_steps_may_end_within_an_epoch() -> None:
    planned = plan(plain_config(max_train_steps=25), [picture(index) for index in range(10)])
    assert (planned.steps, planned.epochs, planned.exposures_per_picture) == (25, 3, 2.5)


def test_files_on_the_way_have_sd_scripts_names() -> None:
    config = plain_config(max_train_epochs=3, save_every_n_epochs=1, save_every_n_steps=10, output_name="cat")
    planned = plan(config, [picture(index) for index in range(10)])
    assert [(point.step, point.name) for point in planned.save_points] == [
        (10, "cat-000001"),
        (10, "cat-step00000010"),
        (20, "cat-000002"),
        (20, "cat-step00000020"),
        (30, "cat-step00000030"),
    ]


def test_samples_and_checkpoints_come_where_they_are_asked_for() -> None:
    asked = {
        "max_train_steps": 25,
        "sample_every_n_steps": 10,
        "sample_every_n_epochs": 2,
        "sample_at_first": True,
        "checkpoint_every_n_steps": 12,
    }
    dataset = [picture(index) for index in range(8)]
    planned = plan(plain_config(**asked, sample_prompts=("a cat",)), dataset)
    assert planned.sample_steps == (0, 10, 16, 20)
    assert planned.checkpoint_steps == (12, 24)
    assert plan(plain_config(**asked), [replace(each, caption="") for each in dataset]).sample_steps == ()
    assert plan(plain_config(), dataset).checkpoint_steps is None


def test_pictures_that_would_never_be_shown_are_reported() -> None:
    dataset = [picture(0), *(picture(index, is_reg=True) for index in range(1, 4))]
    (found,) = plan(plain_config(), dataset).findings[1:]
    assert found.code == "plan.reg_unused"
    assert found.what.startswith("2 regularisation pictures")


def test_pictures_that_lose_much_to_cropping_are_reported() -> None:
    (found,) = plan(plain_config(enable_bucket=False), [picture(0), picture(1, (640, 64))]).findings[1:]
    assert found.code == "plan.cropped"
    assert "0001.png loses 90% at 64x64" in found.what


def test_short_batches_are_reported() -> None:
    dataset = [picture(0), picture(1, (128, 64)), picture(2, (64, 128))]
    (found,) = plan(plain_config(train_batch_size=2), dataset).findings[1:]
    assert found.code == "plan.short_batches"
    assert found.what.startswith("3 of 3 batches")


def test_a_dataset_of_regularisation_alone_is_refused() -> None:
    with pytest.raises(DatasetError) as caught:
        plan(plain_config(), [picture(0, is_reg=True)])
    assert caught.value.code == "dataset.empty"


# --- the schedule -----------------------------------------------------------------------------------------------------


def shown(schedule: Schedule, steps: range) -> list[list[int]]:
    return [
        [exposure.picture_index for exposure in schedule.batch(step, micro)]
        for step in steps
        for micro in range(schedule.num_micro(step))
    ]


@given(run_configs, pictures, st.integers(0, 9), st.sampled_from([None, 0.3, 0.6]), st.booleans(), st.booleans())
def test_an_epoch_shows_each_picture_as_often_as_it_repeats(
    config: TrainingConfig, dataset: list[Picture], seed: int, split: float | None, buckets: bool, upscale: bool
) -> None:
    config = replace(config, validation_split=split, enable_bucket=buckets, bucket_no_upscale=not upscale)
    planned = plan(config, dataset)
    held_out = set(planned.held_out.indices)
    schedule = Schedule(config, dataset, seed)
    for epoch in range(planned.epochs):
        first = epoch * planned.steps_per_epoch + 1
        batches = shown(schedule, range(first, first + planned.steps_per_epoch))
        counts = Counter(index for batch in batches for index in batch)
        assert len(batches) == planned.batches_per_epoch
        for index, one in enumerate(dataset):
            if not one.is_reg:
                assert counts[index] == (0 if index in held_out else one.num_repeats)
        regular = {index: counts[index] for index, one in enumerate(dataset) if one.is_reg}
        assert sum(regular.values()) == planned.num_reg_exposures == (planned.num_exposures if regular else 0)
        rounds = {index: count / dataset[index].num_repeats for index, count in regular.items()}
        assert not rounds or max(rounds.values()) - min(rounds.values()) <= 1, "none is favoured by more than a round"


@given(run_configs, pictures)
def test_a_batch_is_of_one_bucket_and_never_too_large(config: TrainingConfig, dataset: list[Picture]) -> None:
    planned = plan(config, dataset)
    schedule = Schedule(config, dataset, 1)
    for step in range(1, planned.steps + 1):
        assert 1 <= schedule.num_micro(step) <= config.gradient_accumulation_steps
    for batch in shown(schedule, range(1, planned.steps + 1)):
        assert 1 <= len(batch) <= config.train_batch_size
        assert len({planned.placements[index].bucket for index in batch}) == 1


@given(run_configs, pictures, st.data())
def test_a_step_shows_the_same_whatever_was_asked_before(
    config: TrainingConfig, dataset: list[Picture], data: st.DataObject
) -> None:
    steps = plan(config, dataset).steps
    in_order = Schedule(config, dataset, 7)
    expected = {step: shown(in_order, range(step, step + 1)) for step in range(1, steps + 1)}
    jumping = Schedule(config, dataset, 7)
    for step in data.draw(st.lists(st.integers(1, steps), max_size=6)):
        assert shown(jumping, range(step, step + 1)) == expected[step]


def test_another_seed_and_another_epoch_show_another_order() -> None:
    dataset = [picture(index) for index in range(20)]
    config = plain_config()
    orders = [shown(Schedule(config, dataset, seed), range(1, 21)) for seed in (1, 2)]
    second_epoch = shown(Schedule(config, dataset, 1), range(21, 41))
    assert orders[0] != orders[1]
    assert orders[0] != second_epoch
    assert sorted(orders[0]) == sorted(second_epoch)


def test_the_order_of_a_seed_is_fixed_for_all_time() -> None:
    # A changed order would make a resumed run differ from an uninterrupted one.
    schedule = Schedule(plain_config(train_batch_size=2), [picture(index) for index in range(6)], 42)
    assert shown(schedule, range(1, 7)) == [[0, 3], [2, 4], [5, 1], [3, 2], [1, 4], [5, 0]]


def test_few_regularisation_pictures_are_repeated_and_many_are_cut() -> None:
    few = [picture(0, num_repeats=6), picture(1, is_reg=True), picture(2, is_reg=True)]
    counts = Counter(index for (index,) in shown(Schedule(plain_config(), few, 1), range(1, 13)))
    assert counts == {0: 6, 1: 3, 2: 3}
    many = [picture(0, num_repeats=2), *(picture(index, is_reg=True) for index in range(1, 9))]
    counts = Counter(index for (index,) in shown(Schedule(plain_config(), many, 1), range(1, 5)))
    assert counts == {0: 2, 1: 1, 2: 1}


def test_captions_and_mirroring_follow_the_config_and_the_step() -> None:
    dataset = [picture(index, num_repeats=20) for index in range(4)]
    plain = Schedule(plain_config(), dataset, 1)
    assert {(e.caption, e.flipped) for e in plain.batch(1, 0)} <= {(one.caption, False) for one in dataset}
    config = plain_config(shuffle_caption=True, keep_tokens=1, caption_dropout_rate=0.2, flip_aug=True)
    exposures = [exposure for step in range(1, 81) for exposure in Schedule(config, dataset, 1).batch(step, 0)]
    again = Schedule(config, dataset, 1)
    assert exposures == [exposure for step in range(1, 81) for exposure in again.batch(step, 0)]
    assert 20 < sum(exposure.flipped for exposure in exposures) < 60
    assert 5 < sum(exposure.caption == "" for exposure in exposures) < 30
    for exposure in exposures:
        if exposure.caption:
            assert exposure.caption.split(", ")[0] == f"caption {exposure.picture_index}"
            assert sorted(exposure.caption.split(", ")[1:]) == ["one", "three", "two"]


def test_a_step_or_micro_batch_that_is_not_there_is_our_bug() -> None:
    schedule = Schedule(plain_config(), [picture(0)], 1)
    with pytest.raises(IndexError):
        schedule.batch(0, 0)
    with pytest.raises(IndexError):
        schedule.batch(1, 1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"unet": 1e-4, "text_encoder": 1e-4}),
        ({"network_alpha": 1.0}, {"unet": 2.5e-5, "text_encoder": 2.5e-5}),
        (
            {"text_encoder_lr": (1e-5, 2e-5)},
            {"unet": 1e-4, "text_encoder": 1e-5, "text_encoder_2": 2e-5},
        ),
        ({"network_train_unet_only": True}, {"unet": 1e-4}),
        (
            {"network_args": {"conv_dim": 8.0, "conv_alpha": 4.0}, "network_train_unet_only": True},
            {"unet": 1e-4, "conv": 5e-5},
        ),
        ({"optimizer_type": "AdaFactor"}, {}),
    ],
    ids=str,
)
def test_a_learning_rate_is_scaled_by_alpha_and_rank(changes: dict[str, Any], expected: dict[str, float]) -> None:
    config = plain_config(network_dim=4, learning_rate=1e-4, **changes)
    assert plan(config, [picture(0)]).effective_lr == pytest.approx(expected)
