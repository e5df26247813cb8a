"""What sample pictures are made of: prompts with sd-scripts' options behind them, or a few of the captions."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from loratui_protocol.captions import Captions
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Picture
from loratui_protocol.findings import Finding
from loratui_protocol.harmless import MAX_INT
from loratui_protocol.subsets import subsets_of

NUM_DERIVED = 4
MIN_SIDE_PX, MAX_SIDE_PX = 64, 4096
_MOST_STEPS = 1000
_SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePrompt:
    """A prompt, and what is asked for it alone; None: as for all others."""

    text: str
    negative: str = ""
    width: int | None = None
    height: int | None = None
    seed: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """The prompts of a run. ``told`` says where they are from if not from the config."""

    prompts: tuple[SamplePrompt, ...] = ()
    told: str = ""
    findings: tuple[Finding, ...] = ()


def prompts_of(config: TrainingConfig, pictures: Sequence[Picture]) -> Prompts:
    """Return the config's prompts; where it has none, whole captions, different ones from all over the dataset.

    Those of regularisation pictures, which show what is not to change, are left out.
    """
    if config.sample_prompts:
        return Prompts(prompts=tuple(read_prompt(line)[0] for line in config.sample_prompts))
    captions = [Captions(subset.config) for subset in subsets_of(config)]
    wholes = (captions[each.subset].whole(each.caption).strip() for each in pictures if not each.is_reg)
    different = list(dict.fromkeys(text for text in wholes if text))
    count = min(NUM_DERIVED, len(different))
    chosen = [different[index * len(different) // count] for index in range(count)]
    is_wanted = bool(config.sample_every_n_steps or config.sample_every_n_epochs or config.sample_at_first)
    if not chosen:
        return Prompts(findings=(_no_samples(),) if is_wanted else ())
    told = f"sample_prompts is not set: samples are made of {count} of the {len(different)} different captions"
    finding = Finding(
        code="plan.samples_derived",
        severity="info",
        what=f"{told}: {', '.join(repr(_short(text)) for text in chosen)}",
        fix='write sample_prompts = ["a cat"] to choose others',
    )
    return Prompts(
        prompts=tuple(SamplePrompt(text=text) for text in chosen),
        told=told,
        findings=(finding,) if is_wanted else (),
    )


def read_prompt(line: str) -> tuple[SamplePrompt, list[str]]:
    """Return the prompt of a line, and the options that have no effect: unknown ones, and values that can't be.

    As in sd-scripts everything behind `` --`` is an option, and never a part of the text.
    """
    text, *options = f" {line}".split(" --")
    found: dict[str, Any] = {}
    idle = []
    for option in options:
        name, _, value = option.strip().partition(" ")
        field, reader = _OPTIONS.get(name.lower(), ("", _unknown))
        read = reader(value.strip())
        if read is None:
            idle.append(f"--{option}".rstrip())
        else:
            found[field] = read
    return SamplePrompt(text=text.strip(), **found), idle


def _unknown(_: str) -> None:
    return None


def _whole(least: int, most: int) -> Callable[[str], int | None]:
    def read(value: str) -> int | None:
        number = int(value) if re.fullmatch(r"[0-9]{1,18}", value) else -1
        return number if least <= number <= most else None

    return read


def _scale(value: str) -> float | None:
    return float(value) if re.fullmatch(r"[0-9]{1,4}(\.[0-9]*)?|\.[0-9]+", value) else None


def _text(value: str) -> str | None:
    return value or None


_OPTIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "n": ("negative", _text),
    "w": ("width", _whole(MIN_SIDE_PX, MAX_SIDE_PX)),
    "h": ("height", _whole(MIN_SIDE_PX, MAX_SIDE_PX)),
    "d": ("seed", _whole(0, MAX_INT)),
    "s": ("num_inference_steps", _whole(1, _MOST_STEPS)),
    "l": ("guidance_scale", _scale),
}


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"


def _no_samples() -> Finding:
    return Finding(
        code="plan.no_samples",
        severity="warning",
        what="no samples will be made: sample_prompts is not set, and the pictures have no captions to make them of",
        fix='write sample_prompts = ["a cat"]',
    )
