"""What a run is sent: planned from real folders, written down, brought to a real receiver, laid out as agents do."""

import dataclasses
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from loratui.domain.transfer_cost import TransferLimits
from loratui.remote import upload as uploads
from loratui.sessions.supply import Supply, bring, changed_pictures, plan_supply, supply_size
from loratui_protocol.dataset import fingerprint, scan_config
from loratui_protocol.errors import DatasetError, HostError, LoratuiError, ModelError, ProtocolError, StorageError
from loratui_protocol.inputs import EnvironmentKind, EnvironmentSpec, ModelKind, ModelSource
from loratui_protocol.subsets import DatasetConfig, Subset, subsets_of
from support.local_box import LocalBox, at_the_box, receive_argv
from support.model_server import model_files
from support.small_dataset import small_config, write_small_dataset

ENVIRONMENT = EnvironmentSpec(kind=EnvironmentKind.AGENT)


@pytest.fixture
def config(tmp_path):
    return small_config(write_small_dataset(tmp_path / "my pictures"))


def names(supply: Supply) -> list[str]:
    return [file.name for file in supply.manifest.files]


async def test_the_box_sees_the_same_dataset_and_the_same_names(tmp_path, config):
    reg = write_small_dataset(tmp_path / "reg pictures", 2)
    (reg / "1_cat" / "0.txt").unlink()
    masks = tmp_path / "masks"
    shutil.copytree(config.train_data_dir, masks, ignore=shutil.ignore_patterns("*.txt"))
    (masks / "of no picture.png").write_bytes(b"")
    config = dataclasses.replace(config, reg_data_dir=str(reg), output_dir=str(tmp_path / "out"), seed=5)
    config = dataclasses.replace(config, masked_loss=True, conditioning_data_dir=str(masks))
    supply = plan_supply(config, environment=ENVIRONMENT)
    there, folder = await at_the_box(supply, tmp_path / "home")
    assert fingerprint(scan_config(there)) == fingerprint(scan_config(config))
    assert there.pretrained_model_name_or_path == str(folder / "inputs/model/builtin:tiny")
    assert there.train_data_dir == str(folder / "inputs/train/my pictures")
    assert there.output_dir is None
    assert not list((folder / "inputs" / "mask").glob("of*"))
    own_paths = ("train_data_dir", "reg_data_dir", "conditioning_data_dir", "output_dir")
    for own in ("pretrained_model_name_or_path", *own_paths):
        there = dataclasses.replace(there, **{own: getattr(config, own)})
    assert there == config


async def test_the_lora_file_that_a_run_goes_on_from_travels(tmp_path, config):
    start = tmp_path / "my lora.safetensors"
    start.write_bytes(b"some weights")
    config = dataclasses.replace(config, network_weights=str(start))
    supply = plan_supply(config, environment=ENVIRONMENT)
    there, folder = await at_the_box(supply, tmp_path / "home")
    assert there.network_weights == str(folder / "inputs/start/lora.safetensors")
    assert (folder / "inputs/start/lora.safetensors").read_bytes() == b"some weights"
    assert changed_pictures(config, supply) == []
    start.write_bytes(b"other weight")
    assert changed_pictures(config, supply) == ["start/lora.safetensors"]
    without = dataclasses.replace(config, network_weights=None)
    assert supply_size(config, None) - supply_size(without, None) == len(b"some weights")
    assert plan_supply(without, environment=ENVIRONMENT).config_toml.count("network_weights") == 0


async def test_the_folders_of_several_datasets_travel_once_each_with_their_names_and_masks(tmp_path):
    cats, others = (write_small_dataset(tmp_path / name, 2) / "1_cat" for name in ("one", "two"))
    (others / "0.txt").rename(others / "0.tags")
    masks = shutil.copytree(cats, tmp_path / "masks", ignore=shutil.ignore_patterns("*.txt"))
    masked = Subset(image_dir=str(cats), settings={"conditioning_data_dir": str(masks)})
    of_others = Subset(
        image_dir=str(others), num_repeats=3, class_tokens="cat", settings={"caption_extension": ".tags"}
    )
    reg = Subset(image_dir=str(others), is_reg=True)
    datasets = (
        DatasetConfig(subsets=(masked, of_others, reg)),
        DatasetConfig(subsets=(masked,), settings={"resolution": (96, 96)}),
    )
    changes = {"train_data_dir": None, "datasets": datasets, "masked_loss": True}
    config = dataclasses.replace(small_config(tmp_path), **changes)
    supply = plan_supply(config, environment=ENVIRONMENT)
    there, folder = await at_the_box(supply, tmp_path / "home")
    assert fingerprint(scan_config(there)) == fingerprint(scan_config(config))
    assert [each.in_effect() for each in subsets_of(there)] == [each.in_effect() for each in subsets_of(config)]
    sent = [name for name in names(supply) if not name.startswith("model/")]
    assert sum(name.endswith("1_cat/1.png") for name in sent) == 3, "of two uses at two sizes one travels"
    assert sum(name.startswith("mask/") for name in sent) == 2
    assert {Path(each.image_dir).name for each in subsets_of(there)} == {"1_cat"}
    assert all(each.image_dir.startswith(str(folder / "inputs")) for each in subsets_of(there))
    assert changed_pictures(config, supply) == []
    (masks / "0.png").write_bytes((cats / "1.png").read_bytes())
    (others / "0.tags").write_text("another caption")
    assert [name.rpartition("/")[2] for name in changed_pictures(config, supply)] == ["0.png", "0.tags"]


async def test_a_flat_folder_a_numbered_one_and_odd_captions_are_the_same_there(tmp_path):
    parent = write_small_dataset(tmp_path / "set")
    numbered = parent / "1_cat"
    numbered.rename(parent / "3_grüne katze")
    numbered = parent / "3_grüne katze"
    (numbered / "0.txt").rename(numbered / "0.caption")
    (numbered / "1.txt").write_text("tags of another tool\n")
    (numbered / "1.tags").write_text("a cat, sitting\n")
    (numbered / "notes.md").write_text("not for the box")
    for folder, extension in ((parent, None), (numbered, None), (parent, ".tags")):
        config = small_config(folder, caption_extension=extension)
        supply = plan_supply(config, environment=ENVIRONMENT)
        assert not [name for name in names(supply) if "notes" in name]
        there, _ = await at_the_box(supply, tmp_path / f"home-{folder.name}-{extension}")
        assert fingerprint(scan_config(there)) == fingerprint(scan_config(config))


def test_of_a_local_base_model_only_what_a_training_reads_travels(tmp_path, config):
    model = tmp_path / "my model"
    for name, content in model_files(1000).items():
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_bytes(content)
    supply = plan_supply(dataclasses.replace(config, pretrained_model_name_or_path=str(model)), environment=ENVIRONMENT)
    sent = [name.removeprefix("model/my model/") for name in names(supply) if name.startswith("model/")]
    assert "unet/diffusion_pytorch_model.safetensors" in sent
    assert not [name for name in sent if "fp16" in name or name.endswith((".bin", ".ckpt"))]
    assert "README.md" in sent, "it says under which licence the model is"
    assert not [name for name in sent if name.startswith("safety_checker")]
    (model / "vae" / "config.json").unlink()
    for weights in (model / "vae").iterdir():
        weights.unlink()
    with pytest.raises(ModelError) as caught:
        plan_supply(dataclasses.replace(config, pretrained_model_name_or_path=str(model)), environment=ENVIRONMENT)
    assert caught.value.code == "model.incomplete"


def test_of_an_sdxl_folder_the_second_text_encoder_travels_too(tmp_path, config):
    model = tmp_path / "xl"
    plain = model_files(1000)
    seconds = {name.replace("/", "_2/", 1): each for name, each in plain.items() if name.startswith(("text_", "tok"))}
    for name, content in {**plain, **seconds}.items():
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_bytes(content)
    supply = plan_supply(dataclasses.replace(config, pretrained_model_name_or_path=str(model)), environment=ENVIRONMENT)
    assert {"model/xl/text_encoder_2/model.safetensors", "model/xl/tokenizer_2/vocab.json"} <= set(names(supply))


def test_a_model_that_the_box_downloads_does_not_travel_and_what_is_waited_for_travels_first(tmp_path, config):
    lock, uv = tmp_path / "requirements.lock", tmp_path / "uv"
    lock.write_text("peft==1 --hash=sha256:00")
    uv.write_bytes(b"\x7fELF")
    hub = ModelSource(kind=ModelKind.HUB, name="name", address="org/name")
    supply = plan_supply(config, environment=ENVIRONMENT, model=hub, extra_blobs=[lock, uv])
    assert not [name for name in names(supply) if name.startswith("model/")]
    assert 'pretrained_model_name_or_path = "inputs/model/name"' in supply.config_toml
    expected = [supply.manifest.sha256(), *(hashlib.sha256(each.read_bytes()).hexdigest() for each in (lock, uv))]
    assert list(supply.blobs)[:3] == expected
    sizes = [blob.size for blob in supply.blobs.values()][3:]
    assert sizes == sorted(sizes)


def test_a_plan_that_was_written_down_is_the_same_when_it_is_read_and_a_damaged_one_is_refused(config):
    supply = plan_supply(config, environment=ENVIRONMENT)
    assert Supply.from_json(supply.to_json()) == supply
    for text in ("", "{}", supply.to_json()[:-20], supply.to_json().replace('"size"', '"x"').replace("train/", "../")):
        with pytest.raises(StorageError):
            Supply.from_json(text)


def test_files_that_can_not_travel_are_named_before_anything_is_sent(tmp_path, config):
    pictures = Path(config.train_data_dir) / "1_cat"
    (pictures / "0.png").rename(pictures / "a\\b.png")
    with pytest.raises(ProtocolError, match="characters"):
        plan_supply(config, environment=ENVIRONMENT)
    (pictures / "a\\b.png").unlink()
    if os.geteuid():
        (pictures / "1.png").chmod(0)
        with pytest.raises(DatasetError):
            plan_supply(config, environment=ENVIRONMENT)


def test_progress_of_hashing_ends_at_the_total(config):
    told: list[tuple[int, int]] = []
    plan_supply(config, environment=ENVIRONMENT, progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0
    assert told == sorted(told)


class Clock:
    """Makes an upload look as slow as it is told, without waiting."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        self.now_s += 100.0
        return self.now_s


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(uploads, "time", Clock())


def heavy(tmp_path: Path) -> Supply:
    folder = write_small_dataset(tmp_path / "pictures")
    for path in (folder / "1_cat").glob("*.png"):
        with path.open("ab") as file:
            file.write(os.urandom(1_500_000))
    return plan_supply(small_config(folder), environment=ENVIRONMENT)


async def brought(supply: Supply, home: Path, **options: object) -> tuple[list[str], LoratuiError | None]:
    warnings: list[str] = []
    try:
        await bring(LocalBox(), receive_argv(home), supply, warn=warnings.append, **options)  # type: ignore[arg-type]
    except HostError as error:
        return warnings, error
    return warnings, None


async def test_an_upload_that_costs_too_much_is_refused_with_minutes_and_money_unless_it_is_accepted(tmp_path, slow):
    supply = heavy(tmp_path)
    limits = TransferLimits(refuse_microusd=1)
    options = {"price_microusd_per_h": 500_000, "limits": limits}
    _, error = await brought(supply, tmp_path / "home", **options)
    assert error is not None
    assert error.code == "upload.slow"
    assert "$" in error.what
    assert "--accept upload.slow" in error.fix
    warnings, error = await brought(supply, tmp_path / "home", accepted=frozenset({"upload.slow"}), **options)
    assert (warnings, error) == ([], None)


async def test_a_slow_upload_is_warned_of_once_and_goes_on(tmp_path, slow):
    warnings, error = await brought(heavy(tmp_path), tmp_path / "home", limits=TransferLimits(warn_s=1, refuse_s=1e12))
    assert error is None
    assert len(warnings) == 1
    assert "/s take" in warnings[0]
