"""``install`` copies LoRA files to where programs look for them, never over anything, and says how to call them."""

import json
from pathlib import Path

import pytest

from loratui.cli import main
from loratui.sessions import installing
from loratui_protocol.errors import StorageError
from loratui_protocol.lora_size import TINY_NETWORK
from support.lora_files import kohya, write_file

WORDS = {"modelspec.trigger_phrase": "mystyle", "ss_base_model_version": "sd_v1"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home of its own, in which nothing is found yet."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("LORATUI_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("LORATUI_STATE_DIR", str(tmp_path / "state"))
    for name in ("COMFYUI_PATH", "LORATUI_INSTALL__A1111", "LORATUI_INSTALL__FORGE", "LORATUI_INSTALL__COMFYUI"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    return write_file(tmp_path / "cat.safetensors", kohya(TINY_NETWORK), WORDS)


def make_webui(root: Path, *, is_forge: bool = False) -> Path:
    """Make what A1111 or Forge is known by, and return its folder for LoRAs."""
    (root / "modules").mkdir(parents=True)
    (root / "webui.py").touch()
    if is_forge:
        (root / "modules_forge").mkdir()
    return root / "models" / "Lora"


def make_comfyui(root: Path) -> Path:
    """Make what ComfyUI is known by, and return its folder for LoRAs."""
    (root / "comfy").mkdir(parents=True)
    (root / "nodes.py").touch()
    return root / "models" / "loras"


def test_the_one_program_that_is_found_gets_it_with_its_prompt(home: Path, lora: Path, capsys):
    folder = make_webui(home / "code" / "stable-diffusion-webui")
    assert main(["install", str(lora), "--yes"]) == 0
    assert (folder / "cat.safetensors").read_bytes() == lora.read_bytes()
    assert [path.name for path in folder.iterdir()] == ["cat.safetensors"]
    said = capsys.readouterr().out
    assert f"{folder / 'cat.safetensors'}: installed, and its hash verified" in said
    assert "  prompt: <lora:cat:0.8> mystyle\n" in said


def test_comfyui_is_told_the_settings_of_its_node(home: Path, lora: Path, capsys):
    folder = make_comfyui(home / "ComfyUI_windows_portable" / "ComfyUI")
    assert main(["install", str(lora), "--yes", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    [installed] = document["installed"]
    assert (document["ui"], installed["path"]) == ("comfyui", str(folder / "cat.safetensors"))
    assert installed["state"] == "copied"
    assert (
        installed["snippets"]["comfyui"]
        == "LoraLoader: lora_name cat.safetensors, strength_model 0.8, strength_clip 0.8"
    )
    assert installed["snippets"]["comfyui_prompt"] == "mystyle"


def test_of_several_programs_one_has_to_be_named(home: Path, lora: Path, capsys):
    forge = make_webui(home / "forge", is_forge=True)
    comfyui = make_comfyui(home / "ai" / "ComfyUI")
    assert main(["install", str(lora), "--yes"]) == 2
    said = capsys.readouterr().err
    assert "[install.several]" in said
    assert f"Forge: {forge}" in said
    assert main(["install", str(lora), "--ui", "comfyui", "--yes"]) == 0
    assert (comfyui / "cat.safetensors").is_file()
    assert not forge.exists()


def test_nothing_is_written_over(home: Path, lora: Path, capsys):
    folder = make_comfyui(home / "ComfyUI")
    folder.mkdir(parents=True)
    (folder / "cat.safetensors").write_bytes(b"another")
    assert main(["install", str(lora), "--yes"]) == 0
    assert (folder / "cat.safetensors").read_bytes() == b"another"
    assert (folder / "cat-2.safetensors").read_bytes() == lora.read_bytes()
    said = capsys.readouterr().out
    assert "installed under a number, since another file has its name" in said
    assert "lora_name cat-2.safetensors" in said
    assert main(["install", str(lora), "--yes"]) == 0
    assert "the same file is there already" in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == ["cat-2.safetensors", "cat.safetensors"]


def test_a_folder_that_is_named_is_taken_or_the_one_for_loras_in_it(home: Path, lora: Path, tmp_path: Path, capsys):
    folder = make_webui(tmp_path / "webui")
    assert main(["install", str(lora), "--to", str(tmp_path / "webui")]) == 0
    assert (folder / "cat.safetensors").is_file()
    assert main(["install", str(lora), "--to", str(tmp_path / "mine")]) == 0
    assert (tmp_path / "mine" / "cat.safetensors").is_file()
    said = capsys.readouterr().out
    assert "A1111 and Forge, prompt: <lora:cat:0.8> mystyle" in said
    assert "ComfyUI, LoraLoader" in said
    assert main(["install", str(lora), "--to", str(tmp_path / "no" / "such")]) == 2


def test_a_program_elsewhere_is_remembered_in_the_settings(home: Path, lora: Path, tmp_path: Path, monkeypatch):
    folder = make_webui(tmp_path / "elsewhere")
    make_webui(home / "stable-diffusion-webui")
    monkeypatch.setenv("LORATUI_INSTALL__A1111", str(tmp_path / "elsewhere"))
    assert main(["install", str(lora), "--yes"]) == 0
    assert (folder / "cat.safetensors").is_file()
    comfyui = make_comfyui(tmp_path / "c")
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "c"))
    assert main(["install", str(lora), "--ui", "comfyui", "--yes"]) == 0
    assert (comfyui / "cat.safetensors").is_file()


def test_a_folder_in_the_settings_that_is_not_there_is_never_made(
    home: Path, lora: Path, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setenv("LORATUI_INSTALL__FORGE", str(tmp_path / "gone"))
    assert main(["install", str(lora), "--yes"]) == 2
    assert "install.forge names" in capsys.readouterr().err
    assert not (tmp_path / "gone").exists()


def test_nobody_to_ask_no_program_no_lora_no_file(home: Path, lora: Path, tmp_path: Path, capsys):
    assert main(["install", str(lora), "--yes"]) == 2
    assert "[install.not_found]" in capsys.readouterr().err
    folder = make_comfyui(home / "ComfyUI")
    assert main(["install", str(lora)]) == 2
    assert "[usage.unasked]" in capsys.readouterr().err
    assert main(["install", str(tmp_path / "gone.safetensors"), "--yes"]) == 2
    assert "[usage.path]" in capsys.readouterr().err
    other = write_file(tmp_path / "x.safetensors", {})
    assert main(["install", str(lora), str(other), "--yes"]) == 3
    assert "[lora.empty]" in capsys.readouterr().err
    (tmp_path / "cut.safetensors").write_bytes(lora.read_bytes()[:-5])
    assert main(["install", str(tmp_path / "cut.safetensors"), "--yes"]) == 3
    # Of several files none is copied where one is refused.
    assert not folder.exists()


def test_what_arrives_otherwise_than_it_was_is_removed_again(lora: Path, tmp_path: Path, monkeypatch):
    def careless(source: Path, sha256: str, folder: Path) -> Path:
        folder.mkdir()
        (folder / source.name).write_bytes(source.read_bytes()[:-1])
        return folder / source.name

    monkeypatch.setattr(installing, "export", careless)
    with pytest.raises(StorageError, match="removed again") as error:
        installing.install_file(lora, tmp_path / "loras")
    assert error.value.code == "install.damaged"
    assert not list((tmp_path / "loras").iterdir())
