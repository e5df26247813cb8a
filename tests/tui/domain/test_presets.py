"""How presets are read, put together, and turned into a number of epochs."""

import pytest

from loratui.domain.preset_text import config_text, preset_text
from loratui.domain.presets import Aim, Choice, aim_of, composed, epochs_for, parse_preset
from loratui_protocol.errors import ConfigError

TEXT = """
# What it is for.
about = "a test"

[all]
# Because of this,
# and of that.
network_dim = 8
unet_lr = 1e-4

# A comment of its own.

exposures = [30, 45, 60]
[sdxl]
# Less.
unet_lr = 5e-5
sample_prompts = [
    # No reason of a key.
    "a cat = a dog",
]
"""


def test_a_comment_right_above_a_key_is_its_reason() -> None:
    preset = parse_preset("test", TEXT)
    assert preset.about == "a test"
    assert preset.tables["all"]["network_dim"] == Choice(8, "Because of this,\nand of that.")
    assert preset.tables["all"]["unet_lr"].reason == ""
    assert preset.tables["all"]["exposures"].reason == ""
    assert preset.tables["sdxl"]["sample_prompts"] == Choice(["a cat = a dog"])


def test_the_last_table_counts_and_brings_its_own_reason() -> None:
    common = parse_preset("common", "[all]\nseed = 1\nnetwork_dim = 4\n[sdxl]\nseed = 2\n")
    both = [common, parse_preset("test", TEXT)]
    assert composed(both, "sdxl")["unet_lr"] == Choice(5e-5, "Less.")
    assert composed(both, "sdxl")["seed"].value == 2
    assert composed(both, "sd15")["seed"].value == 1
    assert composed(both, "sd15")["network_dim"].value == 8


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[all", "no TOML"),
        ("[sd3]\nseed = 1", "'sd3' is none of"),
        ("all = 1", "'all' is none of"),
        ("[all]\nsead = 1", "'sead' is no key"),
        ("seed = 1", "'seed' is none of"),
    ],
)
def test_what_is_no_preset_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse_preset("test", text)


def test_a_preset_is_the_same_after_it_was_written() -> None:
    preset = parse_preset("test", TEXT)
    assert parse_preset("test", preset_text(preset)) == preset


def test_whatever_is_in_a_reason_it_stays_a_comment() -> None:
    text = config_text(["a\nseed = 1"], {"seed": Choice(42, "so\nnetwork_dim = 3\r\nand \x85 so")})
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == ["[training]", "seed = 42"]


def test_an_aim_is_read_or_refused() -> None:
    choices = {"exposures": Choice([30, 45, 60]), "steps": Choice([500, 900]), "smoke_steps": Choice(300)}
    assert aim_of(choices) == Aim(exposures=45, exposures_range=(30, 60), steps_range=(500, 900), smoke_steps=300)
    assert aim_of({}) is None
    for wrong in (45, [1, 2], ["a", "b", "c"]):
        with pytest.raises(ConfigError):
            aim_of({"exposures": Choice(wrong)})


def test_pictures_are_shown_as_often_as_is_aimed_at_whatever_the_folders_repeat() -> None:
    aim = Aim(exposures=100, exposures_range=(60, 120), steps_range=(1000, 2000))
    assert epochs_for(aim, exposures_per_epoch=1, steps_per_epoch=15) == 100
    assert epochs_for(aim, exposures_per_epoch=10, steps_per_epoch=150) == 10


def test_exposures_give_way_to_steps_as_far_as_their_range_goes() -> None:
    aim = Aim(exposures=100, exposures_range=(60, 120), steps_range=(1000, 2000))
    assert epochs_for(aim, 1, 9) == 111
    assert epochs_for(aim, 1, 5) == 120
    assert epochs_for(aim, 1, 25) == 80
    assert epochs_for(aim, 1, 100) == 60
    assert epochs_for(aim, 1000, 100) == 1
