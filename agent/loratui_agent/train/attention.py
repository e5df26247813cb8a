"""Which of torch's attention kernels the UNet's layers get, told before the first step and not guessed."""

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch.nn.attention import SDPBackend

SLOW = SDPBackend.MATH.name
_TOKENS = 1024


def attention_kernel(unet: UNet2DConditionModel, device: torch.device, dtype: torch.dtype) -> str:
    """Return the name of the kernel that torch chooses for the UNet's self-attention in a training."""
    layer = next(module for module in unet.modules() if isinstance(module, Attention))
    q = torch.empty(1, layer.heads, _TOKENS, layer.inner_dim // layer.heads, device=device, dtype=dtype)
    q.requires_grad_()
    # The choice that scaled_dot_product_attention itself makes.
    return SDPBackend(torch._fused_sdp_choice(q, q, q)).name
