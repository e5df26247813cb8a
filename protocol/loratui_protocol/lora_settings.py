"""Reads how a LoRA was trained from its own file: sd-scripts' ``ss_*`` metadata, as of 48d368f, which ours has too.

Every value is text there, and "None" is unset. What the file was trained on it doesn't say: it is told as missing.
"""

import ast
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from loratui_protocol import kohya
from loratui_protocol.config_reading import TYPES
from loratui_protocol.foreign_settings import Settings, is_off, shown
from loratui_protocol.foreign_text import MAX_KEY_CHARS
from loratui_protocol.harmless import clean
from loratui_protocol.optimizers import ARGUMENTS, LR_SCHEDULERS, OPTIMIZERS

PREFIX = "ss_"
RENAMED: Mapping[str, str] = {
    "debiased_estimation": "debiased_estimation_loss",
    "batch_size_per_device": "train_batch_size",
    "optimizer": "optimizer_type",
}
"""Keys by what they are called in the metadata, without the prefix."""
IDLE = frozenset(
    {
        # What came of the training, and which files it was made from.
        *(
            "session_id",
            "training_started_at",
            "training_finished_at",
            "epoch",
            "steps",
            "num_epochs",
            "total_batch_size",
        ),
        *("num_train_images", "num_reg_images", "num_validation_images", "num_batches_per_epoch", "bucket_info"),
        *("sd_model_hash", "new_sd_model_hash", "vae_hash", "new_vae_hash", "sd_scripts_commit_hash", "tag_frequency"),
        *("reg_dataset_dirs", "dataset_dirs", "datasets", "cache_latents", "lowram", "v2", "sd_model_name", "vae_name"),
        *("base_model_version", "network_module", "train_batch_size", "effective_lr", "validation_split", "loss_scale"),
        *("sampler", "steps_per_epoch", "num_processes", "fused_backward_pass", "full_fp16", "full_bf16", "fp8_base"),
        *("fp8_base_unet", "weighted_captions", "text_encoder_dtype", "unet_dtype"),
    }
)
"""What says nothing to another training."""
BASES: Mapping[str, bool] = {"sdxl": True, "sd_v1": False, "sd1": False, "sd_1": False}
"""What base models are called there that can be trained, and whether they are SDXL's."""
_OF_DATASETS: Mapping[str, str] = {
    "batch_size_per_device": "train_batch_size",
    "resolution": "resolution",
    "enable_bucket": "enable_bucket",
    "min_bucket_reso": "min_bucket_reso",
    "max_bucket_reso": "max_bucket_reso",
    "bucket_no_upscale": "bucket_no_upscale",
}
_MAX_JSON_CHARS = 1 << 20
_MAX_CALL_CHARS = 2000
_FOLDERS = 3
_FILE_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")


class LoraSettings(Settings):
    """Reads one file's metadata; those keys of it that are not about the training are not given."""

    program = "the LoRA's metadata"

    def __init__(self, metadata: Mapping[str, str], tensors: Iterable[str], path: Path) -> None:
        """``tensors`` are the names of the file's; ``path`` is its own, beside which its base model may lie."""
        of_training = {
            clean(key.removeprefix(PREFIX), MAX_KEY_CHARS): clean(value, _MAX_JSON_CHARS)
            for key, value in metadata.items()
            if key.startswith(PREFIX)
        }
        super().__init__(of_training, "")
        self._tensors = list(tensors)
        self._path = path

    def read(self) -> None:
        """Fill ``values``, ``findings`` and ``problems``."""
        self._pass_over([name for name, value in self._left.items() if value in ("None", "")])
        self._refuse_other_kinds()
        self.values["network_module"] = "networks.lora"
        self._take_base()
        self._tell_dataset()
        self._take_models()
        self._take_network_args()
        self._take_optimizer()
        self._take_first_dataset()
        self._pass_over(IDLE)
        for name in list(self._left):
            self._take_plain(name)
        if self.values.get("lr_scheduler") and self.values["lr_scheduler"] not in LR_SCHEDULERS:
            self._refuse(
                "config.unsupported",
                f"ss_lr_scheduler {shown(self.values['lr_scheduler'])!r} asks for what is not supported: a schedule of "
                "another's own",
                f"train with one of {', '.join(LR_SCHEDULERS)}",
            )
        self._tell_idle()

    def _refuse_other_kinds(self) -> None:
        module, base = self._left.get("network_module"), str(self._left.get("base_model_version", "sd_v1"))
        if module not in (None, "networks.lora"):
            self._refuse(
                "config.unsupported",
                f"ss_network_module {shown(module)!r} asks for what is not supported: another kind than LoRA and LoCon",
                "give a LoRA that was trained with networks.lora",
            )
        self.claims_sdxl = next((is_sdxl for name, is_sdxl in BASES.items() if base.startswith(name)), None)
        if self.claims_sdxl is None or self._left.get("v2") == "True":
            model = "Stable Diffusion 2.x" if self._left.get("v2") == "True" else shown(base)
            self._refuse(
                "config.unsupported",
                f"the LoRA asks for what is not supported: its base model is {model}",
                "give a LoRA of Stable Diffusion 1.x or SDXL",
            )
        for name in kohya.UNSUPPORTED.keys() & self._left.keys():
            value = self._left.pop(name)
            if is_off(value) or value == str(kohya.UNSUPPORTED[name][0]):
                self._idle.append(name)
            else:
                self._warn(
                    "config.imported",
                    f"ss_{name} = {shown(value)} is left out: it asks for {kohya.UNSUPPORTED[name][1]}",
                    "nothing can be done: the LoRA was trained so",
                )

    def _take_base(self) -> None:
        """Take the base model where it can be found; mostly the file knows no more than its name."""
        name = str(self._left.get("sd_model_name", ""))
        if not name:
            return
        is_bare = "/" not in name and "\\" not in name and not name.startswith("builtin:")
        beside = self._path.parent / name if is_bare and "\0" not in name and name not in (".", "..") else None
        if beside is not None and not _is_there(beside):
            self._refuse(
                "config.missing_key",
                f"pretrained_model_name_or_path is missing: the LoRA only says that its base was {shown(name)!r}",
                f'{self._how()} pretrained_model_name_or_path = "…/{shown(name)}"',
            )
        else:
            self.values["pretrained_model_name_or_path"] = name

    def _tell_dataset(self) -> None:
        folders = _json(self._left.get("dataset_dirs"))
        listed = (
            [
                f"{shown(name)} ({shown(each.get('img_count', '?'))} pictures)"
                for name, each in list(folders.items())[:_FOLDERS]
                if isinstance(each, dict)
            ]
            if isinstance(folders, dict)
            else []
        )
        of = f"; it was trained on {', '.join(listed)}" if listed else ""
        self._refuse(
            "config.missing_key",
            f"train_data_dir is missing: a LoRA doesn't say where its pictures are{of}",
            f'{self._how()} train_data_dir = "…"',
        )

    def _take_models(self) -> None:
        """Take which models have learnt, which the metadata doesn't say."""
        of_unet, of_text = (any(name.startswith(part) for name in self._tensors) for part in ("lora_unet_", "lora_te"))
        if of_unet != of_text:
            key = "network_train_unet_only" if of_unet else "network_train_text_encoder_only"
            self.values[key] = True
            self._note(
                "config.imported", f"{key} is set: the file has no layers of another model", "nothing is to be done"
            )

    def _how(self) -> str:
        return f"run `loratui convert {shlex.quote(str(self._path))} --to native -o my.toml`, and write there"

    def _take_network_args(self) -> None:
        written = self._take("network_args")
        given = _json(written)
        if isinstance(given, dict):
            items = [f"{name}={value}" for name, value in given.items() if not is_off(value)]
            if items:
                self.values["network_args"] = items
            self._idle += [] if items else ["network_args"]
        elif written is not None:
            self._warn("config.imported", "ss_network_args can't be read, and is left out", "write network_args anew")

    def _take_optimizer(self) -> None:
        """Take the optimizer, which is written as a call of its class."""
        written = self._take("optimizer")
        if written is None:
            return
        called, _, rest = str(written)[:_MAX_CALL_CHARS].partition("(")
        name = called.strip().rpartition(".")[2]
        known = {each.lower(): each for each in OPTIMIZERS}
        # What SGD is called that sd-scripts makes with Nesterov's momentum.
        key = {"sgd": "sgdnesterov"}.get(name.lower(), name.lower())
        if key not in known:
            self._refuse(
                "config.unsupported",
                f"ss_optimizer {shown(name)!r} asks for what is not supported",
                f"train with one of {', '.join(OPTIMIZERS)}",
            )
            return
        self.values["optimizer_type"] = known[key]
        arguments = _arguments(rest.rpartition(")")[0]) if rest else {}
        if arguments is None:
            self._warn(
                "config.imported",
                "the arguments in ss_optimizer can't be read, and are left out",
                "write optimizer_args",
            )
            return
        items = []
        for argument, value in arguments.items():
            if argument in ARGUMENTS:
                items.append(f"{argument}={','.join(map(repr, value)) if isinstance(value, tuple) else repr(value)}")
            elif argument != "nesterov":
                self._warn(
                    "config.imported",
                    f"{shown(argument)} of ss_optimizer is left out: it isn't known",
                    "see docs/config.md",
                )
        if items:
            self.values["optimizer_args"] = items

    def _take_first_dataset(self) -> None:
        """Take what a training with a dataset_config says of its first dataset, where it says it of all otherwise."""
        listed = _json(self._left.get("datasets"))
        if not isinstance(listed, list) or not listed or not isinstance(listed[0], dict):
            return
        for name, key in _OF_DATASETS.items():
            value = listed[0].get(name)
            if value is not None and name not in self._left:
                self.values[key] = value
        if len(listed) > 1:
            self._warn(
                "config.imported",
                f"the LoRA was trained with {len(listed)} datasets; resolution and batch are those of the first",
                "write [[datasets]] for settings of their own",
            )

    def _take_plain(self, name: str) -> None:
        value, key = self._left.pop(name), RENAMED.get(name, name)
        if key in TYPES:
            sides = re.fullmatch(r"\s*\((\d{1,6}), ?(\d{1,6})\)\s*", str(value))
            rates = _literal(value) if key == "text_encoder_lr" else None
            if key == "resolution" and sides:
                self.values[key] = [int(sides[1]), int(sides[2])]
            elif isinstance(rates, list):
                self.values[key] = rates
            elif value != str(False) or bool in TYPES[key]:
                self._set(key, value)
            else:
                self._idle.append(name)
        elif is_off(value) or key in kohya.WITHOUT_EFFECT:
            self._idle.append(name)
        else:
            self._warn(
                "config.imported",
                f"ss_{name} = {shown(value)} is left out: it isn't known here",
                "nothing is to be done, or see docs/config.md for the keys there are",
            )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long to be a path
        return False


def _json(written: Any) -> Any:
    if not isinstance(written, str) or len(written) > _MAX_JSON_CHARS:
        return None
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        return None


def _literal(written: Any) -> Any:
    try:
        return ast.literal_eval(str(written)[:_MAX_CALL_CHARS])
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _arguments(written: str) -> dict[str, Any] | None:
    """Return the arguments of a call by name; None: they can't be read."""
    try:
        call = ast.parse(f"f({written})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            return None
        return {each.arg: ast.literal_eval(each.value) for each in call.keywords if each.arg}
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
