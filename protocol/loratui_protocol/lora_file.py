"""The LoRA file that a training goes on from: whether it fits the base model and the config, by its header alone.

Laptop and box decide by the same rule: nothing is rented, and no base model loaded, for a file that does not fit.
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import ConfigError, ModelError
from loratui_protocol.lora_names import UNET, lora_names
from loratui_protocol.lora_size import Layer, Network, Place, all_layers, lora_layers
from loratui_protocol.safetensors_header import Header, read_header, read_scalars

OTHER_BASE = "weights.other_base"
"""The code under which a LoRA for another kind of base model is refused."""
_SUFFIX = re.compile(r"\.(alpha|lora_down\.weight|lora_up\.weight)$")
_OTHER_KINDS = (
    (re.compile(r"\.dora_scale$|lora_magnitude_vector"), "a DoRA"),
    (re.compile(r"\.hada_"), "a LoHa"),
    (re.compile(r"\.lokr_"), "a LoKr"),
    (re.compile(r"\.oft_"), "an OFT"),
    (re.compile(r"\.lora_mid\."), "a LoCon with a third matrix (CP decomposition)"),
    (re.compile(r"\.(diff|diff_b|w_norm|b_norm)$"), "no LoRA alone: it holds whole differences of weights"),
    (re.compile(r"\.lora_[AB]\.|\.lora\.(down|up)\.|_lora\.(down|up)\."), "a LoRA under diffusers' names"),
)
_WIDTHS = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "SDXL"}
_OF_TRANSFORMERS = re.compile(r"^lora_(transformer|unet_(double|single|joint)_\w*blocks)_")
_ROUNDING = 5e-3
"""Of an alpha that is written in 16 bits."""


@dataclass(frozen=True, slots=True)
class FileModule:
    """A module as the file has it, under its own ``name`` there."""

    name: str
    rank: int
    alpha: float
    taken: int
    """Inputs; of a convolution channels x kernel area."""
    given: int


@dataclass(frozen=True, slots=True)
class Start:
    """What a training goes on from."""

    path: Path
    config: TrainingConfig
    """With the ranks and alphas of the file: where these differ from module to module, the usual ones."""
    modules: Mapping[str, FileModule]
    """By the name that we write (``lora_names``)."""

    def own_dims(self, name: str) -> tuple[int, float]:
        """Return the rank and alpha of a module, by the name that we write."""
        return self.modules[name].rank, self.modules[name].alpha


def start_of(config: TrainingConfig, network: Network) -> Start | None:
    """Return what the config goes on from, fitted to such a base model; None: it begins anew.

    Raises:
        ModelError: the file is missing, damaged, or no LoRA of kohya's kind (``weights.kind``).
        ConfigError: it is for another kind of base model (``weights.other_base``), or does not fit what the config
            trains (``weights.misfit``).
    """
    if config.network_weights is None:
        return None
    path = Path(config.network_weights)
    found = _read(path)
    _check_base(path, found, network)
    modules = {}
    layers = {}
    for layer in all_layers(network):
        names = lora_names(network.architecture, layer.part, layer.name)
        held = next((found.pop(name) for name in names if name in found), None)
        layers[names[0]] = layer
        if held is not None:
            modules[names[0]] = held
    if found:
        raise _misfit(path, f"it has modules that the base model has not: {_some(found)}", "give a LoRA for this model")
    if config.dim_from_weights:
        config = _with_convolutions(config, modules, layers)
    _check_modules(path, config, network, modules, layers)
    for name, module in modules.items():
        if (module.taken, module.given) != (layers[name].taken, layers[name].given):
            what = f"{module.name} is for a layer of {module.taken} x {module.given}, the base model's has "
            raise _misfit(path, f"{what}{layers[name].taken} x {layers[name].given}", "give a LoRA for this model")
    if not config.dim_from_weights:
        _check_dims(path, config, modules, layers)
    return Start(path, _with_dims(config, modules, layers), modules)


def _read(path: Path) -> dict[str, FileModule]:
    if not path.is_file():
        raise ModelError(
            f"network_weights names {path}, and there is no such file", fix="correct the path", code="weights.missing"
        )
    header = read_header(path)
    _check_kind(path, header)
    alphas = read_scalars(path)
    modules = {}
    for name in dict.fromkeys(_SUFFIX.sub("", key) for key in header.tensors):
        down, up = (header.tensors.get(f"{name}.lora_{which}.weight") for which in ("down", "up"))
        if down is None or up is None or len(down.shape) not in (2, 4) or len(up.shape) < 2:
            raise _other_kind(path, f"no whole LoRA: {name} lacks a matrix")
        rank = down.shape[0]
        if rank < 1 or up.shape[1:] != (rank, 1, 1)[: len(up.shape) - 1]:
            raise _other_kind(path, f"no LoRA: the two matrices of {name} don't fit each other")
        # Without one it is the rank: so sd-scripts and every loader take it.
        has_alpha = f"{name}.alpha" in header.tensors
        alpha = alphas.get(f"{name}.alpha", math.nan) if has_alpha else float(rank)
        if not (math.isfinite(alpha) and alpha > 0):
            raise _other_kind(path, f"a LoRA whose effect is not said: alpha of {name} is {alpha:g}")
        modules[name] = FileModule(name, rank, alpha, math.prod(down.shape[1:]), up.shape[0])
    return modules


def _check_kind(path: Path, header: Header) -> None:
    for key in header.tensors:
        kind = next((kind for pattern, kind in _OTHER_KINDS if pattern.search(key)), None)
        if kind is not None:
            raise _other_kind(path, kind)
    strange = next((key for key in header.tensors if not _SUFFIX.search(key) or not key.startswith("lora_")), None)
    if strange is not None or not header.tensors:
        raise _other_kind(path, f"no LoRA: {strange[:80]} is in it" if strange else "empty")


def _check_base(path: Path, found: Mapping[str, FileModule], network: Network) -> None:
    """Refuse a LoRA for another kind of base model, by the width of the text that its UNet's modules take."""
    widths = {module.taken for name, module in found.items() if name.endswith(("_attn2_to_k", "_attn2_to_v"))}
    other = next((_WIDTHS.get(width, f"text of width {width}") for width in widths - {network.text_width}), None)
    if any(_OF_TRANSFORMERS.match(name) for name in found):
        other = "a model with a transformer in place of a UNet (Flux and others)"
    elif len(network.text_encoders) == 1 and any(name.startswith("lora_te2_") for name in found):
        other = other or "SDXL"
    if other is not None:
        what = f"it is for {other}, the base model is {network.architecture.name}"
        raise _misfit(path, what, "give a LoRA for this base model, or the base model that it is for", OTHER_BASE)


def _check_modules(
    path: Path,
    config: TrainingConfig,
    network: Network,
    modules: Mapping[str, FileModule],
    layers: Mapping[str, Layer],
) -> None:
    """Refuse a file with more or fewer modules than are trained: of some nothing would be learned, or nothing kept."""
    trained = {lora_names(network.architecture, each.part, each.name)[0] for each in lora_layers(network, config)}
    for part in dict.fromkeys(layer.part for layer in layers.values()):
        of_part = {name for name, layer in layers.items() if layer.part == part}
        is_held, is_trained = (not of_part.isdisjoint(names) for names in (modules, trained))
        if is_held != is_trained:
            called = "UNet" if part == UNET else part.replace("_", " ")
            what = f"it changes the {called}, which is not" if is_held else f"it has nothing of the {called}, which is"
            raise _misfit(path, f"{what} trained", _PART_FIXES[part == UNET, is_held])
    lacking, idle = trained - modules.keys(), modules.keys() - trained
    convolutions = next((name for name in sorted(idle) if layers[name].place is Place.RESNET), None)
    if convolutions is not None:
        wide = next((modules[name] for name in idle if layers[name].is_wide), modules[convolutions])
        fix = f'write dim_from_weights = true, or network_args = ["conv_dim={wide.rank}", "conv_alpha={wide.alpha:g}"]'
        raise _misfit(path, "it has convolutions, too, and the config has no conv_dim", fix)
    if lacking and all(layers[name].place is Place.RESNET for name in lacking):
        raise _misfit(path, f"it lacks convolutions: {_some(lacking)}", "leave out conv_dim")
    if lacking:
        raise _misfit(path, f"it lacks modules that are trained: {_some(lacking)}", "give a LoRA of kohya's modules")


_PART_FIXES = {
    (True, True): "leave out network_train_text_encoder_only, and unet_lr = 0",
    (True, False): "write network_train_text_encoder_only = true",
    (False, True): "leave out network_train_unet_only, and text_encoder_lr = 0",
    (False, False): "write network_train_unet_only = true, or give the rate of that text encoder as 0",
}
"""By whether it is the UNet's part, and whether the file has it."""


def _check_dims(
    path: Path, config: TrainingConfig, modules: Mapping[str, FileModule], layers: Mapping[str, Layer]
) -> None:
    """Refuse ranks and alphas that are not the config's; an alpha that it leaves open is the file's."""
    alphas = {False: config.network_alpha, True: config.conv_alpha if "conv_alpha" in config.network_args else None}
    usual = _usual_dims(modules, layers)
    for name, module in modules.items():
        wide = layers[name].is_wide
        rank, alpha = (config.conv_dim if wide else config.network_dim), alphas[wide]
        keys = ("conv_dim", "conv_alpha") if wide else ("network_dim", "network_alpha")
        if module.rank != rank:
            what = f"{keys[0]} is {rank}, and {name} in it has rank {module.rank}"
            raise _misfit(path, what, f"write {keys[0]} = {module.rank}, or dim_from_weights = true")
        wanted = usual[wide][1] if alpha is None else alpha
        if not math.isclose(module.alpha, wanted, rel_tol=_ROUNDING):
            what = f"{keys[1]} is {wanted:g}, and {name} in it has alpha {module.alpha:g}"
            raise _misfit(path, what, f"write {keys[1]} = {module.alpha:g}, or dim_from_weights = true")


def _usual_dims(modules: Mapping[str, FileModule], layers: Mapping[str, Layer]) -> dict[bool, tuple[int, float]]:
    """Return the most frequent (rank, alpha), of 3 x 3 convolutions under True."""
    counted = {
        wide: Counter((each.rank, each.alpha) for name, each in modules.items() if layers[name].is_wide is wide)
        for wide in (False, True)
    }
    return {wide: each.most_common(1)[0][0] for wide, each in counted.items() if each}


def _with_convolutions(
    config: TrainingConfig, modules: Mapping[str, FileModule], layers: Mapping[str, Layer]
) -> TrainingConfig:
    usual = _usual_dims(modules, layers)
    own = {key: value for key, value in config.network_args.items() if key not in ("conv_dim", "conv_alpha")}
    if True in usual:
        own |= {"conv_dim": float(usual[True][0]), "conv_alpha": usual[True][1]}
    return replace(config, network_args=own)


def _with_dims(
    config: TrainingConfig, modules: Mapping[str, FileModule], layers: Mapping[str, Layer]
) -> TrainingConfig:
    usual = _usual_dims(modules, layers)
    rank, alpha = usual[False]
    if True in usual:
        given = config.network_args
        config = replace(config, network_args={**given, "conv_alpha": given.get("conv_alpha", usual[True][1])})
    if not config.dim_from_weights and config.network_alpha is not None:
        alpha = config.network_alpha  # the file's, but for its rounding
    return replace(config, network_dim=rank, network_alpha=alpha)


def _some(names: Collection[str]) -> str:
    first = min(names)
    return first if len(names) == 1 else f"{first} and {len(names) - 1} more"


def _misfit(path: Path, why: str, fix: str, code: str = "weights.misfit") -> ConfigError:
    return ConfigError(f"network_weights names {path.name}, which does not fit: {why}", fix=fix, code=code)


def _other_kind(path: Path, kind: str) -> ModelError:
    return ModelError(
        f"network_weights names {path.name}, which is {kind}",
        fix="give a LoRA with kohya's names (lora_unet_..., lora_te_...), as sd-scripts and we write it",
        code="weights.kind",
    )
