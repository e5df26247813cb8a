"""A config file is written whole, as its own, and never over what somebody else wrote."""

import json
import os
import sys
from pathlib import Path

import pytest

from loratui.sessions.config_files import elsewhere, form_of, has_changed, open_config, write
from loratui_protocol.config_file import read_config
from loratui_protocol.errors import ConfigError, StorageError
from support.small_dataset import write_small_dataset

OWN = '# mine\npretrained_model_name_or_path = "builtin:tiny"\ntrain_data_dir = "data"\n\nnetwork_dim = 8 # rank\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "my.toml"
    path.write_text(OWN, "utf-8")
    return path


def test_a_change_is_written_and_nothing_else(path: Path) -> None:
    opened = open_config(path)
    form = form_of(opened)
    form.set("network_dim", "16")
    after = write(opened, form.text)

    assert path.read_text("utf-8") == OWN.replace("8 # rank", "16  # rank")
    assert [each.name for each in path.parent.iterdir()] == ["my.toml"]
    assert not has_changed(after)
    assert write(after, OWN).content == OWN.encode()


def test_a_file_that_somebody_else_has_changed_is_left_alone(path: Path) -> None:
    opened = open_config(path)
    path.write_text(OWN + "seed = 1\n", "utf-8")

    assert has_changed(opened)
    with pytest.raises(StorageError, match="has changed on the disk") as refused:
        write(opened, OWN)
    assert refused.value.code == "disk.changed_meanwhile"
    assert path.read_text("utf-8") == OWN + "seed = 1\n"


def test_a_file_that_was_removed_is_not_written_anew(path: Path) -> None:
    opened = open_config(path)
    path.unlink()

    assert has_changed(opened)
    with pytest.raises(StorageError):
        write(opened, OWN)
    assert not path.exists()


def test_line_ends_stay_as_they_were(path: Path) -> None:
    path.write_bytes(OWN.replace("\n", "\r\n").encode())
    opened = open_config(path)
    form = form_of(opened)
    assert "\r" not in form.text
    form.set("network_dim", "16")
    write(opened, form.text)

    assert path.read_bytes() == OWN.replace("8 # rank", "16  # rank").replace("\n", "\r\n").encode()


@pytest.mark.skipif(sys.platform == "win32", reason="modes and links are of POSIX")
def test_mode_and_link_stay(path: Path, tmp_path: Path) -> None:
    path.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    write(open_config(link), OWN + "seed = 1\n")

    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_text("utf-8").endswith("seed = 1\n")


def test_what_another_program_saved_becomes_a_new_file_beside_it(tmp_path: Path) -> None:
    data = write_small_dataset(tmp_path / "data")
    gui = tmp_path / "gui.json"
    saved = {"pretrained_model_name_or_path": "builtin:tiny", "train_data_dir": str(data), "network_dim": 12}
    gui.write_text(json.dumps({**saved, "LoRA_type": "Standard", "max_resolution": "64,64", "epoch": 2}), "utf-8")
    (tmp_path / "gui.toml").write_text("of somebody else", "utf-8")
    before = gui.read_bytes()
    opened = open_config(gui)
    form = form_of(opened)
    assert (opened.kind, opened.target.name) == ("kohya_gui", "gui-2.toml")
    assert form.is_dirty
    form.set("network_dim", "16")
    after = write(opened, form.text)

    assert gui.read_bytes() == before
    assert (tmp_path / "gui.toml").read_text("utf-8") == "of somebody else"
    assert after.path == tmp_path / "gui-2.toml"
    assert not after.is_new
    assert read_config(after.path).config.network_dim == 16
    assert read_config(after.path).config.train_data_dir == str(data)


def test_what_took_the_new_name_meanwhile_stays(tmp_path: Path) -> None:
    gui = tmp_path / "gui.json"
    gui.write_text(json.dumps({"LoRA_type": "Standard", "pretrained_model_name_or_path": "builtin:tiny"}), "utf-8")
    opened = open_config(gui)
    opened.target.write_text("theirs", "utf-8")

    with pytest.raises(StorageError):
        write(opened, OWN)
    assert opened.target.read_text("utf-8") == "theirs"


def test_another_name_is_one_in_the_same_folder_and_free(path: Path) -> None:
    opened = open_config(path)
    other = write(elsewhere(opened, "other"), OWN + "seed = 1\n")

    assert other.path == path.parent / "other.toml"
    assert path.read_text("utf-8") == OWN
    for name in ("my.toml", "sub/my2.toml", "../my2.toml", "", "..", "a\\b"):
        with pytest.raises(StorageError):
            elsewhere(opened, name)


@pytest.mark.parametrize("content", [b"\x00\x01", b"= 1", b"\xff\xfea\x00", b"{", b"[[[["])
def test_what_is_no_config_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError):
        form_of(open_config(path))


def test_a_folder_or_nothing_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.toml"):
        with pytest.raises(ConfigError):
            open_config(path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_takes_nothing_is_told(path: Path) -> None:
    opened = open_config(path)
    path.parent.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="can't be written"):
            write(opened, OWN + "seed = 1\n")
    finally:
        path.parent.chmod(0o700)
    assert path.read_text("utf-8") == OWN


def test_a_config_can_be_worked_on_before_its_pictures_are_there(path: Path) -> None:
    assert form_of(open_config(path)).loaded is not None
