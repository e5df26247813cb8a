"""What scores advise is a rule: it depends on nothing but the scores, and says what it left out and why."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol.judging.advice import FIRST, Pair, advise, error_of, pairs_in, pairs_of
from loratui_protocol.judging.grid import Cell, Grid, TriedFile
from loratui_protocol.judging.judgement import Judged, Judgement
from loratui_protocol.judging.prompts import GridPrompt, Role
from loratui_protocol.judging.scores import SCORES
from loratui_protocol.judging.summary import Mean
from loratui_protocol.messages import Scores

VALUES = st.sampled_from([0.0, 0.25, 0.5, 0.6, 0.65, 0.7, 0.75, 1.0])


def pair(step: int, weight: float = 1.0, *, error: float = 0.05, count: int = 10, **values: float) -> Pair:
    means = {name: Mean(value, error, count) for name, value in values.items()}
    return Pair(artifact_id=f"lora-{step:06d}", name=f"zorbix-{step:06d}", step=step, weight=weight, means=means)


@st.composite
def measured(draw: st.DrawFn) -> list[Pair]:
    """Draw files at weights of which the same scores are measured."""
    names = ["likeness", *draw(st.lists(st.sampled_from(list(SCORES)[1:]), unique=True, max_size=5))]
    keys = draw(st.lists(st.tuples(st.integers(1, 5), st.sampled_from([0.5, 0.8, 1.0])), min_size=1, unique=True))
    errors = st.sampled_from([0.0, 0.05, 0.2])
    return [pair(step, weight, error=draw(errors), **{name: draw(VALUES) for name in names}) for step, weight in keys]


def beats(one: Pair, other: Pair) -> bool:
    signs = [(SCORES[name].better * one.means[name].value, SCORES[name].better * mean.value)
             for name, mean in other.means.items()]  # fmt: skip
    return all(a >= b for a, b in signs) and any(a > b for a, b in signs)


@given(measured(), st.randoms())
def test_the_order_in_which_files_were_tried_out_does_not_matter(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    assert advise(shuffled) == advise(pairs)


@given(measured())
def test_what_one_of_the_same_or_an_earlier_file_beats_is_never_advised(pairs):
    advised = advise(pairs).advised
    assert advised is not None
    assert not any(beats(each, advised) for each in pairs if each.step <= advised.step)


@given(measured())
def test_the_front_holds_exactly_what_nothing_beats(pairs):
    advice = advise(pairs)
    assert [each for each in pairs if advice.is_on_front(each)] == [
        each for each in pairs if not any(beats(other, each) for other in pairs)
    ]


@given(measured())
def test_what_is_advised_is_within_one_standard_error_of_the_best(pairs):
    advised = advise(pairs).advised
    name = next(name for name in FIRST if name in pairs[0].means)
    best = max(each.means[name].value for each in pairs)
    error = min(error_of(each, name) for each in pairs if each.means[name].value == best)
    assert advised is not None
    assert advised.means[name].value >= best - error


@given(measured(), st.integers(1, 5))
def test_a_file_that_shows_clearly_less_changes_nothing_however_good_it_is_otherwise(pairs, step):
    name = next(name for name in FIRST if name in pairs[0].means)
    perfect = {each: 1.0 if SCORES[each].better == 1 else 0.0 for each in pairs[0].means}
    worse = pair(step, 0.1, **{**perfect, name: -1.0})
    assert advise([*pairs, worse]).advised == advise(pairs).advised


@given(measured(), st.data())
def test_a_pair_that_becomes_much_worse_is_not_advised_for_it(pairs, data):
    index = data.draw(st.integers(0, len(pairs) - 1))
    name = next(name for name in FIRST if name in pairs[0].means)
    sunk = replace(pairs[index], means={**pairs[index].means, name: Mean(-1.0, 0.05, 10)})
    others = [each for each in pairs if each is not pairs[index]]
    advised = advise([*others, sunk]).advised
    assert advised is not sunk or not others


@given(measured())
def test_every_pair_is_advised_or_left_out_by_one_stage(pairs):
    advice = advise(pairs)
    out = [each for stage in advice.stages for each in stage.left_out]
    assert len(out) == len(pairs) - 1
    assert advice.advised not in out


def test_the_earliest_of_those_that_are_as_good_is_advised_and_each_step_says_why():
    advice = advise([pair(100, likeness=0.5), pair(200, likeness=0.68), pair(300, likeness=0.7)])
    assert advice.advised is not None
    assert advice.advised.step == 200
    assert [stage.says for stage in advice.stages] == [
        "likeness: best 0.70 ± 0.05 (zorbix-000300 at 1); zorbix-000100 at 1 is further off and left out",
        "the earliest is that of step 200; zorbix-000300 at 1 is no better, and later",
    ]
    assert advice.lacks[0] == "follows prompts: not measured of all that were left, and decides nothing"


def test_of_files_that_look_alike_the_one_that_copies_is_left_out():
    advice = advise([pair(100, likeness=0.7, copying=0.0), pair(50, likeness=0.7, copying=0.6)])
    assert advice.advised is not None
    assert advice.advised.step == 100


def test_of_the_weights_of_a_file_the_one_that_shows_most_is_advised():
    advice = advise([pair(100, weight, likeness=like) for weight, like in ((0.5, 0.68), (0.8, 0.70), (1.0, 0.69))])
    assert advice.advised is not None
    assert advice.advised.weight == 0.8
    assert advice.stages[-1].says == "the highest value of likeness is at zorbix-000100 at 0.8"


def test_of_weights_that_are_equal_the_one_at_which_other_files_show_more_is_advised_and_that_is_said():
    good = [pair(200, weight, error=0.0, concept=1.0) for weight in (0.8, 1.0, 1.2)]
    early = [pair(100, weight, concept=value) for weight, value in ((0.8, 0.3), (1.0, 0.5), (1.2, 0.4))]
    advice = advise([*good, *early])
    assert advice.advised is not None
    assert (advice.advised.step, advice.advised.weight) == (200, 1.0)
    assert advice.stages[-1].says == (
        "zorbix-000200 at 0.8, zorbix-000200 at 1, zorbix-000200 at 1.2 are equal in every score; "
        "the other files have the highest value of shows the concept at 1"
    )


def test_of_weights_that_nothing_tells_apart_the_lowest_is_advised():
    tried_at_one_weight_only = pair(100, 1.0, concept=0.5)
    advice = advise([*(pair(200, weight, concept=1.0) for weight in (1.0, 0.8)), tried_at_one_weight_only])
    assert advice.advised is not None
    assert advice.advised.weight == 0.8
    assert advice.stages[-1].says.endswith("are equal in every score: the first of them")


def test_the_exact_score_goes_before_likeness():
    advice = advise([pair(100, concept=0.2, likeness=0.9), pair(200, concept=0.9, likeness=0.5)])
    assert advice.advised is not None
    assert advice.advised.step == 200


def test_ten_of_ten_is_not_certainty():
    certain = pair(200, error=0.0, concept=1.0)
    advice = advise([pair(100, error=0.1, concept=0.95), certain])
    assert error_of(certain, "concept") == pytest.approx(0.077, abs=0.001)
    assert advice.advised is not None
    assert advice.advised.step == 100
    assert error_of(pair(1, error=0.0, likeness=0.5), "likeness") == 0


def test_files_of_which_no_step_is_known_are_not_ordered_by_it():
    unknown = [replace(pair(1, likeness=0.68), step=0), replace(pair(2, likeness=0.7), step=0)]
    advice = advise(unknown)
    assert advice.advised == unknown[1]
    assert any("not known" in stage.says for stage in advice.stages)


@pytest.mark.parametrize(
    ("pairs", "lacks"),
    [
        ([], "no file has been tried out"),
        (
            [pair(1, prompt=0.3)],
            "likeness is not measured; it takes evaluate_dino, the training pictures and prompts with the trigger",
        ),
        ([pair(1, error=math.inf, likeness=0.5)], "there is one picture of each file and weight"),
    ],
)
def test_nothing_is_advised_where_it_can_not_be_told_and_what_lacks_is_said(pairs, lacks):
    advice = advise(pairs)
    assert advice.advised is None
    assert advice.sentence.startswith(f"no advice: {lacks}")


@pytest.mark.parametrize(("value", "error"), [(0.5, -1.0), (0.5, 1e308), (1e308, 0.1), (-1e308, 1e308)])
def test_figures_that_no_machine_measures_decide_nothing(value, error):
    events = [
        Scores(artifact_id=name, name=name, step=1, weight=1.0, counts={"likeness": 4},
               means={"likeness": value}, errors={"likeness": error})
        for name in "ab"
    ]  # fmt: skip
    assert advise(pairs_of(events)).advised is None


def test_a_score_that_is_no_number_or_that_nobody_knows_counts_for_nothing():
    event = Scores(artifact_id="a", name="a", step=1, weight=1.0, counts={"likeness": 4, "new": 4},
                   means={"likeness": math.nan, "new": 1.0}, errors={"likeness": 0.1, "new": 0.1})  # fmt: skip
    assert pairs_of([event])[0].means == {}
    assert advise(pairs_of([event])).advised is None


def test_a_file_that_was_tried_out_again_has_its_newer_figures_and_the_base_model_none():
    def event(artifact_id: str, weight: float, value: float) -> Scores:
        told = {"means": {"likeness": value}, "errors": {"likeness": 0.1}, "counts": {"likeness": 4}}
        return Scores(artifact_id=artifact_id, name=artifact_id, step=1, weight=weight, **told)

    pairs = pairs_of([event("", 0.0, 0.1), event("a", 1.0, 0.2), event("a", 1.0, 0.6)])
    assert [each.means["likeness"].value for each in pairs] == [0.6]


def test_a_judgement_and_its_events_advise_the_same():
    prompt = GridPrompt(role=Role.SCENE, text="a zorbix", plain="a shape")
    grid = Grid(files=(TriedFile(id="a", name="a", step=1),), weights=(0.0, 1.0), seeds=(1, 2), prompts=(prompt,))
    pictures = tuple(
        Judged(cell=Cell(0 if weight else -1, weight, 0, seed), scores={"likeness": 0.4 + seed / 10})
        for weight in grid.weights
        for seed in grid.seeds
    )
    (found,) = pairs_in(Judgement(grid=grid, pictures=pictures, features={}))
    assert (found.told, found.means["likeness"].count) == ("a at 1", 2)
    assert found.means["likeness"].value == pytest.approx(0.55)
