"""Rentals from seeds: no rule is broken, and the simulation would notice if one were. See docs/reliability.md."""

import pytest

from simulation.mutations import BROKEN, ONCE, broken
from simulation.simulate import simulate

NUM_SEEDS = 200
_AT_ONCE = 50


@pytest.mark.parametrize("first", range(0, NUM_SEEDS, _AT_ONCE))
def test_no_seed_breaks_a_rule(first: int) -> None:
    outcomes = [simulate(seed) for seed in range(first, first + _AT_ONCE)]
    for outcome in outcomes:
        assert not outcome.violations, f"python scripts/simulate.py --seed {outcome.seed}\n" + "\n".join(outcome.trace)
    assert sum(outcome.num_machines for outcome in outcomes) > _AT_ONCE / 2, "machines are rented"
    assert sum(outcome.num_saved for outcome in outcomes) > _AT_ONCE / 10, "and results come home"


def test_a_seed_is_the_same_every_time() -> None:
    assert simulate(7).trace == simulate(7).trace


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_on_purpose_is_noticed_within_these_seeds(name: str) -> None:
    with broken(BROKEN[name]):
        assert any(simulate(seed, keeps_trace=False).violations for seed in range(NUM_SEEDS)), name


@pytest.mark.parametrize("name", ONCE)
def test_what_was_wrong_once_is_noticed_by_its_seed_and_is_right_now(name: str) -> None:
    seed, how = ONCE[name]
    assert not simulate(seed, keeps_trace=False).violations
    with broken(how):
        assert simulate(seed, keeps_trace=False).violations, name
