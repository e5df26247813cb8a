"""Which base model it was: the hashes that other tools know it by."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from loratui_agent.files import sha256_of
from loratui_protocol.base_model import files_of_model

_WEIGHTS = (".safetensors", ".bin")
_PARTS = ("unet", "text_encoder", "vae", "text_encoder_2")
_SHORT_OFFSET, _SHORT_BYTES, _SHORT_CHARS = 0x100000, 0x10000, 8


@dataclass(frozen=True, slots=True)
class BaseHash:
    """``sha256`` is the file's, as model sites show it; ``short`` is the older one of A1111, and empty for a folder."""

    sha256: str
    short: str = ""


def base_hash(path: Path) -> BaseHash:
    """Return the hashes of a single file, or one over all weights of a diffusers folder."""
    if path.is_file():
        return BaseHash(sha256_of(path), _short(path))
    parts = [part for part in _PARTS if (path / part).is_dir()]
    # Of several formats and precisions only what is loaded counts: another machine gets no more than that.
    read = files_of_model(each.relative_to(path).as_posix() for part in parts for each in (path / part).iterdir())
    weights = [
        each
        for part in parts
        for each in sorted((path / part).iterdir())
        if each.suffix in _WEIGHTS and each.relative_to(path).as_posix() in read
    ]
    return BaseHash(hashlib.sha256("".join(map(sha256_of, weights)).encode()).hexdigest())


def _short(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(_SHORT_OFFSET)
        return hashlib.sha256(file.read(_SHORT_BYTES)).hexdigest()[:_SHORT_CHARS]
