from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui_agent.deadman import (
    AGENT_MARGIN_S,
    HUNG_AFTER_S,
    RESUMES_WINDOW_S,
    SILENCE_MIN_S,
    STOP_GRACE_S,
    AgentVerdict,
    EndedJob,
    JobVerdict,
    ReapedAgent,
    ReapedJob,
    TrainerFacts,
    TrainerVerdict,
    after_end,
    agent_verdict,
    job_verdict,
    may_resume,
    silence_limit_s,
    trainer_verdict,
)

HEALTHY = TrainerFacts(is_stepping=True, silent_s=1.0, step_times_s=[1.0] * 10, left_s=None, stopping_s=None)


def test_a_healthy_trainer_goes_on():
    assert trainer_verdict(HEALTHY) is TrainerVerdict.GO_ON


def test_at_the_auto_stop_the_trainer_is_told_to_save_and_stop():
    assert trainer_verdict(replace(HEALTHY, left_s=0.1)) is TrainerVerdict.GO_ON
    assert trainer_verdict(replace(HEALTHY, left_s=0.0)) is TrainerVerdict.STOP


def test_the_auto_stop_outranks_a_hang():
    assert trainer_verdict(replace(HEALTHY, left_s=0.0, silent_s=9999)) is TrainerVerdict.STOP


def test_a_run_stopped_for_the_auto_stop_is_killed_when_its_grace_is_over_however_busy_it_is():
    stopping = replace(HEALTHY, left_s=0.0, stopping_for_deadline=True, silent_s=0.0)
    assert trainer_verdict(replace(stopping, stopping_s=STOP_GRACE_S)) is TrainerVerdict.GO_ON
    assert trainer_verdict(replace(stopping, stopping_s=STOP_GRACE_S + 1)) is TrainerVerdict.KILL_OVERDUE


def test_a_run_stopped_by_a_person_may_take_its_time_while_it_is_heard():
    stopping = replace(HEALTHY, stopping_s=STOP_GRACE_S * 5)
    assert trainer_verdict(replace(stopping, silent_s=1)) is TrainerVerdict.GO_ON
    assert trainer_verdict(replace(stopping, silent_s=STOP_GRACE_S + 1)) is TrainerVerdict.KILL_OVERDUE


def test_a_running_trainer_hangs_when_it_is_silent_for_long():
    assert trainer_verdict(replace(HEALTHY, silent_s=SILENCE_MIN_S + 1)) is TrainerVerdict.KILL_HUNG
    assert trainer_verdict(replace(HEALTHY, silent_s=9999, is_stepping=False)) is TrainerVerdict.GO_ON


def test_slow_steps_make_patience_longer():
    assert silence_limit_s([]) == SILENCE_MIN_S
    assert silence_limit_s([30.0, 30.0, 500.0]) == 600.0


def test_a_killed_run_is_taken_up_twice_in_half_an_hour():
    assert may_resume([], 1000.0)
    assert may_resume([990.0], 1000.0)
    assert not may_resume([980.0, 990.0], 1000.0)
    assert may_resume([980.0, 990.0], 981.0 + RESUMES_WINDOW_S)


TRAINING = ReapedJob(is_training=True, overdue_s=-60.0, told_s=None)
ENDED = ReapedJob(is_training=False, overdue_s=None, told_s=None)


@pytest.mark.parametrize(
    ("job", "without_agent", "beside_an_agent"),
    [
        (TRAINING, JobVerdict.LEAVE, JobVerdict.LEAVE),
        (replace(TRAINING, overdue_s=None), JobVerdict.LEAVE, JobVerdict.LEAVE),
        (replace(TRAINING, overdue_s=0.0), JobVerdict.STOP, JobVerdict.LEAVE),
        (replace(TRAINING, overdue_s=STOP_GRACE_S + AGENT_MARGIN_S), JobVerdict.STOP, JobVerdict.STOP),
        (replace(TRAINING, overdue_s=9.0, told_s=8.0), JobVerdict.LEAVE, JobVerdict.LEAVE),
        (replace(TRAINING, overdue_s=150.0, told_s=STOP_GRACE_S + 1), JobVerdict.KILL, JobVerdict.LEAVE),
        (replace(TRAINING, overdue_s=999.0, told_s=STOP_GRACE_S + 1), JobVerdict.KILL, JobVerdict.KILL),
        (replace(TRAINING, power_s=-1.0), JobVerdict.LEAVE, JobVerdict.LEAVE),
        (ENDED, JobVerdict.LEAVE, JobVerdict.LEAVE),
        (replace(ENDED, power_s=1.0), JobVerdict.LEAVE, JobVerdict.LEAVE),
        (replace(ENDED, power_s=0.0), JobVerdict.POWER_OFF, JobVerdict.LEAVE),
    ],
)
def test_the_reaper_ends_what_is_overdue_and_leaves_a_living_agent_the_time_to_do_it(
    job, without_agent, beside_an_agent
):
    assert job_verdict(job, is_agent_alive=False) is without_agent
    assert job_verdict(job, is_agent_alive=True) is beside_an_agent


NO_AGENT = ReapedAgent(is_alive=False, is_wanted=False, silent_s=0.0, next_start_s=0.0, has_jobs=False)


@pytest.mark.parametrize(
    ("agent", "verdict"),
    [
        (replace(NO_AGENT, is_alive=True, is_wanted=True), AgentVerdict.LEAVE),
        (replace(NO_AGENT, is_alive=True, silent_s=HUNG_AFTER_S + 1), AgentVerdict.KILL_HUNG),
        (replace(NO_AGENT, is_wanted=True), AgentVerdict.START),
        (replace(NO_AGENT, is_wanted=True, next_start_s=3.0), AgentVerdict.LEAVE),
        (replace(NO_AGENT, is_wanted=True, has_jobs=True), AgentVerdict.START),
        (replace(NO_AGENT, has_jobs=True), AgentVerdict.LEAVE),
        (NO_AGENT, AgentVerdict.END),
    ],
)
def test_the_reaper_starts_a_wanted_agent_kills_a_hung_one_and_ends_when_nothing_is_left(agent, verdict):
    assert agent_verdict(agent) is verdict


@given(
    overdue_s=st.none() | st.floats(-1e4, 1e4),
    told_s=st.none() | st.floats(0, 1e4),
    power_s=st.none() | st.floats(-1e4, 1e4),
    is_training=st.booleans(),
)
def test_nothing_is_ended_before_its_time_and_nothing_is_powered_off_that_trains(
    overdue_s, told_s, power_s, is_training
):
    job = ReapedJob(is_training=is_training, overdue_s=overdue_s, told_s=told_s, power_s=power_s)
    for is_agent_alive in (True, False):
        verdict = job_verdict(job, is_agent_alive=is_agent_alive)
        if verdict in (JobVerdict.STOP, JobVerdict.KILL):
            assert is_training
            assert overdue_s >= 0
        if verdict is JobVerdict.POWER_OFF:
            assert not is_training
            assert not is_agent_alive
            assert power_s <= 0


KEPT = EndedJob(is_fetched=False, has_client=False, kept_s=0.0, keep_s=60.0)


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (KEPT, ""),
        (replace(KEPT, is_fetched=True), "done"),
        (replace(KEPT, is_fetched=True, has_client=True, keep_s=None), "done"),
        (replace(KEPT, kept_s=60.0), "lease"),
        (replace(KEPT, kept_s=60.0, has_client=True), ""),
        (replace(KEPT, kept_s=1e9, keep_s=None), ""),
    ],
)
def test_what_comes_after_waits_for_the_files_or_for_the_lease_to_run_out(job, reason):
    assert after_end(job) == reason
