"""Looks at LoRA files for every front end: the doctor, told which base model a file is to be used with."""

from pathlib import Path

from loratui.domain import base_kinds
from loratui.preflight.lora_doctor import Base, look_at_lora
from loratui.preflight.lora_facts import LoraFacts
from loratui.preflight.lora_keys import FLUX, REFINER, SD1, SD2, SD3, SDXL, TINY
from loratui.sessions.base_kind import kind_told_here
from loratui_protocol.errors import ModelError
from loratui_protocol.findings import Finding
from loratui_protocol.known_models import known_other
from loratui_protocol.single_file import local_architecture

_KINDS = {base_kinds.SD1.name: SD1, base_kinds.SDXL.name: SDXL, base_kinds.TINY.name: TINY}
_OTHERS = (("Stable Diffusion 2", SD2), ("Stable Diffusion 3", SD3), ("refiner", REFINER), ("Flux", FLUX))
"""Kinds that can't be trained, each by the word by which it is refused."""


def check_lora(path: Path, base: str | None = None) -> tuple[LoraFacts, list[Finding]]:
    """Return what there is to know of a file, and what is wrong with it; ``base`` is a model as a config names it.

    Raises:
        ModelError: it is cut off, damaged, a pickle, or no safetensors file.
    """
    return look_at_lora(path, None if base is None else Base(name=base, kind=_kind(base)))


def _kind(base: str) -> str:
    found = kind_told_here(base)
    if found is not None:
        return _KINDS[found.name]
    told = known_other(base) or ""
    if Path(base).expanduser().exists():
        try:
            local_architecture(base)
        except ModelError as error:
            told = error.what
    return next((kind for word, kind in _OTHERS if word in told), "")
