import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui_agent.states import OF_TRAINER, TRANSITIONS, WITH_TRAINER, is_legal
from loratui_protocol.messages import JobState

STATES = list(JobState)


def reachable(start: JobState) -> set[JobState]:
    found, new = set(), {start}
    while new:
        found |= new
        new = set().union(*(TRANSITIONS[state] for state in new)) - found
    return found


def test_every_state_has_a_row_and_can_be_reached():
    assert set(TRANSITIONS) == set(JobState)
    assert reachable(JobState.QUEUED) == set(JobState)


@pytest.mark.parametrize("state", sorted(JobState))
def test_from_every_state_a_run_can_still_end_in_every_way(state):
    assert {JobState.DONE, JobState.STOPPED, JobState.FAILED} <= reachable(state)


@pytest.mark.parametrize("state", sorted(WITH_TRAINER - {JobState.INTERRUPTED}))
def test_a_trainer_can_be_killed_in_every_state_that_has_one(state):
    assert is_legal(state, JobState.INTERRUPTED)


@pytest.mark.parametrize("state", sorted(WITH_TRAINER - {JobState.INTERRUPTED}))
def test_whatever_a_trainer_writes_about_its_end_is_legal_in_every_state_that_has_one(state):
    assert all(is_legal(state, end) for end in (JobState.DONE, JobState.STOPPED, JobState.FAILED))


@pytest.mark.parametrize("state", [state for state in STATES if state.is_final])
def test_only_a_new_start_leaves_a_final_state(state):
    assert TRANSITIONS[state] <= {JobState.QUEUED}


@given(st.lists(st.sampled_from(STATES), max_size=30))
def test_no_walk_of_legal_moves_repeats_a_state_or_runs_a_final_one(walk):
    state = JobState.QUEUED
    for wanted in walk:
        if is_legal(state, wanted):
            assert wanted is not state
            assert not (state.is_final and wanted in OF_TRAINER)
            state = wanted
