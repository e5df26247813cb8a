"""What the names in a LoRA file say: whose they are, which layers it changes, how, and of what kind of base model.

Names of every trainer are brought to kohya's (``lora_unet_down_blocks_0_...``), by which all that follows goes.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from loratui_protocol.lora_names import lora_names
from loratui_protocol.lora_size import SD1_NETWORK, SDXL_NETWORK, TINY_NETWORK, all_layers
from loratui_protocol.safetensors_header import Header, TensorInfo

KOHYA, LYCORIS, PEFT, RAW_PEFT, DIFFUSERS, DOTTED = (
    "kohya's",
    "LyCORIS' own",
    "PEFT's",
    "PEFT's, as saved by itself",
    "diffusers' old ones",
    "dotted ones with kohya's ends",
)
"""Whose names a file has."""
SD1, SD2, SDXL, REFINER, TINY = (
    "Stable Diffusion 1.x",
    "Stable Diffusion 2.x",
    "SDXL",
    "the SDXL refiner",
    "builtin:tiny",
)
FLUX, SD3 = "Flux, or a model that is built like it", "Stable Diffusion 3"
PLAIN, LOCON, LOHA, LOKR, OFT, WHOLE = "LoRA", "LoCon with a third matrix", "LoHa", "LoKr", "OFT", "whole weights"
_RAW_PREFIX = "base_model.model."
_ENDS = (
    (re.compile(r"\.lora_A(\.\w+)?\.weight$"), "down", PEFT),
    (re.compile(r"\.lora_B(\.\w+)?\.weight$"), "up", PEFT),
    (re.compile(r"\.lora_magnitude_vector(\.\w+)*$"), "dora_scale", PEFT),
    (re.compile(r"(\.lora|\.lora_linear_layer|_lora)\.down\.weight$"), "down", DIFFUSERS),
    (re.compile(r"(\.lora|\.lora_linear_layer|_lora)\.up\.weight$"), "up", DIFFUSERS),
    (re.compile(r"\.lora_down\.weight$"), "down", KOHYA),
    (re.compile(r"\.lora_up\.weight$"), "up", KOHYA),
    (re.compile(r"\.lora_mid\.weight$"), "mid", KOHYA),
)
_OWN_ENDS = re.compile(
    r"\.(alpha|dora_scale|hada_w[12]_[ab]|hada_t[12]|lokr_w[12](?:_[ab])?|lokr_t2|oft_blocks|oft_diag|rescale|scalar"
    r"|diff|diff_b|w_norm|b_norm|on_input|bias|reshape_weight)$"
)
"""Ends that are the role's name, too."""
_WITHOUT_EFFECT = {"alpha", "scalar", "rescale", "on_input", "bias", "reshape_weight"}
"""Roles that change nothing by themselves."""
_PREFIXES = (
    ("unet.", "lora_unet_"),
    ("diffusion_model.", "lora_unet_"),
    ("text_encoder_3.", "lora_te3_"),
    ("text_encoder_2.", "lora_te2_"),
    ("text_encoder.", "lora_te_"),
    ("te1.", "lora_te_"),
    ("te2.", "lora_te2_"),
    ("clip_l.", "lora_te_"),
    ("clip_g.", "lora_te2_"),
    ("transformer.", "lora_transformer_"),
)
_PARTS = (
    (re.compile(r"^lora_te3_"), "text encoder 3"),
    (re.compile(r"^lora_te2_"), "text encoder 2"),
    (re.compile(r"^lora_te_"), "text encoder"),
    (re.compile(r"^lora_(transformer_|unet_(double|single|joint)_(\w+_)?blocks_|unet_blocks_\d)"), "transformer"),
    (re.compile(r"^lora_unet_"), "UNet"),
)
_TRANSFORMERS = (
    (re.compile(r"_(double|single)_blocks_\d|_single_transformer_blocks_\d"), FLUX),
    (re.compile(r"_joint_blocks_\d"), SD3),
    (re.compile(r"^lora_unet_blocks_\d+_(cross|self)_attn_"), "a video model such as Wan"),
    (re.compile(r"^lora_transformer_"), "a model with a transformer in place of a UNet"),
)
_BLOCKS = re.compile(r"^lora_unet_((?:input|output)_blocks_\d{1,2}|(?:down|up)_blocks_\d|mid(?:dle)?_block)_")
_BY_WIDTH = {64: TINY, 768: SD1, 1024: SD2, 1280: REFINER, 2048: SDXL}
_NETWORKS = {SD1: SD1_NETWORK, SDXL: SDXL_NETWORK, TINY: TINY_NETWORK}
_BESIDE = re.compile(r"^lora_unet_(conv_in|conv_out|time_emb|add_emb|label_emb|input_blocks_0_0|out_\d)|norm")
"""Layers that LyCORIS takes, too, and every loader with it; sd-scripts' LoRAs leave them alone."""

_FACTORS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    PLAIN: (("down",),),
    LOCON: (("down",),),
    LOHA: (("hada_w1_b",),),
    LOKR: (("lokr_w1", "lokr_w1_b"), ("lokr_w2", "lokr_w2_b")),
    WHOLE: (("diff",),),
}
"""The tensors whose second axes, multiplied, are a layer's inputs: of each group the file has one."""


@dataclass(frozen=True, slots=True)
class LoraModule:
    """What a file has for one layer of the base model."""

    name: str
    """The file's own."""
    layer: str
    """Its name among kohya's, with ``lora_te_`` for the first text encoder of every kind of model."""
    tensors: Mapping[str, str] = field(default_factory=dict)
    """Names of its tensors by their role: "down", "up", "alpha", "hada_w1_a" and so on."""

    @property
    def part(self) -> str:
        """Return the model that has the layer; empty: that can't be told."""
        return next((part for pattern, part in _PARTS if pattern.search(self.layer)), "")

    @property
    def block(self) -> str:
        """Return the block of a UNet, or else the part."""
        found = _BLOCKS.match(self.layer)
        return f"{self.part} {found[1]}" if found else self.part or "unknown"

    @property
    def kind(self) -> str:
        """Return how it changes its layer; empty: not at all."""
        roles = " ".join(self.tensors)
        kinds = {"mid": LOCON, "hada_": LOHA, "lokr_": LOKR, "oft_": OFT, "up": PLAIN, "down": PLAIN, "diff": WHOLE}
        kinds |= {"_norm": WHOLE}
        return next((kind for role, kind in kinds.items() if role in roles), "")

    @property
    def is_dora(self) -> bool:
        """Return whether it scales rows or columns of the weight, too."""
        return "dora_scale" in self.tensors


@dataclass(frozen=True, slots=True)
class LoraKeys:
    """All that the names in a file say."""

    modules: tuple[LoraModule, ...]
    families: tuple[str, ...]
    """Whose names they are, the most frequent first."""
    strange: tuple[str, ...]
    """Names of tensors that belong to no module."""


def keys_of(header: Header) -> LoraKeys:
    """Return what the names in the file say; of a file that is no LoRA all of them are strange."""
    found: dict[str, dict[str, str]] = {}
    families: dict[str, int] = {}
    strange = []
    for key in header.tensors:
        told = _split(key)
        if told is None:
            strange.append(key)
            continue
        name, role, family = told
        found.setdefault(name, {})[role] = key
        families[family] = families.get(family, 0) + (role not in _WITHOUT_EFFECT)
    modules = []
    for name, tensors in found.items():
        if tensors.keys() <= _WITHOUT_EFFECT:
            strange += tensors.values()
        else:
            modules.append(LoraModule(name, _layer(name), tensors))
    order = sorted((family for family, number in families.items() if number), key=lambda each: -families[each])
    return LoraKeys(tuple(modules), tuple(order), tuple(strange))


def base_of(keys: LoraKeys, header: Header) -> str:
    """Return the kind of base model that the layers belong to; empty: they don't tell."""
    for pattern, base in _TRANSFORMERS:
        if any(pattern.search(module.layer) for module in keys.modules):
            return base
    for module in keys.modules:
        if module.layer.endswith(("_attn2_to_k", "_attn2_to_v")):
            width = taken(module, header.tensors)
            if width:
                return _BY_WIDTH.get(width, f"a model whose text has the width {width}")
    names = [module.layer for module in keys.modules]
    if any(name.startswith("lora_te2_") or "_transformer_blocks_9_" in name for name in names):
        return SDXL
    # The first text encoder alone: SDXL's is that of Stable Diffusion 1.x.
    of_text = next((each for each in keys.modules if each.layer.endswith("_self_attn_q_proj")), None)
    width = taken(of_text, header.tensors) if of_text else None
    if width == 768 and of_text and of_text.name.startswith("lora_te1_"):
        return ""
    return {64: TINY, 768: SD1, 1024: SD2}.get(width or 0, "")


def taken(module: LoraModule, tensors: Mapping[str, TensorInfo]) -> int | None:
    """Return how many inputs the module's layer has, of a convolution channels x kernel area; None: it isn't told."""
    factors = _FACTORS.get(module.kind, ())
    widths = [
        math.prod(tensors[module.tensors[role]].shape[1:])
        for roles in factors
        for role in roles
        if role in module.tensors
    ]
    return math.prod(widths) if widths and len(widths) == len(factors) else None


def not_in(base: str, modules: tuple[LoraModule, ...]) -> list[LoraModule]:
    """Return the modules for layers that such a base model has not: no loader has a place for them."""
    if base not in _NETWORKS:
        return [module for module in modules if not module.part]
    known = set(_layers_of(base))
    return [module for module in modules if module.layer not in known and not _BESIDE.search(module.layer)]


def _layers_of(base: str) -> Iterator[str]:
    network = _NETWORKS[base]
    for layer in all_layers(network):
        for name in lora_names(network.architecture, layer.part, layer.name):
            yield _of_first_text(name)


def _of_first_text(name: str) -> str:
    return f"lora_te_{name.removeprefix('lora_te1_')}" if name.startswith("lora_te1_") else name


def _split(key: str) -> tuple[str, str, str] | None:
    """Return the module's name, the tensor's role, and whose names these are; None: it is nothing of a LoRA."""
    for pattern, kind, whose in _ENDS:
        if end := pattern.search(key):
            name, role, family = key[: end.start()], kind, whose
            break
    else:
        own = _OWN_ENDS.search(key)
        if own is None:
            return None
        name, role, family = key[: own.start()], own[1], KOHYA
    if name.startswith(_RAW_PREFIX):
        family = RAW_PEFT
    elif name.startswith("lycoris_"):
        family = LYCORIS
    elif family == KOHYA and "." in name:
        family = DOTTED
    return name, role, family


def _layer(name: str) -> str:
    """Return a module's name among kohya's."""
    if "." not in name:
        return _of_first_text(re.sub(r"^lycoris_", "lora_unet_", name))
    name = name.removeprefix(_RAW_PREFIX).removeprefix("text_encoders.").replace(".processor.", ".")
    prefix = next((each for each in _PREFIXES if name.startswith(each[0])), None)
    if prefix is None:
        prefix = ("", "lora_te_" if name.startswith("text_model.") else "lora_unet_")
    layer = f"{prefix[1]}{name[len(prefix[0]) :]}".replace(".", "_")
    # diffusers' old names of attention have no number behind to_out.
    return re.sub(r"_to_out$", "_to_out_0", layer)
