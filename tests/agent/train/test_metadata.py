"""What the LoRA file says of itself: what other programs read, what its owner wants said, and nothing personal."""

import base64
import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save, save_file

from loratui_agent.model_path import resolve_model
from loratui_agent.train import export, loop, samples, saving
from loratui_agent.train.controls import Controls
from loratui_agent.train.job import load_job
from loratui_agent.train.run import Run
from loratui_protocol.base_license import base_license
from loratui_protocol.config_file import to_toml
from loratui_protocol.messages import ArtifactKind
from loratui_protocol.safetensors_header import read_header
from support.tiny_run import new_run, take_steps
from support.tiny_training import tiny_config, write_pictures

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]
QUICK = "a zorbix on a red background --s 2"
THUMBNAIL = "modelspec.thumbnail"


def started(folder: Path, **changes: Any) -> Run:
    run = new_run(folder, **{"network_train_unet_only": True, "sample_prompts": (QUICK,), **changes})
    run.job.artifacts.mkdir(exist_ok=True)
    return run


def saved(run: Run, kind: ArtifactKind = ArtifactKind.LORA) -> Path:
    return run.job.artifacts / saving.save_lora(run, "tiny.safetensors", kind).id


def said(run: Run, kind: ArtifactKind = ArtifactKind.LORA) -> dict[str, str]:
    return dict(read_header(saved(run, kind)).metadata)


@pytest.mark.parametrize("save_format", ["kohya", "diffusers"])
def test_no_byte_of_the_file_tells_where_or_who_it_was_or_holds_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_format: str
):
    places = ("pretrained", "train", "reg", "masks", "out", "home", "job")
    canaries = {name: f"canary-{name}-7f3a" for name in (*places, "user", "token", "prompt")}
    root = tmp_path / canaries["home"]
    folders = {name: root / canaries[name] for name in places}
    for folder in folders.values():
        folder.mkdir(parents=True)
    # A flat folder is a place on a disk; a numbered one has a name for its pictures.
    flat = write_pictures(tmp_path / "flat") / "1_zorbix"
    for picture in flat.iterdir():
        picture.rename(folders["train"] / picture.name)
    write_pictures(folders["reg"])
    for index in range(4):
        Image.new("L", (64, 64), 255).save(folders["masks"] / f"{index}.png")
    (folders["pretrained"] / "tiny").symlink_to(resolve_model("builtin:tiny"))
    monkeypatch.setenv("HOME", str(root))
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, canaries["user"])
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "LORATUI_TOKEN", "RUNPOD_API_KEY"):
        monkeypatch.setenv(name, canaries["token"])
    run = new_run(
        folders["job"],
        pretrained_model_name_or_path=str(folders["pretrained"] / "tiny"),
        train_data_dir=str(folders["train"]),
        reg_data_dir=str(folders["reg"]),
        conditioning_data_dir=str(folders["masks"]),
        masked_loss=True,
        output_dir=str(folders["out"]),
        sample_prompts=(f"{QUICK} {canaries['prompt']}",),
        save_format=save_format,
    )
    run.job.artifacts.mkdir(exist_ok=True)
    take_steps(run, 1)
    samples.make_samples(run, Controls(run.reporter))
    content = saved(run).read_bytes()
    assert THUMBNAIL.encode() in content
    thumbnail = base64.b64decode(read_header(saved(run)).metadata[THUMBNAIL].partition(",")[2])
    for canary in canaries.values():
        assert canary.encode() not in content + thumbnail
    assert str(tmp_path).encode() not in content


def test_an_address_is_told_by_its_last_name_alone(tmp_path: Path):
    run = started(tmp_path)
    for address, name in (
        ("https://models.example/a/b.safetensors?token=secret#sha256", "b.safetensors"),
        ("owner/name", "name"),
        ("C:\\Users\\alice\\models\\b.safetensors", "b.safetensors"),
    ):
        run.config = replace(run.config, pretrained_model_name_or_path=address)
        assert said(run)["ss_sd_model_name"] == name


def test_what_its_owner_wants_said_is_said_as_it_is_and_decides_no_weight(tmp_path: Path):
    of_the_owner = {
        "training_comment": ("ss_training_comment", "second try"),
        "metadata_title": ("modelspec.title", "A Zorbix"),
        "metadata_author": ("modelspec.author", "me"),
        "metadata_description": ("modelspec.description", "zorbixes, «red»\nand others"),
        "metadata_license": ("modelspec.license", "CC-BY-4.0"),
        "metadata_tags": ("modelspec.tags", "zorbix, red"),
        "rights_statement": ("loratui_rights_statement", "All pictures are mine."),
    }
    plain = started(tmp_path)
    run = started(tmp_path, **{key: text for key, (_, text) in of_the_owner.items()})
    metadata, without = said(run), said(plain)
    for name, text in of_the_owner.values():
        assert metadata[name] == text
    assert without["modelspec.title"] == "tiny"
    names = {name for name, _ in of_the_owner.values()} - {"ss_training_comment", "modelspec.title"}
    assert not names & without.keys(), "what nobody says is not made up"
    assert run.identity == plain.identity == started(tmp_path, no_metadata=True).identity


def test_with_no_metadata_how_it_was_trained_stays_untold(tmp_path: Path):
    run = started(tmp_path, no_metadata=True, rights_statement="mine", trigger_word="zorbix")
    take_steps(run, 1)
    samples.make_samples(run, Controls(run.reporter))
    metadata = said(run)
    assert {name for name in metadata if name.startswith("ss_")} == {
        "ss_v2",
        "ss_base_model_version",
        "ss_network_module",
        "ss_network_dim",
        "ss_network_alpha",
        "ss_network_args",
    }
    assert THUMBNAIL not in metadata
    assert metadata["loratui_rights_statement"] == "mine", "what is said of the file itself stays"
    assert metadata["sshs_model_hash"]


def test_the_thumbnail_is_the_newest_work_of_the_lora(tmp_path: Path):
    run = started(tmp_path, learning_rate=1e-2)
    take_steps(run, 0)
    samples.make_samples(run, Controls(run.reporter))
    assert THUMBNAIL not in said(run), "before the first step it is the base's"
    for _ in range(2):
        loop.take_step(run)
        samples.make_samples(run, Controls(run.reporter))
    first, second = ((run.job.artifacts / f"sample-step0000000{step}-00-small.jpg").read_bytes() for step in (1, 2))
    kind, _, encoded = said(run)[THUMBNAIL].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert base64.b64decode(encoded) == second != first
    assert len(second) <= 12_000
    assert Image.open(io.BytesIO(second)).format == "JPEG"
    # On the way a file comes before the pictures of its step, and after a resume they may be there already.
    on_the_way = said(run, ArtifactKind.CHECKPOINT_LORA)[THUMBNAIL]
    assert base64.b64decode(on_the_way.partition(",")[2]) == first


def test_equal_runs_give_equal_bytes_thumbnail_and_all(tmp_path: Path):
    def file_of(folder: Path) -> bytes:
        run = started(folder)
        take_steps(run, 1)
        samples.make_samples(run, Controls(run.reporter))
        return saved(run).read_bytes()

    one, other = file_of(tmp_path / "one"), file_of(tmp_path / "other")
    assert THUMBNAIL.encode() in one
    assert one == other


def test_the_hashes_are_those_that_a1111_knows_the_file_by(tmp_path: Path):
    tensors = {"lora_unet_x.lora_down.weight": torch.randn(600, 700), "lora_unet_x.alpha": torch.tensor(1.0)}
    export.write_lora(tmp_path / "x.safetensors", tensors, {"ss_network_dim": "4", "modelspec.title": "ü"})
    content = (tmp_path / "x.safetensors").read_bytes()
    metadata = read_header(tmp_path / "x.safetensors").metadata
    start = 8 + int.from_bytes(content[:8], "little")
    assert metadata["sshs_model_hash"] == hashlib.sha256(content[start:]).hexdigest()
    # As sd-scripts has it: of a file with nothing but what begins with ss_.
    plain = save(load_file(tmp_path / "x.safetensors"), {"ss_network_dim": "4"})
    assert metadata["sshs_legacy_hash"] == hashlib.sha256(plain[0x100000:0x110000]).hexdigest()[:8]


def test_folders_are_told_as_a1111_shows_them(tmp_path: Path):
    write_pictures(tmp_path / "reg", num_pictures=2)
    run = started(tmp_path, reg_data_dir=str(tmp_path / "reg"), min_timestep=100)
    metadata = said(run)
    assert json.loads(metadata["ss_dataset_dirs"]) == {"1_zorbix": {"n_repeats": 1, "img_count": 4}}
    assert json.loads(metadata["ss_reg_dataset_dirs"]) == {"1_zorbix": {"n_repeats": 1, "img_count": 2}}
    assert json.loads(metadata["ss_tag_frequency"]) == {"1_zorbix": {"a zorbix on a red background": 4}}
    assert metadata["modelspec.timestep_range"] == "100,1000"
    flat = started(tmp_path / "flat", train_data_dir=str(_flat(tmp_path / "alice")))
    assert json.loads(said(flat)["ss_tag_frequency"]).keys() == {"1_tiny"}, "a place on a disk is no concept"


def _flat(folder: Path) -> Path:
    inside = write_pictures(folder) / "1_zorbix"
    return inside.rename(folder / "alice")


def test_the_licence_of_the_base_is_what_it_says_or_is_known_for_and_never_made_up(tmp_path: Path):
    file = tmp_path / "x.safetensors"
    save_file({"x": torch.zeros(1)}, file, {"modelspec.license": "FAIR-1.0"})
    assert base_license(file) == "FAIR-1.0"
    save_file({"x": torch.zeros(1)}, file)
    assert base_license(file) == ""
    hub = "https://huggingface.co/runwayml/stable-diffusion-v1-5/resolve/main/v1-5-pruned-emaonly.safetensors"
    assert base_license(file, hub) == "CreativeML Open RAIL-M"
    assert base_license(tmp_path, "stabilityai/stable-diffusion-xl-base-1.0@main") == "CreativeML Open RAIL++-M"
    assert base_license(tmp_path, "someone/else") == ""
    for card, licence in (
        ("---\nlicense: mit\ntags: [a]\n---\n", "mit"),
        ("---\nlicense: other\n---\n", ""),
        ("license: mit\n", ""),
        ("---\ntags: [a]\n---\nlicense: mit\n", ""),
    ):
        (tmp_path / "README.md").write_text(card, "utf-8")
        assert base_license(tmp_path) == licence
    assert said(started(tmp_path / "run"))["loratui_base_license"] == "apache-2.0", "that of builtin:tiny"
    assert base_license(Path("builtin:tiny"), "builtin:tiny") == "apache-2.0", "known where the agent is not, too"


def test_a_job_knows_where_its_base_was_fetched_from(tmp_path: Path):
    (tmp_path / "job.toml").write_text(to_toml(tiny_config(tmp_path)), "utf-8")
    for spec, address in (({}, ""), ({"inputs": None}, ""), ({"inputs": {"model": {"address": "a/b"}}}, "a/b")):
        (tmp_path / "spec.json").write_text(json.dumps(spec), "utf-8")
        assert load_job(tmp_path).base_address == address
