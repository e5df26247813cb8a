from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui_agent.deadman import (
    AGENT_MARGIN_S,
    DEFAULT_KEEP_S,
    HUNG_AFTER_S,
    LOST_AFTER_S,
    POWER_CHECK_S,
    POWER_TRIES,
    RENTAL_PAUSE_MAX_S,
    RENTAL_PAUSE_S,
    RESUMES_WINDOW_S,
    SILENCE_MIN_S,
    STOP_GRACE_S,
    AgentVerdict,
    EndedJob,
    JobVerdict,
    PowerVerdict,
    ReapedAgent,
    ReapedJob,
    TrainerFacts,
    TrainerVerdict,
    WatchedRental,
    abandoned_after_s,
    after_end,
    agent_verdict,
    effective_keep_s,
    holds_others,
    job_verdict,
    may_resume,
    power_verdict,
    rental_pause_s,
    rental_verdict,
    silence_limit_s,
    trainer_verdict,
)

HEALTHY = TrainerFacts(is_stepping=True, silent_s=1.0, step_times_s=[1.0] * 10, overdue_s=None, stopping_s=None)


def test_a_healthy_trainer_goes_on():
    assert trainer_verdict(HEALTHY) is TrainerVerdict.GO_ON


def test_at_the_auto_stop_the_trainer_is_told_to_save_and_stop():
    assert trainer_verdict(replace(HEALTHY, overdue_s=-0.1)) is TrainerVerdict.GO_ON
    assert trainer_verdict(replace(HEALTHY, overdue_s=0.0)) is TrainerVerdict.STOP


def test_the_auto_stop_outranks_a_hang():
    assert trainer_verdict(replace(HEALTHY, overdue_s=0.0, silent_s=9999)) is TrainerVerdict.STOP


def test_a_run_stopped_for_the_auto_stop_is_killed_when_its_grace_is_over_however_busy_it_is():
    stopping = replace(HEALTHY, overdue_s=0.0, stopping_for_deadline=True, silent_s=0.0)
    assert trainer_verdict(replace(stopping, stopping_s=STOP_GRACE_S)) is TrainerVerdict.GO_ON
    assert trainer_verdict(replace(stopping, stopping_s=STOP_GRACE_S + 1)) is TrainerVerdict.KILL_OVERDUE


def test_a_run_stopped_by_a_person_may_take_its_time_while_it_is_heard():
    stopping = replace(HEALTHY, stopping_s=STOP_GRACE_S * 5)
    assert trainer_verdict(replace(stopping, silent_s=1)) is TrainerVerdict.GO_ON
    assert trainer_verdict(replace(stopping, silent_s=STOP_GRACE_S + 1)) is TrainerVerdict.KILL_OVERDUE


def test_the_auto_stop_ends_the_patience_with_a_stop_that_a_person_asked_for():
    stopping = replace(HEALTHY, stopping_s=STOP_GRACE_S * 5, silent_s=1)
    assert trainer_verdict(replace(stopping, overdue_s=-1)) is TrainerVerdict.GO_ON
    assert trainer_verdict(replace(stopping, overdue_s=STOP_GRACE_S)) is TrainerVerdict.GO_ON
    assert trainer_verdict(replace(stopping, overdue_s=STOP_GRACE_S + 1)) is TrainerVerdict.KILL_OVERDUE
    # One that is asked for late gets its time all the same.
    assert trainer_verdict(replace(stopping, overdue_s=STOP_GRACE_S + 1, stopping_s=5)) is TrainerVerdict.GO_ON


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
        (replace(TRAINING, rental_left_s=STOP_GRACE_S + 1), JobVerdict.LEAVE, JobVerdict.LEAVE),
        (replace(TRAINING, rental_left_s=STOP_GRACE_S), JobVerdict.STOP, JobVerdict.STOP),
        (replace(TRAINING, rental_left_s=-1.0, overdue_s=None), JobVerdict.STOP, JobVerdict.STOP),
        (replace(TRAINING, rental_left_s=0.0, told_s=5.0), JobVerdict.LEAVE, JobVerdict.LEAVE),
        (replace(ENDED, rental_left_s=0.0), JobVerdict.LEAVE, JobVerdict.LEAVE),
        (ENDED, JobVerdict.LEAVE, JobVerdict.LEAVE),
        (replace(ENDED, power_s=1.0), JobVerdict.LEAVE, JobVerdict.LEAVE),
        (replace(ENDED, power_s=0.0), JobVerdict.POWER_OFF, JobVerdict.LEAVE),
    ],
)
def test_the_reaper_ends_what_is_overdue_and_leaves_a_living_agent_the_time_to_do_it(
    job, without_agent, beside_an_agent
):
    assert job_verdict(job, is_agent_alive=False, is_agent_lost=True) is without_agent
    assert job_verdict(job, is_agent_alive=True, is_agent_lost=False) is beside_an_agent
    # Dead, and about to be started again: what costs results or the machine waits for that.
    waits = without_agent is JobVerdict.POWER_OFF
    between = job_verdict(job, is_agent_alive=False, is_agent_lost=False)
    assert between is (JobVerdict.LEAVE if waits else without_agent)


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
        (replace(NO_AGENT, is_armed=True), AgentVerdict.LEAVE),
        (replace(NO_AGENT, is_armed=True, is_wanted=True), AgentVerdict.START),
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
        verdict = job_verdict(job, is_agent_alive=is_agent_alive, is_agent_lost=not is_agent_alive)
        if verdict in (JobVerdict.STOP, JobVerdict.KILL):
            assert is_training
            assert overdue_s >= 0
        if verdict is JobVerdict.POWER_OFF:
            assert not is_training
            assert not is_agent_alive
            assert power_s <= 0


@pytest.mark.parametrize(
    ("left_s", "save_s", "verdict"),
    [
        (121.0, 0.0, JobVerdict.LEAVE),
        (120.0, 0.0, JobVerdict.STOP),
        (500.0, 499.0, JobVerdict.LEAVE),
        (499.0, 499.0, JobVerdict.STOP),
        (120.0, 30.0, JobVerdict.STOP),
    ],
)
def test_what_trains_saves_so_long_before_the_end_of_the_rental_that_its_files_can_be_fetched(left_s, save_s, verdict):
    job = replace(TRAINING, overdue_s=None, rental_left_s=left_s, save_s=save_s, grace_s=120.0)
    assert job_verdict(job, is_agent_alive=True, is_agent_lost=False) is verdict
    assert job_verdict(replace(job, told_s=0.0), is_agent_alive=True, is_agent_lost=False) is JobVerdict.LEAVE


GONE = replace(NO_AGENT, is_wanted=True)


@pytest.mark.parametrize(
    ("agent", "is_lost"),
    [
        (GONE, False),
        (replace(GONE, gone_s=LOST_AFTER_S - 1), False),
        (replace(GONE, gone_s=LOST_AFTER_S), True),
        (replace(GONE, can_start=False), True),
        (replace(GONE, is_alive=True, gone_s=LOST_AFTER_S), False),
        (replace(GONE, is_alive=True, silent_s=HUNG_AFTER_S + 1, gone_s=0.0), False),
        (replace(GONE, is_alive=True, silent_s=HUNG_AFTER_S + 1, gone_s=LOST_AFTER_S), True),
    ],
)
def test_an_agent_is_lost_once_starting_it_was_tried_for_long_enough_or_nobody_knows_how(agent, is_lost):
    assert agent.is_lost is is_lost


@pytest.mark.parametrize(
    ("job", "needs_reaper"),
    [
        (TRAINING, True),
        (replace(TRAINING, overdue_s=None), False),
        (replace(TRAINING, overdue_s=None, power_s=60.0), True),
        (ENDED, False),
        (replace(ENDED, overdue_s=9.0), False),
        (replace(ENDED, power_s=60.0), True),
    ],
)
def test_a_reaper_stays_for_what_it_may_have_to_end_and_for_a_machine_that_it_may_have_to_power_off(job, needs_reaper):
    assert job.needs_reaper is needs_reaper


KEPT = EndedJob(is_fetched=False, has_client=False, kept_s=0.0, keep_s=60.0)


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (KEPT, ""),
        (replace(KEPT, is_fetched=True), "done"),
        (replace(KEPT, is_fetched=True, has_client=True, keep_s=None), "done"),
        (replace(KEPT, is_fetched=True, has_client=True, fetched_s=9.0, leaves_it_s=10.0), ""),
        (replace(KEPT, is_fetched=True, has_client=True, fetched_s=10.0, leaves_it_s=10.0), "done"),
        (replace(KEPT, is_fetched=True, fetched_s=0.0, leaves_it_s=10.0), "done"),
        (replace(KEPT, kept_s=60.0), "lease"),
        (replace(KEPT, kept_s=60.0, has_client=True), ""),
        (replace(KEPT, kept_s=1e9, keep_s=None), ""),
    ],
)
def test_what_comes_after_waits_for_the_files_or_for_the_lease_to_run_out(job, reason):
    assert after_end(job) == reason


@pytest.mark.parametrize(
    ("job", "holds"),
    [
        (KEPT, True),
        (replace(KEPT, kept_s=59.9), True),
        (replace(KEPT, kept_s=60.0), False),
        (replace(KEPT, kept_s=60.0, has_client=True), True),
        (replace(KEPT, is_fetched=True, has_client=True), False),
        (replace(KEPT, keep_s=None, kept_s=DEFAULT_KEEP_S - 1), True),
        (replace(KEPT, keep_s=None, kept_s=DEFAULT_KEEP_S), False),
    ],
)
def test_what_comes_after_one_job_waits_for_the_files_of_another_but_not_forever(job, holds):
    assert holds_others(job) is holds


def test_a_job_without_any_result_is_kept_forever_for_nobody():
    assert effective_keep_s(None, attempt=1) is None
    assert effective_keep_s(None, attempt=0) == DEFAULT_KEEP_S
    assert effective_keep_s(5.0, attempt=0) == 5.0


def test_files_that_nobody_brings_are_waited_for_shorter_where_something_is_to_end_after():
    assert abandoned_after_s(None, ends_something=True) == 20 * 60
    assert abandoned_after_s(None, ends_something=False) == 6 * 3600
    assert abandoned_after_s(300.0, ends_something=True) == 300
    assert abandoned_after_s(0.0, ends_something=True) == 60


def test_a_machine_that_stays_on_is_asked_again_later_and_later_and_then_no_more():
    assert power_verdict(0, 0.0) is PowerVerdict.TRY
    for num_tries in range(1, POWER_TRIES + 1):
        pause_s = POWER_CHECK_S * 2 ** (num_tries - 1)
        assert power_verdict(num_tries, pause_s - 1) is PowerVerdict.WAIT
        last = PowerVerdict.GIVE_UP if num_tries == POWER_TRIES else PowerVerdict.TRY
        assert power_verdict(num_tries, pause_s) is last


RENTED = WatchedRental(
    left_s=60.0,
    setup_left_s=None,
    lease_left_s=None,
    has_jobs=False,
    is_busy=False,
    has_unfetched=False,
    is_asked_for=False,
)


@pytest.mark.parametrize(
    ("rental", "reason"),
    [
        (RENTED, ""),
        (replace(RENTED, left_s=0.0), "deadline"),
        (replace(RENTED, left_s=-1e9, is_busy=True, has_unfetched=True, has_jobs=True), "deadline"),
        (replace(RENTED, setup_left_s=1.0), ""),
        (replace(RENTED, setup_left_s=0.0), "setup"),
        (replace(RENTED, setup_left_s=0.0, has_jobs=True), ""),
        (replace(RENTED, setup_left_s=0.0, is_busy=True), ""),
        (replace(RENTED, lease_left_s=1.0), ""),
        (replace(RENTED, lease_left_s=0.0), "lease"),
        (replace(RENTED, lease_left_s=0.0, is_busy=True), ""),
        (replace(RENTED, lease_left_s=-1e9, has_unfetched=True), ""),
        (replace(RENTED, is_asked_for=True), "done"),
        (replace(RENTED, is_asked_for=True, has_unfetched=True), "done"),
        (replace(RENTED, is_asked_for=True, is_busy=True), ""),
    ],
)
def test_a_rental_ends_at_its_deadline_and_before_it_only_where_nothing_is_lost_by_that(rental, reason):
    assert rental_verdict(rental) == reason


@given(
    left_s=st.floats(-1e6, 1e6),
    setup_left_s=st.none() | st.floats(-1e6, 1e6),
    lease_left_s=st.none() | st.floats(-1e6, 1e6),
    has_jobs=st.booleans(),
    has_unfetched=st.booleans(),
    is_asked_for=st.booleans(),
)
def test_only_the_deadline_ends_what_goes_on(**facts):
    busy = WatchedRental(is_busy=True, **facts)
    assert rental_verdict(busy) == ("deadline" if busy.left_s <= 0 else "")


def test_ending_a_rental_is_tried_forever_and_ever_less_often():
    pauses_s = [rental_pause_s(num_tries) for num_tries in range(1, 2000)]
    assert pauses_s[0] == RENTAL_PAUSE_S
    assert pauses_s == sorted(pauses_s)
    assert set(pauses_s[10:]) == {RENTAL_PAUSE_MAX_S}
