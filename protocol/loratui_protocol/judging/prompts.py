"""What a LoRA is asked for when it is tried out: its trigger in every place, without it, and in new surroundings."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from loratui_protocol.config import TrainingConfig

MARK = "{trigger}"
NUM_SCENES = 3
"""Prompts that are made where the config has none of its own, besides those that move or leave out the trigger."""


class Role(StrEnum):
    """What a picture is there to show."""

    START = "start"
    """The trigger stands first."""
    MIDDLE = "middle"
    END = "end"
    SCENE = "scene"
    """A place, an age, clothes or an action that the training pictures never showed, or a prompt of the user's own."""
    WITHOUT = "without"
    """The same words without the trigger: what shows of the concept has bled."""
    NEGATIVE = "negative"
    """The trigger in the negative prompt: the concept should stay away."""
    TOGETHER = "together"
    """With another LoRA at work, too."""


WITH_TRIGGER = (Role.START, Role.MIDDLE, Role.END, Role.SCENE)
"""The pictures that should show the concept, and that its scores are made of."""

_PLACE = "standing in a room"
SCENES = (
    "on a beach at sunset",
    "as a child",
    "wearing a yellow raincoat",
    "riding a bicycle",
    "in a snowy forest",
    "as a very old person",
    "in a suit of armour",
    "cooking in a kitchen",
    "in a busy street at night",
    "reading a newspaper",
)
"""Places, ages, clothes and actions by turns. Those whose words a caption has are passed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPrompt:
    """A prompt of the grid."""

    role: Role
    text: str
    negative: str = ""
    plain: str
    """The text in ordinary words, which a model of texts and pictures knows: what the picture should show."""


def grid_prompts(
    config: TrainingConfig, captions: Iterable[str] = (), class_tokens: str = ""
) -> tuple[GridPrompt, ...]:
    """Return the prompts that a config's LoRA is tried out with; ``class_tokens`` are those of its folder's name.

    Without a trigger word the class word calls the concept, as in training on captions alone; then there is no prompt
    without it.
    """
    trigger = (config.trigger_word or "").strip()
    word = (config.evaluate_class_word or _class_word(class_tokens, trigger)).strip()
    called = " ".join(filter(None, (trigger, word)))
    thing = word or "picture"
    own = [each.strip() for each in config.evaluate_prompts if each.strip()]
    prompts = [_of(Role.SCENE, each, called, thing) for each in own]
    if own:
        first = next((each for each in own if MARK in each), "")
    else:
        prompts = [_of(Role.SCENE, f"{MARK} {scene}", called, thing) for scene in _unseen(captions)[:NUM_SCENES]]
        first = f"{MARK} {_PLACE}"
        prompts = [*_moved(called, thing), *prompts]
    if trigger and first:
        plain = first.replace(MARK, thing)
        prompts.append(GridPrompt(role=Role.WITHOUT, text=plain, plain=plain))
        prompts.append(GridPrompt(role=Role.NEGATIVE, text=plain, negative=trigger, plain=plain))
    if config.evaluate_together and first:
        prompts.append(_of(Role.TOGETHER, first, called, thing))
    return tuple(prompts)


def _moved(called: str, thing: str) -> list[GridPrompt]:
    texts = {
        Role.START: f"{called}, {_PLACE}, soft light",
        Role.MIDDLE: f"soft light, {called}, {_PLACE}",
        Role.END: f"soft light, {_PLACE}, {called}",
    }
    return [GridPrompt(role=role, text=text, plain=text.replace(called, thing)) for role, text in texts.items()]


def _of(role: Role, written: str, called: str, thing: str) -> GridPrompt:
    return GridPrompt(role=role, text=written.replace(MARK, called), plain=written.replace(MARK, thing))


def _class_word(class_tokens: str, trigger: str) -> str:
    return " ".join(word for word in class_tokens.split() if word.casefold() not in trigger.casefold().split())


def _unseen(captions: Iterable[str]) -> Sequence[str]:
    """Return the scenes of which no caption has a word, then the others: there is always one."""
    seen = {word for caption in captions for word in _words(caption)}
    return sorted(SCENES, key=lambda scene: bool(_words(scene) & seen))


def _words(text: str) -> set[str]:
    """Return the words that mean something: longer than three letters."""
    return {word for word in re.findall(r"[^\W\d_]+", text.casefold()) if len(word) > 3}
