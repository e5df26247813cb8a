"""A file of kohya's GUI means here what the GUI would have started, whatever version saved it."""

import json
from pathlib import Path
from typing import Any

import pytest

from loratui_protocol.config_file import Partial, parse_config, read_config, read_partial
from loratui_protocol.config_fix import fixed_text
from loratui_protocol.errors import ConfigError

STANDARD: dict[str, Any] = {
    "LoRA_type": "Standard",
    "pretrained_model_name_or_path": "builtin:tiny",
    "train_data_dir": "pictures",
    "max_resolution": "512,512",
    "network_dim": 8,
    "network_alpha": "4",
    "learning_rate": "0.0001",
    "lr_scheduler": "cosine",
    "epoch": "6",
    "lr_warmup": "0",
}
"""As v21 saved it: numbers partly as text."""


def of_gui(folder: Path, given: dict[str, Any] | None = None, **changes: Any) -> Partial:
    """Return what a file of the GUI with these settings says."""
    path = folder / "gui.json"
    path.write_text(json.dumps({**(STANDARD if given is None else given), **changes}), "utf-8")
    return read_partial(path)


def told(partial: Partial) -> str:
    """Return what is told of its keys, but for those that say nothing."""
    return "\n".join(f"[{each.severity}] {each.what}" for each in partial.findings if each.code != "config.gui_keys")


@pytest.mark.parametrize("key", ["stop_text_encoder_training", "stop_text_encoder_training_pct"])
def test_a_text_encoder_that_stops_early_is_warned_of_as_in_onetrainer(tmp_path: Path, key: str) -> None:
    partial = of_gui(tmp_path, **{key: 40})
    assert not partial.problems
    assert f"[warning] {key} = 40 has no effect: the text encoder learns to the end" in told(partial)
    assert key not in told(of_gui(tmp_path, **{key: 0}))


@pytest.mark.parametrize("warmup", [{"lr_warmup": 10}, {"lr_warmup": 0, "lr_warmup_steps": 50}])
def test_a_constant_rate_has_no_warm_up_in_the_gui(tmp_path: Path, warmup: dict[str, int]) -> None:
    partial = of_gui(tmp_path, lr_scheduler="constant", **warmup)
    assert "lr_warmup_steps" not in partial.values
    assert partial.values["lr_scheduler"] == "constant"
    assert "in the GUI lr_scheduler constant has no warm-up" in told(partial)
    assert "no warm-up" not in told(of_gui(tmp_path, lr_scheduler="constant"))


def test_restarts_that_are_left_empty_are_as_many_as_epochs(tmp_path: Path) -> None:
    partial = of_gui(tmp_path, lr_scheduler="cosine_with_restarts", lr_scheduler_num_cycles="")
    assert partial.values["lr_scheduler_num_cycles"] == 6
    assert "lr_scheduler_num_cycles is empty: it is 6" in told(partial)
    given = of_gui(tmp_path, lr_scheduler="cosine_with_restarts", lr_scheduler_num_cycles="2")
    assert given.values["lr_scheduler_num_cycles"] == 2
    assert "lr_scheduler_num_cycles" not in of_gui(tmp_path, lr_scheduler_num_cycles="").values


def test_what_the_gui_does_not_hand_on_as_zero_has_its_default(tmp_path: Path) -> None:
    unset = {"max_grad_norm": 0, "prior_loss_weight": 0, "min_bucket_reso": 0, "max_bucket_reso": "0"}
    assert of_gui(tmp_path, **unset).values.keys().isdisjoint(unset)
    assert of_gui(tmp_path, max_grad_norm=0.3).values["max_grad_norm"] == 0.3


def test_a_noise_offset_that_is_off_has_no_strength_of_its_own(tmp_path: Path) -> None:
    of_offset = {"noise_offset_random_strength": True, "adaptive_noise_scale": 0.01}
    assert not of_gui(tmp_path, noise_offset=0, noise_offset_type="Original", **of_offset).problems
    partial = of_gui(tmp_path, noise_offset=0.05, noise_offset_type="Original", **of_offset)
    assert {problem.what.partition(" ")[0] for problem in partial.problems} == set(of_offset)


def test_a_file_from_before_there_were_kinds_is_a_lora(tmp_path: Path) -> None:
    partial = of_gui(tmp_path, {key: value for key, value in STANDARD.items() if key != "LoRA_type"})
    assert partial.values["network_module"] == "networks.lora"
    assert "config.network_module" not in {each.code for each in partial.findings}


def test_ranks_of_blocks_have_had_two_names(tmp_path: Path) -> None:
    ranks, alphas = ",".join(["4"] * 25), ",".join(["1"] * 25)
    blocks = {"block_dims": ranks, "block_alphas": alphas, "conv_dim": 1, "conv_alpha": 1}
    old = of_gui(tmp_path, conv_dims=ranks, conv_alphas=alphas, **blocks)
    new = of_gui(tmp_path, conv_block_dims=ranks, conv_block_alphas=alphas, **blocks)
    assert old.values["network_args"] == new.values["network_args"]
    assert old.values["network_args"].keys() == {"block_dims", "block_alphas", "conv_block_dims", "conv_block_alphas"}


def test_flags_among_additional_parameters_count(tmp_path: Path) -> None:
    flags = "--min_snr_gamma=5 --network_train_unet_only --max_grad_norm 0 --optimizer_args weight_decay=0.45"
    partial = of_gui(tmp_path, additional_parameters=flags, min_snr_gamma=0, max_grad_norm=1, unet_lr="1e-4")
    assert partial.values["min_snr_gamma"] == 5
    assert partial.values["network_train_unet_only"] is True
    assert partial.values["max_grad_norm"] == 0
    assert partial.values["optimizer_args"] == {"weight_decay": 0.45}
    by_class = '--lr_scheduler_type "CosineAnnealingLR" --lr_scheduler_args "T_max=30"'
    assert [each.code for each in of_gui(tmp_path, additional_parameters=by_class).problems] == ["config.unsupported"]


# --- its TOML ---------------------------------------------------------------------------------------------------------


HANDED = """
epoch = 8
highvram = true
lr_scheduler = "cosine"
max_train_steps = 1600
network_args = []
network_alpha = 16
network_dim = 32
network_module = "networks.lora"
noise_offset_type = "Original"
pretrained_model_name_or_path = "builtin:tiny"
resolution = "512,512"
text_encoder_lr = 4e-5
train_data_dir = "pictures"
"""
"""As the GUI hands it to sd-scripts: sd-scripts' keys, and some that sd-scripts passes over."""


def test_what_the_gui_hands_to_sd_scripts_means_what_it_means_there(tmp_path: Path) -> None:
    path = tmp_path / "config_lora.toml"
    path.write_text(HANDED + "stop_text_encoder_training = 400\nlowvram = true\n", "utf-8")
    partial = read_partial(path)
    assert not partial.problems
    assert partial.values["max_train_steps"] == 1600
    assert "max_train_epochs" not in partial.values
    # In a file of the GUI's own that would leave the UNet out.
    assert "network_train_text_encoder_only" not in partial.values
    left_out = next(each.what for each in partial.findings if each.code == "config.gui_keys")
    assert all(name in left_out for name in ("epoch", "lowvram", "noise_offset_type"))
    assert "[warning] stop_text_encoder_training = 400 has no effect" in told(partial)


@pytest.mark.parametrize("line", ['additional_parameters = "--min_snr_gamma=5"', "some_new_thing = 1"])
def test_what_would_be_lost_of_it_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "config_lora.toml"
    path.write_text(f"{HANDED}{line}\n", "utf-8")
    assert [problem.code for problem in read_partial(path).problems] == ["config.unknown_key"]


def test_without_steps_the_epochs_of_such_a_file_are_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "config_lora.toml"
    path.write_text(HANDED.replace("max_train_steps = 1600", ""), "utf-8")
    problem = read_partial(path).problems[0]
    assert (problem.what.partition(" ")[0], problem.fix) == ("epoch", "did you mean max_train_epochs?")


def test_the_guis_own_names_in_toml_are_read_as_in_json(tmp_path: Path) -> None:
    path = tmp_path / "gui.toml"
    path.write_text("[lora]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in STANDARD.items()), "utf-8")
    assert read_partial(path).values == of_gui(tmp_path).values


def test_a_file_of_the_gui_is_set_right_with_its_keys_in_it(tmp_path: Path) -> None:
    path = tmp_path / "config_lora.toml"
    path.write_text(HANDED, "utf-8")
    fixed = fixed_text(read_config(path), tmp_path)
    assert "epoch = 8" in fixed
    assert "\nhighvram" not in fixed
    assert parse_config(fixed, tmp_path).config == read_config(path).config


def test_the_old_switch_of_an_optimizer_counts_where_there_is_no_list(tmp_path: Path) -> None:
    assert of_gui(tmp_path, use_8bit_adam=True).values["optimizer_type"] == "AdamW8bit"
    assert of_gui(tmp_path, use_8bit_adam=True, optimizer="Lion").values["optimizer_type"] == "Lion"
    assert "optimizer_type" not in of_gui(tmp_path, use_8bit_adam=False).values


def test_locon_of_lycoris_is_locon_unless_it_asks_for_more(tmp_path: Path) -> None:
    locon = {
        "LoRA_type": "LyCORIS/LoCon",
        "LyCORIS_preset": "full",
        "conv_dim": 8,
        "conv_alpha": 4,
        "use_tucker": False,
    }
    partial = of_gui(tmp_path, **locon)
    assert not partial.problems
    assert partial.values["network_args"] == {"conv_dim": 8, "conv_alpha": 4}
    for more in ({"use_tucker": True}, {"LyCORIS_preset": "attn-mlp"}, {"dora_wd": True}):
        assert "LyCORIS/LoCon" in of_gui(tmp_path, **{**locon, **more}).problems[0].what


def test_epochs_of_a_dataset_config_count_here_alone(tmp_path: Path) -> None:
    assert "with a dataset_config the GUI makes 1600 steps instead" in told(of_gui(tmp_path, dataset_config="set.toml"))
    steps = of_gui(tmp_path, dataset_config="set.toml", max_train_steps=900)
    assert "1600" not in told(steps)


def test_rates_of_the_dreambooth_tab_say_nothing_to_a_lora(tmp_path: Path) -> None:
    assert not of_gui(tmp_path, learning_rate_te=1e-5, learning_rate_te1=1e-5, learning_rate_te2=1e-5).problems


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"configuration": {}, "dataset_preparation": {}, "model": {"train_data_dir": "x"}}, "kohya's GUI itself"),
        ({"model_family": "sdxl", "data_backend_config": "x.json", "learning_rate": 1e-4}, "SimpleTuner"),
    ],
)
def test_files_of_others_with_some_of_the_same_keys_are_named(
    tmp_path: Path, content: dict[str, Any], what: str
) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        of_gui(tmp_path, content)
    assert caught.value.code == "config.not_a_config"
