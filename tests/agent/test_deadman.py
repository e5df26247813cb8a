from dataclasses import replace

import pytest

from loratui_agent.deadman import (
    RESUMES_WINDOW_S,
    SILENCE_MIN_S,
    STOP_GRACE_S,
    ReaperFacts,
    ReaperVerdict,
    TrainerFacts,
    TrainerVerdict,
    may_resume,
    reaper_verdict,
    silence_limit_s,
    trainer_verdict,
)

HEALTHY = TrainerFacts(is_stepping=True, silent_s=1.0, step_times_s=[1.0] * 10, left_s=None, stopping_s=None)
QUIET_HOME = ReaperFacts(is_agent_alive=False, is_agent_wanted=False, next_restart_s=0.0, trainers_left_s=[])


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


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (replace(QUIET_HOME, is_agent_alive=True, is_agent_wanted=True), ReaperVerdict.WAIT),
        (replace(QUIET_HOME, is_agent_alive=True, trainers_left_s=[-5.0]), ReaperVerdict.WAIT),
        (replace(QUIET_HOME, is_agent_wanted=True), ReaperVerdict.RESTART_AGENT),
        (replace(QUIET_HOME, is_agent_wanted=True, next_restart_s=3.0), ReaperVerdict.WAIT),
        (replace(QUIET_HOME, is_agent_wanted=True, trainers_left_s=[60.0]), ReaperVerdict.RESTART_AGENT),
        (replace(QUIET_HOME, is_agent_wanted=True, trainers_left_s=[60.0, 0.0]), ReaperVerdict.STOP_TRAINERS),
        (replace(QUIET_HOME, trainers_left_s=[60.0]), ReaperVerdict.WAIT),
        (QUIET_HOME, ReaperVerdict.END),
    ],
)
def test_the_reaper_restarts_a_wanted_agent_and_ends_what_is_overdue(facts, verdict):
    assert reaper_verdict(facts) is verdict
