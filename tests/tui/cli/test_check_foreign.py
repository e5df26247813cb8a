"""``check`` on other programs' configs, with a real folder of pictures."""

import json
import shutil
from pathlib import Path

import pytest

from loratui.cli import main
from loratui_protocol.config_file import read_config
from support.small_dataset import write_small_dataset

CORPUS = Path(__file__).parents[2] / "protocol" / "corpus"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with pictures, and a home of its own."""
    for name in ("STATE", "DATA", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    write_small_dataset(tmp_path / "training_data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("name", "pictures"), [("gui_standard.json", 4), ("onetrainer_sd15.json", 4)])
def test_a_config_of_another_program_is_checked_and_planned(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, pictures: int
):
    shutil.copy(CORPUS / name, folder)
    assert main(["check", name, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    codes = [finding["code"] for finding in document["findings"]]
    assert codes.count("config.gui_keys") == 1
    assert document["plan"]["num_pictures"] == pictures
    assert {finding["severity"] for finding in document["findings"]} <= {"warning", "info"}


def test_a_fixed_config_of_the_gui_is_our_own_file(folder: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copy(CORPUS / "gui_standard.json", folder)
    assert main(["check", "gui_standard.json", "--fix"]) == 0
    assert "written: gui_standard.fixed.toml" in capsys.readouterr().out
    fixed = read_config(folder / "gui_standard.fixed.toml").config
    assert fixed == read_config(folder / "gui_standard.json").config


def test_secrets_in_a_config_of_the_gui_are_not_shown(folder: Path, capsys: pytest.CaptureFixture[str]):
    content = json.loads((CORPUS / "gui_standard.json").read_text("utf-8"))
    content |= {"wandb_api_key": "hush-one", "additional_parameters": "--huggingface_token hush-two"}
    for indent in (2, None):
        (folder / "gui.json").write_text(json.dumps(content, indent=indent), "utf-8")
        assert main(["check", "gui.json", "--fix"]) == 0
        said = capsys.readouterr()
        assert "hush" not in said.out + said.err


def test_a_file_that_is_no_config_is_one_finding(folder: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copy(CORPUS / "comfy_workflow.json", folder)
    assert main(["check", "comfy_workflow.json", "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["code"] == "config.not_a_config"
    assert "ComfyUI" in finding["what"]
