"""What is told as fixable is set right by ``check --fix``: every code of docs/findings.md that is marked so."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from loratui.cli.fixing import mendable
from loratui.cli.main import main
from support.small_dataset import write_small_dataset

DOCUMENT = Path(__file__).parents[3] / "docs" / "findings.md"
MODEL = 'pretrained_model_name_or_path = "builtin:tiny"\n'
BASE = f'{MODEL}train_data_dir = "pictures"\nresolution = "64,64"\nmax_train_steps = 2\n'

CONFIGS = {
    "config.alpha": "network_dim = 8",
    "config.cached_text": "cache_text_encoder_outputs = true\nshuffle_caption = true",
    "config.caption_extension": 'caption_extension = "txt"',
    "config.constant_warmup": "lr_warmup_steps = 1",
    "config.duplicate_key": "[a]\nseed = 1\n[b]\nseed = 2",
    "config.flag": "flip_aug = 1",
    "config.keeps_all": "save_last_n_epochs = 0",
    "config.kohya_name": "batch_size = 1",
    "config.network_arg": "conv_dim = 4",
    "config.network_module": "seed = 1",
    "config.resolution_form": "[b]\nresolution = 64",
    "config.sdxl": "sdxl = false",
    "config.token_length": "max_token_length = 255",
    "config.type": 'network_dim = "8"',
    "config.unknown_key": "netwrok_dim = 8",
    "config.warmup_form": "lr_warmup_steps = 1.0",
    "config.without_effect": "xformers = true",
}
REPLACED = {
    "config.backslash": ('"pictures"', "'.\\pictures'"),
    "model.moved": ("builtin:tiny", "runwayml/stable-diffusion-v1-5"),
}


def blank(folder: Path) -> None:
    Image.new("RGB", (64, 64)).save(folder / "5.png")


def other_name(folder: Path) -> None:
    (folder / "0.png").rename(folder / "0.jfif")


def odd_name(folder: Path) -> None:
    (folder / "0.txt").rename(folder / "0.png.txt")


def far_captions(folder: Path) -> None:
    (folder / "captions").mkdir()
    (folder / "0.txt").rename(folder / "captions" / "0.txt")


def loose(folder: Path) -> None:
    (folder / "0.png").rename(folder.parent / "0.png")


def duplicate(folder: Path) -> None:
    (folder / "5.png").write_bytes((folder / "0.png").read_bytes())


def written(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def cut(folder: Path) -> None:
    (folder / "0.png").write_bytes((folder / "0.png").read_bytes()[:-60])


def trigger(*captions: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        for number, caption in enumerate(captions):
            (folder / f"{number}.txt").write_text(caption, "utf-8")

    return write


FOLDERS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "caption.odd_name": (odd_name, ()),
    "dataset.no_caption": (far_captions, ()),
    "caption.bom": (written("0.txt", b"\xef\xbb\xbfa cat"), ()),
    "dataset.caption_encoding": (written("0.txt", "a café".encode("utf-16")), ()),
    "caption.orphan": (written("gone.txt", b"a dog"), ()),
    "dataset.picture_names": (other_name, ()),
    "picture.blank": (blank, ()),
    "picture.empty_file": (written("5.png", b""), ()),
    "picture.truncated": (cut, ()),
    "picture.undecodable": (written("5.png", b"\x89PNG\r\n\x1a\n" + bytes(200)), ()),
    "picture.duplicate": (duplicate, ()),
    "dataset.loose_pictures": (loose, ()),
    "caption.trigger_missing": (trigger("a cat"), ("--trigger", "zorb")),
    "caption.trigger_not_in_all": (trigger("zorb cat", "zorb cat"), ("--trigger", "zorb")),
    "caption.trigger_case": (trigger(*["Zorb cat"] * 4), ("--trigger", "zorb")),
    "dataset.flat": (lambda folder: folder.rename(folder.parent.parent / "flat"), ("--repeats", "2")),
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("STATE_DIR", "CONFIG_DIR", "HOME"):
        monkeypatch.setenv(f"LORATUI_{name}", str(tmp_path / "loratui"))
    return write_small_dataset(tmp_path / "pictures")


@pytest.fixture
def checked(root: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, bool]]:
    def check(*words: object) -> dict[str, bool]:
        """Return the codes that are found, and whether they are told as fixable."""
        main(["check", *map(str, words), "--yes", "--json"])
        findings: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["findings"]
        return {each["code"]: each["fixable"] for each in sorted(findings, key=lambda each: each["fixable"])}

    return check


def test_every_code_that_is_marked_as_fixable_is_tried_here():
    marked = set(
        re.findall(r"^- \*\*`([a-z._]+)`\*\* \([a-z ]+, \*fixable\*\)", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    )
    assert marked == {*CONFIGS, *FOLDERS, *REPLACED}


@pytest.mark.parametrize("code", [*CONFIGS, *REPLACED])
def test_a_config_that_is_told_as_fixable_is_set_right(root: Path, checked, code: str):
    config = root.parent / "x.toml"
    text = BASE.replace('resolution = "64,64"\n', "") if code == "config.resolution_form" else BASE
    text = text if code == "config.network_module" else text + 'network_module = "networks.lora"\n'
    config.write_text(text.replace(*REPLACED[code]) if code in REPLACED else text + CONFIGS[code], "utf-8")
    found = mendable(config)
    assert found is not None
    assert code in {finding.code for finding in found.findings}
    assert code not in checked(config, "--fix")


@pytest.mark.parametrize("code", FOLDERS)
def test_a_folder_that_is_told_as_fixable_is_set_right(root: Path, checked, code: str):
    spoil, told = FOLDERS[code]
    spoil(root / "1_cat")
    path = root.parent / "flat" if code == "dataset.flat" else root
    if code.startswith("caption.trigger"):
        path = root.parent / "x.toml"
        path.write_text(f'{BASE}network_module = "networks.lora"\nnetwork_alpha = 4\ntrigger_word = "zorb"\n', "utf-8")
    assert checked(path, *told)[code] is True
    assert code not in checked(path, *told, "--fix")


def test_what_is_for_a_person_to_say_is_not_told_as_fixable(root: Path, checked):
    (root / "1_cat" / "0.txt").unlink()
    assert checked(root)["dataset.no_caption"] is False
    flat = (root / "1_cat").rename(root.parent / "flat")
    assert checked(flat)["dataset.flat"] is False
