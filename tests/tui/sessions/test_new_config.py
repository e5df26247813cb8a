"""Every preset for every kind of base model: nothing is to be warned of, and rates are those of its sources."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from loratui.domain.base_kinds import SD1, SDXL
from loratui.domain.gpu_memory import memory_mib
from loratui.domain.presets import BASES
from loratui.preflight.likely_trigger import Likely
from loratui.sessions.base_kind import kind_told_here
from loratui.sessions.checking import check_config
from loratui.sessions.new_config import Wanted, make, model_of, pictures_of, proposed_trigger
from loratui.sessions.presets import SHIPPED, preset_of_run, save_own, settings_of, write_new
from loratui.settings import Settings, load
from loratui_protocol.base_license import base_license
from loratui_protocol.errors import UsageError
from support.checkpoint_headers import sd15, sdxl, write_header
from support.drawn_pictures import photo

# Guide, section 4.4: learning rate x alpha / rank of the UNet, least and most of each row.
OF_CHARACTERS = {"sd15": (5e-5, 2.5e-4), "sdxl": (2e-5, 5e-5), "sdxl-anime": (1e-4, 5e-4)}
RATES = {
    "first-run": OF_CHARACTERS,
    "face": OF_CHARACTERS,
    "character": OF_CHARACTERS,
    "style": {base: (0.5 * low, 0.7 * high) for base, (low, high) in OF_CHARACTERS.items()},
    "object": {base: (7e-6, high) for base, (_, high) in OF_CHARACTERS.items()},
}
EXPOSURES = {"first-run": (50, 100), "face": (50, 120), "character": (50, 120), "style": (30, 60), "object": (50, 100)}
NUM_PICTURES = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with pictures, and a base model of each kind that is all header."""
    folder = tmp_path_factory.mktemp("new")
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(NUM_PICTURES):
        photo(number, (1024, 1024)).save(pictures / f"{number}.jpg", quality=95)
        (pictures / f"{number}.txt").write_text(f"sks, tag {number}", "utf-8")
    write_header(folder / "sd15.safetensors", sd15())
    for name in ("sdxl", "illustrious"):
        write_header(folder / f"{name}.safetensors", sdxl())
    return folder


@pytest.fixture
def preferences(tmp_path: Path) -> Settings:
    return load({"config_dir": str(tmp_path / "config")}, {})


def wanted(folder: Path, preset: str = "face", base: str = "sdxl") -> Wanted:
    names = {"sd15": "sd15", "sdxl": "sdxl", "sdxl-anime": "illustrious"}
    model, kind = model_of(str(folder / f"{names[base]}.safetensors"))
    assert kind == base
    return Wanted(preset=preset, base=base, model=model, data=folder / "pictures", trigger="sks", name="lora")


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("preset", SHIPPED)
def test_every_preset_is_checked_without_a_warning_at_the_rate_and_length_of_its_sources(
    folder: Path, preferences: Settings, preset: str, base: str
) -> None:
    target = folder / f"{preset}-{base}.toml"
    write_new(target, make(wanted(folder, preset, base), target, preferences).text)
    checked = check_config(target)
    assert [finding for finding in checked.findings if finding.severity != "info"] == []
    low, high = RATES[preset][base]
    assert low <= checked.plan.effective_lr["unet"] <= high
    least, most = EXPOSURES[preset]
    assert least <= checked.plan.exposures_per_picture <= most
    config = checked.config
    text_lrs = {rate for rate in config.effective_text_encoder_lrs if rate}
    assert all(rate <= config.effective_unet_lr / 2 for rate in text_lrs)
    assert bool(text_lrs) == (base == "sd15" and preset != "style")
    assert config.caption_extension == ".txt"
    assert config.seed is not None
    assert config.mixed_precision is None, "bf16 where the GPU has it"
    assert min(config.resolution) == (512 if base == "sd15" else 1024)
    assert base == "sd15" or config.max_bucket_reso == 2048
    assert checked.plan.save_points
    assert checked.plan.sample_steps
    assert sum("sks" in prompt for prompt in config.sample_prompts) == len(config.sample_prompts) - 1
    assert all("--d " in prompt for prompt in config.sample_prompts)
    assert base != "sdxl-anime" or all("photo" not in each and " a " not in each for each in config.sample_prompts)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("preset", SHIPPED)
def test_every_number_of_a_preset_that_decides_the_weights_has_a_reason(
    preferences: Settings, preset: str, base: str
) -> None:
    choices = settings_of(preset, base, preferences)
    lacking = [key for key, choice in choices.items() if not choice.reason]
    allowed = {
        "pretrained_model_name_or_path",
        "network_alpha",
        "network_dim",
        "train_batch_size",
        "keep_tokens",
        "steps",
    }
    assert set(lacking) <= allowed | {"sample_prompts"}
    assert choices["unet_lr"].reason


def test_the_first_run_stops_to_be_looked_at_and_ends_later(folder: Path, preferences: Settings) -> None:
    planned = make(wanted(folder, "first-run"), folder / "a.toml", preferences).plan
    assert 250 <= planned.stop_step <= 350
    assert planned.stop_step < planned.steps
    assert planned.stop_step in planned.sample_steps


def test_a_folder_that_repeats_its_pictures_is_shown_as_often(
    folder: Path, preferences: Settings, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    (folder / "pictures").rename(tmp_path / "10_sks")
    try:
        data.mkdir()
        (tmp_path / "10_sks").rename(data / "10_sks")
        ten = make(replace(wanted(folder), data=data), tmp_path / "a.toml", preferences)
    finally:
        (data / "10_sks").rename(folder / "pictures")
    one = make(wanted(folder), tmp_path / "a.toml", preferences)
    assert one.loaded.config.max_train_epochs == 10 * (ten.loaded.config.max_train_epochs or 0)


def test_a_config_names_pictures_below_it_as_they_lie_from_it(
    folder: Path, preferences: Settings, tmp_path: Path
) -> None:
    assert 'train_data_dir = "pictures"' in make(wanted(folder), folder / "a.toml", preferences).text
    elsewhere = make(wanted(folder), tmp_path / "a.toml", preferences)
    assert elsewhere.loaded.config.train_data_dir == str((folder / "pictures").resolve())


def test_captions_of_another_extension_are_found(preferences: Settings, tmp_path: Path) -> None:
    Image.new("RGB", (512, 512)).save(tmp_path / "a.png")
    (tmp_path / "a.caption").write_text("sks", "utf-8")
    this = Wanted(preset="face", base="sd15", model="org/name", data=tmp_path, trigger="sks", name="lora")
    made = make(this, tmp_path / "a.toml", preferences)
    assert made.loaded.config.caption_extension == ".caption"
    assert not [finding for finding in made.dataset.findings if finding.code == "dataset.no_caption"]


def test_captions_longer_than_is_read_otherwise_are_read_whole(preferences: Settings, tmp_path: Path) -> None:
    Image.new("RGB", (512, 512)).save(tmp_path / "a.png")
    this = Wanted(preset="face", base="sd15", model="org/name", data=tmp_path, trigger="sks", name="lora")
    for words, length in ((60, None), (100, 150), (180, 225), (900, 225)):
        (tmp_path / "a.txt").write_text("sks " + "dog " * words, "utf-8")
        made = make(this, tmp_path / "a.toml", preferences)
        assert made.loaded.config.max_token_length == length
    assert "The longest caption has 901 tokens" in made.text


def test_a_gpu_changes_how_a_step_is_computed_and_not_what_it_learns(folder: Path, preferences: Settings) -> None:
    anime = wanted(folder, "character", "sdxl-anime")
    usual = make(anime, folder / "a.toml", preferences)
    small = make(replace(anime, gpu="RTX 4090"), folder / "a.toml", preferences)
    assert small.plan.effective_batch == usual.plan.effective_batch == 4
    assert small.plan.steps == usual.plan.steps
    assert "For a GPU of 24 GB" in small.text
    assert memory_mib("RTX 4090") == 24 * 1024


def test_kinds_of_models_are_told_where_they_can_be(folder: Path) -> None:
    assert model_of("sdxl") == ("stabilityai/stable-diffusion-xl-base-1.0", "sdxl")
    assert model_of("stable-diffusion-v1-5/stable-diffusion-v1-5")[1] == "sd15"
    assert model_of("OnomaAIResearch/Illustrious-xl-early-release-v0")[1] == "sdxl-anime"
    assert model_of("org/name")[1] is None


@pytest.mark.parametrize("base", BASES)
def test_the_base_models_of_presets_are_known_by_name_and_need_not_be_here(base: str) -> None:
    model, kind = model_of(base)
    assert kind == base
    assert kind_told_here(model) is (SD1 if base == "sd15" else SDXL)
    assert base_license(Path("nowhere"), model)


def test_the_proposed_trigger_is_looked_for_in_captions_and_in_names_of_folders(folder: Path, tmp_path: Path) -> None:
    data = folder / "pictures"
    assert proposed_trigger(data, pictures_of(data), "lora") == Likely("sks", "captions")
    named = tmp_path / "5_zwx dog"
    named.mkdir()
    Image.new("RGB", (8, 8)).save(named / "a.png")
    assert proposed_trigger(tmp_path, pictures_of(tmp_path), "lora") == Likely("zwx", "folder")
    (named / "a.txt").write_text("a dog", "utf-8")
    assert proposed_trigger(tmp_path, pictures_of(tmp_path), "lora") == Likely("zwx", "folder")


def test_a_run_becomes_a_preset_that_trains_other_pictures_alike(folder: Path, preferences: Settings) -> None:
    made = make(wanted(folder, "character", "sdxl-anime"), folder / "a.toml", preferences)
    absolute = made.text.replace('"pictures"', f'"{(folder / "pictures").as_posix()}"')
    preset = preset_of_run("mine", "my-run", absolute)
    save_own(preset, preferences)
    again = make(
        replace(wanted(folder, base="sdxl-anime"), preset="mine", trigger="zwx"), folder / "a.toml", preferences
    )
    before, after = made.loaded.config, again.loaded.config
    assert after.trigger_word == "zwx"
    assert after.sample_prompts == tuple(prompt.replace("sks", "zwx") for prompt in before.sample_prompts)
    same = {"trigger_word": "sks", "sample_prompts": before.sample_prompts}
    assert replace(after, **same) == before  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="stays as it is"):
        save_own(preset, preferences)
    for name in ("../evil", "", "face", "a b"):
        with pytest.raises(UsageError, match="can't be the name"):
            save_own(replace(preset, name=name), preferences)


def test_a_run_whose_pictures_are_gone_keeps_its_steps(preferences: Settings) -> None:
    text = 'pretrained_model_name_or_path = "a/b"\ntrain_data_dir = "/gone"\nmax_train_steps = 700\nnetwork_dim = 8\n'
    save_own(preset_of_run("old", "run", text), preferences)
    choices = settings_of("old", "sd15", preferences)
    assert {key: choice.value for key, choice in choices.items()} == {
        "max_train_steps": 700,
        "pretrained_model_name_or_path": "a/b",
        "network_dim": 8,
    }
