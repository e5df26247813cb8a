"""Reads OneTrainer's configs: version 12 of them, and older ones.

A key that a file leaves out has OneTrainer's default, which is often another one than ours: it is filled in, and told.
"""

from collections.abc import Mapping
from pathlib import PureWindowsPath
from typing import Any

from loratui_protocol.foreign_settings import is_off, number, shown
from loratui_protocol.onetrainer_concepts import Concepts, sides_of
from loratui_protocol.onetrainer_names import (
    ARGUMENTS,
    DEFAULTS,
    EARLY_STOP,
    IDLE,
    MODELS,
    MUST_BE,
    OPTIMIZERS,
    OTHERWISE,
    RENAMED,
    SCHEDULERS,
    TYPES_OF_FLOAT,
    WHEN_SET,
)
from loratui_protocol.onetrainer_old import brought_up_to_date

_EPOCH, _STEP, _NEVER = "EPOCH", "STEP", "NEVER"
_NUM_TIMESTEPS = 1000


def is_onetrainer(keys: Mapping[str, Any]) -> bool:
    """Return whether a file with these keys is OneTrainer's."""
    return "training_method" in keys or {"base_model_name", "model_type"} <= keys.keys()


class OneTrainer(Concepts):
    """Reads one config."""

    program = "OneTrainer"

    def read(self) -> None:
        """Fill ``values``, ``findings`` and ``problems``."""
        self._left = brought_up_to_date(self._left)
        self._refuse_other_kinds()
        self.values["network_module"] = "networks.lora"
        self._fill_in()
        self._take_parts()
        self._take_layers()
        self._take_rate()
        self._take_optimizer()
        self._take_loss()
        self._take_forms()
        self._take_places()
        self._take_times()
        for name, key in RENAMED.items():
            if (value := self._take(name)) is not None:
                self._set(key, value, name)
        for name, key in WHEN_SET.items():
            value = self._take(name)
            if not is_off(value):
                self._set(key, value, name)
            elif value is not None:
                self._idle.append(name)
        self._take_concepts()
        self._take_samples()
        self._pass_over(IDLE)
        for name in list(self._left):
            value = self._left.pop(name)
            if is_off(value):
                self._idle.append(name)
            else:
                self.values[name] = value
        self._tell_idle()

    def _refuse_other_kinds(self) -> None:
        method, model = self._take("training_method", "FINE_TUNE"), self._take("model_type", "STABLE_DIFFUSION_15")
        if method != "LORA":
            self._refuse(
                "config.unsupported",
                f"training_method {shown(method)!r} asks for what is not supported: only LoRAs are trained",
                'choose "LORA" in OneTrainer, and save the config again',
            )
        self.claims_sdxl = MODELS.get(str(model))
        if self.claims_sdxl is None:
            self._refuse(
                "config.unsupported",
                f"model_type {shown(model)!r} asks for what is not supported",
                f"one of {', '.join(MODELS)} can be trained",
            )
        for name, (default, meaning) in MUST_BE.items():
            value = self._take(name)
            if is_off(value) or value == default:
                self._idle += [name] if value is not None else []
            else:
                self._refuse(
                    "config.unsupported",
                    f"{name} = {shown(value)} asks for what is not supported: {meaning}",
                    f"set {name} to {shown(default)}",
                )
        vae = self._take("vae")
        if isinstance(vae, dict) and vae.get("model_name"):
            self._refuse(
                "config.unsupported",
                "vae names a model: training with another VAE than the model's own is not supported",
                "leave the VAE of the base model empty",
            )
        elif vae is not None:
            self._idle.append("vae")

    def _fill_in(self) -> None:
        missing = {name: value for name, value in DEFAULTS.items() if self._left.get(name) is None}
        if missing:
            self._left.update(missing)
            listed = ", ".join(f"{name} = {value}" for name, value in missing.items())
            self._note("config.imported", f"the file leaves out {listed}: OneTrainer's defaults", "set what differs")

    def _take_parts(self) -> None:
        """Take which models learn, and how fast."""
        unet, text = self._part("unet"), [self._part("text_encoder")]
        if self.claims_sdxl:
            text.append(self._part("text_encoder_2"))
        else:
            self._pass_over(["text_encoder_2", "text_encoder_2_layer_skip"])
        trains = [is_trained for is_trained, _ in text]
        if not unet[0]:
            self.values["network_train_text_encoder_only"] = True
        if not any(trains):
            self.values["network_train_unet_only"] = True
        if unet[0] and unet[1] is not None:
            self._set("unet_lr", unet[1])
        default = number(self._left.get("learning_rate"))
        rates = [(default if rate is None else rate) if is_trained else 0.0 for is_trained, rate in text]
        if any(trains) and any(rate != default for rate in rates) and None not in rates:
            self.values["text_encoder_lr"] = rates if len(rates) > 1 else rates[0]
        skips = [self._take("text_encoder_layer_skip"), self._take("text_encoder_2_layer_skip")]
        if not is_off(skips[0]) and not self.claims_sdxl and (skip := number(skips[0])) is not None:
            self.values["clip_skip"] = int(skip) + 1
        elif any(not is_off(each) for each in skips):
            what = "text_encoder_layer_skip asks for what is not supported: SDXL's text encoders have their own layer"
            self._refuse("config.unsupported", what, "set it to 0")
        else:
            self._idle += ["text_encoder_layer_skip"] if skips[0] is not None else []

    def _part(self, name: str) -> tuple[bool, float | None]:
        """Return whether a model learns, and its own rate."""
        given = self._take(name, {})
        if not isinstance(given, dict):
            self._refuse("config.type", f"{name} is {shown(given)}; a table is wanted", f"write {name} as a table")
            return True, None
        if given.get("gradient_checkpointing") is True and name == "unet":
            self.values.setdefault("gradient_checkpointing", True)
        if name != "unet":
            given = {**EARLY_STOP, **given}
        trains, rate = not is_off(given.get("train", True)), number(given.get("learning_rate"))
        after, epochs = number(given.get("stop_training_after")), number(self._left.get("epochs"))
        unit = given.get("stop_training_after_unit", _NEVER)
        if trains and after and unit != _NEVER and not (unit == _EPOCH and epochs is not None and after >= epochs):
            # Its own presets stop text encoders early: a refusal would turn away most of its files.
            self._warn(
                "config.imported",
                f"{name} learns for {after:g} {shown(unit).lower()}s alone there; here what learns does so to the end",
                f"set a lower learning_rate of {name}, or its train to false",
            )
        return trains, rate

    def _take_layers(self) -> None:
        preset, layers = self._take("layer_filter_preset"), self._take("layer_filter", "")
        rank, alpha = self._left.get("lora_rank"), self._left.get("lora_alpha")
        if layers == "attentions" or (preset == "attn-mlp" and not layers):
            self._idle.append("layer_filter_preset")
        elif preset == "full" and not layers:
            self.values["network_args"] = [f"conv_dim={rank}", f"conv_alpha={alpha}"]
            self._warn(
                "config.imported",
                f"layer_filter_preset full is read as conv_dim={rank}, conv_alpha={alpha}: all layers of the blocks; "
                "the UNet's first and last ones, and those of its timesteps, are not trained here",
                'choose the preset "attn-mlp" for attention and feed-forward layers alone',
            )
        else:
            self._refuse(
                "config.unsupported",
                f"layer_filter {shown(layers or preset)!r} asks for what is not supported: layers of one's own choice",
                'choose the preset "attn-mlp" or "full"',
            )

    def _take_rate(self) -> None:
        """Take the schedule; OneTrainer counts a warm-up in batches, and up to 1 as a share."""
        name = str(self._take("learning_rate_scheduler", "CONSTANT"))
        warmup, floor = (self._take(f"learning_rate_{end}") for end in ("warmup_steps", "min_factor"))
        cycles = number(self._take("learning_rate_cycles", 1.0))
        steps = number(warmup)
        if steps is None:
            self._refuse("config.type", f"learning_rate_warmup_steps is {shown(warmup)}", "write a number of steps")
        elif 0 < steps < 1:
            self.values["lr_warmup_steps"] = steps
        elif steps > 0:
            batches = number(self._left.get("gradient_accumulation_steps")) or 1
            self.values["lr_warmup_steps"] = int(steps / max(1.0, batches))
        else:
            self._idle.append("learning_rate_warmup_steps")
        scheduler = SCHEDULERS.get(name)
        if scheduler is None:
            self._refuse(
                "config.unsupported",
                f"learning_rate_scheduler {shown(name)!r} asks for what is not supported",
                f"one of {', '.join(SCHEDULERS)} can be used",
            )
            return
        if scheduler == "constant" and self.values.get("lr_warmup_steps"):
            scheduler = "constant_with_warmup"
        if not is_off(floor):
            if name != "COSINE":
                self._refuse(
                    "config.unsupported",
                    f"learning_rate_min_factor = {shown(floor)} asks for what is not supported with {name}",
                    "set it to 0, or choose COSINE",
                )
            scheduler = "cosine_with_min_lr"
            self._set("lr_scheduler_min_lr_ratio", floor, "learning_rate_min_factor")
        if scheduler == "cosine_with_restarts" and cycles is not None:
            self._set("lr_scheduler_num_cycles", cycles, "learning_rate_cycles")
        self.values["lr_scheduler"] = scheduler
        if name in OTHERWISE:
            self._warn(
                "config.imported",
                f"learning_rate_scheduler {name} is read as {scheduler}: {OTHERWISE[name]}",
                "nothing is to be done, or choose another one",
            )

    def _take_optimizer(self) -> None:
        given = self._take("optimizer", {"optimizer": "ADAMW"})
        if not isinstance(given, dict):
            self._refuse("config.type", f"optimizer is {shown(given)}; a table is wanted", "write it as a table")
            return
        name = OPTIMIZERS.get(str(given.get("optimizer", "ADAMW")))
        if name is None:
            self._refuse(
                "config.unsupported",
                f"optimizer {shown(given.get('optimizer'))!r} asks for what is not supported",
                f"one of {', '.join(OPTIMIZERS)} can be used",
            )
            return
        self.values["optimizer_type"] = name
        items = [f"{key}={given[key]}" for key in ARGUMENTS[name] if given.get(key) is not None]
        betas = given.get("beta1"), given.get("beta2")
        if None not in betas and name != "AdaFactor":
            items.append(f"betas={betas[0]},{betas[1]}")
        if name == "AdaFactor" and None not in (given.get("eps"), given.get("eps2")):
            items.append(f"eps={given['eps']},{given['eps2']}")
        if items:
            self.values["optimizer_args"] = items

    def _take_loss(self) -> None:
        weight, strength = self._take("loss_weight_fn", "CONSTANT"), self._take("loss_weight_strength")
        self._idle += ["loss_weight_strength"] if strength is not None and weight != "MIN_SNR_GAMMA" else []
        if weight == "MIN_SNR_GAMMA" and strength is not None and (is_off(strength) or number(strength) == 0):
            self._idle += ["loss_weight_fn", "loss_weight_strength"]
        elif weight == "MIN_SNR_GAMMA":
            self._set("min_snr_gamma", 5.0 if strength is None else strength, "loss_weight_strength")
        elif weight == "DEBIASED_ESTIMATION":
            self.values["debiased_estimation_loss"] = True
        elif weight != "CONSTANT":
            self._refuse(
                "config.unsupported",
                f"loss_weight_fn {shown(weight)!r} asks for what is not supported",
                "one of CONSTANT, MIN_SNR_GAMMA, DEBIASED_ESTIMATION can be used",
            )
        else:
            self._idle.append("loss_weight_fn")
        mse, mae = (
            number(self._take(name, default)) for name, default in (("mse_strength", 1.0), ("mae_strength", 0.0))
        )
        if (mse, mae) == (0, 1):
            self.values["loss_type"] = "l1"
        elif (mse, mae) != (1, 0):
            what = (
                f"mse_strength {shown(mse)}, mae_strength {shown(mae)} ask for what is not supported: a mix of losses"
            )
            self._refuse("config.unsupported", what, "set one of them to 1 and the other to 0")
        if "clip_grad_norm" in self._left:
            norm = self._left.pop("clip_grad_norm")
            self._set("max_grad_norm", 0.0 if norm is None else norm, "clip_grad_norm")
        if not is_off(self._take("force_epsilon_prediction")):
            self.values["v_parameterization"] = False
        for name, key in (("min_noising_strength", "min_timestep"), ("max_noising_strength", "max_timestep")):
            share = self._take(name)
            if (end := number(share)) is not None and end != (0 if key == "min_timestep" else 1):
                self.values[key] = round(end * _NUM_TIMESTEPS)
            elif share is not None and end is None:
                self._refuse("config.type", f"{name} is {shown(share)}", "write a number from 0 to 1")

    def _take_forms(self) -> None:
        for name, key, place in (("train_dtype", "mixed_precision", 0), ("output_dtype", "save_precision", 1)):
            written = self._take(name)
            if (known := TYPES_OF_FLOAT.get(str(written))) is not None:
                self.values[key] = known[place]
            else:
                self._refuse(
                    "config.unsupported",
                    f"{name} {shown(written)!r} asks for what is not supported",
                    f"one of {', '.join(TYPES_OF_FLOAT)} can be used",
                )
        checkpointing = self._take("gradient_checkpointing")
        if not is_off(checkpointing):
            self.values["gradient_checkpointing"] = True
        written = self._take("resolution", "512")
        if (sides := sides_of(written)) is not None:
            self.values["resolution"] = sides
        else:
            self._refuse(
                "config.unsupported",
                f"resolution {shown(written)!r} asks for what is not supported: several of them in one dataset",
                "write one, and list datasets for more; docs/config.md shows how",
            )

    def _take_places(self) -> None:
        written = self._take("output_model_destination")
        if written is None:
            return
        place = PureWindowsPath(str(written).replace("/", "\\"))
        self.values["output_name"] = place.stem
        if len(place.parts) > 1:
            self.values["output_dir"] = str(written)[: -len(place.name) - 1] or "/"

    def _take_times(self) -> None:
        for count, unit_name, keys in (
            ("save_every", "save_every_unit", {_EPOCH: "save_every_n_epochs", _STEP: "save_every_n_steps"}),
            ("sample_after", "sample_after_unit", {_EPOCH: "sample_every_n_epochs", _STEP: "sample_every_n_steps"}),
        ):
            every, unit = self._take(count), self._take(unit_name)
            if (key := keys.get(str(unit))) is not None and not is_off(every):
                self._set(key, every, count)
            elif unit in (None, _NEVER) or is_off(every):
                self._idle += [name for name, value in ((count, every), (unit_name, unit)) if value is not None]
            else:
                self._idle += [unit_name]
                self._warn(
                    "config.imported",
                    f"{count} = {shown(every)} {shown(unit)} is left out: here epochs or steps are counted",
                    f"write {keys[_EPOCH]} = 1",
                )
        if not is_off(self._take("validation")):
            self._warn(
                "config.imported",
                "validation is left out: its concepts are OneTrainer's; here a share of the pictures is held out",
                "write validation_split = 0.1",
            )
