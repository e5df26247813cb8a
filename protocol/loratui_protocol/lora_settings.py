"""Reads how a LoRA was trained from its own file: sd-scripts' ``ss_*`` metadata, as of 48d368f, which ours has too.

Every value is text there, and "None" is unset. What the file was trained on it doesn't say: it is told as missing.
"""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loratui_protocol import kohya
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_reading import TYPES
from loratui_protocol.config_write import toml_value
from loratui_protocol.foreign_settings import is_off, number, shown
from loratui_protocol.foreign_text import MAX_KEY_CHARS
from loratui_protocol.harmless import clean
from loratui_protocol.lora_datasets import MAX_JSON_CHARS, OfDatasets, json_of
from loratui_protocol.lora_ranks import ranks_of
from loratui_protocol.optimizers import ARGUMENTS, LR_SCHEDULERS, OPTIMIZERS
from loratui_protocol.safetensors_header import TensorInfo

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
_LYCORIS = "lycoris.kohya"
_OF_LORAS = frozenset({("algo", "lora"), ("algo", "locon"), ("preset", "full")})
"""Arguments of LyCORIS by which it makes what networks.lora makes."""
_DECIDING = ("learning_rate", "optimizer_type", "lr_scheduler", "max_train_steps", "train_batch_size", "resolution")
_INSTEAD: Mapping[str, tuple[str, ...]] = {"learning_rate": ("unet_lr",), "max_train_steps": ("max_train_epochs",)}
_DEFAULTS = {name: field.default for name, field in TrainingConfig.__dataclass_fields__.items()}
_MAX_CALL_CHARS = 2000
_FILE_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")


class LoraSettings(OfDatasets):
    """Reads one file's metadata; those keys of it that are not about the training are not given."""

    program = "the LoRA's metadata"

    def __init__(self, metadata: Mapping[str, str], tensors: Mapping[str, TensorInfo], path: Path) -> None:
        """``tensors`` are the file's; ``path`` is its own, beside which its base model may lie."""
        of_training = {
            clean(key.removeprefix(PREFIX), MAX_KEY_CHARS): clean(value, MAX_JSON_CHARS)
            for key, value in metadata.items()
            if key.startswith(PREFIX)
        }
        super().__init__(of_training, "")
        self._tensors = tensors
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
        self._take_ranks()
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
        self._tell_unsaid()
        self._tell_idle()

    def _refuse_other_kinds(self) -> None:
        module = self._left.get("network_module")
        algorithm = ""
        if module == _LYCORIS:
            given = json_of(self._left.get("network_args"))
            algorithm = str(given.get("algo", "lora")) if isinstance(given, dict) else "lora"
        if ("algo", algorithm.lower()) in _OF_LORAS:
            self._note(
                "config.imported",
                f"ss_network_module {_LYCORIS} with {algorithm} is read as networks.lora, which makes the same",
                "nothing is to be done",
            )
        elif module not in (None, "networks.lora"):
            kind = f"{shown(module)} with {shown(algorithm)}" if algorithm else shown(module)
            self._refuse(
                "config.unsupported",
                f"ss_network_module {kind!r} asks for what is not supported: another kind than LoRA and LoCon",
                "give a LoRA that was trained with networks.lora",
            )
        written = self._left.get("base_model_version")
        if written is None:
            # Old files don't say it; SDXL's have two text encoders.
            is_sdxl = any(name.startswith(("lora_te1_", "lora_te2_")) for name in self._tensors)
            self.claims_sdxl = True if is_sdxl else False if self._left.get("v2") == "False" else None
        else:
            self.claims_sdxl = next((is_sdxl for name, is_sdxl in BASES.items() if written.startswith(name)), None)
        if self._left.get("v2") == "True" or (written is not None and self.claims_sdxl is None):
            model = "Stable Diffusion 2.x" if self._left.get("v2") == "True" else shown(written)
            self._refuse(
                "config.unsupported",
                f"the LoRA asks for what is not supported: its base model is {model}",
                "give a LoRA of Stable Diffusion 1.x or SDXL",
            )
        for name in sorted(kohya.UNSUPPORTED.keys() & self._left.keys()):
            self._leave_out(name, self._left.pop(name))

    def _take_base(self) -> None:
        """Take the base model where it can be found; mostly the file knows no more than its name."""
        name = str(self._left.get("sd_model_name", ""))
        if not name:
            kinds = {None: "", True: ", but that it was SDXL's", False: ", but that it was of SD 1.x"}
            self._refuse(
                "config.missing_key",
                f"pretrained_model_name_or_path is missing: the LoRA doesn't say what its base was"
                f"{kinds[self.claims_sdxl]}",
                f'{self._how()} pretrained_model_name_or_path = "…"',
            )
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

    def _take_models(self) -> None:
        """Take which models have learnt, which the metadata doesn't say."""
        of_unet, of_text = (any(name.startswith(part) for name in self._tensors) for part in ("lora_unet_", "lora_te"))
        if of_unet != of_text:
            key = "network_train_unet_only" if of_unet else "network_train_text_encoder_only"
            self.values[key] = True
            self._note(
                "config.imported", f"{key} is set: the file has no layers of another model", "nothing is to be done"
            )

    def _take_network_args(self) -> None:
        written = self._take("network_args")
        given = json_of(written)
        if isinstance(given, dict):
            is_lycoris = self._left.get("network_module") == _LYCORIS
            items = [
                f"{name}={value}"
                for name, value in given.items()
                if not is_off(value) and not (is_lycoris and (name, str(value).lower()) in _OF_LORAS)
            ]
            if items:
                self.values["network_args"] = items
            self._idle += [] if items else ["network_args"]
        elif written is not None:
            self._warn("config.imported", "ss_network_args can't be read, and is left out", "write network_args anew")

    def _take_ranks(self) -> None:
        """Take ranks and alphas from the file's layers, where the metadata has none."""
        written = self._left.get("network_dim")
        if written is not None and str(written).strip().isdecimal():
            if self._left.get("network_module") == _LYCORIS and not _has_convolutions(self.values):
                # Without a rank of their own they have that of all there, and none here.
                items = ranks_of(self._path, self._tensors).convolutions()
                self.values["network_args"] = [*self.values.get("network_args", []), *items]
            return
        ranks = ranks_of(self._path, self._tensors)
        self._pass_over(["network_dim"] if ranks.dim else [])
        found = {key: value for key, value in ranks.settings().items() if key not in self.values}
        if "network_alpha" in found and number(self._left.get("network_alpha")) is None:
            self._pass_over(["network_alpha"])
        self.values |= {key: value for key, value in found.items() if key not in self._left}
        if found:
            told = "" if ranks.are_all_alike else "; they differ, and most have this one"
            self._note(
                "config.imported",
                f"network_dim = {ranks.dim} is that of the file's layers: its metadata doesn't say{told}",
                "nothing is to be done",
            )

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

    def _tell_unsaid(self) -> None:
        """Tell what decides a training and is not told: it is ours, then."""
        unsaid = [key for key in _DECIDING if key not in self.values]
        unsaid = [key for key in unsaid if not any(other in self.values for other in _INSTEAD.get(key, ()))]
        if unsaid:
            listed = ", ".join(f"{key} = {toml_value(_DEFAULTS[key])}" for key in unsaid)
            self._warn(
                "config.imported",
                f"the LoRA doesn't say all of how it was trained; where it doesn't, our own defaults stand: {listed}",
                "set what you know to be otherwise",
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


def _has_convolutions(values: Mapping[str, Any]) -> bool:
    return any(str(item).startswith("conv_dim=") for item in values.get("network_args", []))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long to be a path
        return False


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
