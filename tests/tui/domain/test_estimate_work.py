from dataclasses import replace

import pytest

from loratui.domain.estimate_work import NUM_INFERENCE_STEPS, joined, min_vram_mib, units_per_step, work_of
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import scan_config
from loratui_protocol.plan import plan
from loratui_protocol.subsets import DatasetConfig, Subset
from support.small_dataset import small_config, write_small_dataset

SD1 = "stable-diffusion-v1-5/stable-diffusion-v1-5"


@pytest.fixture
def config(tmp_path):
    return small_config(
        write_small_dataset(tmp_path / "pictures"),
        pretrained_model_name_or_path=SD1,
        resolution=(512, 768),
        train_batch_size=2,
        gradient_accumulation_steps=3,
        max_train_steps=40,
        save_every_n_steps=10,
        network_dim=8,
        sample_prompts=("a cat", "a dog"),
        sample_every_n_steps=20,
    )


def gib(config: TrainingConfig) -> float:
    return min_vram_mib(config) / 1024


def test_several_runs_on_one_machine_are_all_their_work_and_one_set_up(config):
    first = work_of(config, plan(config, scan_config(config).pictures), upload_bytes=7, base_model_bytes=100)
    second = replace(first, steps=10, units_per_step=3.0, min_vram_mib=first.min_vram_mib + 1)
    both = joined([first, second])
    assert joined([first]) == first
    assert both.training_units == pytest.approx(first.training_units + second.training_units)
    alone = first.sample_units + second.sample_units
    assert alone <= both.sample_units < alone + 2 * NUM_INFERENCE_STEPS, "pictures are whole ones"
    assert both.result_bytes >= first.result_bytes + second.result_bytes - 600_000
    assert (both.upload_bytes, both.base_model_bytes, both.min_vram_mib) == (14, 100, second.min_vram_mib)
    assert joined([replace(first, num_states=2), replace(second, num_states=3)]).num_states == 5
    assert both.num_states is None
    assert joined([first, second], num_models=2).base_model_bytes == 200
    assert joined([first, replace(second, base_model_bytes=None)]).base_model_bytes is None


def test_work_is_what_the_plan_says(config):
    work = work_of(config, plan(config, scan_config(config).pictures), upload_bytes=7, base_model_bytes=None)
    assert (work.steps, work.num_pictures, work.pixels) == (40, 4, 512 * 768)
    assert work.units_per_step == pytest.approx(6 * 1.5)
    assert work.training_units == pytest.approx(40 * 9 + 4 * 1.5)
    assert work.num_files == 1 + 4
    assert work.file_bytes == 8 * 1_200_000
    assert work.num_sample_pictures == 2 * (2 + 1) + 25
    assert (work.state_bytes, work.num_states) == (8 * 7_200_000, None), "by the clock"
    assert work.last_bytes <= work.result_bytes
    assert (work.upload_bytes, work.base_model_bytes) == (7, None)


def test_recomputing_activations_takes_longer_and_less_memory(config):
    checkpointing = replace(config, gradient_checkpointing=True)
    assert units_per_step(checkpointing) == pytest.approx(units_per_step(config) * 4 / 3)
    assert min_vram_mib(checkpointing) < min_vram_mib(config)


def test_without_prompts_no_picture_is_made(tmp_path):
    config = small_config(write_small_dataset(tmp_path / "pictures"))
    work = work_of(config, plan(config, scan_config(config).pictures), upload_bytes=0, base_model_bytes=0)
    assert (work.num_sample_pictures, work.sample_units) == (0, 0)


@pytest.mark.parametrize(("batch", "card_mib"), [(1, 8192), (4, 11_264), (16, 24_564)])
def test_a_card_that_people_train_with_is_not_refused(tmp_path, batch, card_mib):
    config = small_config(tmp_path, pretrained_model_name_or_path=SD1, resolution=(512, 512), train_batch_size=batch)
    assert min_vram_mib(config) <= card_mib
    assert min_vram_mib(small_config(tmp_path, mixed_precision="no", train_batch_size=batch)) <= card_mib


def test_more_pictures_and_wider_numbers_need_more_memory(tmp_path):
    def need(**changes):
        return gib(small_config(tmp_path, pretrained_model_name_or_path=SD1, **{"resolution": (512, 512), **changes}))

    assert need(train_batch_size=1) < need(train_batch_size=8) < need(train_batch_size=8, mixed_precision="no")
    assert need(train_batch_size=8, resolution=(768, 768)) > need(train_batch_size=8)
    assert gib(small_config(tmp_path)) < 1.0, "the built-in model is tiny"


def test_datasets_of_different_sizes_take_what_their_batches_take_on_average_and_room_for_the_largest(tmp_path):
    folder = write_small_dataset(tmp_path / "pictures", 4) / "1_cat"
    subsets = (Subset(image_dir=str(folder)),)
    small = DatasetConfig(subsets=subsets, settings={"resolution": (512, 512), "train_batch_size": 4})
    large = DatasetConfig(subsets=subsets, settings={"resolution": (1024, 1024), "train_batch_size": 2})
    base = small_config(folder, pretrained_model_name_or_path=SD1)
    mixed, only_large = (replace(base, train_data_dir=None, datasets=each) for each in ((small, large), (large,)))
    work = work_of(mixed, plan(mixed, scan_config(mixed).pictures), upload_bytes=0, base_model_bytes=0)
    assert work.num_pictures == 8
    assert work.units_per_step == pytest.approx((4 + 8 + 8) / 3), "a batch of four small ones, two of two large ones"
    assert (units_per_step(only_large), units_per_step(mixed)) == (8, None)
    assert work.min_vram_mib == min_vram_mib(only_large)
