"""Gradient checkpointing, on and off: activations are computed again in the backward pass instead of kept."""

import warnings

from diffusers import UNet2DConditionModel

from loratui_agent.train.conditioning import TextEncoder


def checkpoint_unet(unet: UNet2DConditionModel, *, on: bool) -> None:
    """Let the UNet's blocks keep their inputs alone, or everything again."""
    if on:
        unet.enable_gradient_checkpointing()
    else:
        unet.disable_gradient_checkpointing()


def checkpoint_text_encoder(text_encoder: TextEncoder, *, on: bool) -> None:
    """Let the layers of a text encoder that learns keep their inputs alone, or everything again."""
    with warnings.catch_warnings():
        # transformers has all of it under other names since 5.23; older ones know only these.
        warnings.simplefilter("ignore", FutureWarning)
        # Switched on twice, it would leave a hook behind when it is switched off.
        if text_encoder.is_gradient_checkpointing == on:
            return
        if on:
            # The reentrant kind learns nothing where what goes in needs no gradient, and embeddings are frozen.
            text_encoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            # For that kind's sake the embeddings would get gradients, which nobody uses.
            text_encoder.disable_input_require_grads()
        else:
            text_encoder.gradient_checkpointing_disable()
