"""Where base models are that have moved, and what is known of those that many name."""

from pathlib import Path

import pytest

from loratui_protocol.architecture import SD1, SDXL
from loratui_protocol.config_file import parse_config
from loratui_protocol.known_models import current_address, known_architecture, known_other, known_prediction
from loratui_protocol.single_file import Prediction

SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
HUB = "https://huggingface.co"
GONE, HERE = f"{HUB}/runwayml/stable-diffusion-v1-5", f"{HUB}/{SD15}"
SMALL = "v1-5-pruned-emaonly.safetensors"
SHA = "a" * 64


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("runwayml/stable-diffusion-v1-5", SD15),
        ("runwayml/stable-diffusion-v1-5@fp16", f"{SD15}@fp16"),
        (GONE, SD15),
        (f"{GONE}/", SD15),
        (f"{GONE}/resolve/main/v1-5-pruned.safetensors", f"{HERE}/resolve/main/{SMALL}"),
        (f"{GONE}/blob/main/v1-5-pruned.ckpt?download=true", f"{HERE}/resolve/main/{SMALL}?download=true"),
        (f"{GONE}/resolve/main/{SMALL}#sha256={SHA}", f"{HERE}/resolve/main/{SMALL}#sha256={SHA}"),
        # Whoever knows the hash of a file wants that one.
        (
            f"{GONE}/resolve/main/v1-5-pruned.safetensors#sha256={SHA}",
            f"{HERE}/resolve/main/v1-5-pruned.safetensors#sha256={SHA}",
        ),
        (f"{HUB}/org/name", "org/name"),
        (f"{HUB}/org/name/blob/main/a/b.safetensors", f"{HUB}/org/name/resolve/main/a/b.safetensors"),
    ],
)
def test_what_has_moved_or_is_a_page_is_asked_for_where_it_is(written: str, meant: str):
    assert current_address(written) == meant
    assert current_address(meant) == meant


@pytest.mark.parametrize(
    "name",
    [
        SD15,
        "stabilityai/stable-diffusion-xl-base-1.0",
        "org/runwayml",
        f"{HERE}/resolve/main/v1-5-pruned.safetensors",
        f"https://civitai.com/api/download/models/1?type=Model#sha256={SHA}",
        "/models/runwayml/stable-diffusion-v1-5",
        "builtin:tiny",
    ],
)
def test_what_is_right_stays_as_it_is(name: str):
    assert current_address(name) == name


def test_a_config_with_an_address_that_is_gone_is_read_right_and_says_so():
    text = f'pretrained_model_name_or_path = "{GONE}/resolve/main/v1-5-pruned.safetensors"\ntrain_data_dir = "/d"'
    loaded = parse_config(text, Path("/"))
    assert loaded.config.pretrained_model_name_or_path == f"{HERE}/resolve/main/{SMALL}"
    [moved] = [finding for finding in loaded.findings if finding.code == "model.moved"]
    assert moved.severity == "warning"
    assert "(line 1)" in moved.what


def test_the_kind_of_what_many_name_is_known():
    assert known_architecture(f"{SD15}@main") is SD1
    assert known_architecture("stabilityai/stable-diffusion-xl-base-1.0") is SDXL
    assert known_architecture("org/name") is None
    place = "https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/resolve/main"
    assert known_architecture(f"{place}/sd_xl_base_1.0.safetensors#sha256=00") is SDXL
    assert known_architecture(f"{place}/sd_xl_offset_example-lora_1.0.safetensors") is None


@pytest.mark.parametrize(
    ("name", "is_v", "is_zero_snr"),
    [
        ("Laxhar/noobai-XL-Vpred-1.0", True, True),
        ("laxhar/NOOBAI-xl-vpred-0.75@main", True, False),
        (f"{HUB}/Laxhar/noobai-XL-Vpred-1.0/resolve/main/NoobAI-XL-Vpred-v1.0.safetensors", True, True),
        ("ptx0/terminus-xl-gamma-v2", True, True),
        (SD15, False, False),
        ("stabilityai/stable-diffusion-xl-base-1.0", False, False),
    ],
)
def test_what_many_name_is_known_by_what_it_predicts(name: str, is_v: bool, is_zero_snr: bool):
    assert known_prediction(name) == Prediction(is_v=is_v, is_zero_snr=is_zero_snr)
    assert known_architecture(name) is (SD1 if name == SD15 else SDXL)


def test_nothing_is_made_up_of_what_is_not_known():
    for name in ("Laxhar/noobai-XL-1.1", "org/some-vpred", f"{HUB}/org/name/resolve/main/vpred.safetensors"):
        assert known_prediction(name) is None
        assert known_other(name) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("black-forest-labs/FLUX.1-dev", "a Flux model"),
        ("black-forest-labs/FLUX.2-dev", "a Flux.2 model"),
        (f"{HUB}/black-forest-labs/FLUX.1-dev/resolve/main/flux1-dev.safetensors", "a Flux model"),
        ("stabilityai/stable-diffusion-3.5-large", "a Stable Diffusion 3 model"),
        ("stabilityai/stable-diffusion-2-1", "a Stable Diffusion 2.x model"),
        ("stabilityai/stable-diffusion-xl-refiner-1.0@main", "an SDXL refiner"),
        ("runwayml/stable-diffusion-inpainting", "an inpainting model"),
        ("diffusers/stable-diffusion-xl-1.0-inpainting-0.1", "an inpainting model"),
    ],
)
def test_what_can_not_be_trained_is_known_by_its_name(name: str, kind: str):
    assert known_other(name) == kind
    assert known_architecture(name) is None


@pytest.mark.parametrize(
    "name", [SD15, "stabilityai/stable-diffusion-xl-base-1.0", "stabilityai/sdxl-turbo", "builtin:tiny", "/flux/dev"]
)
def test_what_can_be_trained_is_not_taken_for_something_else(name: str):
    assert known_other(name) is None
