"""``edit``: keys of a config changed from a shell, as the form on the screen changes them."""

import json
import os
import sys
from pathlib import Path

import pytest

from loratui.cli.main import main
from loratui_protocol.config_file import read_config
from support.small_dataset import write_small_dataset
from support.terminal import Terminal

OWN = '# mine\npretrained_model_name_or_path = "builtin:tiny"\ntrain_data_dir = "data"\n\nnetwork_dim = 8 # rank\n'
Said = pytest.CaptureFixture[str]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("STATE_DIR", "CONFIG_DIR"):
        monkeypatch.setenv(f"LORATUI_{name}", str(tmp_path / name))
    write_small_dataset(tmp_path / "data")
    path = tmp_path / "my config.toml"
    path.write_text(OWN, "utf-8")
    return path


def edit(config: Path, *words: str) -> int:
    return main(["edit", str(config), *words])


def test_keys_are_set_and_taken_out_and_nothing_else_changes(config: Path, capsys: Said) -> None:
    assert edit(config, "--set", "network_dim=16", "--set", "seed=3", "--yes") == 0
    told = capsys.readouterr()
    assert "-network_dim = 8 # rank\n+network_dim = 16  # rank" in told.out
    assert "my config.toml" in told.err
    assert config.read_text("utf-8").startswith(OWN.replace("8 # rank", "16  # rank").rstrip())
    assert read_config(config).config.seed == 3
    assert edit(config, "--unset", "seed", "--set", "network_dim=", "--yes", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["written"], document["changed"]) == (True, {"seed": None, "network_dim": None})
    assert config.read_text("utf-8").startswith("# mine\n")
    assert "seed" not in config.read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["--set", "netwrk_dim=4"], 3, "config.unknown_key"),
        (["--set", "network_dim=many"], 3, "config.type"),
        (["--set", "network_dim=0"], 3, "config.value"),
        (["--set", "network_dim"], 2, "usage"),
        ([], 2, "usage"),
        (["--set", "network_dim=4", "-o", "../other.toml"], 1, "disk.name"),
        (["--set", "network_dim=4", "-o", "my config.toml"], 1, "disk.exists"),
        (["--set", "network_dim=4", "--editor"], 2, "usage"),
    ],
)
def test_what_can_not_be_done_changes_nothing(
    config: Path, capsys: Said, words: list[str], status: int, code: str
) -> None:
    assert edit(config, *words, "--yes") == status
    errors = capsys.readouterr().err
    assert f"[{code}]" in errors
    assert "fix:" in errors
    assert config.read_text("utf-8") == OWN


def test_nothing_is_written_where_nobody_can_be_asked_or_only_a_look_is_wanted(config: Path, capsys: Said) -> None:
    assert edit(config, "--set", "network_dim=4") == 2
    assert "[edit.unasked]" in capsys.readouterr().err
    assert edit(config, "--editor") == 2
    assert "[edit.unasked]" in capsys.readouterr().err
    assert edit(config, "--set", "network_dim=4", "--dry-run") == 0
    assert "+network_dim = 4" in capsys.readouterr().out
    assert config.read_text("utf-8") == OWN


def test_enter_writes_nothing_and_a_typed_y_does(config: Path) -> None:
    argv = [sys.executable, "-m", "loratui.cli", "edit", str(config), "--set", "network_dim=4"]
    for answer, is_as_before in (("", True), ("y", False)):
        with Terminal(argv, environ=dict(os.environ)) as terminal:
            terminal.read_until(lambda output: b"[y/N]" in output)
            assert b"+network_dim = 4" in terminal.received
            terminal.press(f"{answer}\n")
            assert terminal.wait() == 0
        assert (config.read_text("utf-8") == OWN) is is_as_before


def test_another_name_leaves_the_file_as_it_was(config: Path) -> None:
    assert edit(config, "--set", "network_dim=4", "-o", "other", "--yes") == 0
    assert config.read_text("utf-8") == OWN
    assert read_config(config.with_name("other.toml")).config.network_dim == 4


def test_what_can_not_be_trained_is_written_and_said(config: Path, capsys: Said) -> None:
    assert edit(config, "--set", "lr_scheduler=piecewise_constant", "--yes") == 1
    assert "lr_scheduler_args must be" in capsys.readouterr().err
    assert 'lr_scheduler = "piecewise_constant"' in config.read_text("utf-8")


def test_the_editor_is_the_users_own_and_what_it_leaves_is_judged(config: Path, tmp_path: Path) -> None:
    editor = tmp_path / "editor.sh"
    editor.write_text('#!/bin/sh\nsed -i "s/= 8/= 0/" "$1"\n', "utf-8")
    editor.chmod(0o700)
    argv = [sys.executable, "-m", "loratui.cli", "edit", str(config), "--editor"]
    with Terminal(argv, environ={**os.environ, "VISUAL": str(editor)}) as terminal:
        assert terminal.wait() == 1
        assert b"network_dim" in terminal.received
    assert "network_dim = 0" in config.read_text("utf-8")
