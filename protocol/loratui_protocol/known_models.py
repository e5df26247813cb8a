"""Base models that many configs name: of what kind they are, what they predict, and where those are that have moved."""

import re
from collections.abc import Mapping

from loratui_protocol.architecture import CHANNELS, OTHER_WIDTHS, SD1, SDXL, Architecture
from loratui_protocol.single_file import Prediction

_SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
_KINDS: Mapping[str, Architecture] = {
    _SD15: SD1,
    "CompVis/stable-diffusion-v1-4": SD1,
    "stabilityai/stable-diffusion-xl-base-1.0": SDXL,
    "cagliostrolab/animagine-xl-4.0": SDXL,
}
_EPSILON = Prediction(is_v=False)
_V_PREDICTING = (
    # "Implemented as a v-prediction model": the model cards of 0.5 to 1.0. That of 1.0 is the file with the key ztsnr.
    (re.compile(r"laxhar/noobai-xl-vpred-1[\w.-]*", re.IGNORECASE), Prediction(is_v=True, is_zero_snr=True)),
    (re.compile(r"laxhar/noobai-xl-vpred-0[\w.-]*", re.IGNORECASE), Prediction(is_v=True)),
    # "uses zero-terminal SNR noise schedule and velocity prediction objective", on SDXL's architecture: model cards.
    (
        re.compile(r"(ptx0|bghira)/terminus-xl-(gamma|otaku|velocity)-v\d+", re.IGNORECASE),
        Prediction(is_v=True, is_zero_snr=True),
    ),
)
"""Hub ids of SDXL models that were trained to predict v. What nobody knows of zero terminal SNR is left open."""
_OTHERS = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"black-forest-labs/flux\.2.*", "a Flux.2 model"),
        (r"black-forest-labs/flux.*", "a Flux model"),
        (r"stabilityai/stable-diffusion-3.*", "a Stable Diffusion 3 model"),
        # 2.0 and 2.1 at 768 predict v besides (huggingface/diffusers#1783).
        (r"(stabilityai|sd2-community)/(stable-diffusion-2.*|sd-turbo)", OTHER_WIDTHS[1024]),
        (r"stabilityai/stable-diffusion-xl-refiner.*", OTHER_WIDTHS[1280]),
        (r"(runwayml|stable-diffusion-v1-5)/stable-diffusion-inpainting", CHANNELS[9]),
        (r"diffusers/stable-diffusion-xl-1\.0-inpainting.*", CHANNELS[9]),
        (r"timbrooks/instruct-pix2pix|diffusers/sdxl-instructpix2pix.*", CHANNELS[8]),
        (r"stabilityai/(stable-diffusion-x4|sd-x2-latent)-upscaler", CHANNELS[7]),
        (r"stabilityai/cosxl|playgroundai/playground-v2\.5.*", "a model that is trained in EDM's way"),
        (r"stabilityai/stable-cascade.*", "a Stable Cascade model"),
        (r"stabilityai/stable-video-diffusion.*", "a Stable Video Diffusion model"),
        (r"fal/auraflow.*", "an AuraFlow model"),
        (r"hidream-ai/hidream-.*", "a HiDream model"),
        (r"kwai-kolors/kolors.*", "a Kolors model"),
        (r"lodestones/chroma.*", "a Chroma model"),
        (r"pixart-alpha/pixart-.*", "a PixArt model"),
        (r"qwen/qwen-image.*", "a Qwen-Image model"),
        (r"tongyi-mai/z-image.*", "a Z-Image model"),
    )
)
"""Hub ids of models that many name and that can't be trained, and what they are; the first that fits counts."""
_MOVED = {"runwayml/stable-diffusion-v1-5": _SD15}
"""Removed in August 2024; the new place has the same files."""
_SMALL_FILE = "v1-5-pruned-emaonly.safetensors"
_SAME_FILES = ("v1-5-pruned.safetensors", "v1-5-pruned.ckpt", "v1-5-pruned-emaonly.ckpt")
"""Of 7.7 GB, with every weight of the UNet twice, or pickles; to train with, the small one has all."""
_WHOLE_FILES = ("v1-5-pruned", "sd_xl_base_1.0", "noobai-xl-vpred")
"""How the files begin, in small letters, that are all of a model, in the places of those that are known."""
LARGE_GB, SMALL_GB = 7.7, 4.27
"""Of what is larger than needed, and of the small file."""
_LARGE = re.compile(r"(?:^|.*[/\\])v1-5-pruned\.(?:safetensors|ckpt)(?:[?#].*)?")
_PAGE = re.compile(r"https://(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)/?")
_FILE = re.compile(
    r"https://(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)/(?:blob|resolve|raw)/([^/?#]+)/([^?#]+)(.*)"
)


def known_architecture(name: str) -> Architecture | None:
    """Return the kind of a base model that is known by its hub id, or by the address of its file there."""
    hub_id = _whole_model(name)
    return _KINDS.get(hub_id) or (SDXL if _predicting_v(hub_id) else None)


def known_prediction(name: str) -> Prediction | None:
    """Return what a base model predicts that is known as in ``known_architecture``."""
    hub_id = _whole_model(name)
    return _predicting_v(hub_id) or (_EPSILON if hub_id in _KINDS else None)


def known_other(name: str) -> str | None:
    """Return what a base model is that is known not to be trainable, by its hub id or the address of a file there."""
    file = _FILE.fullmatch(name)
    hub_id = file[1] if file else name.partition("@")[0]
    return next((kind for pattern, kind in _OTHERS if pattern.fullmatch(hub_id)), None)


def _whole_model(name: str) -> str:
    """Return the hub id of the model that a name or an address is all of; empty: it is a part, or elsewhere."""
    file = _FILE.fullmatch(name)
    if file is None:
        return name.partition("@")[0]
    return _MOVED.get(file[1], file[1]) if file[3].lower().startswith(_WHOLE_FILES) else ""


def _predicting_v(hub_id: str) -> Prediction | None:
    return next((prediction for pattern, prediction in _V_PREDICTING if pattern.fullmatch(hub_id)), None)


def smaller_instead(name: str) -> str | None:
    """Return the address of what serves as well as a file that is known to be large; None: it is none, or it is meant.

    ``name`` is a path or an address. A SHA-256 behind it names that very file.
    """
    if "#" in name or not _LARGE.fullmatch(name):
        return None
    return f"https://huggingface.co/{_SD15}/resolve/main/{_SMALL_FILE}"


def current_address(name: str) -> str:
    """Return a hub id or an https address as it has to be written to get there; what is right stays as it is.

    What was removed is named where it is now, a model's page on the hub by its id, and a file's page by the file.
    A SHA-256 behind the address names one file, which is not replaced by a smaller one then.
    """
    hub_id, at, revision = name.partition("@")
    if hub_id in _MOVED:
        return f"{_MOVED[hub_id]}{at}{revision}"
    page, file = _PAGE.fullmatch(name), _FILE.fullmatch(name)
    if page:
        return _MOVED.get(page[1], page[1])
    if file is None:
        return name
    hub_id, revision, path, rest = file.groups()
    if hub_id in _MOVED and path in _SAME_FILES and "#" not in rest:
        path = _SMALL_FILE
    return f"https://huggingface.co/{_MOVED.get(hub_id, hub_id)}/resolve/{revision}/{path}{rest}"
