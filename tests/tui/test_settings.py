from pathlib import Path

import pytest

from loratui import settings
from loratui_protocol.errors import ConfigError


def environ(folder: Path, **more: str) -> dict[str, str]:
    return {"LORATUI_CONFIG_DIR": str(folder), "HOME": str(folder), **more}


def write(folder: Path, text: str) -> None:
    (folder / "config.toml").write_text(text)


def origins(loaded: settings.Settings) -> dict[str, str]:
    return {shown.key: shown.origin for shown in loaded.shown}


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    assert origins(settings.load({}, environ(tmp_path)))["author"] == "default"
    write(tmp_path, 'author = "file"\n')
    assert settings.load({}, environ(tmp_path)).author == "file"
    assert settings.load({}, environ(tmp_path, LORATUI_AUTHOR="env")).author == "env"
    flagged = settings.load({"author": "flag"}, environ(tmp_path, LORATUI_AUTHOR="env"))
    assert (flagged.author, origins(flagged)["author"]) == ("flag", "flag")


def test_origin_names_the_variable_or_the_file(tmp_path: Path) -> None:
    write(tmp_path, "[local]\nprice_usd_per_h = 0.35\n")
    loaded = settings.load({}, environ(tmp_path, LORATUI_HOME="/h"))
    assert origins(loaded)["local.home"] == "LORATUI_HOME"
    assert origins(loaded)["local.price_usd_per_h"] == str(tmp_path / "config.toml")
    assert loaded.config_file == tmp_path / "config.toml"


@pytest.mark.parametrize("text", ["[local]\nprice_usd_per_h = 0.1", "local.price_usd_per_h = 0.10"])
def test_price_is_read_exactly(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    assert settings.load({}, environ(tmp_path)).local_price_microusd_per_h == 100_000
    nested = environ(tmp_path, LORATUI_LOCAL__PRICE_USD_PER_H="1.25")
    assert settings.load({}, nested).local_price_microusd_per_h == 1_250_000


@pytest.mark.parametrize(
    ("text", "is_on"), [("", True), ("[upload]\ncopies = false", False), ("upload.copies = true", True)]
)
def test_a_switch_is_true_or_false_and_nothing_else(tmp_path: Path, text: str, is_on: bool) -> None:
    write(tmp_path, text)
    assert settings.load({}, environ(tmp_path)).upload_copies is is_on
    assert settings.load({}, environ(tmp_path, LORATUI_UPLOAD__COPIES="False")).upload_copies is False
    write(tmp_path, "upload.copies = 'false'")
    with pytest.raises(ConfigError, match="must be true or false"):
        settings.load({}, environ(tmp_path))
    write(tmp_path, text)
    with pytest.raises(ConfigError, match="LORATUI_UPLOAD__COPIES"):
        settings.load({}, environ(tmp_path, LORATUI_UPLOAD__COPIES="no"))


def test_folders_lie_below_the_state_folder(tmp_path: Path) -> None:
    loaded = settings.load({"state_dir": str(tmp_path)}, environ(tmp_path))
    assert loaded.database.parent == tmp_path
    assert loaded.run_folder("r") == tmp_path / "runs" / "r"


@pytest.mark.parametrize(
    ("text", "hint"),
    [("autor = 'x'", "did you mean 'author'"), ("[local]\nprice = 1", "price_usd_per_h"), ("q = 1", "known keys")],
)
def test_unknown_key_in_the_file_is_refused_with_the_nearest_one(tmp_path: Path, text: str, hint: str) -> None:
    write(tmp_path, text)
    with pytest.raises(ConfigError, match=r"config\.unknown_key") as refused:
        settings.load({}, environ(tmp_path))
    assert hint in refused.value.fix


def test_misspelt_nested_variable_is_refused(tmp_path: Path) -> None:
    for name in ("LORATUI_LOCAL__PRICE", "LORATUI_X__Y"):
        with pytest.raises(ConfigError, match=r"config\.unknown_key"):
            settings.load({}, environ(tmp_path, **{name: "1"}))


@pytest.mark.parametrize(
    "text", ["author = 3", "author = ''", "local.price_usd_per_h = '3'", "local.price_usd_per_h = -1", "local = 'x'"]
)
def test_value_of_a_wrong_type_is_refused(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(ConfigError, match=r"config\.(type|unknown_key)"):
        settings.load({}, environ(tmp_path))


def test_broken_or_unreadable_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "author =")
    with pytest.raises(ConfigError, match=r"config\.syntax"):
        settings.load({}, environ(tmp_path))
    (tmp_path / "config.toml").unlink()
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigError, match=r"config\.unreadable"):
        settings.load({}, environ(tmp_path))


def test_user_without_a_name_is_still_someone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert settings.load({}, environ(tmp_path)).author


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("RENTAL__MIN_RELIABILITY", "99"),
        ("RENTAL__MAX_USD", "0"),
        ("RENTAL__BOOT_LIMIT_MIN", "0"),
        ("RENTAL__CONNECT_LIMIT_MIN", "-1"),
        ("RENTAL__LEASE_MIN", "soon"),
        ("SSH__BILLING_FLOOR_MIN", "-1"),
        ("NETWORK__PORT_PROBE", "example.org"),
        ("NETWORK__PORT_PROBE", "example.org:99999"),
    ],
)
def test_a_limit_that_can_not_be_is_refused_with_what_it_means(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings.load({}, environ(tmp_path, **{f"LORATUI_{name}": text}))
    assert refused.value.code == "config.type"
    assert refused.value.fix


def test_limits_are_read_in_the_units_of_their_names(tmp_path: Path) -> None:
    write(tmp_path, "[rental]\nmax_usd = 2.5\nlease_min = 45\n[network]\nport_probe = 'a.example:40022, [::1]:51234'")
    loaded = settings.load({}, environ(tmp_path, LORATUI_RENTAL__BOOT_LIMIT_MIN="0.5"))
    assert (loaded.rental_max_microusd, loaded.rental_lease_s, loaded.rental_boot_limit_s) == (2_500_000, 2700.0, 30.0)
    assert loaded.port_probe == (("a.example", 40022), ("::1", 51234))
    assert (loaded.rental_connect_limit_s, loaded.ssh_billing_floor_s, loaded.rental_min_reliability) == (
        300.0,
        0,
        0.98,
    )
