"""Whose fault a slow upload is: the machine's, unless the next one is hardly better."""

from hypothesis import given
from hypothesis import strategies as st

from loratui.cli.rent_start import Line, WantedRun, model_bytes
from loratui.domain.base_kinds import KnownBase, KnownFeatures
from loratui.domain.transfer_cost import is_far_under_plan
from loratui_protocol.inputs import ModelKind, ModelSource
from support.estimates import a_feature_model

MB = 1_000_000


def test_a_machine_far_under_plan_is_blamed_once() -> None:
    line = Line(planned_bytes_per_s=1.25 * MB)
    assert line.blames_machine(100 * MB, 0.1 * MB)
    assert not line.blames_machine(100 * MB, 0.11 * MB), "the next is as slow, so this end is"


def test_a_second_slow_machine_is_blamed_where_the_first_one_was_fast() -> None:
    line = Line(planned_bytes_per_s=1.25 * MB)
    assert not line.blames_machine(100 * MB, 1.0 * MB)
    assert line.blames_machine(100 * MB, 0.1 * MB)


def test_little_that_is_left_is_worth_no_other_machine() -> None:
    assert not Line(planned_bytes_per_s=1.25 * MB).blames_machine(1 * MB, 0.1 * MB)


@given(st.integers(0, 10**12), st.floats(1e-3, 1e12), st.floats(1e-3, 1e12))
def test_what_is_as_fast_as_planned_is_never_far_under_it(num_bytes: int, speed: float, planned: float) -> None:
    if speed >= planned:
        assert not is_far_under_plan(num_bytes, speed, planned)


def test_a_line_that_stands_still_is_under_every_plan() -> None:
    assert is_far_under_plan(1, 0.0, 1.0)
    assert not is_far_under_plan(0, 0.0, 1.0)


def test_base_models_are_weighed_once_each_and_not_at_all_where_one_is_unknown() -> None:
    one = wanted("a/one", 10)
    assert model_bytes([one, wanted("a/one", 10), wanted("a/two", 5), wanted("", None)]) == 15
    assert model_bytes([one, wanted("a/two", None)]) is None
    assert model_bytes([wanted("", None)]) == 0, "it travels from here"


def test_models_to_judge_with_are_weighed_once_each_too() -> None:
    one, two = a_feature_model("org/dino", 3), a_feature_model("org/clip", 4)
    runs = [wanted("a/one", 10, one), wanted("a/one", 10, one, two)]
    assert model_bytes(runs) == 17
    assert model_bytes([*runs, wanted("", None, a_feature_model("org/other", None))]) is None


def wanted(address: str, size: int | None, *features: KnownFeatures) -> WantedRun:
    model = ModelSource(kind=ModelKind.HUB, name="m", address=address) if address else None
    return WantedRun(checked=None, model=model, base=KnownBase(num_bytes=size, kind=None, features=features))  # type: ignore[arg-type]
