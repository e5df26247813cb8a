"""Models to measure with as they lie on a disk: what can't be trusted or is none of them is told, and never guessed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import CLIPModel

from loratui_agent.judge.features import Clip, Dino
from loratui_protocol.errors import ModelError
from support.feature_models import write_clip, write_dino, write_first_dino

pytestmark = [pytest.mark.torch, pytest.mark.timeout(120), pytest.mark.usefixtures("one_thread")]
CPU = torch.device("cpu")


def refused(load: Callable[[Path, torch.device], object], folder: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load(folder, CPU)
    assert caught.value.code == "judge.features"
    return caught.value


@pytest.mark.parametrize("write", [write_dino, write_first_dino])
def test_the_first_dino_and_the_second_tell_pictures_apart(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    pictures = [Image.new("RGB", (40, 30), colour) for colour in ("red", "red", "blue")]
    found = Dino(write(tmp_path / "dino"), CPU).pictures(pictures)
    assert torch.allclose(found.norm(dim=-1), torch.ones(3), atol=1e-5)
    assert found[0] @ found[1] > found[0] @ found[2]


def test_a_hub_id_is_never_looked_for_in_a_cache_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "hub" / "models--org--dino"
    write_dino(cache / "snapshots" / "abc")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert "org/dino is no folder on this machine" in refused(Dino, Path("org/dino")).what


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    folder = write_dino(tmp_path / "dino")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "which could run anything" in refused(Dino, folder).what


def test_a_folder_of_timm_is_called_so(tmp_path: Path) -> None:
    folder = write_dino(tmp_path / "dino")
    (folder / "config.json").write_text(json.dumps({"architecture": "vit_small_patch14_dinov2", "pretrained_cfg": {}}))
    error = refused(Dino, folder)
    assert "is a model of timm" in error.what
    assert "facebook/dinov2-small" in error.fix


def test_each_takes_its_own_kind(tmp_path: Path) -> None:
    clip, dino = write_clip(tmp_path / "clip"), write_dino(tmp_path / "dino")
    assert "is a clip, evaluate_dino takes one of" in refused(Dino, clip).what
    assert "is a dinov2, evaluate_clip takes one of: clip" in refused(Clip, dino).what


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "clip")
    model = CLIPModel.from_pretrained(folder)
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "visual_projection.weight"}
    model.save_pretrained(folder, state_dict=state)
    assert "lacks weights: ['visual_projection.weight']" in refused(Clip, folder).what


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("preprocessor_config.json", b"[1]"),
        ("preprocessor_config.json", b'{"crop_size": "large"}'),
        ("preprocessor_config.json", b'{"crop_size": 32, "image_mean": [0.5]}'),
        ("tokenizer.json", b"{}"),
        ("model.safetensors", b"\x08\0\0\0\0\0\0\0{}      "),
        ("config.json", b"\xff"),
    ],
)
def test_whatever_is_wrong_with_a_file_is_told_before_a_picture_is_looked_at(
    tmp_path: Path, name: str, content: bytes
) -> None:
    folder = write_clip(tmp_path / "clip")
    (folder / name).write_bytes(content)
    refused(Clip, folder)
