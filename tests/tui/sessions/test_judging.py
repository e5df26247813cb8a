"""What a judgement needs, told before it is started: files here, models of a hub elsewhere."""

from pathlib import Path

import pytest

from loratui.sessions.judging import check_features_here, feature_sources, judging_findings
from loratui.sessions.supply import Supply, plan_supply
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import ModelError
from loratui_protocol.findings import Finding
from loratui_protocol.inputs import EnvironmentKind, EnvironmentSpec, ModelPurpose
from support.tiny_training import tiny_config, write_pictures

HUB = "https://hub.example"
DINO, CLIP = "facebook/dinov2-small", "openai/clip-vit-base-patch32@refs/pr/15"


def config(folder: Path, **changes: object) -> TrainingConfig:
    settings = {"evaluate_checkpoints": 2, "evaluate_dino": DINO, "evaluate_clip": CLIP, **changes}
    return tiny_config(folder / "pictures", **settings)


def findings(folder: Path, **changes: object) -> list[Finding]:
    return [*judging_findings(config(folder, **changes), folder)]


def test_a_hub_id_is_no_error_and_where_it_is_downloaded_is_said(tmp_path: Path) -> None:
    found = findings(tmp_path)
    assert [(each.code, each.severity) for each in found] == [("evaluate.downloaded", "info")] * 2
    assert f"evaluate_dino names {DINO}" in found[0].what
    assert "to judge here, download it" in found[0].fix


def test_a_mistyped_folder_is_not_taken_for_a_hub_id_in_silence(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    [found] = findings(tmp_path, evaluate_dino="models/dino", evaluate_clip=CLIP)[:1]
    assert (found.code, found.severity) == ("evaluate.missing", "warning")
    assert f"{tmp_path / 'models'} is there, and has no dino" in found.what


@pytest.mark.parametrize("name", ["dino", "/nowhere/dino", "https://hub.example/dino.safetensors", "a/b/c"])
def test_what_is_neither_there_nor_a_hub_id_is_an_error(tmp_path: Path, name: str) -> None:
    [found] = [each for each in findings(tmp_path, evaluate_dino=name) if "evaluate_dino" in each.what]
    assert (found.code, found.severity) == ("evaluate.missing", "error")
    assert "a hub id" in found.fix


def test_a_folder_that_can_not_be_measured_with_is_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    folder = tmp_path / "timm"
    folder.mkdir()
    (folder / "config.json").write_text('{"architecture": "vit_small_patch14_dinov2", "pretrained_cfg": {}}')
    found = findings(tmp_path, evaluate_dino=str(folder))[0]
    assert (found.code, found.severity) == ("evaluate.missing", "error")
    assert "a model of timm" in found.what
    assert "facebook/dinov2-small" in found.fix
    (folder / "config.json").write_text('{"model_type": "dinov2"}')
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    assert "which could run anything" in findings(tmp_path, evaluate_dino=str(folder))[0].what


def test_who_names_no_model_is_told_which_one_to_name(tmp_path: Path) -> None:
    found = findings(tmp_path, evaluate_dino=None, evaluate_clip=None)
    assert [each.code for each in found] == ["evaluate.unmeasured"] * 2
    assert found[0].fix.startswith("name facebook/dinov2-small")
    assert found[1].fix.startswith("name openai/clip-vit-base-patch32")


def test_a_size_that_has_no_whole_latents_is_told_as_it_is_drawn(tmp_path: Path) -> None:
    assert not [each for each in findings(tmp_path, resolution=(512, 768)) if each.code == "evaluate.size"]
    [found] = [each for each in findings(tmp_path, resolution=(500, 769)) if each.code == "evaluate.size"]
    assert found.severity == "info"
    assert "drawn at 496x768, not 500x769" in found.what


def test_a_machine_downloads_what_is_not_here_and_only_where_something_is_judged(tmp_path: Path) -> None:
    dino, clip = feature_sources(config(tmp_path), HUB)
    assert (dino.purpose, dino.address, dino.revision, dino.place) == (
        *(ModelPurpose.DINO, "facebook/dinov2-small", ""),
        "evaluate_dino/dinov2-small",
    )
    assert (clip.purpose, clip.address, clip.revision, clip.hub_url) == (
        *(ModelPurpose.CLIP, "openai/clip-vit-base-patch32", "refs/pr/15"),
        HUB,
    )
    assert feature_sources(config(tmp_path, evaluate_checkpoints=0), HUB) == []
    (tmp_path / "dino").mkdir()
    assert feature_sources(config(tmp_path, evaluate_dino=str(tmp_path / "dino"), evaluate_clip=None), HUB) == []


def test_the_box_is_told_what_to_download_and_where_it_will_lie(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    wanted = config(tmp_path)
    features = feature_sources(wanted, HUB)
    supply = plan_supply(wanted, environment=EnvironmentSpec(kind=EnvironmentKind.AGENT), features=features)
    assert supply.inputs.features == features
    assert not [file.name for file in supply.manifest.files if file.name.startswith("evaluate")]
    assert 'evaluate_dino = "inputs/evaluate_dino/dinov2-small"' in supply.config_toml
    assert 'evaluate_clip = "inputs/evaluate_clip/clip-vit-base-patch32"' in supply.config_toml
    assert Supply.from_json(supply.to_json()) == supply


def test_a_plan_that_an_earlier_version_wrote_down_names_none(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    wanted = config(tmp_path, evaluate_dino=None, evaluate_clip=None)
    supply = plan_supply(wanted, environment=EnvironmentSpec(kind=EnvironmentKind.AGENT))
    written = supply.to_json()
    for added in (', "features": []', '"purpose": "base", '):
        assert added in written
        written = written.replace(added, "")
    assert Supply.from_json(written) == supply


def test_this_machine_downloads_none_and_says_so_before_it_starts(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        check_features_here(config(tmp_path))
    assert caught.value.code == "evaluate.missing"
    assert "only other machines download a hub id" in caught.value.what
    check_features_here(config(tmp_path, evaluate_dino="/nowhere", evaluate_clip=None))
