"""Models that drawn pictures are measured with: which files of one are needed, and what it has to be."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from loratui_protocol.errors import ModelError
from loratui_protocol.inputs import ModelPurpose
from loratui_protocol.model_configs import unreadable

CONFIG = "config.json"
KEYS = {ModelPurpose.DINO: "evaluate_dino", ModelPurpose.CLIP: "evaluate_clip"}
"""What a config names each of them as."""
EXAMPLES = {ModelPurpose.DINO: "facebook/dinov2-small", ModelPurpose.CLIP: "openai/clip-vit-base-patch32"}
_KINDS = {
    ModelPurpose.DINO: ("dinov2", "dinov2_with_registers", "dinov3_vit", "dinov3_convnext", "vit"),
    ModelPurpose.CLIP: ("clip",),
}
"""What such a model calls itself; of others it is not known that their features are worth anything here."""
_TOKENIZER = "tokenizer.json"
_OLD_TOKENIZER = ("vocab.json", "merges.txt")
_SMALL = {
    ModelPurpose.DINO: (CONFIG, "preprocessor_config.json"),
    ModelPurpose.CLIP: (
        *(CONFIG, "preprocessor_config.json", _TOKENIZER, *_OLD_TOKENIZER),
        *("tokenizer_config.json", "special_tokens_map.json"),
    ),
}
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")
"""The last two are no pickles, but of frameworks that nothing here has."""
_MAX_CONFIG_BYTES = 4 << 20


def files_of_feature_model(address: str, names: Iterable[str], purpose: ModelPurpose) -> list[str]:
    """Return which files of a model are needed, of a hub's or of a folder's.

    ``names`` are relative, with forward slashes. Weights of other programs and of other precisions are left out.

    Raises:
        ModelError: it is only to be had as a pickle (``model.unsafe``), or lacks a part (``model.incomplete``).
    """
    there = set(names)
    shards = {name for name in there if name.startswith("model-") and name.endswith(".safetensors") and "/" not in name}
    pieces = {_INDEX, *shards} if _INDEX in there and shards else set[str]()
    weights = {_WEIGHTS} if _WEIGHTS in there else pieces
    if not weights:
        pickled = sorted(name for name in there if name.endswith(_PICKLED) and "/" not in name)
        if pickled:
            raise ModelError(
                f"{address} has its weights only as {pickled[0]}, which could run anything",
                fix=f"name a revision that has {_WEIGHTS}, as ORG/NAME@REVISION (its page lists them; of many models "
                "one is offered as refs/pr/NUMBER), or another model",
                code="model.unsafe",
            )
    small = there.intersection(_SMALL[purpose])
    lacks = [] if weights else [_WEIGHTS]
    lacks += [] if CONFIG in small else [CONFIG]
    if purpose is ModelPurpose.CLIP and _TOKENIZER not in small and not small.issuperset(_OLD_TOKENIZER):
        lacks.append(f"{_TOKENIZER}, or {' and '.join(_OLD_TOKENIZER)}")
    if lacks:
        raise ModelError(
            f"{address} lacks {'; '.join(lacks)}",
            fix=f"name a model as transformers saves it: {EXAMPLES[purpose]}, for instance",
            code="model.incomplete",
        )
    return sorted(small | weights)


def check_feature_config(address: str, config: Mapping[str, Any], purpose: ModelPurpose) -> None:
    """Return if a model is of a kind that can be measured with.

    Raises:
        ModelError: it is not (``model.unsupported``); timm's own are told by name.
    """
    kind = config.get("model_type")
    if isinstance(kind, str) and kind in _KINDS[purpose]:
        return
    example, key = EXAMPLES[purpose], KEYS[purpose]
    if kind == "timm_wrapper" or ("architecture" in config and "pretrained_cfg" in config):
        raise ModelError(
            f"{address} is a model of timm, which is not installed where LoRAs are trained",
            fix=f"name the same model in transformers' format: {example}, for instance",
            code="model.unsupported",
        )
    called = f"a {kind[:60]}" if isinstance(kind, str) and kind else "of a kind that its config.json does not name"
    raise ModelError(
        f"{address} is {called}, {key} takes one of: {', '.join(_KINDS[purpose])}",
        fix=f"name another model: {example}, for instance",
        code="model.unsupported",
    )


def check_feature_folder(folder: Path, purpose: ModelPurpose) -> list[str]:
    """Return which files of a folder are needed.

    Raises:
        ModelError: it is no folder (``model.missing``), or as in ``files_of_feature_model`` and
            ``check_feature_config``.
    """
    if not folder.is_dir():
        raise ModelError(
            f"{folder} is no folder on this machine",
            fix="name a folder that has the model; a hub id is downloaded by other machines alone, before they train",
            code="model.missing",
        )
    # What a timm model lacks besides is no news.
    if (folder / CONFIG).is_file():
        check_feature_config(str(folder), read_feature_config(folder / CONFIG), purpose)
    return files_of_feature_model(str(folder), (path.name for path in folder.iterdir() if path.is_file()), purpose)


def read_feature_config(path: Path) -> dict[str, Any]:
    """Return what a model says of itself.

    Raises:
        ModelError: it is no config (``model.incomplete``).
    """
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MAX_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(str(path)) from error
    if not isinstance(content, dict):
        raise unreadable(str(path))
    return content
