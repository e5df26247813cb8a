"""How large the LoRA is beside the weights that it changes, block by block."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from loratui_agent.train.lora import lora_modules


class DeltaNorms:
    """Measures the deltas; the norms of the weights that stay are taken once."""

    def __init__(self) -> None:
        self.step = 0
        """When they were measured last; 0: not yet, and nothing had been learned."""
        self.relative: dict[str, float] = {}
        """As in the event ``DeltaNorms``."""
        self._base_norms: dict[str, Tensor] = {}

    @torch.no_grad()
    def measure(self, trained: Mapping[str, nn.Module], step: int) -> None:
        """Measure all blocks. No matrix as large as a layer's is made, and the GPU is waited for once."""
        members: dict[str, list[int]] = {}
        pairs: list[Tensor] = []
        for part, model in trained.items():
            members[part] = []
            # By name: down, mid, up.
            for module in sorted(lora_modules(model), key=lambda module: module.name):
                key = f"{part}.{module.name}"
                if key not in self._base_norms:
                    self._base_norms[key] = torch.linalg.vector_norm(module.base, dtype=torch.float32)
                for block in _blocks(part, module.name):
                    members.setdefault(block, []).append(len(pairs))
                pairs.append(torch.stack((module.delta_norm(), self._base_norms[key])))
        squares = torch.stack(pairs).double().square().cpu()
        sums = {block: squares[indices].sum(0).tolist() for block, indices in members.items()}
        self.relative = {block: math.sqrt(delta / base) if base else math.nan for block, (delta, base) in sums.items()}
        self.step = step


def _blocks(part: str, name: str) -> tuple[str, ...]:
    """Return what a module belongs to: its model, and in a UNet its block."""
    if part != "unet":
        return (part,)
    block, number = name.split(".")[:2]
    return part, f"{block}.{number}" if block.endswith("_blocks") else block
