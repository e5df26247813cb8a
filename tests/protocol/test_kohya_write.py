"""A config for sd-scripts has its keys and types, and means what it meant."""

import ast
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from loratui_protocol import kohya
from loratui_protocol.config import KEYS, TrainingConfig
from loratui_protocol.config_file import parse_config
from loratui_protocol.kohya_write import Written, prompt_line, to_kohya
from loratui_protocol.sd_scripts_arguments import (
    ARGUMENTS,
    DATASET_ARGUMENTS,
    MASKED_SUBSET_ARGUMENTS,
    SHARED_ARGUMENTS,
    SUBSET_ARGUMENTS,
    Argument,
)
from loratui_protocol.subsets import DatasetConfig, Subset
from support.protocol_strategies import configs, plain_config

PLACE = Path("/out/training_config.toml")
LEFT_OUT = (
    *("min_resolution", "stop_at_epoch", "num_cpu_threads", "num_processes", "save_format", "rights_statement"),
    *("keep_every_n_epochs", "keep_every_n_steps", "keep_best", "checkpoint_every_n_steps"),
    *(key for key in KEYS if key.startswith("evaluate_")),
)


def flat(text: str) -> dict[str, Any]:
    """Return what sd-scripts makes of a file: sections are ignored."""
    return {key: value for table in tomllib.loads(text).values() for key, value in table.items()}


def meant(config: TrainingConfig) -> TrainingConfig:
    """Return the config with what it leaves open written out, and without what sd-scripts has no word for."""
    defaults = TrainingConfig(pretrained_model_name_or_path="x", train_data_dir="x")
    return replace(
        config,
        **{key: getattr(defaults, key) for key in LEFT_OUT},
        caption_extension=config.caption_extension or ".txt",
        mixed_precision=config.mixed_precision or "bf16",
        output_dir=config.output_dir or "output",
        network_alpha=config.network_alpha if config.network_weights else config.alpha,
        max_token_length=None if config.max_token_length == 75 else config.max_token_length,
        sample_prompts=tuple(line for line in map(prompt_line, config.sample_prompts) if line),
        **(_bucket_sides(config, config) if config.enable_bucket else {}),
        datasets=tuple(_meant_dataset(config, dataset) for dataset in config.datasets),
        lr_scheduler_args=tuple(each.replace(" ", "") for each in config.lr_scheduler_args),
    )


def _bucket_sides(of: Any, config: TrainingConfig) -> dict[str, int]:
    return {
        "min_bucket_reso": min(of.min_bucket_reso, *config.resolution),
        "max_bucket_reso": max(of.max_bucket_reso, *config.resolution),
    }


def _meant_dataset(config: TrainingConfig, dataset: DatasetConfig) -> DatasetConfig:
    own = dict(dataset.settings)
    of_subsets = {key: own.pop(key) for key in list(own) if key not in (*DATASET_ARGUMENTS, "train_batch_size")}
    under = {**{key: getattr(config, key) for key in ("resolution", "enable_bucket")}, **own}
    for key, pick in (("min_bucket_reso", min), ("max_bucket_reso", max)):
        value = own.get(key, getattr(config, key))
        limited = pick(value, *under["resolution"])
        if under["enable_bucket"] and (key in own or limited != value):
            own[key] = limited
    if "validation_split" in own:
        own["validation_split"] = own["validation_split"] or 0.0
    if own.get("validation_seed", 0) is None:
        del own["validation_seed"]
    subsets = tuple(
        replace(subset, settings=_meant_subset({**of_subsets, **subset.settings})) for subset in dataset.subsets
    )
    return DatasetConfig(subsets=subsets, settings=own)


def _meant_subset(settings: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in settings.items() if key != "conditioning_data_dir"}
    return {key: ".txt" if key == "caption_extension" and value is None else value for key, value in kept.items()}


def read_again(written: Written, folder: Path) -> TrainingConfig:
    """Return what our own reader makes of the files, which are put into a folder."""
    text = written.text
    for path, content in written.others.items():
        (folder / path.name).write_text(content, "utf-8")
        text = text.replace(str(path), str(folder / path.name))
    return parse_config(text, Path("/elsewhere")).config


def misfits(table: Mapping[str, Any], known: Mapping[str, Argument]) -> list[str]:
    return [key for key, value in table.items() if key not in known or not known[key].takes(value)]


@given(config=configs())
def test_every_key_is_one_of_sd_scripts_and_of_its_type(config: TrainingConfig):
    written = to_kohya(config, PLACE)
    assert misfits(flat(written.text), ARGUMENTS) == []
    for path, content in written.others.items():
        if path.suffix == ".txt":
            continue
        tables = tomllib.loads(content)["datasets"]
        assert [misfits({k: v for k, v in table.items() if k != "subsets"}, DATASET_ARGUMENTS) for table in tables] == [
            [] for _ in tables
        ]
        for subset in (subset for table in tables for subset in table["subsets"]):
            assert misfits(subset, SUBSET_ARGUMENTS) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("written")


@given(config=configs())
def test_what_is_written_means_what_it_meant(folder: Path, config: TrainingConfig):
    again = read_again(to_kohya(config, PLACE), folder)
    wanted = meant(config)
    # Relative to the file here, to where it was started there.
    assert replace(again, output_dir="") == replace(wanted, output_dir="")


@given(configs())
def test_what_has_no_key_there_is_told_and_stands_as_a_comment(config: TrainingConfig):
    written = to_kohya(config, PLACE)
    told = " ".join(finding.what for finding in written.findings if finding.code == "config.left_out")
    for key in LEFT_OUT:
        is_set = getattr(config, key) != getattr(plain_config(), key)
        assert (f"{key} = " in told) == is_set
        assert (f"# {key} is no key of sd-scripts" in written.text) == is_set


def test_what_an_unset_key_means_here_is_written_out():
    written = flat(to_kohya(plain_config(resolution=(512, 768), learning_rate=1e-4), PLACE).text)
    assert written["network_alpha"] == 4
    assert written["caption_extension"] == ".txt"
    assert written["enable_bucket"] is True
    assert written["max_bucket_reso"] == 2048
    assert written["learning_rate"] == 1e-4
    assert written["mixed_precision"] == "bf16"
    assert written["save_precision"] == "fp16"
    assert written["resolution"] == "512,768"
    assert written["output_dir"] == "output"
    assert written["network_module"] == "networks.lora"
    assert (written["sdpa"], written["cache_latents"], written["no_half_vae"], written["save_state"]) == (True,) * 4
    told = [each.what for each in to_kohya(plain_config(), PLACE).findings if each.code == "config.written_out"]
    assert {what.partition(":")[0] for what in told} == {
        *("caption_extension", "mixed_precision", "output_dir", "validation_split", "v_parameterization")
    }


def test_lists_are_as_sd_scripts_takes_them_apart():
    config = plain_config(
        text_encoder_lr=(1e-5, 2e-5),
        network_args={"conv_dim": 8.0, "conv_alpha": 4.0},
        optimizer_args={"weight_decay": 0.1, "betas": (0.9, 0.99)},
        lr_scheduler="piecewise_constant",
        lr_scheduler_args=("step_rules=1:100,0.1:200,0.01",),
    )
    written = flat(to_kohya(config, PLACE).text)
    assert written["text_encoder_lr"] == [1e-5, 2e-5]
    assert written["network_args"] == ["conv_dim=8", "conv_alpha=4.0"]
    arguments = dict(each.split("=") for each in written["optimizer_args"] + written["lr_scheduler_args"])
    assert {name: ast.literal_eval(value) for name, value in arguments.items()} == {
        "weight_decay": 0.1,
        "betas": (0.9, 0.99),
        "step_rules": "1:100,0.1:200,0.01",
    }
    assert parse_config(to_kohya(config, PLACE).text, Path("/")).config.lr_scheduler_args == config.lr_scheduler_args
    assert flat(to_kohya(plain_config(text_encoder_lr=1e-5), PLACE).text)["text_encoder_lr"] == [1e-5]


def test_masks_are_written_where_all_folders_of_a_dataset_have_some():
    subsets = (Subset(image_dir="/a", num_repeats=2), Subset(image_dir="/b"))
    config = plain_config(
        masked_loss=True, conditioning_data_dir="/masks", datasets=(DatasetConfig(subsets=subsets, settings={}),)
    )
    [text] = to_kohya(config, PLACE).others.values()
    [table] = tomllib.loads(text)["datasets"]
    assert [misfits(subset, MASKED_SUBSET_ARGUMENTS) for subset in table["subsets"]] == [[], []]
    assert [subset["conditioning_data_dir"] for subset in table["subsets"]] == ["/masks", "/masks"]
    reg = replace(config, datasets=(DatasetConfig(subsets=(*subsets, Subset(image_dir="/r", is_reg=True))),))
    written = to_kohya(reg, PLACE)
    assert "conditioning_data_dir" not in "".join(written.others.values())
    assert any("takes no conditioning_data_dir" in finding.what for finding in written.findings)


@pytest.mark.parametrize("model", ["builtin:tiny", "https://example.org/x.safetensors", "org/name@fp16"])
def test_a_base_model_that_sd_scripts_can_not_load_is_told(model: str):
    config = plain_config(pretrained_model_name_or_path=model)
    assert "config.base_of_kohya" in {finding.code for finding in to_kohya(config, PLACE).findings}
    right = plain_config(pretrained_model_name_or_path="org/name")
    assert "config.base_of_kohya" not in {finding.code for finding in to_kohya(right, PLACE).findings}


def test_prompts_that_are_no_line_of_a_file_are_told():
    written = to_kohya(plain_config(sample_prompts=("a cat\nasleep --d 1", "# a", "")), PLACE)
    assert list(written.others.values()) == ["a cat asleep --d 1\n"]
    assert any(finding.what.startswith("2 of the sample_prompts") for finding in written.findings)


# --- the list of arguments --------------------------------------------------------------------------------------------


def test_every_argument_of_sd_scripts_is_used_or_refused_or_known_to_have_no_effect():
    known = {*KEYS, *kohya.UNSUPPORTED, *kohya.WITHOUT_EFFECT, *kohya.CERTAIN, *kohya.SAME, "dataset_config"}
    assert set(ARGUMENTS) - known == set()


def test_what_is_kept_of_other_defaults_agrees_with_the_list():
    of_datasets = {**DATASET_ARGUMENTS, **SHARED_ARGUMENTS, "metadata_file": Argument((str,))}
    for key, (default, _) in kohya.UNSUPPORTED.items():
        assert {**of_datasets, **ARGUMENTS}[key].default == default, key


OF_SUBSETS = DatasetConfig(
    subsets=(
        Subset(image_dir="/a", num_repeats=10, settings={"keep_tokens": 2, "caption_extension": ".caption"}),
        Subset(image_dir="/b", is_reg=True, class_tokens="a cat"),
    ),
    settings={"train_batch_size": 3, "shuffle_caption": True, "resolution": (768, 768)},
)


@pytest.mark.parametrize(
    ("settings", "there"),
    [
        ({"learning_rate": 3e-5}, {"learning_rate": 3e-5, "unet_lr": None, "text_encoder_lr": None}),
        ({"unet_lr": 2e-4, "text_encoder_lr": 1e-5}, {"unet_lr": 2e-4, "text_encoder_lr": [1e-5]}),
        ({"text_encoder_lr": (1e-5, 0.0)}, {"text_encoder_lr": [1e-5, 0.0]}),
        ({"unet_lr": 0.0}, {"unet_lr": 0.0}),
        ({"network_train_unet_only": True}, {"network_train_unet_only": True}),
        ({"network_dim": 32}, {"network_dim": 32, "network_alpha": 32}),
        ({"network_dim": 32, "network_alpha": 1.0}, {"network_dim": 32, "network_alpha": 1.0}),
        ({"network_args": {"conv_dim": 8.0}}, {"network_args": ["conv_dim=8"]}),
        ({"caption_extension": ".caption", "keep_tokens": 3}, {"caption_extension": ".caption", "keep_tokens": 3}),
        ({"lr_warmup_steps": 0.1, "lr_scheduler": "cosine"}, {"lr_warmup_steps": 0.1, "lr_scheduler": "cosine"}),
        ({"lr_scheduler": "cosine_with_restarts", "lr_scheduler_num_cycles": 3}, {"lr_scheduler_num_cycles": 3}),
        ({"max_train_epochs": 7}, {"max_train_epochs": 7}),
        ({"max_grad_norm": 0.0}, {"max_grad_norm": 0.0}),
        ({"resolution": (640, 512), "enable_bucket": False}, {"resolution": "640,512", "enable_bucket": False}),
        ({"max_token_length": 225, "clip_skip": 2}, {"max_token_length": 225, "clip_skip": 2}),
        ({"mixed_precision": "no", "save_precision": "float"}, {"mixed_precision": "no", "save_precision": "float"}),
        ({"min_snr_gamma": 5.0, "noise_offset": 0.05}, {"min_snr_gamma": 5.0, "noise_offset": 0.05}),
        ({"optimizer_type": "Prodigy", "learning_rate": 1.0}, {"optimizer_type": "Prodigy", "learning_rate": 1.0}),
        ({"trigger_word": "ohwx", "seed": 0}, {"metadata_trigger_phrase": "ohwx", "seed": 0}),
        ({"train_data_dir": None, "datasets": (OF_SUBSETS,)}, {"train_data_dir": None}),
    ],
)
def test_a_setting_stands_there_as_sd_scripts_reads_it(settings: dict[str, Any], there: dict[str, Any]) -> None:
    found = flat(to_kohya(plain_config(**settings), PLACE).text)
    # What is not there has sd-scripts' own default.
    said = {key: found.get(key, ARGUMENTS[key].default) for key in there}
    assert said == there
    assert [key for key, value in said.items() if value is not None and not ARGUMENTS[key].takes(value)] == []


def test_subsets_stand_in_a_file_of_their_own_as_sd_scripts_reads_them() -> None:
    written = to_kohya(plain_config(datasets=(OF_SUBSETS,), caption_extension=".txt"), PLACE)
    [dataset] = tomllib.loads(written.others[Path(flat(written.text)["dataset_config"])])["datasets"]
    assert (dataset["batch_size"], dataset["resolution"]) == (3, [768, 768])
    assert dataset["subsets"] == [
        {
            "image_dir": "/a",
            "num_repeats": 10,
            "shuffle_caption": True,
            "keep_tokens": 2,
            "caption_extension": ".caption",
        },
        {"image_dir": "/b", "num_repeats": 1, "is_reg": True, "class_tokens": "a cat", "shuffle_caption": True},
    ]


def test_what_sd_scripts_does_otherwise_with_the_same_keys_is_told() -> None:
    both = plain_config(sample_prompts=("a cat",), sample_every_n_steps=50, sample_every_n_epochs=1)
    assert "every so many epochs alone" in " ".join(each.what for each in to_kohya(both, PLACE).findings)
    steps = plain_config(sample_prompts=("a cat",), sample_every_n_steps=50)
    assert "every so many epochs alone" not in " ".join(each.what for each in to_kohya(steps, PLACE).findings)
    sdxl = plain_config(pretrained_model_name_or_path="stabilityai/stable-diffusion-xl-base-1.0")
    assert "config.script" in {each.code for each in to_kohya(sdxl, PLACE).findings}
    assert "config.script" not in {each.code for each in to_kohya(plain_config(), PLACE).findings}
