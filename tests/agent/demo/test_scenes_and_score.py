"""The pictures are reproducible, the scorer is exact on them, and the concepts are new to the base model."""

import random
from pathlib import Path

import pytest

from loratui_agent.demo import scenes, score
from loratui_agent.demo.concept import CONCEPTS, Concept, draw_concept, write_dataset
from loratui_protocol.dataset import scan

EVERY_CONCEPT = pytest.mark.parametrize("concept", CONCEPTS.values(), ids=CONCEPTS)


def drawn(num_pictures: int, seed: int = 3):
    rng = random.Random(seed)
    combinations = [rng.choice(scenes.TRAINING_COMBINATIONS) for _ in range(num_pictures)]
    sizes = [rng.choice(list(scenes.RADII_PX)) for _ in combinations]
    specs = [scenes.Spec(*combination, size) for combination, size in zip(combinations, sizes, strict=True)]
    return [scenes.draw(rng, spec) for spec in specs], combinations


def test_the_same_seed_draws_the_same_pictures():
    assert [p.tobytes() for p in drawn(5)[0]] == [p.tobytes() for p in drawn(5)[0]]


def test_held_out_combinations_are_never_drawn_for_training():
    rng = random.Random(0)
    seen = {(spec.shape, spec.colour, spec.ground) for spec in (scenes.random_spec(rng) for _ in range(5000))}
    assert not seen & set(scenes.HELD_OUT_COMBINATIONS)
    assert len(scenes.HELD_OUT_COMBINATIONS) == 64
    assert len(scenes.COLOURS) >= 8


def test_the_scorer_reads_drawn_pictures_right():
    pictures, combinations = drawn(300)
    assert score.base_skills(pictures, combinations).all_three >= 0.99


def test_the_scorer_gives_no_credit_for_the_wrong_answer():
    pictures, combinations = drawn(100)
    shifted = combinations[1:] + combinations[:1]
    assert score.base_skills(pictures, shifted).all_three < 0.05


@EVERY_CONCEPT
def test_the_scorer_knows_the_concept_from_everything_else(concept: Concept):
    rng = random.Random(1)
    grounds = [*concept.grounds[0], *concept.grounds[1]]
    assert all(score.shows_concept(draw_concept(rng, concept, ground), concept) for ground in grounds * 10)
    assert not any(score.shows_concept(picture, concept) for picture in drawn(300)[0])


@EVERY_CONCEPT
def test_colours_on_the_wrong_sides_are_not_the_concept(concept: Concept):
    first, second = concept.colours
    mirrored = Concept(concept.trigger, concept.shape, (second, first), concept.split)
    rng = random.Random(1)
    assert not any(score.shows_concept(draw_concept(rng, mirrored, "white"), concept) for _ in range(20))


@EVERY_CONCEPT
def test_the_dataset_is_in_kohyas_layout_with_the_trigger_in_every_caption(concept: Concept, tmp_path: Path):
    train, reg = write_dataset(tmp_path, concept)
    pictures = scan(train, verify=True).pictures
    assert len(pictures) == 24
    assert all(concept.trigger in picture.caption for picture in pictures)
    assert not any(concept.trigger in picture.caption for picture in scan(reg, is_reg=True).pictures)


@EVERY_CONCEPT
def test_no_test_prompt_is_a_training_caption(concept: Concept, tmp_path: Path):
    train, _ = write_dataset(tmp_path, concept)
    assert not set(concept.test_prompts) & {picture.caption for picture in scan(train).pictures}
    assert not any(concept.trigger in prompt for prompt in concept.prompts_without_trigger)
