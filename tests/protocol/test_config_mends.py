"""A slip whose meaning is certain is refused, and mended by ``check --fix``; what could be two things is left alone."""

from pathlib import Path

import pytest

from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import parse_config, parse_partial
from loratui_protocol.config_fix import mended
from loratui_protocol.errors import ConfigError

NEEDED = (
    'pretrained_model_name_or_path = "builtin:tiny"\ntrain_data_dir = "data"\nnetwork_module = "networks.lora"\n'
    "network_alpha = 1\n"
)


def new_lines(folder: Path, text: str) -> list[str]:
    """Return the lines that mending puts into a config with this text in it."""
    path = folder / "x.toml"
    path.write_text(NEEDED + text, "utf-8")
    found = mended(path)
    before = path.read_text("utf-8").split("\n")
    return [] if found is None else [line for line in found.text.split("\n") if line and line not in before]


@pytest.mark.parametrize(
    ("text", "line", "key", "value"),
    [
        ("netwrok_dim = 16", "network_dim = 16  # was netwrok_dim", "network_dim", 16),
        ("save_evry_n_epochs = 2", "save_every_n_epochs = 2  # was save_evry_n_epochs", "save_every_n_epochs", 2),
        ("Network-Dim = 16", "network_dim = 16  # was Network-Dim", "network_dim", 16),
        ("train_batchsize = 3", "train_batch_size = 3  # was train_batchsize", "train_batch_size", 3),
        ('learning_rate = "1e-4"', 'learning_rate = 1e-4  # was "1e-4"', "learning_rate", 1e-4),
        ('learning_rate = ".5"', 'learning_rate = 0.5  # was ".5"', "learning_rate", 0.5),
        ('flip_aug = "True"', 'flip_aug = true  # was "True"', "flip_aug", True),
        ('network_dim = "512"', 'network_dim = 512  # was "512"', "network_dim", 512),
        ("network_dim = 16.0", "network_dim = 16  # was 16.0", "network_dim", 16),
        ('resolution = "512x768"', 'resolution = "512,768"  # was "512x768"', "resolution", (512, 768)),
        ('resolution = ["512"]', 'resolution = "512,512"  # was ["512"]', "resolution", (512, 512)),
        ("output_name = 2024", 'output_name = "2024"  # was 2024', "output_name", "2024"),
        ('netwrok_dim = "16"  # a note', 'network_dim = 16  # was netwrok_dim; was "16"  # a note', "network_dim", 16),
        ('lr_decay_steps = "0.1"', 'lr_decay_steps = 0.1  # was "0.1"', "lr_decay_steps", 0.1),
    ],
)
def test_a_certain_slip_is_refused_and_mended_where_it_stands(tmp_path, text, line, key, value):
    with pytest.raises(ConfigError):
        parse_config(NEEDED + text, tmp_path)
    assert new_lines(tmp_path, text) == [line]
    found = mended(tmp_path / "x.toml")
    assert found is not None
    assert getattr(parse_config(found.text, tmp_path).config, key) == value


@pytest.mark.parametrize(
    "text",
    [
        "netwrok_dim = 16\nnetwork_dim = 8",
        "netwrok_dim = 16\n[b]\nnetwork_dmi = 8",
        "mxn_bucket_reso = 512",
        "epochs = 3",
        "learning_rate_te = 1e-4",
        "trian_data = 'x'",
        "batch_szie = 2\ntrain_batch_size = 2",
        'seed = "many"',
        'learning_rate = "nan"',
        'learning_rate = "1,5"',
        'flip_aug = "perhaps"',
        "network_dim = 16.5",
        'resolution = "wide"',
        'resolution = ["512", "", "x"]',
        "lr_scheduler = 1",
    ],
)
def test_where_it_could_be_something_else_nothing_is_guessed(tmp_path, text):
    assert new_lines(tmp_path, text) == []


def test_what_is_not_certain_is_left_and_the_rest_mended(tmp_path):
    path = tmp_path / "y.toml"
    path.write_text(f"{NEEDED}bogus = 3".replace("network_module", "# network_module"), "utf-8")
    alone = mended(path)
    assert alone is not None
    assert 'network_module = "networks.lora"  # sd-scripts stops without it' in alone.text
    assert new_lines(tmp_path, 'netwrok_dim = 16\nbogus = 3\nbatch_size = 2\nseed = "x"') == [
        "network_dim = 16  # was netwrok_dim",
        "train_batch_size = 2  # was batch_size",
    ]
    found = mended(tmp_path / "x.toml")
    assert found is not None
    assert sorted(each.code for each in found.findings) == ["config.kohya_name", "config.unknown_key"]
    assert {each.code for each in parse_partial(found.text, tmp_path).problems} == {"config.unknown_key", "config.type"}


def test_a_value_out_of_range_is_mended_as_far_as_its_type(tmp_path):
    assert new_lines(tmp_path, 'network_dim = "-4"') == ['network_dim = -4  # was "-4"']


def test_what_no_line_can_say_is_written_whole(tmp_path):
    (tmp_path / "x.toml").write_text(f"{NEEDED}a.netwrok_dim = 16", "utf-8")
    found = mended(tmp_path / "x.toml")
    assert found is not None
    assert found.text.startswith("# netwrok_dim")
    assert parse_config(found.text, tmp_path).config.network_dim == 16
    assert isinstance(parse_config(found.text, tmp_path).config, TrainingConfig)


def test_datasets_in_the_config_are_mended_each_where_it_stands(tmp_path):
    settings = NEEDED.replace('train_data_dir = "data"\n', "")
    (tmp_path / "x.toml").write_text(
        f"{settings}[general]\nkeep_tokns = 1\n[[datasets]]\nbatch_size = 2\n[[datasets.subsets]]\nimage_dir = 'a'\n"
        "num_repeats = 3\n[[datasets]]\nresolution = '512x768'\nbatch_szie = '4'\n[[datasets.subsets]]\n"
        "image_dir = 'b'\nnum_repeats = 1\n[[datasets.subsets]]\nimage_dir = 'c'\nnum_repeats = '5'  # often\n",
        "utf-8",
    )
    found = mended(tmp_path / "x.toml")
    assert found is not None
    assert [line for line in found.text.split("\n") if line not in found.before.split("\n")] == [
        "keep_tokens = 1  # was keep_tokns",
        'resolution = [512, 768]  # was "512x768"; sd-scripts stops at text here',
        'batch_size = 4  # was batch_szie; was "4"',
        'num_repeats = 5  # was "5"  # often',
    ]
    config = parse_config(found.text, tmp_path).config
    assert [subset.num_repeats for each in config.datasets for subset in each.subsets] == [3, 1, 5]


def test_a_dataset_config_of_its_own_is_not_mended_from_here(tmp_path):
    (tmp_path / "sets.toml").write_text(
        "[[datasets]]\nresolution = '512,512'\n[[datasets.subsets]]\nimage_dir = 'a'\nflip_ag = true\n",
        "utf-8",
    )
    (tmp_path / "x.toml").write_text(NEEDED.replace('train_data_dir = "data"', 'dataset_config = "sets.toml"'), "utf-8")
    assert mended(tmp_path / "x.toml") is None
