"""The LoRA file as diffusers itself writes one: its names of modules, and ranks and alphas as JSON in the metadata.

``load_lora_weights`` takes kohya's files as well; this one is for those who go on in PEFT's and diffusers' own words.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from loratui_agent.train.lora import LoraModule, lora_modules

ADAPTER_METADATA = "lora_adapter_metadata"
"""Where diffusers looks for what PEFT's config was; without it every alpha is taken for the rank."""
_OUTER = "text_model."
"""In a text encoder's names: newer transformers dropped it, and every loader takes it from a file."""


def diffusers_state_dict(trained: Mapping[str, nn.Module], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the tensors of the file, on the CPU; ``trained`` are the models with LoRA modules by pipelines' names."""
    tensors: dict[str, Tensor] = {}
    for part, model in trained.items():
        outer = part if part == "unet" else f"{part}.{_OUTER.rstrip('.')}"
        for module in lora_modules(model):
            name = f"{outer}.{_inner(module)}"
            tensors[f"{name}.lora_A.weight"] = module.down.detach().to("cpu", dtype).contiguous()
            tensors[f"{name}.lora_B.weight"] = module.up.detach().to("cpu", dtype).contiguous()
    return tensors


def adapter_metadata(trained: Mapping[str, nn.Module]) -> dict[str, str]:
    """Return the metadata that belongs to the tensors: of every part what its ``LoraConfig`` has to be.

    Only what every version of PEFT knows: an older one refuses the fields of a newer one.
    """
    said: dict[str, object] = {}
    for part, model in trained.items():
        said |= {f"{part}.{name}": value for name, value in _config(list(lora_modules(model))).items()}
    return {ADAPTER_METADATA: json.dumps(said, sort_keys=True)}


def _config(modules: Sequence[LoraModule]) -> dict[str, object]:
    ranks = {_inner(module): module.down.shape[0] for module in modules}
    alphas = {_inner(module): _number(module.alpha) for module in modules}
    # What most modules have is the rule, and the others are listed.
    rank, alpha = (Counter(each.values()).most_common(1)[0][0] for each in (ranks, alphas))
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {name: other for name, other in ranks.items() if other != rank},
        "alpha_pattern": {name: other for name, other in alphas.items() if other != alpha},
        "target_modules": sorted(ranks),
    }


def _inner(module: LoraModule) -> str:
    """Return the name within the model; PEFT finds it by its end, with transformers' outer name before it or not."""
    return module.name.removeprefix(_OUTER)


def _number(alpha: float) -> int | float:
    return int(alpha) if float(alpha).is_integer() else alpha
