"""One run of ``check`` tells everything that can be known of all that it is given, whatever else is wrong."""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from loratui.cli import main
from loratui_protocol.config_file import to_toml
from support.drawn_pictures import photo
from support.small_dataset import small_config

needs_pipes = pytest.mark.skipif(sys.platform == "win32", reason="a pipe with a name in a folder")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a config beside its pictures, with a home of its own."""
    for name in ("STATE", "DATA", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pictures" / "1_cat"
    folder.mkdir(parents=True)
    for seed in range(4):
        photo(seed, (96, 64)).save(folder / f"{seed}.png")
        (folder / f"{seed}.txt").write_text("a cat\n", "utf-8")
    path = tmp_path / "job.toml"
    path.write_text(to_toml(small_config(folder.parent, enable_bucket=False)), "utf-8")
    return path


def told(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, dict[str, Any]]:
    """Return the exit status of a check and what it tells in JSON."""
    status = main(["check", *map(str, argv), "--json"])
    return status, json.loads(capsys.readouterr().out)


def by_code(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["code"]: finding for finding in document["findings"]}


def test_each_path_is_checked_though_one_is_not_there(config: Path, capsys: pytest.CaptureFixture[str]):
    status, document = told(capsys, config, "nosuch", config.parent / "pictures")
    assert status == 2
    assert by_code(document)["usage.path"]["path"] == "nosuch"
    assert {finding["path"] for finding in document["findings"]} > {"nosuch", str(config)}
    assert document["plan"] is not None
    (config.parent / "bad.toml").write_text("x = [", "utf-8")
    assert told(capsys, config, "bad.toml")[0] == 1


@needs_pipes
def test_what_is_no_file_is_named_and_never_opened(config: Path, capsys: pytest.CaptureFixture[str]):
    os.mkfifo("pipe")
    status, document = told(capsys, "pipe", "/dev/zero")
    assert status == 1
    whats = [finding["what"] for finding in document["findings"]]
    assert any("pipe is no training config: it is a named pipe" in what for what in whats)
    assert any("it is a device" in what for what in whats)
    folder = config.parent / "pictures"
    os.mkfifo(folder / "1_cat" / "b.png")
    os.mkfifo(folder / "1_cat" / "0.caption")
    (folder / "a.png").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as unheard:
        os.chdir(folder)
        unheard.bind("s.sock")
        status, document = told(capsys, config)
    assert status == 0
    named = " ".join(each["what"] for each in document["findings"] if each["code"] == "dataset.special_file")
    for name in ("b.png is a named pipe", "0.caption is a named pipe", "a.png is a link", "s.sock is a socket"):
        assert name in named


@needs_pipes
@pytest.mark.parametrize("key", ["dataset_config", "sample_prompts"])
def test_a_config_may_name_a_pipe(config: Path, key: str, capsys: pytest.CaptureFixture[str]):
    os.mkfifo("pipe")
    config.write_text(f'{config.read_text("utf-8")}\n[last]\n{key} = "pipe"\n', "utf-8")
    status, document = told(capsys, config)
    assert status == 1
    assert key in by_code(document)["config.value"]["what"]


def test_a_file_that_is_no_picture_is_named(config: Path, capsys: pytest.CaptureFixture[str]):
    (config.parent / "pictures" / "1_cat" / "0.png").write_text("no picture", "utf-8")
    assert main(["check", str(config)]) == 1
    said = capsys.readouterr().out
    assert "0.png (it holds no picture that can be read)" in said
    assert "BufferedReader" not in said
