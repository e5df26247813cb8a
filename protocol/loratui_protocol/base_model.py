"""How a config names its base model, a built-in one or a folder, and which files of such a folder a training reads."""

from collections.abc import Iterable
from pathlib import Path

from loratui_protocol.architecture import ALL_PARTS, OTHER_PARTS, architecture_of_folder
from loratui_protocol.errors import ModelError

BUILTIN_PREFIX = "builtin:"
_OF_ALL = ("model_index.json", "README.md")
"""Beside the parts: what the model is, and its card, which says under which licence."""
_SMALL = (".json", ".txt", ".model")
_SAFE = ".safetensors"
_PICKLED = ".bin"
_HALF = ".fp16.safetensors"
_SHARD = "-of-"
_STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
"""What diffusers and transformers call weights; others are other formats' (``openvino_model.bin``), or copies."""
_INDEX = ".index."


def model_folder(path: str) -> Path:
    """Return the folder that a config names, on this machine.

    Raises:
        ModelError: there is no such folder.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise ModelError(
            f"the base model {path} is no folder or file on this machine",
            fix="give the path of a diffusers folder or of a .safetensors file, or builtin:tiny",
            code="model.missing",
        )
    return folder.resolve()


def files_of_model(names: Iterable[str], *, is_half: bool = False) -> dict[str, str]:
    """Return which files of a diffusers folder a training reads: the name it looks for, and the file to take for it.

    ``names`` are relative, with forward slashes. Weights in other formats, of other precisions and of parts that are
    not trained with are left out; ``is_half`` takes 16 bit weights, where there are some, under the plain name.
    """
    small, weights = {}, set()
    for name in names:
        part, _, rest = name.rpartition("/")
        is_read = name in _OF_ALL or (part in ALL_PARTS and rest.endswith(_SMALL))
        # Of parts that are never read so much is taken that the model is refused for having them.
        if is_read or (part in OTHER_PARTS and rest == "config.json"):
            small[name] = name
        elif part in ALL_PARTS and rest.endswith((_SAFE, _PICKLED)) and rest.startswith(_STEMS):
            weights.add(name)
    chosen = dict(small)
    for part in ALL_PARTS:
        taken = _weights_of({name for name in weights if name.startswith(f"{part}/")}, is_half=is_half)
        if not any(_SHARD in name for name in taken):
            # An index left there would have the shards looked for that it names.
            chosen = {
                name: each for name, each in chosen.items() if not name.startswith(f"{part}/") or _INDEX not in name
            }
        chosen |= taken
    return chosen


def parts_of(names: Iterable[str]) -> set[str]:
    """Return the folders that files of a model lie in."""
    return {name.split("/")[0] for name in names if "/" in name}


def files_of_hub_model(address: str, names: Iterable[str]) -> dict[str, str]:
    """Return which files of a hub's model are downloaded, as ``files_of_model``; 16 bit weights where there are some.

    Raises:
        ModelError: it is of a kind that can't be trained, or only to be had as a pickle.
    """
    chosen = files_of_model(names, is_half=True)
    architecture_of_folder(parts_of(chosen), address)
    pickled = [name for name in chosen if name.endswith(_PICKLED)]
    if pickled:
        raise ModelError(
            f"{address} has {pickled[0]} only as a pickle, which could run anything",
            fix="choose a model, or a revision, with safetensors",
            code="model.unsafe",
        )
    return chosen


def _weights_of(names: set[str], *, is_half: bool) -> dict[str, str]:
    """Return the weights of one part: safetensors where there are some, and of those the wanted precision."""
    safe = {name for name in names if name.endswith(_SAFE)}
    half = {name.replace(_HALF, _SAFE): name for name in safe if name.endswith(_HALF) and _SHARD not in name}
    half = {name: taken for name, taken in half.items() if "." not in _stem(name)}
    if is_half and half:
        return half
    plain = [{name: name for name in kind if "." not in _stem(name)} for kind in (safe, names - safe)]
    return plain[0] or plain[1]


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]
