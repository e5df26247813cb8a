"""What no training survives is an error, what nobody trains with a warning, and what is usual is left alone."""

from pathlib import Path
from typing import Any

import pytest

from loratui.domain.config_figures import WIDEST, against_plan, figures
from loratui.domain.config_hints import hints
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import scan_config
from loratui_protocol.errors import ConfigError
from loratui_protocol.findings import Finding
from loratui_protocol.plan import plan
from support.small_dataset import small_config, write_small_dataset

RATE, FIGURE = "config.learning_rate", "config.figure"


def config(**changes: Any) -> TrainingConfig:
    return small_config(Path("/pictures"), **{"network_alpha": 4, **changes})


def told(found: list[Finding]) -> dict[str, str]:
    return {each.code: each.severity for each in found}


@pytest.mark.parametrize(
    ("changes", "fix"),
    [
        ({"learning_rate": 0.1}, "write learning_rate = 1e-4"),
        ({"unet_lr": 0.5}, "write unet_lr = 1e-4"),
        ({"text_encoder_lr": (1e-5, 0.3)}, "write text_encoder_lr = 1e-5"),
        ({"learning_rate": 1.0, "optimizer_type": "Lion8bit"}, "write learning_rate = 1e-4"),
        (
            {"learning_rate": 1.0, "optimizer_type": "AdaFactor", "optimizer_args": {"relative_step": False}},
            "write learning_rate = 1e-4",
        ),
        ({"network_args": {"loraplus_lr_ratio": 5000.0}}, 'write "loraplus_lr_ratio=16" there'),
    ],
)
def test_a_rate_that_leaves_noise_is_one_error_with_the_line_to_write(changes: dict[str, Any], fix: str):
    wrong = [each for each in hints(config(**changes)) if each.code in (RATE, "config.effective_lr")]
    assert [(each.code, each.severity, each.fix) for each in wrong] == [(RATE, "error", fix)]


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": 0.09},
        {"learning_rate": 1.0, "optimizer_type": "Prodigy"},
        {"learning_rate": 1.0, "optimizer_type": "SGDNesterov"},
        {"learning_rate": 1.0, "optimizer_type": "AdaFactor"},
        {"learning_rate": 1.0, "unet_lr": 1e-4, "text_encoder_lr": 1e-5},
        {"text_encoder_lr": 1.0, "network_train_unet_only": True},
    ],
)
def test_a_rate_that_is_right_for_its_optimizer_or_has_no_effect_is_none(changes: dict[str, Any]):
    assert RATE not in told(figures(config(**changes)))


@pytest.mark.parametrize(
    ("key", "usual", "odd", "hopeless"),
    [
        ("noise_offset", (None, 0, 0.0357, 0.1), (0.3, 1), (1.01, 5.0)),
        ("ip_noise_gamma", (None, 0.1), (0.5,), ()),
        ("min_snr_gamma", (None, 1, 5, 20), (0.5, 50), (0.01, 5000)),
        ("network_dropout", (None, 0, 0.1, 0.5), (0.9,), ()),
        ("multires_noise_iterations", (None, 6, 10), (500,), ()),
        ("v_pred_like_loss", (None, 0.5), (20,), (1000,)),
    ],
)
def test_each_figure_is_held_against_what_is_usual(key: str, usual: Any, odd: Any, hopeless: Any):
    for severity, values in (("warning", odd), ("error", hopeless)):
        for value in values:
            [finding] = figures(config(**{key: value}))
            assert (finding.code, finding.severity) == (FIGURE, severity)
            assert f"{key} is {value:g}" in finding.what
            assert f"write {key} = " in finding.fix
    for value in usual:
        assert figures(config(**{key: value})) == []


@pytest.mark.parametrize("name", ["rank_dropout", "module_dropout"])
def test_so_is_what_stands_among_the_arguments_of_the_network(name: str):
    assert told(figures(config(network_args={name: 0.9}))) == {FIGURE: "warning"}
    assert figures(config(network_args={name: 0.1})) == []


def test_the_weight_of_regularisation_pictures_counts_where_there_are_some():
    assert told(figures(config(prior_loss_weight=500, reg_data_dir="/reg"))) == {FIGURE: "error"}
    assert figures(config(prior_loss_weight=500)) == []


def test_a_rank_above_that_of_the_widest_layer_is_one_error():
    assert WIDEST == 1280
    [finding] = [each for each in hints(config(network_dim=99999)) if each.severity != "info"]
    assert (finding.code, finding.severity, finding.fix) == ("config.rank", "error", "write network_dim = 32")
    conv = config(network_args={"conv_dim": 5000.0, "conv_alpha": 5000.0})
    assert told(figures(conv)) == {"config.rank": "error"}
    assert figures(config(network_dim=1280, network_alpha=1280)) == []


@pytest.mark.parametrize(("alpha", "code"), [(1000, "config.network_alpha"), (1e-9, "config.network_alpha")])
def test_an_alpha_out_of_all_proportion_is_one_error(alpha: float, code: str):
    wrong = [each for each in hints(config(network_alpha=alpha)) if each.severity != "info"]
    assert [(each.code, each.severity) for each in wrong] == [(code, "error")]
    assert told(hints(config(network_alpha=8)))["config.alpha_above_rank"] == "warning"


@pytest.mark.parametrize(
    "changes",
    [{"caption_dropout_rate": 0.9}, {"caption_tag_dropout_rate": 1.0}, {"caption_dropout_every_n_epochs": 1}],
)
def test_captions_that_are_hardly_ever_shown_are_a_warning(changes: dict[str, Any]):
    assert told(figures(config(**changes))) == {"config.caption_dropout": "warning"}
    assert figures(config(caption_dropout_rate=0.1, caption_dropout_every_n_epochs=5)) == []


@pytest.mark.parametrize(
    ("changes", "code", "severity", "fix"),
    [
        ({"lr_warmup_steps": 500}, "plan.warmup", "error", "write lr_warmup_steps = 20"),
        ({"lr_warmup_steps": 400}, "plan.warmup", "error", "write lr_warmup_steps = 20"),
        ({"lr_warmup_steps": 0.9}, "plan.warmup", "warning", "write lr_warmup_steps = 20"),
        ({"save_every_n_steps": 500}, "plan.interval", "warning", "write save_every_n_steps = 80"),
        ({"save_every_n_epochs": 50, "max_train_epochs": 10}, "plan.interval", "warning", "save_every_n_epochs = 2"),
        ({"sample_every_n_steps": 500}, "plan.interval", "warning", "write sample_every_n_steps = 80"),
        ({"checkpoint_every_n_steps": 500}, "plan.interval", "warning", "write checkpoint_every_n_steps = 80"),
    ],
)
def test_what_does_not_fit_into_the_run_is_told(
    tmp_path: Path, changes: dict[str, Any], code: str, severity: str, fix: str
):
    pictures = write_small_dataset(tmp_path)
    usual = {"max_train_steps": 400, "lr_scheduler": "cosine"}
    long = small_config(pictures, **{**usual, **changes})
    [finding] = against_plan(long, plan(long, scan_config(long).pictures))
    assert (finding.code, finding.severity) == (code, severity)
    assert fix in finding.fix
    fitting = small_config(pictures, **{**usual, "lr_warmup_steps": 40, "save_every_n_steps": 400})
    assert against_plan(fitting, plan(fitting, scan_config(fitting).pictures)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"noise_offset": -0.1},
        {"keep_tokens": -1},
        {"lr_scheduler": "polynomial", "lr_scheduler_power": -1.0},
        {"optimizer_args": {"weight_decay": float("inf")}},
        {"optimizer_args": {"weight_decay": -0.1}},
        {"optimizer_args": {"betas": (0.9, 1.0)}},
    ],
)
def test_what_no_trainer_would_start_with_is_no_config(changes: dict[str, Any]):
    with pytest.raises(ConfigError, match="is not possible"):
        config(**changes)
