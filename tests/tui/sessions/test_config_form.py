"""A config as a form: the schema judges each change, and every change has a way back."""

from pathlib import Path

import pytest

from loratui.sessions.config_form import FORM_KEYS, ConfigForm, default_of, help_texts
from loratui_protocol.config_file import parse_config
from loratui_protocol.errors import ConfigError

BASE = Path("/base")
OWN = """\
# mine
pretrained_model_name_or_path = "builtin:tiny"
train_data_dir = "data"
[network]
network_dim = 8 # rank
"""
HOSTILE = (
    "\x1b[31mred",
    'a "quoted" # not a comment',
    "\u202eright to left",
    "e\u0301 combining",
    "'single'",
    "[[datasets]]",
    "true",
    "12",
    "C:\\cats\\new",
    "日本語",
    "family 👨‍👩‍👧",
)


@pytest.fixture
def form() -> ConfigForm:
    return ConfigForm(OWN, BASE)


def test_a_change_is_made_in_the_text_and_taken_back(form: ConfigForm) -> None:
    form.set("network_dim", "16")
    form.set("flip_aug", "yes")
    assert "network_dim = 16  # rank" in form.text
    assert form.text.startswith("# mine\n")
    assert form.row("network_dim").is_changed
    assert (form.row("flip_aug").value, form.row("flip_aug").is_set) == ("true", True)

    assert form.undo() == "flip_aug"
    assert form.undo() == "network_dim"
    assert form.text == OWN
    assert not form.is_dirty
    assert form.undo() == ""


@pytest.mark.parametrize(
    ("key", "typed", "code"),
    [
        ("network_dim", "many", "config.type"),
        ("network_dim", "0", "config.value"),
        ("network_dim", "1.5", "config.type"),
        ("network_dim", "9" * 30, "config.value"),
        ("learning_rate", "fast", "config.type"),
        ("optimizer_type", "Adamm", "config.value"),
        ("flip_aug", "perhaps", "config.type"),
        ("resolution", "wide", "config.type"),
        ("resolution", "{network_dim = 1}", "config.type"),
        ("optimizer_args", "weight_decoy=0.1", "config.unknown_key"),
        ("network_dim", "8\nseed = 1", "config.type"),
        ("train_data_dir", "", "config.missing_key"),
    ],
)
def test_a_value_is_refused_in_the_words_of_the_check(form: ConfigForm, key: str, typed: str, code: str) -> None:
    with pytest.raises(ConfigError) as refused:
        form.set(key, typed)

    assert refused.value.code == code
    assert key in refused.value.what
    assert form.text == OWN
    assert form.num_changes == 0


def test_the_words_are_those_of_the_check(form: ConfigForm) -> None:
    with pytest.raises(ConfigError) as read:
        parse_config(OWN.replace("= 8", "= 0"), BASE)
    with pytest.raises(ConfigError) as typed:
        form.set("network_dim", "0")

    assert (typed.value.what, typed.value.fix) == (read.value.what, read.value.fix)


def test_what_another_key_lacks_is_an_error_to_be_mended_there(form: ConfigForm) -> None:
    form.set("lr_scheduler", "piecewise_constant")
    assert form.loaded is None
    assert form.row("lr_scheduler_args").trouble is not None

    form.set("lr_scheduler_args", "step_rules=1:100,0.1")
    assert form.loaded is not None
    assert form.loaded.config.lr_scheduler == "piecewise_constant"


def test_a_file_with_errors_can_be_mended_key_by_key() -> None:
    form = ConfigForm(OWN.replace("= 8", "= 0") + 'flip_aug = "perhaps"\n', BASE)
    assert form.loaded is None
    form.set("flip_aug", "true")
    assert form.row("network_dim").trouble is not None
    form.set("network_dim", "4")

    assert form.loaded is not None
    assert form.loaded.config.network_dim == 4


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("key", ["caption_prefix", "training_comment", "metadata_title"])
def test_text_stays_text_whatever_is_in_it(form: ConfigForm, key: str, text: str) -> None:
    form.set(key, ConfigForm.typed(ConfigForm(f"{OWN}{key} = {_basic(text)}", BASE), key, str.isascii))

    assert form.loaded is not None
    assert getattr(form.loaded.config, key) == text
    assert form.typed(key, str.isascii).isascii()


def _basic(text: str) -> str:
    return '"' + "".join(f"\\U{ord(char):08X}" for char in text) + '"'


@pytest.mark.parametrize("key", FORM_KEYS)
def test_what_would_be_typed_for_a_value_gives_that_value(form: ConfigForm, key: str) -> None:
    form.set("sample_prompts", '["a cat", "two, cats"]')
    form.set("optimizer_args", "weight_decay=0.01 betas=0.9,0.99")
    form.set("text_encoder_lr", "[1e-5, 2e-5]")
    before = parse_config(form.text, BASE).config
    if form.row(key).is_set or default_of(key):
        form.set(key, form.typed(key))

    assert parse_config(form.text, BASE).config == before


def test_flags_and_choices_go_round(form: ConfigForm) -> None:
    seen = []
    for _ in range(4):
        following = form.next_choice("mixed_precision")
        assert following is not None
        seen.append(following)
        form.set("mixed_precision", following)

    assert seen == ["no", "fp16", "bf16", ""]
    assert not form.row("mixed_precision").is_set
    assert form.next_choice("flip_aug") == "true"
    assert form.next_choice("network_dim") is None


def test_what_can_not_be_changed_by_lines_is_written_anew() -> None:
    form = ConfigForm(OWN.replace("[network]\nnetwork_dim = 8 # rank", "network = {network_dim = 8}"), BASE)
    form.set("network_dim", "16")

    assert form.loaded is not None
    assert form.loaded.config.network_dim == 16
    assert form.loaded.config.pretrained_model_name_or_path == "builtin:tiny"


def test_secrets_are_not_shown_in_what_differs() -> None:
    form = ConfigForm(OWN + 'wandb_api_key = "sesame"\n', BASE, saved="")

    assert "sesame" not in "\n".join(form.diff("here", "there"))
    assert "wandb_api_key" in "\n".join(form.diff("here", "there"))


def test_the_same_value_written_otherwise_is_no_change(form: ConfigForm) -> None:
    form.set("network_dim", "0x8")
    assert form.text == OWN
    assert form.num_changes == 0


def test_every_key_has_its_help() -> None:
    assert set(FORM_KEYS) <= help_texts().keys()


def test_a_text_from_an_editor_is_one_change(form: ConfigForm) -> None:
    form.replace(OWN.replace("8", "32"), "my.toml")
    assert form.row("network_dim").value == "32"
    with pytest.raises(ConfigError, match="no TOML"):
        form.replace("network_dim = = 8", "my.toml")

    assert form.undo() == "my.toml"
    assert form.text == OWN
