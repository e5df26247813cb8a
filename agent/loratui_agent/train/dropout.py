"""kohya's three dropouts, as sd-scripts has them: what of the LoRA is left out while it learns.

They draw from torch's global generators, which every step seeds: a resumed run drops the same.
"""

from functools import partial

import torch
import torch.nn.functional as F
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from loratui_agent.train.lora import ADAPTER
from loratui_protocol.config import TrainingConfig


def add_dropout(model: nn.Module, config: TrainingConfig) -> None:
    """Have the LoRA modules of a model drop in training what the config says."""
    for layer in model.modules():
        if isinstance(layer, LoraLayer) and ADAPTER in layer.lora_A:
            # In sd-scripts' order. PEFT's own dropout is on the input, which is another thing.
            if config.network_dropout:
                layer.lora_A[ADAPTER].register_forward_hook(partial(_drop_elements, config.network_dropout))
            if config.rank_dropout:
                layer.lora_A[ADAPTER].register_forward_hook(partial(_drop_ranks, config.rank_dropout))
            if config.module_dropout:
                layer.lora_B[ADAPTER].register_forward_hook(partial(_drop_module, config.module_dropout))


def _drop_elements(share: float, down: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Leave elements of what the down gives out."""
    return F.dropout(output, share, down.training)


def _drop_ranks(share: float, down: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Leave ranks out, of each picture or text others, and make up for them by the size of the rest."""
    if not down.training:
        return output
    of_rank = 1 if isinstance(down, nn.Conv2d) else output.dim() - 1
    shape = [size if dim in (0, of_rank) else 1 for dim, size in enumerate(output.shape)]
    kept = torch.rand(shape, device=output.device) > share
    return output * kept / (1 - share)


def _drop_module(share: float, up: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Leave the whole module out now and then: no gradient goes back, so the optimizer passes over it."""
    if not up.training or torch.rand(1) >= share:
        return output
    return torch.zeros_like(output)
