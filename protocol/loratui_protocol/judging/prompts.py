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
    """A place, an age, clothes or an action that the training pictures never showed, or a prompt of the user's own
    with the trigger in it. Of a LoRA without a trigger all are."""
    WITHOUT = "without"
    """The same words without the trigger, or a prompt of the user's own that has none: what shows of the concept has
    bled."""
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
    own = [_Own(each.strip(), _read(each.strip(), called, trigger)) for each in config.evaluate_prompts if each.strip()]
    asking = [each for each in own if not trigger or MARK in each.read]
    if own:
        prompts = [_of(Role.SCENE if each in asking else Role.WITHOUT, each, called, thing) for each in own]
        first = asking[0] if asking else None
    else:
        scenes = [f"{MARK} {scene}" for scene in _unseen(captions)[:NUM_SCENES]]
        prompts = [*_moved(called, thing), *(_of(Role.SCENE, _Own(each, each), called, thing) for each in scenes)]
        first = _Own(f"{MARK} {_PLACE}", f"{MARK} {_PLACE}")
    if trigger and first:
        plain = _filled(first.read, thing)
        prompts.append(GridPrompt(role=Role.WITHOUT, text=plain, plain=plain))
        prompts.append(GridPrompt(role=Role.NEGATIVE, text=plain, negative=trigger, plain=plain))
    if config.evaluate_together and first:
        prompts.append(_of(Role.TOGETHER, first, called, thing))
    # What is asked for twice would be drawn, paid for and counted twice.
    return tuple({(each.role, each.text, each.negative): each for each in prompts}.values())


def without_trigger(config: TrainingConfig) -> list[str]:
    """Return those of ``evaluate_prompts`` that don't ask for the concept: they show only whether it bleeds."""
    trigger = (config.trigger_word or "").strip()
    own = [each.strip() for each in config.evaluate_prompts if each.strip()]
    return [each for each in own if MARK not in _read(each, trigger, trigger)] if trigger else []


@dataclass(frozen=True, slots=True)
class _Own:
    """A prompt as it is written, and as it is read: with a mark in place of a trigger that is written out."""

    written: str
    read: str


def _read(written: str, called: str, trigger: str) -> str:
    """Return the prompt with the mark where the trigger stands as a whole word, its class word behind it or not."""
    if not trigger:
        return written
    read = written
    for words in (called, trigger):
        wanted = r"\s+".join(map(re.escape, words.split()))
        # A mark that is there already has a word in it that may be a trigger, too.
        read = re.sub(rf"(?<![\w{{]){wanted}(?!\w)", MARK, read, flags=re.IGNORECASE)
    return read


def _moved(called: str, thing: str) -> list[GridPrompt]:
    texts = {
        Role.START: f"{MARK}, {_PLACE}, soft light",
        Role.MIDDLE: f"soft light, {MARK}, {_PLACE}",
        Role.END: f"soft light, {_PLACE}, {MARK}",
    }
    # What nothing calls can't be called in another place: it would be the same pictures again.
    roles = texts if called else (Role.START,)
    return [_of(role, _Own(texts[role], texts[role]), called, thing) for role in roles]


def _of(role: Role, own: _Own, called: str, thing: str) -> GridPrompt:
    return GridPrompt(role=role, text=_filled(own.written, called), plain=_filled(own.read, thing))


def _filled(marked: str, call: str) -> str:
    """Return the text with ``call`` in place of the mark; where that is nothing, no comma and no gap is left of it."""
    if call or MARK not in marked:
        return marked.replace(MARK, call)
    parts = (" ".join(part.split()) for part in marked.replace(MARK, " ").split(","))
    return ", ".join(filter(None, parts))


def _class_word(class_tokens: str, trigger: str) -> str:
    return " ".join(word for word in class_tokens.split() if word.casefold() not in trigger.casefold().split())


def _unseen(captions: Iterable[str]) -> Sequence[str]:
    """Return the scenes of which no caption has a word, then the others: there is always one."""
    seen = {word for caption in captions for word in _words(caption)}
    return sorted(SCENES, key=lambda scene: bool(_words(scene) & seen))


def _words(text: str) -> set[str]:
    """Return the words that mean something: longer than three letters."""
    return {word for word in re.findall(r"[^\W\d_]+", text.casefold()) if len(word) > 3}
