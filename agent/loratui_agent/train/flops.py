"""Counts the floating-point operations of a forward pass, and of the backward pass that will follow it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_LAYERS = (F.linear, torch.conv2d)
_PRODUCTS = (torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm)


class FlopCount(TorchFunctionMode):
    """Adds to ``flops`` what is called while it is entered: layers, attention, and products of matrices.

    An operand that needs a gradient costs the backward pass as much again. What checkpointing and attention kernels
    compute a second time is left out: these are the operations of the model, as in model FLOPs utilisation (MFU).
    torch's own counter knows no attention on CPUs, slows every operation, and takes each recomputation for work.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_function__(
        self, func: Callable[..., Any], _: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call ``func`` as it would have been called."""
        result = func(*args, **(kwargs or {}))
        if func in _LAYERS:
            layer_input, weight = args[:2]
            self._add(2 * result.numel() * weight[0].numel(), result, layer_input, weight)
        elif func in _PRODUCTS:
            self._add(2 * result.numel() * args[0].shape[-1], result, *args[:2])
        elif func is F.scaled_dot_product_attention:
            query, key, value = args[:3] if len(args) >= 3 else (kwargs[name] for name in ("query", "key", "value"))
            num_scores = query[..., 0].numel() * key.shape[-2]
            self._add(2 * num_scores * query.shape[-1], result, query, key)
            # The scores need a gradient where one of the two does that they are made of.
            scores = query if query.requires_grad else key
            self._add(2 * num_scores * value.shape[-1], result, scores, value)
        return result

    def _add(self, flops: int, result: Tensor, *operands: Tensor) -> None:
        backward = sum(operand.requires_grad for operand in operands) if result.requires_grad else 0
        self.flops += flops * (1 + backward)
