"""Every trap that is known of a config is found before anything is rented, with its figure and what to write."""

from pathlib import Path

import pytest

from loratui.sessions.checking import check_config
from loratui_protocol.config_file import parse_config
from loratui_protocol.config_fix import fixed_text
from loratui_protocol.errors import LoratuiError
from loratui_protocol.findings import Finding
from support.checkpoint_headers import sd2, sd15, sdxl, write_header
from support.small_dataset import write_small_dataset

GUIDE = Path(__file__).parents[2] / "support" / "public_guide.toml"
SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
SETTLED = "seed = 1\nsample_every_n_epochs = 1\nnetwork_alpha = 4\nnetwork_train_unet_only = true\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with pictures and with base models of all kinds, by their headers."""
    write_small_dataset(tmp_path / "training_data")
    for name, tensors in {"sd15": sd15(), "sdxl": sdxl(), "sd2": sd2(), "inpaint": sd15(channels=9)}.items():
        write_header(tmp_path / f"{name}.safetensors", tensors)
    write_header(tmp_path / "vpred.safetensors", {**sdxl(), "v_pred": (1,)})
    write_header(tmp_path / "lora.safetensors", {"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": (4, 320)})
    return tmp_path


def found(folder: Path, text: str) -> dict[str, Finding]:
    """Return what a check finds, by code; what refuses the config is one finding, too."""
    path = folder / "training_config.toml"
    path.write_text(text, "utf-8")
    try:
        return {finding.code: finding for finding in check_config(path).findings}
    except LoratuiError as error:
        return {error.code: Finding(code=error.code, severity="error", what=error.what, fix=error.fix)}


def config(text: str, model: str = SD15, pictures: str = "training_data") -> str:
    """Return a small config with these lines in it, or instead of its own."""
    own = {
        "pretrained_model_name_or_path": f'"{model}"',
        "train_data_dir": f'"{pictures}"',
        "network_module": '"networks.lora"',
    }
    return "".join(f"{key} = {value}\n" for key, value in own.items() if key not in text) + SETTLED + text


def test_the_public_guide_is_told_all_of_its_faults(folder: Path):
    codes = found(folder, GUIDE.read_text("utf-8"))
    assert {
        "config.kohya_name",
        "config.resolution_form",
        "config.network_module",
        "config.caption_default",
        "config.restarts",
        "config.save_state",
        "config.no_seed",
        "config.no_samples",
        "model.large_file",
        "model.missing",
    } <= set(codes)
    assert all(finding.fix for code, finding in codes.items() if code.startswith(("config.", "model.")))
    # Of so few pictures ten epochs end before the guide's warm-up does.
    assert {code for code, each in codes.items() if each.severity == "error"} == {"model.missing", "plan.warmup"}


def test_the_guide_with_sdxl_is_told_what_doesnt_go_with_it(folder: Path):
    codes = found(folder, GUIDE.read_text("utf-8").replace("./models/sd/v1-5-pruned.safetensors", SDXL))
    assert "needs no_half_vae" in codes["config.fp16"].what
    assert "1024x1024; 512x512 is 0.25 times" in codes["config.resolution"].what
    assert codes["config.resolution"].fix == 'write resolution = "1024,1024"'


def test_the_guide_set_right_checks_clean_of_what_could_be_fixed(folder: Path):
    loaded = parse_config(GUIDE.read_text("utf-8"), folder)
    codes = found(folder, fixed_text(loaded, folder))
    assert not any(finding.fixable for finding in codes.values())
    assert {"config.kohya_name", "config.resolution_form", "config.network_module"}.isdisjoint(codes)


TRAPS = [
    ("config.kohya_name", "warning", "batch_size = 2", {}),
    ("config.resolution_form", "warning", "resolution = 512", {}),
    ("config.caption_default", "info", "v2 = false", {}),
    ("config.save_state", "info", "v2 = false", {}),
    ("config.restarts", "info", 'lr_scheduler = "cosine_with_restarts"', {}),
    ("model.moved", "warning", "", {"model": "runwayml/stable-diffusion-v1-5"}),
    ("model.large_file", "warning", "", {"model": "v1-5-pruned.safetensors"}),
    ("config.fp16", "warning", 'mixed_precision = "fp16"', {"model": "sdxl.safetensors"}),
    ("config.network_arg", "warning", "conv_dim = 8", {}),
    ("config.sdxl", "warning", "sdxl = true", {}),
    ("config.base_kind", "warning", "sdxl = true", {"model": "sd15.safetensors"}),
    ("config.token_length", "warning", "max_token_length = 255", {}),
    ("dataset.inner_folder", "info", "", {"pictures": "training_data/1_cat"}),
    ("config.effective_lr", "warning", "unet_lr = 1e-4\nnetwork_dim = 128", {}),
    ("config.effective_lr", "warning", "unet_lr = 2e-3", {}),
    ("config.max_bucket_reso", "warning", 'resolution = "1024,1024"\nmax_bucket_reso = 1024', {"model": SDXL}),
    ("config.resolution", "warning", 'resolution = "512,512"', {"model": "sdxl.safetensors"}),
    ("config.resolution", "warning", 'resolution = "1024,1024"', {"model": "sd15.safetensors"}),
    ("config.clip_skip", "warning", "clip_skip = 1", {"model": SDXL}),
    ("model.missing", "error", "", {"model": "/nowhere/x.safetensors"}),
    ("model.unsupported", "error", "", {"model": "black-forest-labs/FLUX.1-dev"}),
    ("model.prediction", "error", "v_parameterization = true", {"model": SD15}),
    ("model.not_base", "error", "", {"model": "lora.safetensors"}),
    ("model.unsupported", "error", "", {"model": "inpaint.safetensors"}),
    ("model.unsupported", "error", "", {"model": "sd2.safetensors"}),
    ("model.prediction", "error", "v_parameterization = true", {"model": "sdxl.safetensors"}),
    ("model.prediction", "error", "v_parameterization = false", {"model": "vpred.safetensors"}),
    ("config.cached_text", "warning", "cache_text_encoder_outputs = true\nshuffle_caption = true", {"model": SDXL}),
    ("config.alpha_above_rank", "warning", "network_dim = 2", {}),
    ("caption.mirrored", "warning", 'flip_aug = true\ncaption_prefix = "on the left"', {}),
    ("config.unsupported", "error", "v2 = true", {}),
    ("config.learning_rate", "error", "learning_rate = 0.1", {}),
    ("config.learning_rate", "error", 'optimizer_type = "Lion"\nunet_lr = 1.0', {}),
    ("config.prodigy", "warning", 'optimizer_type = "Prodigy"\nlearning_rate = 3.0', {}),
    ("config.prodigy", "warning", 'optimizer_type = "Prodigy"\nlearning_rate = 1e-4', {}),
    ("config.type", "error", "learning_rate = nan", {}),
    ("config.value", "error", 'optimizer_args = ["betas=0.9,1"]', {}),
    ("config.figure", "error", "noise_offset = 5.0", {}),
    ("config.figure", "warning", "min_snr_gamma = 50", {}),
    ("config.rank", "error", "network_dim = 99999", {}),
    ("config.clip_skip", "error", "clip_skip = 40", {}),
    ("config.caption_dropout", "warning", "caption_dropout_rate = 0.9", {}),
    ("plan.warmup", "error", 'lr_warmup_steps = 500\nlr_scheduler = "cosine"\nmax_train_steps = 400', {}),
    ("plan.interval", "warning", "save_every_n_epochs = 50\nmax_train_epochs = 10", {}),
]


@pytest.mark.parametrize(("code", "severity", "text", "places"), TRAPS)
def test_each_trap_is_found_and_says_what_to_write(
    folder: Path, code: str, severity: str, text: str, places: dict[str, str]
):
    if code == "caption.mirrored":
        (folder / "training_data" / "1_cat" / "0.txt").write_text("a cat on the Left", "utf-8")
    codes = found(folder, config(text, **places))
    assert codes[code].severity == severity
    assert codes[code].what
    assert codes[code].fix
    right = config("", model=SDXL if places.get("model") == SDXL else SD15)
    assert code not in found(folder, right), "what is right is told the same"


@pytest.mark.parametrize(
    ("code", "left_out"),
    [
        ("config.network_module", 'network_module = "networks.lora"\n'),
        ("config.no_seed", "seed = 1\n"),
        ("config.no_samples", "sample_every_n_epochs = 1\n"),
        ("config.alpha", "network_alpha = 4\n"),
        ("config.text_encoder_lr", "network_train_unet_only = true\n"),
    ],
)
def test_what_is_left_out_is_told(folder: Path, code: str, left_out: str):
    assert code in found(folder, config("").replace(left_out, ""))
    assert code not in found(folder, config(""))


@pytest.mark.parametrize("text", ["[tool.ruff]\nline-length = 120\n[project]\nname = 'x'", "[[package]]\nname = 'x'"])
def test_a_file_about_something_else_is_one_finding_and_not_one_a_key(folder: Path, text: str):
    [(code, finding)] = found(folder, text).items()
    assert code == "config.not_a_config"
    assert "is no training config" in finding.what


def test_figures_are_said(folder: Path):
    rate = found(folder, config("unet_lr = 1e-4\nnetwork_dim = 128"))["config.effective_lr"]
    assert "unet_lr 0.0001 x alpha / rank (4 / 128) is 3.1e-06" in rate.what
    assert rate.fix == "write network_alpha = 128, which makes it 0.0001"
    buckets = found(folder, config('resolution = "1024,1024"\nmax_bucket_reso = 1024'))["config.max_bucket_reso"]
    assert "% of the pixels of 832x1216" in buckets.what
    assert buckets.fix == "write max_bucket_reso = 2048"
    large = found(folder, config("", model="v1-5-pruned.safetensors"))["model.large_file"]
    assert "7.7 GB" in large.what
    assert "4.27 GB" in large.what


@pytest.mark.parametrize("text", ['optimizer_type = "Prodigy"\nunet_lr = 1.0', 'optimizer_type = "AdaFactor"'])
def test_an_optimizer_that_finds_its_own_rate_is_left_alone(folder: Path, text: str):
    assert "config.effective_lr" not in found(folder, config(text + "\nnetwork_dim = 1024"))
