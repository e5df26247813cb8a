"""Reads what kohya's GUI saves: bmaltais/kohya_ss, the LoRA tab, as of v21 to v25.2.

Its keys are those of its widgets: mostly sd-scripts' names, numbers partly as text, and "" or 0 for what is not set.
"""

import re
import shlex
from collections.abc import Iterable
from typing import Any

from loratui_protocol import kohya
from loratui_protocol.config_checks import NETWORK_ARGS
from loratui_protocol.foreign_settings import Settings, fitting, is_off, number, shown
from loratui_protocol.kohya_gui_names import (
    GUI_ONLY,
    KNOWN,
    LORAS,
    LYCORIS_LOCON,
    LYCORIS_SWITCHES,
    OLD_SWITCHES,
    OTHER_TABS,
    RENAMED,
    SWITCHES,
    ZERO_IS_UNSET,
)

_LISTS = ("optimizer_args", "lr_scheduler_args", "network_args")
_CONVOLUTIONS = frozenset({"conv_dim", "conv_alpha"})
"""Which the GUI hands on for Kohya LoCon alone."""


EARLY_STOPS = ("stop_text_encoder_training", "stop_text_encoder_training_pct")


class OfGui(Settings):
    """Takes what the GUI writes into all of its files."""

    program = "kohya's GUI"

    def _take_early_stop(self, name: str) -> None:
        """Take when the text encoder stops to learn, in per cent of the steps or in steps."""
        end = self._take(name)
        if end is None or is_off(end) or number(end) in (0, -1):
            self._idle += [name] if end is not None else []
            return
        self._warn(
            "config.imported",
            f"{name} = {shown(end)} has no effect: the text encoder learns to the end, as with the GUI, which "
            "ignores it for a LoRA",
            "set a lower text_encoder_lr to slow the text encoder down, or 0 to leave it out",
        )


class KohyaGui(OfGui):
    """Reads one file of the GUI."""

    _is_lora = False
    _epochs: Any = None
    """What the field epoch says."""
    _with_convolutions = False

    def read(self) -> None:
        """Fill ``values``, ``findings`` and ``problems``."""
        self._refuse_other_kinds()
        self._pass_over(GUI_ONLY)
        self._take_length()
        self._take_rates()
        self._take_schedule()
        self._take_noise()
        self._take_network()
        self._take_prompts()
        self._take_old_switches()
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
        if kind == LYCORIS_LOCON and not is_off(self._left.get("conv_dim")) and not self._own_of_lycoris():
            self._note(
                "config.imported",
                f"LoRA_type {kind} is read as Kohya LoCon, which makes the same",
                "nothing is to be done",
            )
            kind = "Kohya LoCon"
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
        # What other tabs train says nothing to a LoRA, and is refused by now where it is none.
        self._pass_over(OTHER_TABS)
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
        for name in EARLY_STOPS:
            self._take_early_stop(name)

    def _own_of_lycoris(self) -> list[str]:
        """Return the keys that ask LyCORIS for what networks.lora doesn't make."""
        asked = [name for name in LYCORIS_SWITCHES if not is_off(self._left.get(name))]
        return asked + (["LyCORIS_preset"] if self._left.get("LyCORIS_preset", "full") not in ("full", "") else [])

    def _take_length(self) -> None:
        """Take how long the training is: epochs in their own field, else steps, else epochs."""
        epoch, epochs, steps = (self._take(name) for name in ("epoch", "max_train_epochs", "max_train_steps"))
        self._epochs = epoch
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
        if used[1] is epoch and not is_off(self._left.get("dataset_config")):
            self._warn(
                "config.imported",
                f"epoch = {shown(epoch)} counts here; with a dataset_config the GUI makes 1600 steps instead",
                "write max_train_steps = 1600 for as many",
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

    def _take_schedule(self) -> None:
        """Take the warm-up and the cycles, which depend on the schedule in the GUI."""
        scheduler = self._left.get("lr_scheduler")
        both = [(name, self._take(name)) for name in ("lr_warmup", "lr_warmup_steps")]
        warmup, steps = (value for _, value in both)
        given = [f"{name} = {shown(value)}" for name, value in both if not is_off(value)]
        if scheduler == "constant" and given:
            self._note(
                "config.imported",
                f"{' and '.join(given)} has no effect: in the GUI lr_scheduler constant has no warm-up",
                "choose constant_with_warmup for one",
            )
        elif not is_off(steps):
            self._set("lr_warmup_steps", steps)
            if not is_off(warmup):
                self._warn(
                    "config.imported",
                    f"lr_warmup = {shown(warmup)} % has no effect: lr_warmup_steps = {shown(steps)} is set, and counts",
                    "keep one of the two",
                )
        elif not is_off(warmup):
            self._take_warmup(warmup)
        elif steps is not None or warmup is not None:
            self._idle.append("lr_warmup")
        if scheduler == "cosine_with_restarts" and self._left.get("lr_scheduler_num_cycles") == "":
            cycles = fitting("lr_scheduler_num_cycles", self._epochs)
            if type(cycles) is int and cycles > 0:
                self._take("lr_scheduler_num_cycles")
                self.values["lr_scheduler_num_cycles"] = cycles
                self._note(
                    "config.imported",
                    f"lr_scheduler_num_cycles is empty: it is {cycles}, the epoch, as the GUI does",
                    "write another number there for fewer restarts",
                )

    def _take_warmup(self, warmup: Any) -> None:
        """Take a warm-up in per cent of all steps."""
        share = number(warmup)
        if share is None or not 0 < share < 100:
            what = f"lr_warmup = {shown(warmup)} is no share of all steps in per cent"
            self._refuse("config.value", what, "write a number from 0 to 99, as lr_warmup = 10")
            return
        self.values["lr_warmup_steps"] = share / 100
        self._note(
            "config.imported",
            f"lr_warmup = {shown(warmup)} is read as a share of all steps: lr_warmup_steps = {share / 100:g}",
            "nothing is to be done",
        )

    def _take_noise(self) -> None:
        """Take what kind of noise is added, as far as it is chosen."""
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
        if is_off(self._left.get("noise_offset")) or "noise_offset" not in self._left:
            # Both say how the offset is made, and there is none.
            self._pass_over(["noise_offset_random_strength", "adaptive_noise_scale"])

    def _take_network(self) -> None:
        """Take what is an argument of the network, as far as it is set."""
        items = self._words("network_args", self._take("network_args", []))
        for old, new in RENAMED.items():
            if new in NETWORK_ARGS and old in self._left:
                self._left.setdefault(new, self._left.pop(old))
        names = {*NETWORK_ARGS, *kohya.UNSUPPORTED_NETWORK_ARGS} & self._left.keys()
        idle = {name for name in names if is_off(self._left[name])}
        idle |= set() if self._with_convolutions else names & _CONVOLUTIONS
        self._pass_over(sorted(idle))
        if isinstance(items, list):
            items += [f"{name}={self._left.pop(name)}" for name in sorted(names - idle)]
        if items:
            self.values["network_args"] = items
        # Its first versions had no other kind, and no LoRA_type.
        if (self._is_lora or "network_dim" in self._left) and "network_module" not in self._left:
            self.values["network_module"] = "networks.lora"

    def _take_old_switches(self) -> None:
        """Take the optimizer from what chose it before there was a list of them."""
        for name, optimizer in OLD_SWITCHES.items():
            if not is_off(self._take(name)) and is_off(self._left.get("optimizer")):
                self.values["optimizer_type"] = optimizer
                what = f"{name} is read as optimizer {optimizer}, as there was no list of them then"
                self._note("config.imported", what, "nothing is to be done")

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
        if is_off(value) and (key in ZERO_IS_UNSET or key not in KNOWN):
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
