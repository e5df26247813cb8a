"""Smaller copies as a user meets them: told before anything is rented, counted in the estimate, and a setting."""

import random
from pathlib import Path

import pytest
from PIL import Image

from loratui import settings
from loratui.cli.copying import with_copies
from loratui.domain.base_kinds import NOTHING_KNOWN
from loratui.domain.estimate import UPLOAD
from loratui.domain.offers import OfferQuery
from loratui.sessions.checking import Checked, check_config
from loratui.sessions.quoting import ask_quotes
from loratui.settings import Settings
from loratui_protocol.config_file import to_toml
from support.fake_runpod import FakeRunPod
from support.fake_vast import FakeVast
from support.market_cli import market_cli
from support.small_dataset import small_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Write a config of two pictures of 6 MB each, of which far less is trained."""
    concept = tmp_path / "pictures" / "1_cat"
    concept.mkdir(parents=True)
    for index in range(2):
        noise = random.Random(index).randbytes(3 * 2000 * 1000)
        Image.frombytes("RGB", (2000, 1000), noise).save(concept / f"{index}.bmp")
        (concept / f"{index}.txt").write_text("a cat")
    path = tmp_path / "job.toml"
    path.write_text(to_toml(small_config(tmp_path / "pictures", resolution=(256, 256), max_train_steps=1500)), "utf-8")
    return path


def preferences_of(folder: Path, **more: str) -> Settings:
    return settings.load({}, {"LORATUI_CONFIG_DIR": str(folder), "LORATUI_STATE_DIR": str(folder / "state"), **more})


def test_what_travels_is_told_and_no_copy_is_made_where_the_settings_say_so(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checked = check_config(config)
    off = preferences_of(tmp_path, LORATUI_UPLOAD__COPIES="false")
    assert with_copies(checked, off) == checked
    assert not off.state_dir.exists()
    copied = with_copies(checked, preferences_of(tmp_path)).copies
    assert copied.num_copied == 2
    told = capsys.readouterr().err
    assert told.startswith("to send: 2 pictures, 2 as smaller copies: ")
    assert "instead of 12 MB; the originals stay as they are" in told


def test_the_estimate_counts_what_is_sent_and_without_copies_the_most_it_can_be(
    config: Path, tmp_path: Path, vast: FakeVast
) -> None:
    preferences = preferences_of(tmp_path, LORATUI_PROVIDERS__VAST__URL=vast.url, LORATUI_PROVIDERS__VAST__SPACING="0")

    def upload_s(checked: Checked) -> int:
        quoted = ask_quotes(preferences, ("vast",), OfferQuery(), checked, NOTHING_KNOWN)
        [part] = [each for each in quoted.ranked[0].estimate.parts if each.name == UPLOAD]
        return part.p90.seconds

    checked = check_config(config)
    assert upload_s(with_copies(checked, preferences)) < 0.5 * upload_s(checked)


def test_copies_are_made_and_told_before_an_offer_is_chosen(
    config: Path, tmp_path: Path, vast: FakeVast, runpod: FakeRunPod
) -> None:
    with market_cli(tmp_path / "cli", vast, runpod) as cli:
        train = cli.run("train", config, "--on", "vast", "--region", "JP", "--budget", "1", "--yes")
    said = "\n".join(train.errors)
    assert "[offers.none]" in said
    assert said.index("2 as smaller copies") < said.index("[offers.none]")
    assert vast.num_requests("create") == 0
