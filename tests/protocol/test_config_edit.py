"""One key of a config is changed, and everything else stays as a person wrote it."""

import tomllib

import pytest

from loratui_protocol.config import KEYS
from loratui_protocol.config_edit import with_value, without
from loratui_protocol.config_help import CHOICES, field_docstrings

OWN = """\
# mine
pretrained_model_name_or_path = "builtin:tiny"
train_data_dir = "data"  # the cats

[network]
network_dim = 8 # rank
# end of network

[[datasets]]
resolution = 512
[[datasets.subsets]]
image_dir = "x"
"""


def test_a_value_takes_the_place_of_the_one_before_and_the_comment_stays() -> None:
    assert with_value(OWN, "network_dim", "16") == OWN.replace("network_dim = 8 # rank", "network_dim = 16  # rank")


def test_a_new_key_comes_behind_those_of_its_section() -> None:
    text = with_value(OWN, "network_alpha", "4.0")

    assert text == OWN.replace("# rank\n", "# rank\nnetwork_alpha = 4.0\n")


def test_a_section_that_is_missing_comes_before_the_datasets_and_is_none_of_theirs() -> None:
    text = with_value(OWN, "learning_rate", "1e-3")

    assert "# end of network\n\n[optimizer]\nlearning_rate = 1e-3\n\n[[datasets]]" in text
    assert tomllib.loads(text)["datasets"] == tomllib.loads(OWN)["datasets"]


def test_a_file_without_sections_gets_none() -> None:
    assert with_value("network_dim = 8\n", "seed", "1") == "network_dim = 8\nseed = 1\n"
    assert with_value("", "seed", "1") == "seed = 1\n"


def test_a_statement_of_several_lines_is_replaced_whole() -> None:
    text = 'a_first = 1\nsample_prompts = [\n  "a cat",  # one\n  "#",\n]\nseed = 1\n'

    assert with_value(text, "sample_prompts", '["b"]') == 'a_first = 1\nsample_prompts = ["b"]\nseed = 1\n'


def test_of_a_key_that_stands_twice_the_one_that_counts_is_changed_and_both_go() -> None:
    text = "[a]\nnetwork_dim = 8\n[b]\nnetwork_dim = 16\n"

    assert with_value(text, "network_dim", "4") == "[a]\nnetwork_dim = 8\n[b]\nnetwork_dim = 4\n"
    assert without(text, "network_dim") == "[a]\n[b]\n"


def test_a_key_under_another_of_its_names_is_found() -> None:
    assert with_value("batch_size = 2", "train_batch_size", "4") == "train_batch_size = 4"


def test_a_key_of_a_dataset_is_not_that_of_the_config() -> None:
    assert "[[datasets]]\nresolution = 512\n" in without(OWN, "resolution")
    assert "[[datasets]]\nresolution = 512\n" in with_value(OWN, "resolution", "768")


def _flat(text: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, content in tomllib.loads(text).items():
        found.update(content if isinstance(content, dict) else {name: content})
    return found


@pytest.mark.parametrize("key", [key for key in KEYS if key != "datasets"])
def test_every_key_can_be_set_and_taken_out_again(key: str) -> None:
    base = without(OWN, key)
    text = with_value(base, key, "1")

    assert _flat(text)[key] == 1
    assert _flat(without(text, key)) == _flat(base)


def test_every_key_is_explained_and_choices_are_of_keys() -> None:
    assert field_docstrings().keys() == set(KEYS)
    assert CHOICES.keys() <= set(KEYS)
