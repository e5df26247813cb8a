"""kohya's datasets and subsets, in a training config or in a file of their own."""

from pathlib import Path

import pytest

from loratui_protocol import kohya
from loratui_protocol.config import KEYS
from loratui_protocol.config_file import Loaded, parse_config, to_toml
from loratui_protocol.errors import ConfigError
from loratui_protocol.subsets import DATASET_KEYS, SUBSET_KEYS, datasets_of, moved, subsets_of

NEEDED = 'pretrained_model_name_or_path = "builtin:tiny"\nnetwork_module = "networks.lora"\nnetwork_alpha = 1\n'
ONE = '[[datasets]]\n[[datasets.subsets]]\nimage_dir = "cats"\n'

TWO = """
[general]
shuffle_caption = true
keep_tokens = 1
caption_prefix = "a photo,"

[[datasets]]
resolution = 512
batch_size = 4

[[datasets.subsets]]
image_dir = "cats"
num_repeats = 10
class_tokens = "cat"
keep_tokens = 2

[[datasets.subsets]]
image_dir = "/all/animals"
is_reg = true
flip_aug = true
caption_prefix = ""

[[datasets]]
resolution = [768, 1024]
enable_bucket = false
num_repeats = 3

[[datasets.subsets]]
image_dir = "cats"
"""


def read(text: str, base: Path = Path("/base")) -> Loaded:
    return parse_config(NEEDED + text, base)


def refusal(text: str, base: Path = Path("/base")) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(text, base)
    return caught.value


def codes(text: str) -> list[str]:
    return [found.code for found in read(text).findings]


def test_a_value_is_looked_up_in_the_subset_its_dataset_general_and_the_training_config() -> None:
    loaded = read("train_batch_size = 2\nkeep_tokens = 5\ncaption_suffix = 'x'\n" + TWO)
    cats, animals, large = subsets_of(loaded.config)
    assert [each.config.keep_tokens for each in (cats, animals, large)] == [2, 1, 1]
    assert [each.config.caption_prefix for each in (cats, animals, large)] == ["a photo,", None, "a photo,"]
    assert [each.config.caption_suffix for each in (cats, animals, large)] == ["x"] * 3
    assert [each.config.flip_aug for each in (cats, animals, large)] == [False, True, False]
    assert [each.config.train_batch_size for each in (cats, animals, large)] == [4, 4, 2]
    assert [(each.num_repeats, each.class_tokens) for each in (cats, animals, large)] == [(10, "cat"), (1, ""), (3, "")]
    assert [(each.dataset, each.is_reg) for each in (cats, animals, large)] == [(0, False), (0, True), (1, False)]
    assert [each.image_dir for each in (cats, animals, large)] == ["/base/cats", "/all/animals", "/base/cats"]
    first, second = datasets_of(loaded.config)
    assert [each.resolution for each in (first, second)] == [(512, 512), (768, 1024)]
    assert [each.enable_bucket for each in (first, second)] == [True, False]


def test_a_file_of_datasets_is_the_same_and_its_paths_count_from_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "two.toml").write_text(TWO)
    from_file = read('[dataset_arguments]\ndataset_config = "sets/two.toml"', tmp_path)
    assert from_file.config == read(TWO, tmp_path / "sets").config
    assert from_file.findings == ()


def test_a_config_without_datasets_has_one_with_its_own_settings() -> None:
    config = read('train_data_dir = "/t"\nreg_data_dir = "/r"\nresolution = "640"').config
    assert datasets_of(config) == (config,)
    train, reg = subsets_of(config)
    assert (train.image_dir, train.is_reg, train.num_repeats, train.config) == ("/t", False, None, config)
    assert (reg.image_dir, reg.is_reg, reg.config) == ("/r", True, config)


def test_what_is_written_is_read_again_as_the_same() -> None:
    config = read(TWO).config
    assert parse_config(to_toml(config), Path("/elsewhere")).config == config


def test_samples_are_as_large_as_the_largest_dataset_unless_the_training_config_says() -> None:
    assert read(TWO).config.resolution == (768, 1024)
    assert read("resolution = '512'\n" + TWO).config.resolution == (512, 512)


def test_a_dataset_without_a_resolution_has_the_training_configs_default_whatever_others_have() -> None:
    text = "[[datasets]]\nresolution = 1024\n" + ONE.partition("\n")[2] + ONE
    assert [each.resolution for each in datasets_of(read(text).config)] == [(1024, 1024), (512, 512)]


def test_a_folder_that_is_twice_in_a_dataset_is_told_apart_from_sd_scripts() -> None:
    (found,) = read(ONE + ONE.partition("\n")[2]).findings
    assert found.code == "config.same_folder"
    assert codes(ONE + ONE) == []


def test_the_training_configs_own_folders_are_not_needed_and_said_to_have_no_effect() -> None:
    loaded = read('train_data_dir = "x"\nreg_data_dir = "y"\n' + ONE)
    assert [f.what.split()[0] for f in loaded.findings] == ["train_data_dir", "reg_data_dir"]
    assert {f.code for f in loaded.findings} == {"config.overridden"}
    assert [each.image_dir for each in subsets_of(loaded.config)] == ["/base/cats"]
    assert codes(ONE) == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("train_batch_size = 2\n[[datasets]]\nbatch_size = 1\n" + ONE.partition("\n")[2], "train_batch_size"),
        ("flip_aug = true\n" + ONE + "flip_aug = false\n", "flip_aug"),
        ("prior_loss_weight = 0.5\n" + ONE, "prior_loss_weight"),
        (ONE + "keep_tokens = 2\n", "keep_tokens"),
        ("[[datasets]]\nenable_bucket = false\nmax_bucket_reso = 512\n" + ONE.partition("\n")[2], "max_bucket_reso"),
    ],
)
def test_a_setting_that_no_folder_follows_is_reported(text: str, key: str) -> None:
    (found,) = read(text).findings
    assert found.code == "config.overridden"
    assert found.what.startswith(f"{key} has no effect")


def test_a_setting_that_one_folder_follows_is_no_mistake() -> None:
    second = '[[datasets.subsets]]\nimage_dir = "dogs"\n'
    assert codes("keep_tokens = 2\n" + ONE + "shuffle_caption = true\n" + second) == []
    assert codes("flip_aug = true\n" + ONE + "flip_aug = false\n" + second) == []
    assert codes("prior_loss_weight = 0.5\n" + ONE + second + "is_reg = true\n") == []


@pytest.mark.parametrize(
    ("text", "key", "fix"),
    [
        ("[[datasets]]\nresolutoin = 512\n", "resolutoin", "did you mean resolution?"),
        (ONE + "num_repeat = 3\n", "num_repeat", "did you mean num_repeats?"),
        (ONE + "batch_size = 3\n", "train_batch_size", "[[datasets]]"),
        (ONE + "resolution = 512\n", "resolution", "[[datasets]]"),
        (ONE + "learning_rate = 1e-4\n", "learning_rate", "training config"),
        ("[[datasets]]\nimage_dir = 'x'\n", "image_dir", "[[datasets.subsets]]"),
        ("[general]\nis_reg = true\n" + ONE, "is_reg", "[[datasets.subsets]]"),
    ],
)
def test_a_key_that_does_not_belong_there_is_an_error_with_the_way_out(text: str, key: str, fix: str) -> None:
    error = refusal(text)
    assert error.code == "config.unknown_key"
    assert key in error.what
    assert fix in error.fix


def test_a_table_is_named_where_something_is_wrong_in_it() -> None:
    error = refusal(TWO + 'keep_tokens = "2"\n')
    assert (error.code, error.fix) == ("config.type", "write keep_tokens = 2")
    assert "keep_tokens in dataset 2, subset 1" in error.what


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("dataset_config = 3\n", "config.type"),
        ("dataset_config = 'none.toml'\n", "config.value"),
        ("dataset_config = 'x.toml'\n" + ONE, "config.value"),
        ("datasets = 1\n", "config.type"),
        ("datasets = []\n", "config.missing_key"),
        ("[[datasets]]\nresolution = 512\n", "config.missing_key"),
        ("[[datasets]]\nsubsets = 1\n", "config.type"),
        ("[[datasets]]\n[[datasets.subsets]]\nflip_aug = true\n", "config.missing_key"),
        ("general = 1\n" + ONE, "config.type"),
        (ONE + "num_repeats = 0\n", "config.value"),
        (ONE + "caption_dropout_rate = 2\n", "config.value"),
        (ONE + "alpha_mask = true\nconditioning_data_dir = 'm'\n", "config.value"),
        ("[[datasets]]\nbatch_size = 0\n" + ONE.partition("\n")[2], "config.value"),
        ("masked_loss = true\n" + ONE, "config.value"),
    ],
)
def test_what_can_not_be_trained_is_refused(text: str, code: str) -> None:
    assert refusal(text).code == code


def test_a_file_of_datasets_holds_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text("learning_rate = 1e-3\n" + TWO)
    error = refusal('dataset_config = "two.toml"', tmp_path)
    assert error.code == "config.unknown_key"
    assert "learning_rate" in error.what


@pytest.mark.parametrize(
    "line",
    [
        "color_aug = true",
        "random_crop = true",
        "face_crop_aug_range = [1.0, 2.0]",
        'metadata_file = "x.json"',
        "custom_attributes = {a = 1}",
    ],
)
def test_what_is_not_supported_in_a_subset_is_refused_by_name(line: str) -> None:
    error = refusal(ONE + line)
    assert error.code == "config.unsupported"
    assert f"{line.split()[0]} in dataset 1, subset 1" in error.what


def test_what_has_no_effect_in_a_subset_is_said() -> None:
    assert codes(ONE + "cache_info = true\nresize_interpolation = 'area'\n") == ["config.without_effect"] * 2
    assert refusal("[[datasets]]\nnetwork_multiplier = 0.5\n" + ONE.partition("\n")[2]).code == "config.unsupported"


KOHYAS_SUBSET = (
    "image_dir num_repeats shuffle_caption caption_separator keep_tokens keep_tokens_separator "
    "secondary_separator enable_wildcard color_aug flip_aug face_crop_aug_range random_crop caption_prefix "
    "caption_suffix caption_dropout_rate caption_dropout_every_n_epochs caption_tag_dropout_rate token_warmup_min "
    "token_warmup_step custom_attributes resize_interpolation is_reg class_tokens caption_extension cache_info "
    "alpha_mask conditioning_data_dir metadata_file"
)
KOHYAS_DATASET = (
    "resolution enable_bucket min_bucket_reso max_bucket_reso bucket_reso_steps bucket_no_upscale "
    "network_multiplier validation_seed validation_split resize_interpolation"
)


def test_every_key_of_kohyas_schema_is_supported_or_said_not_to_be() -> None:
    told = {*kohya.UNSUPPORTED, *kohya.WITHOUT_EFFECT}
    own = {"image_dir", "num_repeats", "is_reg", "class_tokens"}
    assert set(KOHYAS_SUBSET.split()) - told - own == set(SUBSET_KEYS)
    assert {*KOHYAS_DATASET.split(), "train_batch_size"} - told == set(DATASET_KEYS)
    assert {*SUBSET_KEYS, *DATASET_KEYS} <= set(KEYS)


def test_folders_are_moved_wherever_they_are_named() -> None:
    text = ONE + 'conditioning_data_dir = "masks"\n[[datasets.subsets]]\nimage_dir = "b"\nis_reg = true\n'
    config = read(text).config
    there = moved(config, lambda kind, path: "" if kind == "mask" else f"{kind}:{path}")
    assert [each.image_dir for each in subsets_of(there)] == ["train:/base/cats", "reg:/base/b"]
    assert there.datasets[0].subsets[0].settings == {"conditioning_data_dir": None}
