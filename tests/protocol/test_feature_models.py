"""Models to measure with: of a hub's files only what is needed and harmless, and of kinds only those that are known."""

import json
from pathlib import Path

import pytest

from loratui_protocol.errors import ModelError
from loratui_protocol.feature_models import (
    check_feature_config,
    check_feature_folder,
    files_of_feature_model,
    read_feature_config,
)
from loratui_protocol.inputs import ModelPurpose

DINO, CLIP = ModelPurpose.DINO, ModelPurpose.CLIP
OF_DINO = ["config.json", "model.safetensors", "preprocessor_config.json"]
OF_CLIP = [*OF_DINO, "merges.txt", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.json"]
NOT_NEEDED = [
    *("README.md", ".gitattributes", "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack"),
    *("model.fp16.safetensors", "open_clip_model.safetensors", "onnx/model.safetensors", "onnx/config.json"),
]
TIMM = {"architecture": "vit_small_patch14_dinov2", "num_classes": 0, "pretrained_cfg": {"mean": [0.5, 0.5, 0.5]}}


def refused(address: str, names: list[str], purpose: ModelPurpose) -> ModelError:
    with pytest.raises(ModelError) as caught:
        files_of_feature_model(address, names, purpose)
    return caught.value


@pytest.mark.parametrize(("purpose", "wanted"), [(DINO, OF_DINO), (CLIP, OF_CLIP)])
def test_of_a_hubs_files_those_are_taken_that_transformers_reads(purpose: ModelPurpose, wanted: list[str]) -> None:
    assert files_of_feature_model("org/name", [*OF_CLIP, *NOT_NEEDED], purpose) == sorted(wanted)


def test_weights_in_pieces_are_taken_with_the_file_that_names_them() -> None:
    pieces = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = "model.safetensors.index.json"
    assert files_of_feature_model("org/name", ["config.json", index, *pieces], DINO) == ["config.json", *pieces, index]
    assert refused("org/name", ["config.json", *pieces], DINO).code == "model.incomplete"
    # Where it is there as a whole, too, the pieces are the same once more.
    assert files_of_feature_model("org/name", [*OF_DINO, index, *pieces], DINO) == OF_DINO


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "flax_model.msgpack", "tf_model.h5", "model.pt"])
def test_a_model_without_safetensors_is_refused_with_what_to_write_instead(pickle: str) -> None:
    error = refused("openai/clip", [name for name in OF_CLIP if name != "model.safetensors"] + [pickle], CLIP)
    assert (error.code, pickle in error.what) == ("model.unsafe", True)
    assert "@REVISION" in error.fix
    assert "refs/pr/" in error.fix


@pytest.mark.parametrize(
    ("purpose", "names", "lacks"),
    [
        (DINO, ["config.json"], "model.safetensors"),
        (DINO, ["model.safetensors"], "config.json"),
        (CLIP, OF_DINO, "tokenizer.json, or vocab.json and merges.txt"),
        (CLIP, [*OF_DINO, "vocab.json"], "tokenizer.json, or vocab.json and merges.txt"),
    ],
)
def test_what_a_model_lacks_is_named(purpose: ModelPurpose, names: list[str], lacks: str) -> None:
    error = refused("org/name", names, purpose)
    assert (error.code, lacks in error.what) == ("model.incomplete", True)


def test_either_kind_of_tokenizer_will_do() -> None:
    old = [*OF_DINO, "vocab.json", "merges.txt"]
    assert files_of_feature_model("org/name", old, CLIP) == sorted(old)
    assert files_of_feature_model("org/name", [*OF_DINO, "tokenizer.json"], CLIP) == sorted(
        [*OF_DINO, "tokenizer.json"]
    )


@pytest.mark.parametrize(
    ("purpose", "config", "word"),
    [
        (DINO, TIMM, "a model of timm"),
        (DINO, {"model_type": "timm_wrapper", **TIMM}, "a model of timm"),
        (CLIP, TIMM, "a model of timm"),
        (DINO, {"model_type": "clip"}, "is a clip, evaluate_dino takes"),
        (CLIP, {"model_type": "siglip"}, "is a siglip, evaluate_clip takes one of: clip"),
        (DINO, {}, "does not name"),
        (DINO, {"model_type": ["dinov2"]}, "does not name"),
    ],
)
def test_a_model_of_another_kind_is_refused(purpose: ModelPurpose, config: dict[str, object], word: str) -> None:
    with pytest.raises(ModelError) as caught:
        check_feature_config("org/name", config, purpose)
    assert (caught.value.code, word in caught.value.what) == ("model.unsupported", True), caught.value.what


def test_of_timms_models_the_same_in_another_format_is_advised() -> None:
    with pytest.raises(ModelError) as caught:
        check_feature_config("timm/vit_small_patch14_dinov2.lvd142m", TIMM, DINO)
    assert "facebook/dinov2-small" in caught.value.fix


@pytest.mark.parametrize("kind", ["dinov2", "dinov2_with_registers", "dinov3_vit", "dinov3_convnext", "vit"])
def test_every_dino_is_one(kind: str) -> None:
    check_feature_config("org/name", {"model_type": kind}, DINO)


def test_a_folder_is_looked_at_like_a_hub(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        check_feature_folder(tmp_path / "none", DINO)
    assert caught.value.code == "model.missing"
    for name in (*OF_DINO, "pytorch_model.bin"):
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(ModelError, match="does not name"):
        check_feature_folder(tmp_path, DINO)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dinov2"}))
    assert check_feature_folder(tmp_path, DINO) == OF_DINO
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError) as caught:
        check_feature_folder(tmp_path, DINO)
    assert caught.value.code == "model.unsafe"


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000])
def test_a_config_that_is_none_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_feature_config(path)
    assert caught.value.code == "model.incomplete"
