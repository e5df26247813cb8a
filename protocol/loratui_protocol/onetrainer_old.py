"""Brings OneTrainer's older configs up to date: its own migrations, up to version 12 of its configs."""

from collections.abc import Mapping
from typing import Any

_PARTS: Mapping[str, tuple[str, ...]] = {
    "unet": ("train_unet", "train_unet_epochs", "unet_learning_rate", "unet_weight_dtype", ""),
    "text_encoder": (
        *("train_text_encoder", "train_text_encoder_epochs", "text_encoder_learning_rate"),
        *("text_encoder_weight_dtype", ""),
    ),
    "text_encoder_2": (
        *("train_text_encoder_2", "train_text_encoder_2_epochs", "text_encoder_2_learning_rate"),
        *("text_encoder_2_weight_dtype", ""),
    ),
    "vae": ("", "", "", "vae_weight_dtype", "vae_model_name"),
}
"""Keys of before version 2 by the table that they are in now, in the order of ``_OF_PART``."""
_OF_PART = ("train", "stop_training_after", "learning_rate", "weight_dtype", "model_name")
_RENAMED: Mapping[str, str] = {
    "lora_layers": "layer_filter",
    "lora_layer_preset": "layer_filter_preset",
    "save_after": "save_every",
    "save_after_unit": "save_every_unit",
}
_OPTIMIZER_PREFIX = "optimizer_"


def brought_up_to_date(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config's keys under the names that they have now; what stands there under both keeps the new one."""
    keys = dict(given)
    for old, new in _RENAMED.items():
        if old in keys:
            value = keys.pop(old)
            keys.setdefault(new, value)
    for part, names in _PARTS.items():
        found = {key: keys.pop(name) for name, key in zip(names, _OF_PART, strict=True) if name and name in keys}
        if "stop_training_after" in found:
            found["stop_training_after_unit"] = "EPOCH"
        if found and isinstance(table := keys.get(part, {}), dict):
            keys[part] = {**found, **table}
    if isinstance(keys.get("optimizer"), str):
        names = tuple(name for name in keys if name.startswith(_OPTIMIZER_PREFIX) and name != "optimizer_defaults")
        arguments = {name.removeprefix(_OPTIMIZER_PREFIX): keys.pop(name) for name in names}
        if "weight_decay" in keys:
            arguments["weight_decay"] = keys.pop("weight_decay")
        keys["optimizer"] = {"optimizer": keys["optimizer"], **arguments}
    if gamma := keys.pop("min_snr_gamma", 0):
        keys |= {"loss_weight_fn": "MIN_SNR_GAMMA", "loss_weight_strength": gamma}
    return keys
