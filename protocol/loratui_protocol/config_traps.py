"""What people write into files for sd-scripts, and what sd-scripts makes of it without a word: set right, and told."""

from collections.abc import Iterable, Mapping
from typing import Any

from loratui_protocol import kohya
from loratui_protocol.config import KEYS
from loratui_protocol.config_checks import NETWORK_ARGS
from loratui_protocol.config_told import Correction, Told
from loratui_protocol.config_write import toml_value

_TYPO, _MEANT = 255, 225
"""A number of tokens that many guides have, and the one that there is."""
_VARYING = ("shuffle_caption", "caption_dropout_rate", "caption_tag_dropout_rate", "token_warmup_step")
"""With any of these a caption is another text at another step."""
_CACHES = ("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk")
_OTHERS = frozenset({*kohya.WITHOUT_EFFECT, *kohya.UNSUPPORTED, *kohya.CERTAIN, *kohya.SAME})
"""Keys that a file has which is written for sd-scripts, and none of ours needs."""
_KNOWN = frozenset({*KEYS, *_OTHERS, *kohya.LIKELY, *NETWORK_ARGS, "dataset_config", "sdxl"})
_SHOWN = 3


class Traps(Told):
    """Knows the traps of one file, whose keys are right and unique by now."""

    claims_sdxl: bool | None = None
    """Whether the file says that the base model is an SDXL one; None: it doesn't say."""

    def _is_no_config(self, names: Iterable[str]) -> bool:
        """Refuse a file that is about something else, as one instead of key by key; return whether it is."""
        keys = list(dict.fromkeys(names))
        if not keys or any(str(key).lower() in _KNOWN for key in keys):
            return False
        first = ", ".join(str(key)[:40] for key in keys[:_SHOWN])
        what = f"this is no training config: none of its {len(keys)} keys is one (first: {first})"
        self._refuse("config.not_a_config", what, "give a training_config.toml; docs/config.md has the keys there are")
        return True

    def _settle(self, flat: dict[str, Any], *, has_datasets: bool) -> dict[str, Any]:
        """Return the settings with what is certainly meant in place of what is written."""
        self._find_cached_texts(flat)
        settled = self._move_network_args(dict(flat))
        if "sdxl" in settled:
            self._heed_sdxl(settled.pop("sdxl"))
        if type(settled.get("max_token_length")) is int and settled["max_token_length"] == _TYPO:
            settled["max_token_length"] = _MEANT
            self._warn(
                "config.token_length",
                f"max_token_length = {_TYPO} is read as {_MEANT}: there are 75, 150 and 225",
                f"write max_token_length = {_MEANT}",
                fixable=self._correct("max_token_length", f"max_token_length = {_MEANT}", f"was {_TYPO}, a typo"),
            )
        if any(key in _OTHERS or written in _OTHERS for key, (written, _) in self.places.items()):
            self._note_other_defaults(settled, has_datasets=has_datasets)
        return settled

    def _supply(self, values: dict[str, Any]) -> None:
        """Add to the values that were read what sd-scripts stops without."""
        if "network_module" not in values and not values.get("evaluate_loras"):
            self._warn(
                "config.network_module",
                "network_module is missing; networks.lora is used",
                'add network_module = "networks.lora": sd-scripts stops without it',
                fixable=True,
            )
            behind = self.places.get("network_dim", ("network_dim", 0))
            why = "sd-scripts stops without it"
            self.corrections.append(Correction(*behind, 'network_module = "networks.lora"', why, is_new=True))

        if values.get("lr_scheduler", "constant") == "constant" and values.get("lr_warmup_steps", 0) > 0:
            values["lr_scheduler"] = "constant_with_warmup"
            line, why = 'lr_scheduler = "constant_with_warmup"', "constant has no warm-up"
            if not self._correct("lr_scheduler", line, why):
                behind = self.places["lr_warmup_steps"]
                self.corrections.append(Correction(*behind, line, why, is_new=True))
            self._warn(
                "config.constant_warmup",
                "lr_scheduler constant has no warm-up; constant_with_warmup is used",
                f"write {line}, or lr_warmup_steps = 0",
                fixable=True,
            )

    def _move_network_args(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Move arguments of the network that stand among the keys to where sd-scripts reads them."""
        misplaced = [name for name in NETWORK_ARGS if name in settings]
        given = settings.get("network_args") or []
        if not misplaced or not isinstance(given, list) or not all(isinstance(item, str) for item in given):
            return settings
        there = {item.partition("=")[0].strip() for item in given}
        values = {name: settings.pop(name) for name in misplaced}
        # Without a rank there is nothing that the alpha could be of.
        off = {"conv_dim", "conv_alpha"} if not values.get("conv_dim") and "conv_dim" not in there else set()
        moved = {name: each for name, each in values.items() if name not in there | off and each not in ("", None)}
        added = [f"{name}={_argument(value)}" for name, value in moved.items()]
        line = f"network_args = {toml_value([*given, *added])}"
        for name in misplaced:
            what = f"{name} is no key, and is read as an argument of the network"
            if name not in moved:
                what = f"{name} is no key, and {'network_args has its own' if name in there else 'sets nothing'}"
            is_first = added and name == next(iter(moved)) and "network_args" not in self.places
            why = "sd-scripts reads it in network_args alone"
            self._warn(
                "config.network_arg",
                what,
                f"write {line}: {why}" if added else f"remove {name}",
                fixable=self._correct(name, line if is_first else "", why),
            )
        if added:
            settings["network_args"] = [*given, *added]
            self._correct("network_args", line, f"with {', '.join(moved)}, which stood outside")
        return settings

    def _heed_sdxl(self, claimed: object) -> None:
        self.claims_sdxl = claimed if isinstance(claimed, bool) else None
        self._warn(
            "config.sdxl",
            "sdxl is no key: the base model's own files say what it is",
            "remove it; sd-scripts trains SDXL with a script of its own, sdxl_train_network.py",
            fixable=self._correct("sdxl", "", "no key: the base model's own files say what it is"),
        )

    def _find_cached_texts(self, flat: Mapping[str, Any]) -> None:
        cache = next((key for key in _CACHES if flat.get(key) is True), None)
        if cache is None:
            return
        against = [f"{key} = {toml_value(flat[key])}" for key in _VARYING if flat.get(key)]
        if not flat.get("network_train_unet_only"):
            against.append("a text encoder that learns")
        if against:
            self._warn(
                "config.cached_text",
                f"{cache} goes together with none of these: {', '.join(against)}. sd-scripts stops; here captions are "
                "encoded anew wherever they vary",
                f"remove {cache}",
                fixable=cache in self.places,
            )

    def _note_other_defaults(self, settings: Mapping[str, Any], *, has_datasets: bool) -> None:
        """Say what sd-scripts would do with this file of its own, and what is done here."""
        if not settings.get("caption_extension") and not has_datasets:
            self._note(
                "config.caption_default",
                "caption_extension is not set: .txt captions are read here, then .caption; sd-scripts reads .caption "
                "alone, and ignores .txt in silence",
                'write caption_extension = ".txt"',
            )
        if not (settings.get("save_state") or settings.get("save_state_on_train_end")):
            self._note(
                "config.save_state",
                "save_state is not set: here the full state is always saved, and a run resumes by itself; one of "
                "sd-scripts could not",
                "nothing is to be done here; for sd-scripts write save_state = true",
            )


def _argument(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
