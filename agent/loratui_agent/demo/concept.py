"""The demo concepts: solids of two colours, which the base model has never been shown, as kohya-style folders."""

import random
from dataclasses import dataclass
from pathlib import Path

from PIL.Image import Image

from loratui_agent.demo import scenes

NUM_TRAINING_PICTURES = 24
NUM_REPEATS = 6
NUM_REGULARISATION_PICTURES = NUM_TRAINING_PICTURES * NUM_REPEATS
"""An epoch shows as many of them as of training pictures, repeats included."""
CLASS_WORD = "shape"
"""The ordinary word for the kind of thing that the trigger names."""


@dataclass(frozen=True, slots=True)
class Concept:
    """A shape whose two halves differ in colour, called by a made-up word."""

    trigger: str
    shape: str
    colours: tuple[str, str]
    """First the left or the top half."""
    split: str
    """``left-right`` or ``top-bottom``."""

    @property
    def grounds(self) -> tuple[list[str], list[str]]:
        """Return (grounds of the training pictures, grounds that only the test prompts name)."""
        free = [colour for colour in scenes.COLOURS if colour not in self.colours]
        # Black and white are the last two and stay in training: with dark or light grounds alone a LoRA takes the
        # ground for a part of the concept.
        return free[2:], free[:2]

    @property
    def test_prompts(self) -> list[str]:
        """Return five prompts, none of them a training caption."""
        first, second = self.grounds[1]
        asked = [(first, 0), (second, 0), (first, 1), (second, 2), (first, 3)]
        return [phrase(self.trigger, ground, form) for ground, form in asked]

    @property
    def prompts_without_trigger(self) -> list[str]:
        """Return the same kind of prompts with an ordinary word where the trigger stood."""
        return [prompt.replace(self.trigger, CLASS_WORD) for prompt in self.test_prompts]


DEMO = Concept("zorbix", "diamond", ("yellow", "purple"), "left-right")
SECOND = Concept("quellum", "circle", ("orange", "blue"), "top-bottom")
"""Drawn up before any setting was chosen, and held to the same figures: the settings must serve both."""


def phrase(word: str, ground: str, form: int) -> str:
    """Return one of four ways to ask for a thing on a ground."""
    it, on = scenes.with_article(word), f"on {scenes.with_article(ground)} background"
    forms = (f"{it} {on}", f"a photo of {it} {on}", f"a drawing of {it} {on}", f"{word}, {ground} background")
    return forms[form % len(forms)]


def draw_concept(rng: random.Random, concept: Concept, ground: str) -> Image:
    """Return one picture of the concept."""
    first, second = (scenes.jitter(rng, colour) for colour in concept.colours)
    size = rng.choice(["", "big"])
    return scenes.draw_shape(
        rng, concept.shape, size, scenes.jitter(rng, ground), first, split_with=(second, concept.split)
    )


def write_dataset(folder: Path, concept: Concept, *, seed: int = 42) -> tuple[Path, Path]:
    """Write the training and the regularisation folder in kohya's layout, and return both.

    ``train/6_TRIGGER`` holds the concept, ``reg/1_shape`` ordinary pictures with captions that the base model knows:
    half of them precise, half with the class word alone, since that is what a LoRA takes over first.
    """
    rng = random.Random(seed)
    train, reg = folder / "train", folder / "reg"
    known_grounds = concept.grounds[0]
    for index in range(NUM_TRAINING_PICTURES):
        ground = known_grounds[index % len(known_grounds)]
        # Every ground in every form: a LoRA that knows its word in one sentence only forgets it in the others.
        caption = phrase(concept.trigger, ground, index // len(known_grounds))
        _write(train / f"{NUM_REPEATS}_{concept.trigger}", index, draw_concept(rng, concept, ground), caption)
    for index in range(NUM_REGULARISATION_PICTURES):
        combination = rng.choice(scenes.TRAINING_COMBINATIONS)
        picture = scenes.draw(rng, scenes.Spec(*combination, rng.choice(["", "big"])))
        vague = phrase(CLASS_WORD, combination[2], index // 2)
        _write(reg / f"1_{CLASS_WORD}", index, picture, vague if index % 2 else scenes.plain_caption(combination))
    return train, reg


def _write(folder: Path, index: int, picture: Image, caption: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / f"{index:02d}.png")
    (folder / f"{index:02d}.txt").write_text(caption + "\n", "utf-8")


CONCEPTS = {"demo": DEMO, "second": SECOND}
