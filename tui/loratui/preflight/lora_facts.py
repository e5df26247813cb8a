"""What there is to know of a LoRA file, found once: the findings, the table for people and ``--json`` all go by it."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from loratui.domain.lora_snippets import snippets_of
from loratui.preflight.lora_keys import LoraKeys, LoraModule, base_of, keys_of, not_in
from loratui.preflight.lora_numbers import Measured, measure
from loratui.preflight.lora_words import Words, words_of
from loratui_protocol.safetensors_header import Header, read_header


@dataclass(frozen=True, slots=True)
class Norm:
    """The norm of what is added to the weights of some layers together, at weight 1."""

    num_modules: int
    norm: float | None
    """None: not measured; NaN: there are no numbers."""
    num_unmeasured: int = 0
    """Modules that the norm leaves out."""


@dataclass(frozen=True)
class LoraFacts:
    """What was found out about a file."""

    path: Path
    header: Header
    keys: LoraKeys
    measured: tuple[Measured, ...]
    """In the order of the modules."""
    words: Words

    @cached_property
    def base(self) -> str:
        """Return the kind of base model that its layers are for; empty: they don't tell."""
        return base_of(self.keys, self.header)

    @property
    def modules(self) -> tuple[LoraModule, ...]:
        """Return what it has for each layer."""
        return self.keys.modules

    @cached_property
    def without_layer(self) -> list[LoraModule]:
        """Return the modules for layers that such a base model has not."""
        return not_in(self.base, self.modules)

    @property
    def pairs(self) -> list[tuple[LoraModule, Measured]]:
        """Return the modules, each with what was measured."""
        return list(zip(self.modules, self.measured, strict=True))

    @property
    def kinds(self) -> list[str]:
        """Return how it changes its layers, the most frequent first."""
        counted = Counter(f"DoRA on {each.kind}" if each.is_dora else each.kind for each in self.modules if each.kind)
        return [kind for kind, _ in counted.most_common()]

    @property
    def parts(self) -> Mapping[str, int]:
        """Return the number of modules in each model that it changes."""
        return Counter(each.part or "unknown" for each in self.modules)

    @property
    def ranks(self) -> list[tuple[tuple[int, float | None], int]]:
        """Return ((rank, alpha), number of modules), the most frequent first; alpha None: the file has none."""
        found = Counter((each.rank, each.alpha) for each in self.measured if each.rank is not None)
        return [((rank, alpha), number) for (rank, alpha), number in found.most_common() if rank is not None]

    @property
    def dtypes(self) -> list[str]:
        """Return the types of its numbers, the most frequent first, alphas aside."""
        found = Counter(
            self.header.tensors[key].dtype
            for module in self.modules
            for role, key in module.tensors.items()
            if role != "alpha"
        )
        return [dtype for dtype, _ in found.most_common()]

    @property
    def blocks(self) -> Mapping[str, Norm]:
        """Return the norm of each block, in the order of the file."""
        grouped: dict[str, list[Measured]] = {}
        for module, each in self.pairs:
            grouped.setdefault(module.block, []).append(each)
        return {block: norm_of(each) for block, each in sorted(grouped.items(), key=lambda item: _order(item[0]))}

    @property
    def norm(self) -> Norm:
        """Return the norm of all of it."""
        return norm_of(self.measured)

    def fields(self) -> dict[str, Any]:
        """Return them for ``--json``, where what is no number is null."""
        return {
            "path": str(self.path),
            "kinds": self.kinds,
            "names": list(self.keys.families),
            "base": self.base,
            "dtypes": self.dtypes,
            "bytes": self.path.stat().st_size,
            "parts": dict(self.parts),
            "ranks": [
                {"rank": rank, "alpha": _number(alpha), "modules": number} for (rank, alpha), number in self.ranks
            ],
            "norm": _number(self.norm.norm),
            "blocks": [
                {"block": block, "modules": each.num_modules, "norm": _number(each.norm)}
                for block, each in self.blocks.items()
            ],
            "trigger": self.words.trigger,
            "likely_triggers": list(self.words.likely_triggers),
            "trained_on": self.words.base_file,
            "snippets": snippets_of(self.path.name, self.words.trigger).fields(),
        }


def lora_facts(path: Path) -> LoraFacts:
    """Return what there is to know of a file.

    Raises:
        ModelError: it is cut off, damaged, a pickle, or no safetensors file; codes as of ``read_header``.
    """
    header = read_header(path)
    keys = keys_of(header)
    return LoraFacts(path, header, keys, tuple(measure(path, header, keys.modules)), words_of(header.metadata))


def norm_of(measured: "tuple[Measured, ...] | list[Measured]") -> Norm:
    """Return the norm of several modules together: each changes another layer, so squares add up."""
    norms = [each.norm for each in measured if each.norm is not None]
    left_out = len(measured) - len(norms)
    return Norm(len(measured), math.sqrt(sum(norm * norm for norm in norms)) if norms else None, left_out)


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _order(block: str) -> tuple[str, str, int]:
    """Return a key by which block 10 comes behind block 9, and the middle between both sides."""
    part, _, name = block.partition(" ")
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    return part, stem, int(digits) if digits else 0
