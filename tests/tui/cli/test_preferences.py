"""``loratui config set`` writes one line of the settings file, checked first, and leaves the rest."""

from pathlib import Path

import pytest

from loratui import settings
from loratui.cli.main import main


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LORATUI_CONFIG_DIR", "LORATUI_STATE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return settings.load().config_file


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("ui.theme", "light", 'theme = "light"'),
        ("local.price_usd_per_h", "0.25", "price_usd_per_h = 0.25"),
        ("remote.hub_url", "https://hub.example", 'hub_url = "https://hub.example"'),
    ],
)
def test_a_setting_is_written_as_its_type_is_and_read_back(file: Path, key: str, value: str, line: str) -> None:
    assert main(["config", "set", key, value]) == 0
    assert line in file.read_text("utf-8")
    assert next(shown.value for shown in settings.load().shown if shown.key == key) == value


def test_what_else_is_in_the_file_stays(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("# mine\n[local]\nprice_usd_per_h = 0.5  # guessed\n")
    assert main(["config", "set", "local.price_usd_per_h", "0.25"]) == 0
    assert file.read_text("utf-8") == "# mine\n[local]\nprice_usd_per_h = 0.25  # guessed\n"


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("ui.theem", "light", "did you mean ui.theme?"),
        ("ui.theme", "pink", "'pink' is no value of ui.theme"),
        ("local.price_usd_per_h", "cheap", "'cheap' is no amount of dollars"),
    ],
)
def test_a_mistake_writes_nothing(
    file: Path, capsys: pytest.CaptureFixture[str], key: str, value: str, told: str
) -> None:
    assert main(["config", "set", key, value]) == 2
    assert told in capsys.readouterr().err
    assert not file.exists()
