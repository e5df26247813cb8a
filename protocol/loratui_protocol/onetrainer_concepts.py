"""Reads OneTrainer's concepts, as datasets, and its samples, as prompts: from the config, or files that it names."""

from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from loratui_protocol.errors import ConfigError
from loratui_protocol.foreign_settings import Settings, is_off, number, shown
from loratui_protocol.foreign_text import MAX_BYTES, decoded, parse_json
from loratui_protocol.special_files import check_no_special

_STRENGTHS: Mapping[str, str] = {
    "rotate": "random_rotate_max_angle",
    "brightness": "random_brightness_max_strength",
    "contrast": "random_contrast_max_strength",
    "saturation": "random_saturation_max_strength",
    "hue": "random_hue_max_strength",
}
"""How much pictures are changed, by what; not supported, and none where it is 0."""
_IDLE: Mapping[str, str] = {
    "enable_random_circular_mask_shrink": "there are no masks",
    "enable_random_mask_rotate_crop": "there are no masks",
    "enable_crop_jitter": "pictures are cropped to the centre",
}
"""What has no effect on a concept's pictures, and why."""
_IN_TEXT = ("tag_dropout_enable", "caps_randomize_enable")
_MAX_CONCEPTS = 200
_SAMPLE_OPTIONS: Mapping[str, str] = {
    "negative_prompt": "n",
    "width": "w",
    "height": "h",
    "seed": "d",
    "diffusion_steps": "s",
    "cfg_scale": "l",
}


class Concepts(Settings):
    """Reads those of OneTrainer's settings that are lists of their own."""

    def __init__(self, given: Mapping[str, Any], text: str, base: Path) -> None:
        """The files that are named count from ``base``, or the folder above, where OneTrainer was started."""
        super().__init__(given, text)
        self._base = base

    def _take_concepts(self) -> None:
        """Take the concepts, each as a subset of one dataset."""
        name, given = self._take("concept_file_name"), self._take("concepts")
        if given is None and name is not None:
            given = self._file(name)
            if given is None:
                self._refuse(
                    "config.missing_key",
                    f"train_data_dir is missing: concept_file_name names {shown(name)}, which is not here, or no JSON",
                    "put it beside the config, or above; or save the config with its concepts",
                )
                return
        elif name is not None:
            self._idle.append("concept_file_name")
        if given is None:
            return
        if (
            not isinstance(given, list)
            or not all(isinstance(each, dict) for each in given)
            or len(given) > _MAX_CONCEPTS
        ):
            self._refuse(
                "config.type",
                f"concepts are {type(given).__name__}; a list of up to {_MAX_CONCEPTS} tables is wanted",
                "save the config in OneTrainer again",
            )
            return
        datasets: dict[tuple[int, ...], list[dict[str, Any]]] = {}
        for place, each in enumerate(given, 1):
            if subset := self._subset(place, each):
                datasets.setdefault(self._resolution(place, each), []).append(subset)
        # One that overrides the resolution is in a dataset of its own, with those of the same.
        self.values["datasets"] = [
            {**({"resolution": list(sides)} if sides else {}), "subsets": subsets}
            for sides, subsets in datasets.items()
        ]
        if not datasets:
            del self.values["datasets"]

    def _subset(self, place: int, concept: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a concept as a subset; None: it is not trained on."""
        name = f"concept {place}" + (f" ({shown(concept['name'])})" if concept.get("name") else "")
        if is_off(concept.get("enabled", True)):
            self._note("config.imported", f"{name} is left out: it is not enabled", "enable it to train on it")
            return None
        if not is_off(concept.get("validation_concept")) or concept.get("type") == "VALIDATION":
            self._warn(
                "config.imported",
                f"{name} is left out: it is for validation; here a share of the pictures is held out",
                "write validation_split = 0.1",
            )
            return None
        text, image = (each if isinstance(each := concept.get(key), dict) else {} for key in ("text", "image"))
        self._refuse_of_concept(name, concept, text, image)
        subset: dict[str, Any] = {
            "image_dir": concept.get("path", ""),
            "num_repeats": self._repeats(name, concept),
            "caption_extension": ".txt",
            "flip_aug": not is_off(image.get("enable_random_flip", True)),
        }
        if not is_off(text.get("enable_tag_shuffling")):
            kept = number(text.get("keep_tags_count", 1))
            subset |= {"shuffle_caption": True, "keep_tokens": int(kept or 0)}
            subset |= {"caption_separator": text["tag_delimiter"]} if text.get("tag_delimiter") else {}
        return subset

    def _resolution(self, place: int, concept: Mapping[str, Any]) -> tuple[int, ...]:
        """Return a concept's own resolution; empty: it has that of all."""
        image = concept.get("image")
        if not isinstance(image, dict) or is_off(image.get("enable_resolution_override")):
            return ()
        written = image.get("resolution_override", "512")
        if (sides := sides_of(written)) is None:
            self._refuse(
                "config.unsupported",
                f"resolution_override {shown(written)!r} of concept {place} asks for what is not supported: several of "
                "them for one concept",
                "write one, as 768, or list the folder once for each",
            )
            return ()
        return tuple(sides)

    def _refuse_of_concept(
        self, name: str, concept: Mapping[str, Any], text: Mapping[str, Any], image: Mapping[str, Any]
    ) -> None:
        asked = [
            key
            for what, strength in _STRENGTHS.items()
            for key in (f"enable_random_{what}", f"enable_fixed_{what}")
            if not is_off(image.get(key)) and number(image.get(strength, 1)) != 0
        ]
        asked += ["enable_fixed_flip"] if not is_off(image.get("enable_fixed_flip")) else []
        asked += [key for key in _IN_TEXT if not is_off(text.get(key))]
        asked += ["loss_weight"] if number(concept.get("loss_weight", 1.0)) != 1 else []
        asked += ["include_subdirectories"] if not is_off(concept.get("include_subdirectories")) else []
        asked += ["prompt_source"] if text.get("prompt_source", "sample") != "sample" else []
        asked += ["PRIOR_PREDICTION"] if concept.get("type") == "PRIOR_PREDICTION" else []
        if asked:
            self._refuse(
                "config.unsupported",
                f"{name} asks for what is not supported: {', '.join(asked)}",
                "switch it off; captions are .txt files beside the pictures",
            )
        for key, why in _IDLE.items():
            if not is_off(image.get(key)):
                self._note("config.imported", f"{key} of {name} has no effect: {why}", "nothing is to be done")

    def _repeats(self, name: str, concept: Mapping[str, Any]) -> int:
        given = number(concept.get("balancing", concept.get("repeats", 1.0)))
        if given is not None and given.is_integer() and given >= 1 and concept.get("balancing_strategy") != "SAMPLES":
            return int(given)
        self._refuse(
            "config.unsupported",
            f"{name} asks for what is not supported: balancing that is no whole number of repeats",
            "set its balancing to a whole number, and the strategy to REPEATS",
        )
        return 1

    def _take_samples(self) -> None:
        """Take the prompts that samples are made of, with their options."""
        name, given = self._take("sample_definition_file_name"), self._take("samples")
        if given is None and name is not None:
            given = self._file(name)
        elif name is not None:
            self._idle.append("sample_definition_file_name")
        if given is None and name is None:
            return
        if not isinstance(given, list):
            self._warn(
                "config.imported",
                f"the samples in {shown(name)} are left out: the file is not here, or no list in JSON",
                'write sample_prompts = ["a cat"]',
            )
            return
        lines = [_line(each) for each in given if isinstance(each, dict) and not is_off(each.get("enabled", True))]
        if any(lines):
            self.values["sample_prompts"] = [line for line in lines if line]
        else:
            self._idle.append("samples" if name is None else "sample_definition_file_name")

    def _file(self, name: Any) -> Any:
        """Return what a file says that the config names; None: it can't be read."""
        relative = Path(*PureWindowsPath(str(name)).parts) if not Path(str(name)).is_absolute() else Path(str(name))
        for base in (self._base, self._base.parent):
            try:
                check_no_special(base / relative)
                with (base / relative).open("rb") as file:
                    content = file.read(MAX_BYTES + 1)
                if len(content) <= MAX_BYTES:
                    found, findings = parse_json(decoded(relative, content))
                    self.findings += findings
                    return found
            except (OSError, ValueError, ConfigError):
                continue
        return None


def sides_of(written: Any) -> list[int] | None:
    """Return the width and height that "512" or "512x768" means; None: it is neither."""
    sides = str(written).lower().split("x")
    if len(sides) > 2 or not all(each.strip().isdecimal() and len(each) < 6 for each in sides):
        return None
    return [int(sides[0]), int(sides[-1])]


def _line(sample: Mapping[str, Any]) -> str:
    """Return a sample as a line with sd-scripts' options; empty: it has no prompt."""
    prompt = " ".join(str(sample.get("prompt") or "").split())
    options = [
        f"--{option} {' '.join(str(sample[key]).split())}"
        for key, option in _SAMPLE_OPTIONS.items()
        if sample.get(key) not in (None, "") and not (key == "seed" and sample.get("random_seed"))
    ]
    return " ".join([prompt, *options]) if prompt else ""
