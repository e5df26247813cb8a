"""Commands in what is printed can be typed as they are: real names, quoted, and no word that stands for one."""

import hashlib
import json
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from loratui.cli.main import main
from loratui.preflight.captioned import caption_texts
from loratui.preflight.draft_marks import Draft, mark
from loratui_protocol.errors import DatasetError
from support.checkpoint_headers import write_header

NAME = "it's my תמונה"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("STATE", "DATA", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "home" / name))
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / NAME / "a.png")
    (tmp_path / NAME / "a.txt").write_text("a draft of a caption", "utf-8")
    return tmp_path


def test_findings_name_the_config_that_was_checked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = f"{NAME}.toml"
    (here / config).write_text(
        f'pretrained_model_name_or_path = "org/name"\ntrain_data_dir = "{NAME}"\nresolution = "64"\n'
        'trigger_word = "zorbix"\nmax_train_epochs = 90\n',
        "utf-8",
    )
    written = hashlib.sha256((here / NAME / "a.txt").read_bytes()).hexdigest()
    mark(here / NAME, {"a.txt": Draft(by="wd14", sha256=written, at="2026-11-28")})
    assert main(["check", config, "--json"]) == 0
    fixes = {each["code"]: each["fix"] for each in json.loads(capsys.readouterr().out)["findings"]}
    typed, folder = shlex.quote(config), shlex.quote(str(here / NAME))
    assert f"loratui check {typed} --fix --repeats 10 " in fixes["dataset.flat"]
    assert f"loratui check {folder} --fix --trigger zorbix " in fixes["caption.trigger_missing"]
    assert fixes["caption.draft"].endswith(f"loratui caption {folder} --review")
    assert main(["plan", config]) == 0
    assert f"loratui plan {typed} --gpu 4090 " in capsys.readouterr().out


def test_findings_name_the_folder_that_was_checked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", NAME, "--json"]) == 0
    fixes = {each["code"]: each["fix"] for each in json.loads(capsys.readouterr().out)["findings"]}
    assert f"loratui check {shlex.quote(NAME)} --fix --repeats 10 " in fixes["dataset.flat"]


def test_a_refusal_names_its_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lora = here / NAME / "my lora.safetensors"
    write_header(lora, {"lora_unet_x.lora_down.weight": (8, 8)}, metadata={"ss_network_module": "networks.lora"})
    assert main(["check", str(lora), "--json"]) == 1
    fixes = {each["code"]: each["fix"] for each in json.loads(capsys.readouterr().out)["findings"]}
    assert f"loratui convert {shlex.quote(str(lora))} --to native" in fixes["lora.config"]
    (here / NAME / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DatasetError) as refused:
        caption_texts([here / NAME / "a.txt"])
    assert f"loratui check {shlex.quote(str(here / NAME))} --fix " in refused.value.fix


def test_no_finding_has_a_word_that_stands_for_a_name() -> None:
    documented = (Path(__file__).parents[3] / "docs" / "findings.md").read_text("utf-8")
    assert re.findall(r"\b(?:DIR|CONFIG|FILE|PATH|FOLDER)\b", documented) == []
