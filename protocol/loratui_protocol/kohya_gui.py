"""Reads what kohya's GUI saves: bmaltais/kohya_ss, the LoRA tab, as of v21 to v25.2.

Its keys are those of its widgets: mostly sd-scripts' names, numbers partly as text, and "" or 0 for what is not set.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from loratui_protocol import kohya
from loratui_protocol.config_checks import NETWORK_ARGS
from loratui_protocol.config_reading import TYPES
from loratui_protocol.foreign_settings import Settings, fitting, is_off, number, shown

RENAMED: Mapping[str, str] = {
    "max_resolution": "resolution",
    "optimizer": "optimizer_type",
    "lora_network_weights": "network_weights",
    "sdxl_no_half_vae": "no_half_vae",
    "sdxl_cache_text_encoder_outputs": "cache_text_encoder_outputs",
}
"""What sd-scripts calls what the GUI has another name for."""
ZERO_IS_UNSET = frozenset(
    {
        *("learning_rate", "unet_lr", "text_encoder_lr", "network_alpha", "network_dropout", "scale_weight_norms"),
        *("max_train_steps", "max_train_epochs", "seed", "clip_skip", "max_timestep", "max_token_length"),
        *("noise_offset", "multires_noise_iterations", "multires_noise_discount", "ip_noise_gamma"),
        *(
            "min_snr_gamma",
            "v_pred_like_loss",
            "lr_scheduler_num_cycles",
            "lr_scheduler_power",
            "lr_scheduler_timescale",
        ),
        *("lr_scheduler_min_lr_ratio", "save_every_n_steps", "save_every_n_epochs", "save_last_n_steps"),
        *("save_last_n_epochs", "sample_every_n_steps", "sample_every_n_epochs", "validation_split"),
        *("validate_every_n_steps", "validate_every_n_epochs", "validation_seed", "huber_c", "huber_scale"),
        *("v_parameterization", "zero_terminal_snr"),
    }
)
"""What the GUI doesn't hand on when it is 0 or unticked, which it writes for what nobody has set."""
GUI_ONLY = frozenset(
    {
        # The GUI's own window and lists.
        *("model_list", "save_as_bool", "headless", "use_shell", "config_presets", "training_preset", "LyCORIS_preset"),
        *("extra_accelerate_launch_args", "additional_launch_parameters", "create_caption", "create_buckets"),
        # accelerate launch.
        *("num_cpu_threads_per_process", "num_processes", "num_machines", "multi_gpu", "gpu_ids", "main_process_port"),
        *("dynamo_backend", "dynamo_mode", "dynamo_use_dynamic", "dynamo_use_fullgraph"),
        # Logging and uploads.
        *("logging_dir", "log_with", "log_prefix", "log_tracker_name", "log_tracker_config", "log_config", "use_wandb"),
        *("wandb_run_name", "huggingface_repo_id", "huggingface_repo_type", "huggingface_repo_visibility"),
        *("huggingface_path_in_repo", "save_state_to_huggingface", "resume_from_huggingface", "async_upload"),
        # Other kinds of training than LoRA, which LoRA_type, v2, flux1_checkbox and sd3_checkbox switch on.
        *("algo", "unit", "factor", "use_cp", "use_tucker", "use_scalar", "train_norm", "decompose_both", "constrain"),
        *("rescaled", "train_on_input", "rank_dropout_scale", "bypass_mode", "dora_wd", "no_token_padding"),
        *("train_lora_ggpo", "ggpo_sigma", "ggpo_beta", "ae", "clip_l", "clip_g", "t5xxl", "t5xxl_lr", "t5xxl_device"),
        *(
            "t5xxl_dtype",
            "t5xxl_max_token_length",
            "split_mode",
            "split_qkv",
            "train_blocks",
            "train_t5xxl",
            "guidance_scale",
        ),
        *("discrete_flow_shift", "model_prediction_type", "timestep_sampling", "sigmoid_scale", "apply_t5_attn_mask"),
        *(
            "enable_all_linear",
            "img_attn_dim",
            "img_mlp_dim",
            "img_mod_dim",
            "txt_attn_dim",
            "txt_mlp_dim",
            "txt_mod_dim",
        ),
        *("in_dims", "single_dim", "single_mod_dim", "train_double_block_indices", "train_single_block_indices"),
        *("blocks_to_swap", "single_blocks_to_swap", "double_blocks_to_swap", "mode_scale", "logit_mean", "logit_std"),
        *("weighting_scheme", "sd3_cache_text_encoder_outputs", "sd3_cache_text_encoder_outputs_to_disk"),
        *(
            "sd3_clip_l",
            "sd3_clip_g",
            "sd3_t5xxl",
            "sd3_clip_l_dropout_rate",
            "sd3_clip_g_dropout_rate",
            "sd3_t5_dropout_rate",
        ),
        *("sd3_text_encoder_batch_size", "sd3_fused_backward_pass", "sd3_disable_mmap_load_safetensors"),
        *("sd3_enable_scaled_pos_embed", "sd3_pos_emb_random_crop_rate", "save_clip", "save_t5xxl"),
        *(
            "flux1_cache_text_encoder_outputs",
            "flux1_cache_text_encoder_outputs_to_disk",
            "flux1_t5xxl",
            "flux1_clip_l",
        ),
        *("flux_fused_backward_pass", "cpu_offload_checkpointing", "mem_eff_save", "loraplus_lr_ratio_checkbox"),
    }
)
"""What says nothing to a training of a LoRA here."""
LORAS: Mapping[str, bool] = {"Standard": False, "Kohya LoCon": True, "LoCon": True}
"""Kinds that are trained here, and whether convolutions are among their layers."""
SWITCHES: Mapping[str, str] = {
    "flux1_checkbox": "FLUX.1",
    "sd3_checkbox": "Stable Diffusion 3",
    "lumina_checkbox": "Lumina",
}
"""What choose another kind of base model."""
OTHER_TABS: Mapping[str, str] = {
    "token_string": "an embedding (textual inversion)",
    "init_word": "an embedding (textual inversion)",
    "num_vectors_per_token": "an embedding (textual inversion)",
    "learning_rate_te": "a whole model (DreamBooth)",
    "learning_rate_te1": "a whole model (DreamBooth)",
    "full_path": "a whole model (fine-tuning)",
    "train_text_encoder": "a whole model (fine-tuning)",
    "image_folder": "a whole model (fine-tuning)",
}
"""What the GUI's other tabs write, and what they train."""
_LISTS = ("optimizer_args", "lr_scheduler_args", "network_args")
_CONVOLUTIONS = frozenset({"conv_dim", "conv_alpha", "conv_block_dims", "conv_block_alphas"})
_KNOWN = frozenset({*TYPES, *kohya.WITHOUT_EFFECT, *kohya.UNSUPPORTED, *kohya.SAME, "dataset_config", "network_args"})
VOCABULARY = frozenset(
    {*_KNOWN, *RENAMED, *GUI_ONLY, *SWITCHES, *OTHER_TABS, "LoRA_type", "epoch", "lr_warmup", "additional_parameters"}
)
"""By which a file of the GUI is known."""


class KohyaGui(Settings):
    """Reads one file of the GUI."""

    program = "kohya's GUI"
    _is_lora = False
    _with_convolutions = False

    def read(self) -> None:
        """Fill ``values``, ``findings`` and ``problems``."""
        self._refuse_other_kinds()
        self._pass_over(GUI_ONLY)
        self._take_length()
        self._take_rates()
        self._take_noise()
        self._take_network()
        self._take_prompts()
        parameters = self._take("additional_parameters", "")
        for name in ("optimizer_args", "lr_scheduler_args"):
            if (written := self._take(name)) is not None:
                self._set(name, self._words(name, written))
        self._drop_unset()
        for name in list(self._left):
            self._take_plain(name)
        self._take_parameters(parameters)
        self._tell_idle()

    def _refuse_other_kinds(self) -> None:
        kind = self._take("LoRA_type")
        self._is_lora = str(kind) in LORAS
        self._with_convolutions = LORAS.get(str(kind), False)
        if kind is not None and str(kind) not in LORAS:
            self._refuse(
                "config.unsupported",
                f"LoRA_type {shown(kind)!r} asks for what is not supported: another kind than LoRA and LoCon",
                'choose "Standard" or "Kohya LoCon", or write so',
            )
        trained = {OTHER_TABS[name] for name in OTHER_TABS if name in self._left}
        if kind is None and "network_dim" not in self._left and trained:
            self._refuse(
                "config.unsupported",
                f"the file asks for what is not supported: it trains {' or '.join(sorted(trained))}",
                "save the settings in the GUI's LoRA tab, and give that file",
            )
        self._pass_over([name for name in OTHER_TABS if kind is None or is_off(self._left.get(name))])
        for name, model in SWITCHES.items():
            if not is_off(self._take(name)):
                self._refuse(
                    "config.unsupported",
                    f"{name} asks for what is not supported: {model}",
                    "train Stable Diffusion 1.x or SDXL, and untick it",
                )
        sdxl = self._take("sdxl")
        if sdxl is not None:
            self.claims_sdxl = not is_off(sdxl)
        for name in ("stop_text_encoder_training", "stop_text_encoder_training_pct"):
            share = self._take(name)
            self._idle += [name] if share is not None and (is_off(share) or number(share) == -1) else []
            if not is_off(share) and number(share) != -1:
                self._refuse(
                    "config.unsupported",
                    f"{name} = {shown(share)} asks for what is not supported: a text encoder that learns for a part of "
                    "the training",
                    f"set {name} to 0; text_encoder_lr slows it down instead",
                )

    def _take_length(self) -> None:
        """Take how long the training is: epochs in their own field, else steps, else epochs."""
        epoch, epochs, steps = (self._take(name) for name in ("epoch", "max_train_epochs", "max_train_steps"))
        given = [("max_train_epochs", epochs), ("max_train_steps", steps), ("max_train_epochs", epoch)]
        used = next(((key, value) for key, value in given if not is_off(value)), None)
        if used is None:
            return
        self._set(*used, "" if used[1] is not epoch else "epoch")
        if not is_off(epoch) and used[1] is not epoch and fitting("seed", epoch) != fitting("seed", used[1]):
            self._warn(
                "config.imported",
                f"epoch = {shown(epoch)} has no effect: {used[0]} = {shown(used[1])} is set, and counts in the GUI",
                f"keep one of epoch and {used[0]}",
            )
        if used[1] is epochs and not is_off(steps):
            self._warn(
                "config.imported",
                f"max_train_steps = {shown(steps)} has no effect: max_train_epochs is set, and counts",
                "keep one of the two",
            )

    def _take_rates(self) -> None:
        """Take the learning rates: where one part has none of its own while the other has, it is left out."""
        unet, text = self._take("unet_lr"), self._take("text_encoder_lr")
        if isinstance(text, str) and len(rates := re.split(r"[\s,]+", text.strip(" []"))) > 1:
            # SDXL's two, as sd-scripts takes them on its command line.
            text = [fitting("unet_lr", rate) for rate in rates]
        for key, value in (("unet_lr", unet), ("text_encoder_lr", text)):
            if not is_off(value):
                self._set(key, value)
        if is_off(unet) and is_off(text):
            return
        left_out = [key for key, off in (("text_encoder_lr", is_off(text)), ("unet_lr", is_off(unet))) if off]
        if left_out:
            only = "network_train_unet_only" if left_out[0] == "text_encoder_lr" else "network_train_text_encoder_only"
            self.values[only] = True
            self._note(
                "config.imported",
                f"{left_out[0]} is unset while the other has a rate of its own: {only} is set, as the GUI does",
                f"set {left_out[0]} to train that part as well",
            )

    def _take_noise(self) -> None:
        warmup, steps = self._take("lr_warmup"), self._take("lr_warmup_steps")
        if not is_off(steps):
            self._set("lr_warmup_steps", steps)
            if not is_off(warmup):
                self._warn(
                    "config.imported",
                    f"lr_warmup = {shown(warmup)} % has no effect: lr_warmup_steps = {shown(steps)} is set, and counts",
                    "keep one of the two",
                )
        elif not is_off(warmup):
            share = number(warmup)
            if share is None or not 0 < share < 100:
                what = f"lr_warmup = {shown(warmup)} is no share of all steps in per cent"
                self._refuse("config.value", what, "write a number from 0 to 99, as lr_warmup = 10")
            else:
                self.values["lr_warmup_steps"] = share / 100
                self._note(
                    "config.imported",
                    f"lr_warmup = {shown(warmup)} is read as a share of all steps: lr_warmup_steps = {share / 100:g}",
                    "nothing is to be done",
                )
        elif steps is not None or warmup is not None:
            self._idle.append("lr_warmup")
        kind = self._take("noise_offset_type")
        unused = {
            "Original": ("multires_noise_iterations", "multires_noise_discount"),
            "Multires": ("noise_offset", "adaptive_noise_scale", "noise_offset_random_strength"),
        }.get(str(kind), ())
        for name in unused:
            value = self._take(name)
            if not is_off(value):
                self._note(
                    "config.imported",
                    f"{name} = {shown(value)} has no effect: noise_offset_type is {kind}",
                    "nothing is to be done",
                )
            elif value is not None:
                self._idle.append(name)
        if kind is not None:
            self._idle.append("noise_offset_type")

    def _take_network(self) -> None:
        """Take what is an argument of the network, as far as it is set."""
        items = self._words("network_args", self._take("network_args", []))
        names = {*NETWORK_ARGS, *kohya.UNSUPPORTED_NETWORK_ARGS} & self._left.keys()
        idle = {name for name in names if is_off(self._left[name])}
        idle |= set() if self._with_convolutions else names & _CONVOLUTIONS
        self._pass_over(sorted(idle))
        if isinstance(items, list):
            items += [f"{name}={self._left.pop(name)}" for name in sorted(names - idle)]
        if items:
            self.values["network_args"] = items
        if self._is_lora and "network_module" not in self._left:
            self.values["network_module"] = "networks.lora"

    def _take_prompts(self) -> None:
        """Take the prompts, which are a field of several lines."""
        written = self._take("sample_prompts")
        if isinstance(written, str):
            lines = [line.strip() for line in written.splitlines()]
            written = [line for line in lines if line and not line.startswith("#")]
        if written is not None:
            self.values["sample_prompts"] = written

    def _take_plain(self, name: str) -> None:
        value, key = self._left.pop(name), RENAMED.get(name, name)
        if is_off(value) and (key in ZERO_IS_UNSET or key not in _KNOWN):
            self._idle.append(name)
        elif key in self.values:
            self._warn(
                "config.duplicate_key",
                f"{key} is set more than once, once as {name}; {key} counts",
                f"keep one of {name} and {key}",
            )
        else:
            self._set(key, value, name)

    def _words(self, name: str, written: Any) -> Any:
        """Return the words of a field as a list."""
        if not isinstance(written, str):
            return written
        try:
            return shlex.split(written)
        except ValueError:
            self._refuse("config.value", f"{name} can't be split into words: a quote is open", f"correct {name}")
            return []

    def _take_parameters(self, written: Any) -> None:
        """Take what the GUI would put on sd-scripts' command line, where it counts before the settings."""
        words = self._words("additional_parameters", written) if isinstance(written, str) else None
        if words is None:
            self._refuse("config.type", "additional_parameters is no text", 'write additional_parameters = ""')
            return
        for option, given in _options(words):
            if not option:
                what = f"additional_parameters has {shown(given[0])!r}, which belongs to no option"
                self._refuse("config.value", what, "write --key value")
                continue
            key = RENAMED.get(option, option)
            value: Any = given if key in _LISTS else " ".join(given) if given else True
            if key in self.values:
                self._warn(
                    "config.imported",
                    f"{key} is read from additional_parameters, which count before the setting",
                    f"keep one {key}",
                )
            self._set(key, value)


def _options(words: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Return each option and the words behind it; those before the first one under an empty name."""
    options: list[tuple[str, list[str]]] = []
    for word in words:
        if word.startswith("--") and len(word) > len("--="):
            name, equals, value = word[2:].partition("=")
            options.append((name.replace("-", "_"), [value] if equals else []))
        elif options:
            options[-1][1].append(word)
        else:
            options.append(("", [word]))
    return options
