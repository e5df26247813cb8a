"""Which ranks and alphas a LoRA has, from its own layers: of any program that names them down and up, or A and B."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from loratui_protocol.errors import ModelError
from loratui_protocol.safetensors_header import TensorInfo, read_scalars

_Number = TypeVar("_Number", int, float)
_DOWN = re.compile(r"(.+)\.(?:lora_down|lora_A|lora\.down)(?:\.default)?\.weight")


@dataclass(frozen=True, slots=True)
class Ranks:
    """What most of the layers have, and None where there are none of them, or no alpha is told."""

    dim: int | None = None
    alpha: float | None = None
    conv_dim: int | None = None
    conv_alpha: float | None = None
    are_all_alike: bool = True

    def convolutions(self) -> list[str]:
        """Return those of the convolutions as arguments of the network."""
        given = {"conv_dim": self.conv_dim, "conv_alpha": self.conv_alpha} if self.conv_dim else {}
        return [f"{name}={value:g}" for name, value in given.items() if value is not None]

    def settings(self) -> dict[str, object]:
        """Return them as settings of a config, as far as they are there."""
        found = {"network_dim": self.dim, "network_alpha": self.alpha, "network_args": self.convolutions() or None}
        return {key: value for key, value in found.items() if value is not None}


def ranks_of(path: Path, tensors: Mapping[str, TensorInfo]) -> Ranks:
    """Return the ranks of a file's layers, those of 3x3 convolutions by themselves."""
    try:
        scalars = read_scalars(path)
    except ModelError:
        scalars = {}
    dims: dict[bool, list[int]] = {False: [], True: []}
    alphas: dict[bool, list[float]] = {False: [], True: []}
    for name, tensor in tensors.items():
        if (found := _DOWN.fullmatch(name)) is None or not tensor.shape or not tensor.shape[0]:
            continue
        is_wide = tensor.shape[2:] not in ((), (1, 1))
        dims[is_wide].append(tensor.shape[0])
        alpha = scalars.get(f"{found[1]}.alpha", 0.0)
        alphas[is_wide] += [alpha] if alpha > 0 else []
    return Ranks(
        dim=_usual(dims[False]),
        alpha=_usual(alphas[False]),
        conv_dim=_usual(dims[True]),
        conv_alpha=_usual(alphas[True]),
        are_all_alike=all(len(set(each)) < 2 for each in dims.values()),
    )


def _usual(numbers: Iterable[_Number]) -> _Number | None:
    counted = Counter(numbers).most_common(1)
    return counted[0][0] if counted else None
