"""Blocks of a UNet are sd-scripts', and a config's ranks for them go where it puts them."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from loratui_protocol.architecture import SD1, SDXL
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import parse_config, to_toml
from loratui_protocol.effective_lr import effective_lrs
from loratui_protocol.errors import ConfigError
from loratui_protocol.lora_blocks import NUM_BLOCKS, block_of, check_blocks
from loratui_protocol.lora_names import lora_names
from loratui_protocol.lora_size import SD1_NETWORK, SDXL_NETWORK, Place, all_layers, lora_size
from support.protocol_strategies import plain_config

UNETS = [SD1_NETWORK, SDXL_NETWORK]


def config_with(**network_args) -> TrainingConfig:
    return plain_config(network_train_unet_only=True, network_dim=16, network_args=network_args)


def stated_again(architecture, name: str) -> int:
    """Return the block by the names in the file, as sd-scripts goes by them (networks/lora.py, get_block_index)."""
    if architecture == SDXL:
        side, number = re.match(r"lora_unet_(input|middle|output)_blocks?_(\d+)_", name).groups()
        return int(number) + {"input": 1, "middle": 10, "output": 13}[side]
    found = re.match(r"lora_unet_(down|up)_blocks_(\d+)_(resnets|attentions|downsamplers|upsamplers)_(\d+)_", name)
    if found is None:
        return 12
    side, level, part, index = found.groups()
    within = 3 * int(level) + (int(index) if part in ("resnets", "attentions") else 2)
    return 1 + within if side == "down" else 13 + within


@pytest.mark.parametrize("network", UNETS, ids=["SD 1.x", "SDXL"])
def test_every_module_of_a_unet_is_in_the_block_that_sd_scripts_puts_it_in(network):
    layers = [layer for layer in all_layers(network) if layer.part == "unet"]
    blocks = Counter()
    for layer in layers:
        block = block_of(network.architecture, layer.name)
        assert block == stated_again(network.architecture, lora_names(network.architecture, "unet", layer.name)[0])
        blocks[block] += 1
    # What is before and behind all levels has none.
    empty = {0} if network.architecture == SD1 else {0, 1, NUM_BLOCKS[SDXL] - 1}
    assert set(range(NUM_BLOCKS[network.architecture])) - set(blocks) == empty


def test_a_block_without_a_rank_has_no_modules_and_the_others_have_their_own():
    dims = [0.0] * 12 + [8.0] + [4.0] * 12
    attention = [layer for layer in all_layers(SD1_NETWORK) if layer.part == "unet" and layer.place is Place.ATTENTION]
    ranks = {0: [], 4: [], 8: []}
    for layer in attention:
        ranks[int(dims[block_of(SD1, layer.name)])].append(layer)
    size = lora_size(SD1_NETWORK, config_with(block_dims=tuple(dims)))
    assert size.num_modules == len(ranks[4]) + len(ranks[8]) < len(attention)
    assert size.num_parameters == sum(
        rank * (layer.taken + layer.given) for rank, layers in ranks.items() for layer in layers
    )


def test_as_many_numbers_are_wanted_as_there_are_blocks():
    config = config_with(block_dims=(4.0,) * 25)
    check_blocks(config, SD1)
    with pytest.raises(ConfigError, match=r"block_dims has 25 numbers, and .* has 23 blocks"):
        check_blocks(config, SDXL)


@pytest.mark.parametrize(
    "network_args",
    [
        {"block_dims": (0.0,) * 25},
        {"block_dims": (4.5,) * 25},
        {"block_alphas": (4.0,) * 25},
        {"block_dims": (4.0,) * 25, "block_alphas": (4.0,) * 24},
        {"block_dims": (4.0,) * 25, "conv_block_dims": (4.0,) * 25, "conv_dim": 4.0},
        {"block_dims": (4.0,) * 25, "conv_block_alphas": (4.0,) * 25},
        {"conv_block_dims": (4.0,) * 25},
    ],
    ids=lambda given: " ".join(given),
)
def test_what_does_not_go_together_is_refused(network_args):
    with pytest.raises(ConfigError, match="network_args"):
        config_with(**network_args)


def test_they_are_written_as_sd_scripts_reads_them_and_read_again():
    config = config_with(block_dims=(0.0, *(4.0,) * 24), block_alphas=(2.0,) * 25, conv_block_dims=(8.0,) * 25)
    assert parse_config(to_toml(config), Path("/")).config == config
    text = to_toml(config_with(conv_dim=4.0)).replace('"conv_dim=4.0"', f'"block_dims={",".join(["4"] * 25)}"')
    assert parse_config(text, Path("/")).config.block_dims == (4,) * 25


def test_the_effective_rate_is_that_of_the_block_with_the_highest():
    config = config_with(block_dims=(0.0, *(4.0,) * 12, *(8.0,) * 12), conv_block_dims=(2.0,) * 25)
    assert effective_lrs(replace(config, network_alpha=4.0), {"unet": 1e-4}) == pytest.approx(
        {"unet": 1e-4, "conv": 5e-5}
    )
