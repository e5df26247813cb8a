from dataclasses import replace

import pytest

from loratui.domain.base_kinds import SD1, SDXL, TINY, BaseKind
from loratui.domain.estimate_work import joined, units_per_step, work_of
from loratui.domain.memory_need import min_vram_mib
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import scan_config
from loratui_protocol.lora_size import SD1_NETWORK, lora_size
from loratui_protocol.optimizers import STATE_BYTES
from loratui_protocol.plan import plan
from loratui_protocol.subsets import DatasetConfig, Subset
from support.estimates import a_feature_model, a_work
from support.small_dataset import small_config, write_small_dataset

SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"


@pytest.fixture
def config(tmp_path):
    return small_config(
        write_small_dataset(tmp_path / "pictures"),
        pretrained_model_name_or_path=SD15,
        resolution=(512, 768),
        train_batch_size=2,
        gradient_accumulation_steps=3,
        max_train_steps=40,
        save_every_n_steps=10,
        network_dim=8,
        sample_prompts=("a cat", "a dog"),
        sample_every_n_steps=20,
    )


def gib(config: TrainingConfig, kind: BaseKind = SD1) -> float:
    return min_vram_mib(config, kind) / 1024


def test_several_runs_on_one_machine_are_all_their_work_and_one_set_up(config):
    first = work_of(config, plan(config, scan_config(config).pictures), SD1, upload_bytes=7, base_model_bytes=100)
    second = a_work(first, kind=SDXL, steps=10, units_per_step=3.0, min_vram_mib=first.min_vram_mib + 1)
    both = joined([first, second])
    assert joined([first]) == first
    assert both.loads == (*first.loads, *second.loads), "each is as fast as a model of its kind"
    assert both.result_bytes >= first.result_bytes + second.result_bytes - 600_000
    assert (both.upload_bytes, both.base_model_bytes, both.min_vram_mib) == (14, 100, second.min_vram_mib)
    assert joined([replace(first, num_states=2), replace(second, num_states=3)]).num_states == 5
    assert both.num_states is None
    assert joined([first, second], num_models=2).base_model_bytes == 200
    assert joined([first, replace(second, base_model_bytes=None)]).base_model_bytes is None
    dino, clip = a_feature_model("org/dino", 5), a_feature_model("org/clip", 7)
    judged = joined([replace(first, features=(dino,)), replace(second, features=(dino, clip))])
    assert judged.feature_bytes == (12, 12), "each comes once"


def test_work_is_what_the_plan_says(config):
    work = work_of(config, plan(config, scan_config(config).pictures), SD1, upload_bytes=7, base_model_bytes=None)
    [load] = work.loads
    assert (load.kind, load.steps, load.num_pictures, load.pixels) == (SD1, 40, 4, 512 * 768)
    assert load.units_per_step == pytest.approx(6 * 1.5)
    assert load.training_units == pytest.approx(40 * 9 + 4 * 1.5)
    assert work.num_files == 1 + 4
    size = lora_size(SD1_NETWORK, config)
    assert work.file_bytes == size.file_bytes("fp16")
    assert load.num_sample_pictures == 2 * (2 + 1) + 25
    assert (work.state_bytes, work.num_states) == (12 * size.num_parameters, None), "by the clock"
    assert work.last_bytes <= work.result_bytes
    assert (work.upload_bytes, work.base_model_bytes) == (7, None)


def test_recomputing_activations_takes_longer_and_less_memory(config):
    checkpointing = replace(config, gradient_checkpointing=True)
    for kind in (SD1, SDXL):
        assert units_per_step(checkpointing, kind) == pytest.approx(units_per_step(config, kind) * 4 / 3)
        assert min_vram_mib(checkpointing, kind) < min_vram_mib(config, kind)


def test_without_prompts_no_picture_is_made(tmp_path):
    config = small_config(write_small_dataset(tmp_path / "pictures"))
    work = work_of(config, plan(config, scan_config(config).pictures), SD1, upload_bytes=0, base_model_bytes=0)
    assert work.loads[0].num_sample_pictures == 0


@pytest.mark.parametrize(("batch", "card_mib"), [(1, 8192), (4, 11_264), (16, 24_564)])
def test_a_card_that_people_train_with_is_not_refused(tmp_path, batch, card_mib):
    config = small_config(tmp_path, pretrained_model_name_or_path=SD15, resolution=(512, 512), train_batch_size=batch)
    assert min_vram_mib(config, SD1) <= card_mib


def test_more_pictures_and_wider_numbers_need_more_memory(tmp_path):
    def need(**changes):
        return gib(small_config(tmp_path, pretrained_model_name_or_path=SD15, **{"resolution": (512, 512), **changes}))

    assert need(train_batch_size=1) < need(train_batch_size=8) < need(train_batch_size=8, mixed_precision="no")
    assert need(train_batch_size=8, resolution=(768, 768)) > need(train_batch_size=8)
    assert gib(small_config(tmp_path), TINY) < 1.0, "the built-in model is tiny"


def test_datasets_of_different_sizes_take_what_their_batches_take_on_average_and_room_for_the_largest(tmp_path):
    folder = write_small_dataset(tmp_path / "pictures", 4) / "1_cat"
    subsets = (Subset(image_dir=str(folder)),)
    small = DatasetConfig(subsets=subsets, settings={"resolution": (512, 512), "train_batch_size": 4})
    large = DatasetConfig(subsets=subsets, settings={"resolution": (1024, 1024), "train_batch_size": 2})
    base = small_config(folder, pretrained_model_name_or_path=SD15)
    mixed, only_large = (replace(base, train_data_dir=None, datasets=each) for each in ((small, large), (large,)))
    work = work_of(mixed, plan(mixed, scan_config(mixed).pictures), SD1, upload_bytes=0, base_model_bytes=0)
    [load] = work.loads
    assert load.num_pictures == 8
    assert load.units_per_step == pytest.approx((4 + 8 + 8) / 3), "a batch of four small ones, two of two large ones"
    assert (units_per_step(only_large, SD1), units_per_step(mixed, SD1)) == (8, None)
    assert work.min_vram_mib == min_vram_mib(only_large, SD1)
    assert gib(small_config(tmp_path), TINY) < 1.0, "the built-in model is tiny"


CHECKPOINTED = {"gradient_checkpointing": True}
UNET_ONLY = {"network_train_unet_only": True}


@pytest.mark.parametrize(
    ("card_gib", "changes"),
    [
        (8, {**UNET_ONLY, **CHECKPOINTED, "network_dim": 8, "optimizer_type": "AdamW8bit"}),  # sd-scripts train_SDXL
        (12, {**CHECKPOINTED, "network_dim": 32}),  # sd-scripts #661
        (24, {**UNET_ONLY, **CHECKPOINTED, "train_batch_size": 8, "network_dim": 32}),  # kohya_ss #1288
        (24, {"network_dim": 32}),  # sd-scripts #827
    ],
    ids=["8 GB", "12 GB", "batch 8", "without checkpointing"],
)
def test_a_card_that_people_train_sdxl_with_is_not_refused(tmp_path, card_gib, changes):
    assert gib(small_config(tmp_path, resolution=(1024, 1024), **changes), SDXL) <= card_gib


def test_what_filled_a_card_of_32_gb_and_more_needs_a_larger_one(tmp_path):
    """kohya_ss #3296: batch 4 in bf16 without checkpointing took all of an RTX 5090, and a hundred times as long."""
    usual = {"resolution": (1024, 1024), "train_batch_size": 4, "network_dim": 32}
    assert gib(small_config(tmp_path, **usual), SDXL) > 31.5
    assert gib(small_config(tmp_path, **usual, **CHECKPOINTED), SDXL) < 20


def test_of_sdxl_everything_that_stays_on_the_card_counts(tmp_path):
    def need(**changes):
        return gib(small_config(tmp_path, **{"resolution": (1024, 1024), **UNET_ONLY, **changes}), SDXL)

    text_gib = 1.6e9 / 2**30 * 0.93
    assert need(shuffle_caption=True) - need() == pytest.approx(text_gib, abs=0.01), "captions are encoded anew"
    assert need(network_train_unet_only=False) - need() > text_gib
    assert need(network_dim=256) > need(network_dim=256, optimizer_type="AdamW8bit") > need()
    assert need(network_args={"conv_dim": 64.0}) > need()
    assert need(mixed_precision="no") > 2 * need() - 3
    assert need(resolution=(768, 768)) < need()


def test_an_optimizer_takes_the_memory_that_the_trainer_reckons_with(tmp_path):
    numbers = lora_size(SDXL.network, small_config(tmp_path)).num_parameters
    usual = gib(small_config(tmp_path), SDXL)
    for optimizer, state_bytes in STATE_BYTES.items():
        more = (state_bytes - STATE_BYTES["AdamW"]) * numbers * 0.93 / 2**30
        assert gib(small_config(tmp_path, optimizer_type=optimizer), SDXL) - usual == pytest.approx(more, abs=0.002)


def test_to_try_files_out_takes_no_memory_to_learn_and_brings_no_file(tmp_path):
    usual = {"pretrained_model_name_or_path": "stabilityai/stable-diffusion-xl-base-1.0", "resolution": (1024, 1024)}
    training = small_config(write_small_dataset(tmp_path / "pictures"), **usual)
    judging = replace(training, evaluate_loras=("my.safetensors",), train_batch_size=64, network_dim=256)
    assert gib(judging, SDXL) <= 12 * 0.93 < gib(training, SDXL), "a card of 12 GB draws with SDXL"
    assert gib(replace(judging, resolution=(2048, 2048)), SDXL) > gib(judging, SDXL)
    work = work_of(judging, plan(judging, []), SDXL, upload_bytes=7, base_model_bytes=None)
    [load] = work.loads
    assert load.tries_out
    assert (load.rungs, load.least_vram_mib) == ((), load.min_vram_mib)
    assert work.result_bytes == load.judgement_bytes


def test_what_nobody_knows_the_kind_of_is_reckoned_as_the_largest(config):
    planned = plan(config, scan_config(config).pictures)
    unknown, xl = (work_of(config, planned, kind, upload_bytes=7, base_model_bytes=None) for kind in (None, SDXL))
    assert replace(unknown.loads[0], is_kind_known=True) == xl.loads[0]
    assert (unknown.min_vram_mib, unknown.file_bytes, unknown.model_bytes) == (
        xl.min_vram_mib,
        xl.file_bytes,
        xl.model_bytes,
    )
    assert not unknown.loads[0].is_kind_known
