"""A LoRA file to go on from is judged on the laptop, before anything is rented or loaded."""

from pathlib import Path
from typing import Any

import pytest

from loratui.sessions.checking import Checked, check_config
from loratui_protocol.config_file import to_toml
from loratui_protocol.errors import ConfigError, ModelError
from loratui_protocol.lora_size import SD1_NETWORK, SDXL_NETWORK, TINY_NETWORK, Network
from support.checkpoint_headers import sdxl, write_header
from support.local_cli import local_cli
from support.lora_start import write_start
from support.small_dataset import small_config, write_small_dataset


def config_of(folder: Path, **changes: Any) -> Path:
    config = small_config(write_small_dataset(folder / "pictures"), **changes)
    path = folder / "config.toml"
    path.write_text(to_toml(config), "utf-8")
    return path


def checked(folder: Path, network: Network, model: str = "builtin:tiny", **changes: Any) -> Checked:
    start = write_start(folder / "start.safetensors", network, 8)
    return check_config(config_of(folder, pretrained_model_name_or_path=model, network_weights=str(start), **changes))


def test_what_fits_is_planned_with_the_ranks_of_the_file(tmp_path: Path):
    found = checked(tmp_path, TINY_NETWORK, dim_from_weights=True)
    assert (found.config.network_dim, found.config.network_alpha) == (8, 8.0)


def test_what_the_file_overrides_and_what_is_reckoned_roughly_is_said(tmp_path: Path):
    start = write_start(tmp_path / "a.safetensors", TINY_NETWORK, 8, lora_unet_mid_block_attentions_0_proj_in=2)
    path = config_of(tmp_path, network_weights=str(start), dim_from_weights=True, network_alpha=1.0)
    said = {finding.code: finding.what for finding in check_config(path).findings}
    assert "network_alpha = 1 has no effect" in said["config.overridden"]
    assert "ranks from 2 to 8" in said["weights.ranks"]


def test_another_rank_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"network_dim is 4, .* has rank 8"):
        checked(tmp_path, TINY_NETWORK, network_dim=4)


@pytest.mark.parametrize("network", [SD1_NETWORK, SDXL_NETWORK], ids=["SD 1.x", "SDXL"])
def test_a_base_model_that_nobody_knows_here_is_left_to_the_box(tmp_path: Path, network: Network):
    assert checked(tmp_path, network, "somebody/some-model", network_dim=8).config.network_alpha == 8.0
    with pytest.raises(ConfigError, match="network_dim is 4"):
        checked(tmp_path, network, "somebody/some-model", network_dim=4)


def test_a_lora_for_another_base_model_is_refused(tmp_path: Path):
    model = write_header(tmp_path / "model.safetensors", sdxl())
    with pytest.raises(ConfigError, match=r"it is for Stable Diffusion 1\.x, the base model is SDXL"):
        checked(tmp_path, SD1_NETWORK, str(model), network_dim=8)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="there is no such file"):
        check_config(config_of(tmp_path, network_weights="gone.safetensors"))


def test_training_does_not_begin_with_one_that_does_not_fit(tmp_path: Path):
    start = write_start(tmp_path / "start.safetensors", TINY_NETWORK, 8)
    config = config_of(tmp_path, network_weights=str(start), network_dim=4)
    with local_cli(tmp_path / "laptop") as cli:
        commands = [
            cli.start("check", config),
            cli.start("train", config, "--on", "local", "--yes"),
            cli.start("train", config, "--on", "ssh://root@127.0.0.1:1", "--yes"),
        ]
        assert [command.finish() for command in commands] == [1, 3, 3]
        assert all(command.said("[weights.misfit]") for command in commands)


def test_ranks_for_other_blocks_than_the_base_model_has_are_refused(tmp_path: Path):
    ranks = {"network_args": {"block_dims": (4.0,) * 23}}
    with pytest.raises(ConfigError, match=r"block_dims has 23 numbers, and .* has 25 blocks"):
        check_config(config_of(tmp_path, **ranks))
