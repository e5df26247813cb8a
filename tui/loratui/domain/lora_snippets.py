"""How a LoRA file is called in the programs that draw with it: what to type or set there. Pure."""

import re
from dataclasses import asdict, dataclass
from pathlib import PurePath

from loratui_protocol.harmless import clean

USUAL_WEIGHT = 0.8
"""What a new LoRA is tried at first: at 1 many are too strong beside others."""
_SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class Snippets:
    """What to write or set to draw with one LoRA."""

    prompt: str
    """For A1111 and Forge: the tag that loads it, and its trigger."""
    comfyui: str
    """The settings of ComfyUI's node LoraLoader."""
    comfyui_prompt: str
    """What stands in ComfyUI's prompt: there it takes no tag."""

    def fields(self) -> dict[str, str]:
        """Return them for ``--json``."""
        return asdict(self)


def snippets_of(file_name: str, trigger: str = "", weight: float = USUAL_WEIGHT) -> Snippets:
    """Return how the file is called; ``file_name`` may be a path, ``trigger`` empty where none is known."""
    name = clean(PurePath(file_name).name)
    stem = name.removesuffix(_SUFFIX)
    trigger = clean(trigger)
    return Snippets(
        prompt=f"<lora:{stem}:{weight:g}> {_literal(trigger, '()[]')}".rstrip(),
        comfyui=f"LoraLoader: lora_name {name}, strength_model {weight:g}, strength_clip {weight:g}",
        comfyui_prompt=_literal(trigger, "()"),
    )


def _literal(text: str, brackets: str) -> str:
    """Return a text whose brackets are meant as such: without a backslash they weigh what stands in them."""
    return re.sub(f"[{re.escape(brackets)}]", r"\\\g<0>", text)
