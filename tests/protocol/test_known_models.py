"""Where base models are that have moved, and what is known of those that many name."""

from pathlib import Path

import pytest

from loratui_protocol.architecture import SD1, SDXL
from loratui_protocol.config_file import parse_config
from loratui_protocol.known_models import current_address, known_architecture

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
