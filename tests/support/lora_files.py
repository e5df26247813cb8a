"""Small LoRA files as different trainers write them: their names, types and metadata."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from loratui_protocol.lora_names import lora_names
from loratui_protocol.lora_size import Layer, Network, Place, all_layers

Tensors = dict[str, np.ndarray]
TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64}


def write_file(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None, dtype="F32"):
    """Write a safetensors file; whole numbers stay what they are."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    contents, end = [], 0
    for name, value in tensors.items():
        own = "I64" if value.dtype.kind == "i" else dtype
        if own == "BF16":
            raw = (np.asarray(value, np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
        else:
            raw = np.asarray(value, TYPES[own]).tobytes()
        header[name] = {"dtype": own, "shape": list(value.shape), "data_offsets": [end, end + len(raw)]}
        contents.append(raw)
        end += len(raw)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(contents))
    return path


def attention_layers(network: Network) -> list[Layer]:
    """Return the layers that a plain LoRA changes."""
    return [layer for layer in all_layers(network) if layer.place is not Place.RESNET]


def kohya(
    network: Network, rank=4, alpha: float | None = 2.0, layers: Iterable[Layer] | None = None, seed=0
) -> Tensors:
    """Return a LoRA as sd-scripts names it."""
    random, tensors = np.random.default_rng(seed), {}
    for layer in attention_layers(network) if layers is None else layers:
        name = lora_names(network.architecture, layer.part, layer.name)[0]
        tensors[f"{name}.lora_down.weight"] = random.normal(size=(rank, layer.taken)).astype(np.float32)
        tensors[f"{name}.lora_up.weight"] = random.normal(size=(layer.given, rank)).astype(np.float32)
        if alpha is not None:
            tensors[f"{name}.alpha"] = np.array(alpha, np.float32)
    return tensors


def dotted(network: Network, ends: tuple[str, str], rename: Callable[[str], str] = str, rank=4, seed=0) -> Tensors:
    """Return a LoRA under dotted names with other ends, as diffusers and PEFT write it."""
    random, tensors = np.random.default_rng(seed), {}
    for layer in attention_layers(network):
        name = rename(f"{layer.part}.{layer.name}")
        tensors[f"{name}{ends[0]}"] = random.normal(size=(rank, layer.taken)).astype(np.float32)
        tensors[f"{name}{ends[1]}"] = random.normal(size=(layer.given, rank)).astype(np.float32)
    return tensors
