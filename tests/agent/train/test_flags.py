"""No decorative settings: each one changes what is learned, from the very step that it should."""

import ast
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from loratui_agent.train import saving
from loratui_agent.train.run import Run
from loratui_agent.train.threads import set_num_threads
from loratui_protocol.config import KEYS
from loratui_protocol.lora_size import TINY_NETWORK, lora_size
from loratui_protocol.messages import ArtifactKind
from loratui_protocol.safetensors_header import read_header
from support.tiny_run import new_run, take_steps, trained
from support.tiny_training import write_pictures

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]
NUM_STEPS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures whose captions have something for every rule, in a folder that also has some of regularisation."""
    folder = tmp_path_factory.mktemp("run")
    for caption in write_pictures(folder / "pictures").rglob("*.txt"):
        caption.write_text("a zorbix, a {red|blue} ground, by ||| nobody, big\nanother line\n", "utf-8")
    for caption in write_pictures(folder / "reg").rglob("*.txt"):
        caption.write_text("a shape\n", "utf-8")
    return folder


def run_with(folder: Path, **changes: Any) -> tuple[Run, list[tuple[float, float]]]:
    # Without its folder a run would go on with the random seed of the one before.
    shutil.rmtree(folder / "ckpt", ignore_errors=True)
    changes = {key: str(folder / value) if key.endswith("_data_dir") else value for key, value in changes.items()}
    run = new_run(folder, **changes)
    return run, take_steps(run, NUM_STEPS)


@pytest.fixture(scope="module")
def learned_with(folder: Path) -> Callable[..., dict[str, Tensor]]:
    """Return what is learned with some settings, once for each of them."""
    known: dict[str, dict[str, Tensor]] = {}

    def learned_with(**changes: Any) -> dict[str, Tensor]:
        if repr(changes) not in known:
            run, _ = run_with(folder, **changes)
            known[repr(changes)] = trained(run)
        return known[repr(changes)]

    return learned_with


@pytest.fixture(scope="module")
def plain(learned_with: Callable[..., dict[str, Tensor]]) -> dict[str, Tensor]:
    return learned_with()


SETTINGS: list[dict[str, Any]] = [
    {"zero_terminal_snr": True},
    {"clip_skip": 2},
    {"reg_data_dir": "reg"},
    {"reg_data_dir": "reg", "prior_loss_weight": 0.1},
    {"bucket_reso_steps": 32, "resolution": (32, 32)},
    {"resolution": (96, 96), "bucket_reso_steps": 32},
    {"resolution": (96, 96), "enable_bucket": False},
    {"resolution": (128, 128), "max_bucket_reso": 64},
    {"resolution": (128, 128), "bucket_no_upscale": True},
    {"caption_prefix": "a red circle and"},
    {"caption_suffix": "and a red circle"},
    {"shuffle_caption": True},
    {"shuffle_caption": True, "caption_separator": " "},
    {"secondary_separator": "zorbix"},
    {"shuffle_caption": True, "keep_tokens": 3},
    {"shuffle_caption": True, "keep_tokens_separator": "|||"},
    {"enable_wildcard": True},
    {"caption_dropout_rate": 1.0},
    {"caption_dropout_every_n_epochs": 1},
    {"caption_tag_dropout_rate": 1.0},
    {"token_warmup_step": 100},
    {"token_warmup_step": 100, "token_warmup_min": 0},
    {"seed": 9, "flip_aug": True},
    {"network_dim": 2},
    {"network_alpha": 1.0},
    {"network_dropout": 0.5},
    {"network_args": {"rank_dropout": 0.5}},
    {"network_args": {"module_dropout": 0.5}},
    {"network_args": {"loraplus_lr_ratio": 16.0}},
    {"network_args": {"loraplus_unet_lr_ratio": 16.0}},
    {"network_args": {"loraplus_text_encoder_lr_ratio": 16.0}},
    {"scale_weight_norms": 1e-3},
    {"learning_rate": 1e-4},
    {"unet_lr": 1e-4},
    {"text_encoder_lr": 1e-4},
    {"optimizer_type": "Lion"},
    {"optimizer_args": {"weight_decay": 0.5}},
    {"lr_scheduler": "cosine"},
    {"lr_scheduler": "cosine_with_restarts", "lr_scheduler_num_cycles": 6},
    {"lr_scheduler": "polynomial", "lr_scheduler_power": 3.0},
    {"lr_scheduler": "warmup_stable_decay", "lr_decay_steps": 12},
    {"lr_scheduler": "warmup_stable_decay", "lr_decay_steps": 12, "lr_scheduler_min_lr_ratio": 0.9},
    {"lr_scheduler": "inverse_sqrt", "lr_scheduler_timescale": 1},
    {"lr_scheduler": "constant_with_warmup", "lr_warmup_steps": 4},
    {"max_grad_norm": 1e-3},
    {"train_batch_size": 1},
    {"gradient_accumulation_steps": 2},
    {"seed": 8},
    {"loss_type": "l1"},
    {"loss_type": "huber"},
    {"loss_type": "smooth_l1"},
    {"loss_type": "huber", "huber_schedule": "constant"},
    {"loss_type": "huber", "huber_schedule": "exponential"},
    {"loss_type": "huber", "huber_c": 0.9},
    {"loss_type": "huber", "huber_schedule": "constant", "huber_scale": 5.0},
    {"min_snr_gamma": 1.0},
    {"debiased_estimation_loss": True},
    {"v_pred_like_loss": 0.5},
    {"scale_v_pred_loss_like_noise_pred": True},
    {"noise_offset": 0.1},
    {"multires_noise_iterations": 6},
    {"multires_noise_iterations": 6, "multires_noise_discount": 0.9},
    {"ip_noise_gamma": 0.1},
    {"min_timestep": 900},
    {"max_timestep": 100},
]
"""The last key of each is what changes the result; those before it only have to be set for that."""

SHOWN_BY: dict[str, str] = {
    "pretrained_model_name_or_path": "agent/train/test_long_captions.py::"
    "test_what_stands_beyond_75_tokens_is_learned_from",
    "v_parameterization": "agent/train/test_prediction.py::test_a_config_that_contradicts_the_files_is_refused",
    "train_data_dir": "protocol/test_dataset.py::test_with_wildcards_every_line_counts",
    "masked_loss": "agent/train/test_masks.py::test_a_white_mask_learns_everything_and_a_black_one_nothing",
    "conditioning_data_dir": "agent/train/test_masks.py::test_a_mask_goes_the_way_of_its_picture_mirrored_or_not",
    "alpha_mask": "agent/train/test_masks.py::test_transparency_can_be_the_mask",
    "min_bucket_reso": "protocol/test_buckets.py::test_the_buckets_of_a_config_are_sd_scripts",
    "caption_extension": "protocol/test_dataset.py::test_a_caption_is_read_from_txt_then_from_caption",
    "max_token_length": "agent/train/test_long_captions.py::test_what_stands_beyond_75_tokens_is_learned_from",
    "network_module": "protocol/test_config.py::test_an_impossible_value_is_refused_by_name",
    "network_weights": "agent/train/test_starting.py::test_a_training_begins_with_what_the_file_holds_and_learns_on",
    "dim_from_weights": "agent/train/test_starting.py::test_each_module_may_have_its_own_rank_and_alpha_from_the_file",
    "network_train_unet_only": "agent/train/test_sdxl.py::test_a_part_without_a_rate_is_left_as_it_is",
    "network_train_text_encoder_only": "agent/train/test_sdxl.py::test_a_part_without_a_rate_is_left_as_it_is",
    "lr_scheduler_args": "agent/train/test_optim.py::test_the_schedules_fall_as_their_names_say",
    "max_train_steps": "protocol/test_plan.py::test_a_number_of_steps_may_end_within_an_epoch",
    "max_train_epochs": "protocol/test_plan.py::test_steps_are_counted_as_sd_scripts_counts_them",
    "mixed_precision": "agent/train/test_sdxl.py::test_it_draws_while_it_trains_and_with_the_finished_file",
    "gradient_checkpointing": "agent/train/test_flags.py::test_checkpointing_computes_more_and_learns_the_same",
    "validation_split": "protocol/test_held_out.py::test_a_share_is_kept_to_or_said_to_be_too_small",
    "validation_seed": "protocol/test_held_out.py::test_the_same_ones_are_chosen_anywhere_and_others_by_another_seed",
    "validate_every_n_steps": "protocol/test_held_out.py::"
    "test_they_are_looked_at_as_often_as_costs_a_twentieth_of_the_time",
    "validate_every_n_epochs": "protocol/test_held_out.py::"
    "test_they_are_looked_at_as_often_as_costs_a_twentieth_of_the_time",
    "num_cpu_threads": "agent/train/test_flags.py::test_threads_are_as_many_as_asked_for",
    "output_dir": "tui/sessions/test_downloads.py::test_finished_files_are_copied_where_the_config_says",
    "output_name": "protocol/test_plan.py::test_files_on_the_way_have_sd_scripts_names",
    "save_precision": "agent/train/test_flags.py::test_the_file_has_the_type_and_says_the_word_that_were_asked_for",
    "save_format": "agent/train/test_diffusers_format.py::test_diffusers_loads_it_with_every_rank_and_alpha",
    "save_every_n_steps": "protocol/test_plan.py::test_files_on_the_way_have_sd_scripts_names",
    "save_every_n_epochs": "protocol/test_plan.py::test_files_on_the_way_have_sd_scripts_names",
    "checkpoint_every_n_steps": "protocol/test_plan.py::test_samples_and_checkpoints_come_where_they_are_asked_for",
    "trigger_word": "agent/train/test_flags.py::test_the_file_has_the_type_and_says_the_word_that_were_asked_for",
    "training_comment": "agent/train/test_metadata.py::"
    "test_what_its_owner_wants_said_is_said_as_it_is_and_decides_no_weight",
    "metadata_title": "agent/train/test_metadata.py::"
    "test_what_its_owner_wants_said_is_said_as_it_is_and_decides_no_weight",
    "metadata_author": "agent/train/test_metadata.py::"
    "test_what_its_owner_wants_said_is_said_as_it_is_and_decides_no_weight",
    "metadata_description": "agent/train/test_metadata.py::"
    "test_what_its_owner_wants_said_is_said_as_it_is_and_decides_no_weight",
    "metadata_license": "agent/train/test_metadata.py::"
    "test_what_its_owner_wants_said_is_said_as_it_is_and_decides_no_weight",
    "metadata_tags": "agent/train/test_metadata.py::"
    "test_what_its_owner_wants_said_is_said_as_it_is_and_decides_no_weight",
    "rights_statement": "agent/train/test_metadata.py::"
    "test_what_its_owner_wants_said_is_said_as_it_is_and_decides_no_weight",
    "no_metadata": "agent/train/test_metadata.py::test_with_no_metadata_how_it_was_trained_stays_untold",
    "evaluate_checkpoints": "agent/judge/test_judge.py::"
    "test_a_training_judges_its_files_evenly_spread_with_the_last_one",
    "evaluate_loras": "agent/judge/test_judge.py::test_files_alone_are_judged_without_a_training_or_pictures",
    "evaluate_together": "agent/judge/test_judge.py::test_another_lora_and_the_negative_prompt_change_the_picture",
    "evaluate_weights": "agent/judge/test_judge.py::test_there_are_as_many_weights_and_seeds_as_asked_for",
    "evaluate_seeds": "agent/judge/test_judge.py::test_there_are_as_many_weights_and_seeds_as_asked_for",
    "evaluate_prompts": "agent/judge/test_judge.py::test_pictures_of_other_prompts_or_files_are_drawn_anew",
    "evaluate_class_word": "protocol/test_judging.py::test_a_class_word_of_the_config_goes_before_that_of_the_folder",
    "evaluate_dino": "agent/judge/test_judge.py::test_a_feature_model_that_is_not_there_fails_no_training",
    "evaluate_clip": "agent/judge/test_judge.py::test_prompts_are_judged_by_the_model_that_is_named",
    "sample_prompts": "protocol/test_plan.py::test_samples_and_checkpoints_come_where_they_are_asked_for",
    "sample_every_n_steps": "protocol/test_plan.py::test_samples_and_checkpoints_come_where_they_are_asked_for",
    "sample_every_n_epochs": "protocol/test_plan.py::test_samples_and_checkpoints_come_where_they_are_asked_for",
    "sample_at_first": "protocol/test_plan.py::test_samples_and_checkpoints_come_where_they_are_asked_for",
    "datasets": "agent/train/test_subsets.py::test_only_pictures_of_a_subset_that_is_mirrored_or_masked_are",
    "keep_best": "agent/train/test_retention.py::test_the_best_by_validation_stays_until_a_better_one_comes",
    "keep_every_n_epochs": "protocol/test_save_points.py::test_every_so_many_stay_for_good",
    "keep_every_n_steps": "protocol/test_save_points.py::test_every_so_many_stay_for_good",
    "save_last_n_epochs": "protocol/test_save_points.py::"
    "test_the_newest_files_by_epoch_stay_and_those_by_step_of_the_last_steps",
    "save_last_n_steps": "protocol/test_save_points.py::"
    "test_the_newest_files_by_epoch_stay_and_those_by_step_of_the_last_steps",
    "min_resolution": "agent/train/test_fit.py::"
    "test_all_rungs_are_there_in_their_order_and_the_first_ones_change_nothing_that_is_learned",
    "num_processes": "agent/train/test_share.py::test_no_process_is_without_a_gpu_or_a_picture",
    "stop_at_epoch": "agent/train/test_run_ends.py::test_a_run_that_stops_to_be_looked_at_ends_as_if_it_never_had",
}
"""The test of each key that can't be shown by a line above, as its place under ``tests``."""


def test_every_key_of_a_config_has_a_test_that_shows_its_effect():
    shown_above = {list(changes)[-1] for changes in SETTINGS}
    lacking = sorted(set(KEYS) - shown_above - set(SHOWN_BY))
    assert not lacking, (
        f"nothing shows what {', '.join(lacking)} does: add a line to SETTINGS that ends with the key, set so that it "
        "changes what is learned in two steps; where it does something else, name the test of that in SHOWN_BY"
    )
    assert not set(SHOWN_BY) - set(KEYS) | set(SHOWN_BY) & shown_above, "SHOWN_BY has only what SETTINGS can't show"


@pytest.mark.parametrize(("key", "place"), SHOWN_BY.items(), ids=SHOWN_BY)
def test_the_test_that_is_named_for_a_key_is_there_and_sets_it(key: str, place: str):
    file, _, name = place.partition("::")
    module = ast.parse((Path(__file__).parents[2] / file).read_text("utf-8"))
    found = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert found, f"{place} is gone: name another test of {key} in SHOWN_BY"
    # Its parameters are part of it.
    assert re.search(rf"\b{key}\b", ast.unparse(found[0])), f"{place} says nothing of {key}"


@pytest.mark.parametrize(
    "changes", SETTINGS, ids=lambda changes: " ".join(f"{key}={value}" for key, value in changes.items())
)
def test_each_setting_changes_what_is_learned(
    folder: Path, learned_with: Callable[..., dict[str, Tensor]], changes: dict[str, Any]
):
    *conditions, key = changes
    without = learned_with(**{condition: changes[condition] for condition in conditions})
    run, steps = run_with(folder, **changes)
    learned = trained(run)
    assert learned.keys() == without.keys()
    assert not all(torch.equal(tensor, without[name]) for name, tensor in learned.items()), f"{key} changes nothing"
    assert all(torch.isfinite(torch.tensor(step)).all() for step in steps)


def test_the_same_settings_learn_the_same(folder: Path, plain: dict[str, Tensor]):
    run, _ = run_with(folder)
    assert all(torch.equal(tensor, plain[name]) for name, tensor in trained(run).items())


def test_convolutions_are_learned_beside_the_rest(folder: Path, plain: dict[str, Tensor]):
    run, _ = run_with(folder, network_args={"conv_dim": 2.0, "conv_alpha": 1.0})
    more = trained(run).keys() - plain.keys()
    assert "lora_unet_mid_block_resnets_0_conv1.lora_up.weight" in more
    assert all(trained(run)[name].abs().sum() > 0 for name in more if name.endswith("lora_up.weight"))


def test_each_block_has_the_rank_and_alpha_that_it_is_given_or_no_modules(folder: Path, tmp_path: Path):
    dims = (0.0,) * 12 + (3.0,) + (2.0,) * 12
    blocks = {"block_dims": dims, "block_alphas": (6.0,) * 25, "conv_block_dims": (1.0,) * 25}
    run, _ = run_with(folder, network_args=blocks)
    learned = trained(run)
    ranks = {name: len(tensor) for name, tensor in learned.items() if name.endswith("lora_down.weight")}
    for name, rank in ranks.items():
        if "lora_te" in name:
            assert rank == run.config.network_dim
        else:
            is_wide = learned[name].dim() == 4 and learned[name].shape[-1] == 3
            expected = 1 if is_wide else (3 if "mid_block" in name else 2)
            assert rank == expected, name
            assert float(learned[name.replace("lora_down.weight", "alpha")]) == (1.0 if is_wide else 6.0), name
    down = [name for name in ranks if "lora_unet_down" in name]
    assert down
    assert all(learned[name].shape[-1] == 3 for name in down), "of these blocks only convolutions learn"
    assert lora_size(TINY_NETWORK, run.config).num_modules == len(ranks)
    run.job.artifacts.mkdir(exist_ok=True)
    saving.save_lora(run, "tiny.safetensors", ArtifactKind.LORA)


def test_checkpointing_computes_more_and_learns_the_same(folder: Path, plain: dict[str, Tensor]):
    run, _ = run_with(folder, gradient_checkpointing=True)
    assert all(torch.allclose(tensor, plain[name], atol=1e-6) for name, tensor in trained(run).items())
    blocks = [module for module in run.models.unet.modules() if hasattr(module, "gradient_checkpointing")]
    assert blocks
    assert all(block.gradient_checkpointing for block in blocks)


def test_threads_are_as_many_as_asked_for(folder: Path):
    run = new_run(folder, num_cpu_threads=2)
    set_num_threads(run, saved=None, train_once=lambda: None)
    try:
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize(("save_precision", "kind"), [("float", "F32"), ("fp16", "F16"), ("bf16", "BF16")])
def test_the_file_has_the_type_and_says_the_word_that_were_asked_for(folder: Path, save_precision: str, kind: str):
    run, _ = run_with(folder, save_precision=save_precision, trigger_word="zorbix")
    run.job.artifacts.mkdir(exist_ok=True)
    saved = saving.save_lora(run, "tiny.safetensors", ArtifactKind.LORA)
    header = read_header(run.job.artifacts / saved.id)
    assert {tensor.dtype for tensor in header.tensors.values()} == {kind}
    assert header.metadata["modelspec.trigger_phrase"] == "zorbix"
