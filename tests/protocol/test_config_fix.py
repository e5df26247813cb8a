"""A config is set right line by line, and means what it meant."""

import string
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import Loaded, parse_config
from loratui_protocol.config_fix import fixed_text
from loratui_protocol.errors import ConfigError

BASE = Path("/base")
NEEDED = 'pretrained_model_name_or_path = "builtin:tiny"\ntrain_data_dir = "data"\n'


def fixed(text: str) -> str:
    return fixed_text(parse_config(text, BASE), BASE)


def told_alpha(loaded: Loaded) -> TrainingConfig:
    """Return the config with the alpha that it has anyway: it is written out where sd-scripts takes another."""
    config = loaded.config
    return config if config.network_weights else replace(config, network_alpha=config.alpha)


TRAPS = [
    "batch_size = 2",
    "batch_size = 3  # a comment # of two",
    'caption_extention = "txt"',
    'caption_extension = "txt" # dot',
    "resolution = 512",
    "'resolution' = 768",
    '"flip_aug" = 1',
    "enable_bucket = 0",
    "lr_warmup_steps = 100",
    "lr_warmup_steps = 100.0",
    'lr_scheduler = "constant"',
    "save_last_n_epochs = 0",
    "max_token_length = 255",
    "sdxl = true",
    "conv_dim = 8",
    "conv_alpha = 4",
    "conv_dim = 0",
    'network_args = [\n  "rank_dropout=0.1", # a rank\n  "module_dropout=0.1"\n]',
    'network_args = ["conv_dim=8"]',
    "rank_dropout = 0.2",
    "network_dim = 16",
    "network_alpha = 8",
    'network_module = "networks.lora"',
    "train_batch_size = 1",
    "xformers = true",
    "cache_text_encoder_outputs = true",
    "shuffle_caption = true",
    "network_train_unet_only = true",
    'wandb_api_key = "s3cret"',
    'metadata_trigger_phrase = "ohwx"',
    'training_comment = """\n# batch_size = 9\n[nowhere]\n"""',
    "max_train_epochs = 2",
    "seed = 7",
    "# batch_size = 4",
    "",
]
DATASETS = "[[datasets]]\nbatch_size = 4\nresolution = 512\n[[datasets.subsets]]\nimage_dir = 'pictures'\nflip_aug = 1"


def key(line: str) -> str:
    return line.partition("=")[0].strip(" \"'")


@st.composite
def files(draw: st.DrawFn) -> str:
    """Return files with traps in them in any order and section, some set twice."""
    indent = draw(st.sampled_from(["", "    ", "\t"]))
    lines, there = [NEEDED], {"pretrained_model_name_or_path", "train_data_dir"}
    for number, line in enumerate(draw(st.lists(st.sampled_from(TRAPS), max_size=12))):
        if key(line) in there or draw(st.integers(0, 9)) == 0:
            lines.append(f"[section{number}]  # another\n")
            there = set()
        there.add(key(line))
        lines.append(f"{indent}{line}\n")
    return "".join([*lines, DATASETS if draw(st.integers(0, 3)) == 0 else ""])


@given(files())
def test_what_is_set_right_means_the_same_and_has_nothing_left_to_fix(text: str):
    try:
        loaded = parse_config(text, BASE)
    except ConfigError:
        return
    right = fixed_text(loaded, BASE)
    again = parse_config(right, BASE)
    assert told_alpha(again) == told_alpha(loaded)
    assert [finding.code for finding in again.findings if finding.fixable] == []
    assert "s3cret" not in right
    assert 'train_data_dir = "data"' in right, "written whole, though lines could be corrected"
    assert fixed_text(again, BASE) == right


@given(files(), st.sampled_from(string.printable), st.integers(0, 400))
def test_no_character_anywhere_breaks_it(text: str, character: str, at: int):
    broken = text[:at] + character + text[at + 1 :]
    try:
        loaded = parse_config(broken, BASE)
    except ConfigError:
        return
    assert told_alpha(parse_config(fixed_text(loaded, BASE), BASE)) == told_alpha(loaded)


def test_lines_that_are_right_stay_as_they_are_in_their_order():
    text = f"# mine\n{NEEDED}\n[b]   # second\nbatch_size = 2   # two at a time\n\tseed=  7\nnetwork_alpha=4\n"
    assert fixed(text).split("\n") == [
        'network_module = "networks.lora"  # sd-scripts stops without it',
        "# mine",
        'pretrained_model_name_or_path = "builtin:tiny"',
        'train_data_dir = "data"',
        "",
        "[b]   # second",
        "train_batch_size = 2  # was batch_size  # two at a time",
        "\tseed=  7",
        "network_alpha=4",
        "",
    ]


def test_each_changed_line_says_why():
    before = (
        f'{NEEDED}network_dim = 8\nresolution = 512\nsdxl = true\nconv_dim = 8\nnetwork_args = ["rank_dropout=0.1"]'
    )
    lines = fixed(before).split("\n")
    assert 'resolution = "512,512"  # sd-scripts stops at an integer' in lines
    assert "# sdxl = true" in lines
    assert "# conv_dim = 8" in lines
    assert any(line.startswith('network_args = ["rank_dropout=0.1", "conv_dim=8"]  # with conv_dim') for line in lines)
    assert "network_alpha = 8  # the rank, as it is here; sd-scripts: 1" in lines


def test_a_file_without_anything_to_fix_stays_to_the_byte():
    text = f'{NEEDED}network_module = "networks.lora"\nnetwork_alpha = 4 \n\n\n'
    assert fixed(text) == text


@pytest.mark.parametrize(
    "text",
    [
        f"{NEEDED}training.batch_size = 2",
        f"{NEEDED}training = {{ batch_size = 2 }}",
        f"{NEEDED}comment = 1\n".replace("comment = 1", "a.resolution = 512"),
    ],
)
def test_what_can_not_be_corrected_by_lines_is_written_whole_with_the_reasons(text: str):
    right = fixed(text)
    assert right.startswith("# ")
    assert told_alpha(parse_config(right, BASE)) == told_alpha(parse_config(text, BASE))
    assert tomllib.loads(right)["model"]["pretrained_model_name_or_path"] == "builtin:tiny"


def test_an_argument_of_the_network_in_the_wrong_place_is_read_as_what_it_is():
    config = parse_config(f"{NEEDED}conv_dim = 8\nconv_alpha = 2.5", BASE).config
    assert (config.conv_dim, config.conv_alpha) == (8, 2.5)
    both = parse_config(f'{NEEDED}conv_dim = 8\nnetwork_args = ["conv_dim=4"]', BASE)
    assert both.config.conv_dim == 4
    assert "network_args has its own" in next(f.what for f in both.findings if f.code == "config.network_arg")


def test_a_trigger_phrase_of_sd_scripts_is_the_trigger_word():
    assert parse_config(f'{NEEDED}metadata_trigger_phrase = "ohwx"', BASE).config.trigger_word == "ohwx"
