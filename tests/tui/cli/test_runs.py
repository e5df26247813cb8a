"""Which run a command means."""

from pathlib import Path

import pytest

from loratui.cli.runs import choose
from loratui.store import StoredRun
from loratui_protocol.errors import UsageError
from loratui_protocol.messages import JobState


def run(run_id: str, name: str = "cat", state: JobState = JobState.DONE) -> StoredRun:
    return StoredRun(
        id=run_id, name=name, target="local", created_ts=0.0, config_toml="", home=Path("home"), state=state
    )


NEWEST, MIDDLE, OLDEST = run("01JC", "cat"), run("01JB", "dog"), run("01JA", "cat")
RUNS = [NEWEST, MIDDLE, OLDEST]


def test_without_a_name_the_newest_is_meant():
    assert choose(RUNS, None) is NEWEST


def test_without_a_name_the_only_active_one_goes_before_newer_ones():
    active = run("01J9", state=JobState.PAUSED)
    assert choose([*RUNS, active], None) is active


def test_of_several_active_ones_the_newest_run_is_meant():
    assert choose([NEWEST, run("01J9", state=JobState.RUNNING), run("01J8", state=JobState.QUEUED)], None) is NEWEST


def test_a_name_means_the_newest_run_of_it():
    assert choose(RUNS, "cat") is NEWEST


def test_the_beginning_of_an_id_is_enough_in_either_case():
    assert choose(RUNS, "01jb") is MIDDLE


def test_a_name_goes_before_the_beginning_of_an_id():
    named = run("02AA", "01JB")
    assert choose([named, *RUNS], "01JB") is named


@pytest.mark.parametrize(
    ("runs", "meant", "code"),
    [([], None, "run.none"), ([], "cat", "run.none"), (RUNS, "01J", "run.ambiguous"), (RUNS, "bird", "run.unknown")],
)
def test_what_means_no_single_run_is_refused(runs, meant, code):
    with pytest.raises(UsageError) as refused:
        choose(runs, meant)
    assert refused.value.code == code
    assert refused.value.fix
