"""What makes a run slower than it could be is named once, with its evidence, its price and what to do."""

from dataclasses import replace

import pytest

from loratui_agent.train.watch import FIRST_STEPS, StepFacts, Watch

GIB = 1 << 30


def said(watch: Watch, facts: StepFacts, num_steps: int = 60) -> list[tuple[str, str]]:
    first = facts.step
    return [found for step in range(first, first + num_steps) for found in watch.take(replace(facts, step=step))]


def facts(**changes) -> StepFacts:
    return replace(StepFacts(step=1, duration_s=1.0, num_pictures=4), **changes)


def new_watch(**changes) -> Watch:
    return Watch(**{"num_steps": 1000, "measured_picture_s": 0.25, "total_bytes": 24 * GIB, **changes})


def test_a_run_as_fast_as_it_was_measured_has_nothing_to_say():
    assert said(new_watch(), facts(waited_s=0.02, reserved_bytes=23 * GIB)) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"waited_s": 0.4}, "pace.data_wait"),
        ({"duration_s": 1.8}, "pace.slow_host"),
        ({"duration_s": 1.8, "reserved_bytes": 24 * GIB}, "pace.spill"),
    ],
)
def test_what_is_wrong_from_the_start_is_named_after_the_first_steps_and_once(changes: dict, code: str):
    watch = new_watch()
    assert said(watch, facts(**changes), FIRST_STEPS) == []
    ((found, sentence),) = said(watch, facts(step=FIRST_STEPS + 1, **changes), 100)
    assert found == code
    assert "min until the end" in sentence


def test_a_run_that_becomes_slower_is_told_so_against_its_own_first_steps():
    watch = new_watch(measured_picture_s=None)
    assert said(watch, facts(), 100) == []
    ((code, sentence),) = said(watch, facts(step=101, duration_s=2.0))
    assert code == "pace.slower"
    assert "0.5 s instead of 0.25 s" in sentence


def test_the_price_of_a_slow_machine_is_in_its_currency_too():
    watch = new_watch(microusd_per_h=600_000)
    found = said(watch, facts(step=400, duration_s=2.0))
    # 1 s too much, for some 580 steps: a sixth of an hour at $0.60.
    assert "≈10 min and ≈$0.10 until the end" in found[0][1]


def test_the_step_that_warms_up_does_not_count():
    watch = new_watch()
    assert watch.take(facts(duration_s=100.0)) == []
    assert said(watch, facts(step=2), 100) == []
