from dataclasses import replace
from typing import Any

import pytest

from loratui_protocol.config import KEYS, SECTIONS, TrainingConfig
from loratui_protocol.errors import ConfigError
from loratui_protocol.kohya import CERTAIN, LIKELY, UNSUPPORTED, WITHOUT_EFFECT
from support.protocol_strategies import plain_config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network_dim", 0),
        ("train_batch_size", -1),
        ("max_train_epochs", 0),
        ("learning_rate", -1e-4),
        ("learning_rate", float("nan")),
        ("resolution", (16, 512)),
        ("pretrained_model_name_or_path", ""),
        ("network_module", "networks.dylora"),
        ("optimizer_type", "Sophia"),
        ("lr_scheduler", "rex"),
        ("mixed_precision", "fp8"),
        ("save_precision", "int8"),
        ("caption_dropout_rate", 1.5),
        ("network_alpha", 0.0),
        ("network_dropout", 1.0),
        ("min_snr_gamma", -5.0),
        ("prior_loss_weight", -1.0),
        ("max_grad_norm", -1.0),
        ("lr_warmup_steps", -1),
        ("lr_warmup_steps", 10),
        ("output_name", "../evil"),
        ("min_bucket_reso", 0),
        ("max_bucket_reso", -64),
        ("output_name", ".hidden"),
        ("output_name", ""),
    ],
)
def test_an_impossible_value_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        plain_config(**{key: value})
    assert caught.value.code == "config.value"
    assert key in caught.value.what
    assert key in caught.value.fix


def test_all_impossible_values_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        plain_config(network_dim=0, train_batch_size=0)
    assert "network_dim = 0" in caught.value.what
    assert "train_batch_size = 0" in caught.value.what


def test_a_run_that_would_train_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="learning_rate"):
        plain_config(unet_lr=0.0, text_encoder_lr=0.0)
    with pytest.raises(ConfigError, match="network_train_unet_only"):
        plain_config(network_train_unet_only=True, network_train_text_encoder_only=True)


def test_a_warm_up_is_a_number_of_steps_or_a_share_of_them() -> None:
    assert plain_config(lr_scheduler="cosine", lr_warmup_steps=100).lr_warmup_steps == 100
    assert plain_config(lr_scheduler="cosine", lr_warmup_steps=0.1).lr_warmup_steps == 0.1
    with pytest.raises(ConfigError, match="lr_warmup_steps"):
        plain_config(lr_scheduler="cosine", lr_warmup_steps=1.5)


def test_alpha_is_the_rank_unless_set() -> None:
    assert plain_config(network_dim=16).alpha == 16.0
    assert plain_config(network_dim=16, network_alpha=8.0).alpha == 8.0


def test_each_part_has_its_own_rate_or_the_common_one() -> None:
    config = plain_config(learning_rate=1e-3, text_encoder_lr=1e-5)
    assert (config.effective_unet_lr, config.effective_text_encoder_lrs) == (1e-3, (1e-5, 1e-5))
    assert replace(config, network_train_unet_only=True).effective_text_encoder_lrs == (0.0, 0.0)
    assert plain_config(text_encoder_lr=(1e-5, 0.0)).effective_text_encoder_lrs == (1e-5, 0.0)
    assert replace(config, network_train_text_encoder_only=True).effective_unet_lr == 0.0


def test_the_sections_hold_every_key_once_but_the_datasets_which_are_tables_of_their_own() -> None:
    held = [key for first, last in SECTIONS.values() for key in KEYS[KEYS.index(first) : KEYS.index(last) + 1]]
    assert (*held, "datasets") == KEYS


def test_a_key_is_supported_without_effect_or_refused_but_never_two_of_them() -> None:
    groups = [set(KEYS), set(WITHOUT_EFFECT), set(UNSUPPORTED), set(CERTAIN), set(LIKELY)]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert {*CERTAIN.values(), *LIKELY.values()} <= set(KEYS)


def test_a_config_needs_a_model_and_a_dataset_only() -> None:
    config = TrainingConfig(pretrained_model_name_or_path="builtin:tiny", train_data_dir="/data")
    assert config.network_module == "networks.lora"
