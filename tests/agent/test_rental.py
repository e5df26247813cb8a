"""What is known of a rental: kept for this user's eyes, and a deadline that nothing moves but a new arming."""

import json
import stat
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui_agent.arm import arm
from loratui_agent.clock import Moment
from loratui_agent.rental import (
    FACTS,
    WATCH,
    Armed,
    Rental,
    Watch,
    armed_as,
    elapsed_s,
    problem,
    read_rental,
    read_watch,
    shown,
    write_private,
)
from loratui_protocol.errors import AgentUnreachableError, LoratuiError, StorageError, UsageError
from loratui_protocol.paths import AgentHome

START = Moment(wall_ts=1e9, boot_s=5000.0, boot="a")
RENTAL = Rental(
    provider="vast",
    url="https://console.vast.ai",
    instance_id="12345678",
    key="secret-of-this-machine",
    nonce="0123456789abcdef",
    armed=START,
    deadline_s=3600.0,
    lease_s=900.0,
    setup_s=1800.0,
)


def later(seconds: float, *, wall_jump_s: float = 0.0) -> Moment:
    return Moment(wall_ts=START.wall_ts + seconds + wall_jump_s, boot_s=START.boot_s + seconds, boot="a")


def watched(seconds: float) -> Watch:
    return Watch(nonce=RENTAL.nonce, elapsed_s=seconds, counted=later(seconds), seen=later(seconds))


@given(seconds=st.floats(0, 1e6), jump=st.floats(-1e8, 1e8))
def test_clock_that_is_set_moves_no_deadline(seconds, jump):
    assert elapsed_s(RENTAL, None, later(seconds, wall_jump_s=jump)) == pytest.approx(seconds)
    assert elapsed_s(RENTAL, watched(seconds / 2), later(seconds, wall_jump_s=jump)) == pytest.approx(seconds)


@given(off_s=st.floats(0, 1e5), jump=st.floats(-1e8, 0))
def test_restart_of_the_machine_with_a_clock_that_was_set_back_gives_no_time_back(off_s, jump):
    again = Moment(wall_ts=START.wall_ts + 600 + off_s + jump, boot_s=20.0, boot="b")
    assert elapsed_s(RENTAL, watched(600), again) >= 620
    right = Moment(wall_ts=START.wall_ts + 600 + off_s + 20, boot_s=20.0, boot="b")
    assert elapsed_s(RENTAL, watched(600), right) == pytest.approx(620 + off_s)
    assert elapsed_s(RENTAL, None, right) == pytest.approx(620 + off_s)


def test_what_was_seen_of_an_earlier_arming_does_not_count():
    assert elapsed_s(RENTAL, replace(watched(600), nonce="another"), later(10)) == 10


def test_facts_come_back_as_they_were_and_nobody_else_reads_them(tmp_path):
    write_private(tmp_path / FACTS, RENTAL)
    write_private(tmp_path / WATCH, watched(5))
    assert read_rental(tmp_path) == RENTAL
    assert read_watch(tmp_path) == watched(5)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (FACTS, WATCH)] == [0o600, 0o600]
    assert {path.name for path in tmp_path.iterdir()} == {FACTS, WATCH}


@pytest.mark.parametrize("moment", [{}, {"wall_ts": "now"}, {"boot_s": None}, {"boot": 3}, {"wall_ts": 10**400}])
def test_moment_that_can_not_be_counted_with_is_damage(tmp_path, moment):
    changed = {**asdict(START), **moment} if moment else {}
    (tmp_path / FACTS).write_text(json.dumps({**asdict(RENTAL), "armed": changed}))
    (tmp_path / WATCH).write_text(json.dumps({**asdict(watched(5)), "seen": changed}))
    assert (read_rental(tmp_path), read_watch(tmp_path)) == (None, None)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"armed": 3}', '{"armed": {"wall_ts": 1}}'])
def test_damaged_facts_are_none(tmp_path, content):
    (tmp_path / FACTS).write_text(content)
    (tmp_path / WATCH).write_text(content)
    assert (read_rental(tmp_path), read_watch(tmp_path)) == (None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"provider": "lambda"},
        {"instance_id": "1/../2"},
        {"instance_id": "1\n"},
        {"key": "two words"},
        {"key": "line\r\nX: y"},
        {"deadline_s": 0},
        {"deadline_s": float("nan")},
        {"deadline_s": "3600"},
        {"deadline_s": None},
        {"deadline_s": True},
        {"deadline_s": 10**400},
        {"lease_s": -1},
        {"setup_s": float("inf")},
        {"url": "http://console.vast.ai"},
        {"url": "http://127.0.0.1:1"},
        {"url": "https://me:password@console.vast.ai"},
        {"url": "https://console.vast.ai/?api_key=x"},
        {"url": "https://console.vast.ai:port"},
        {"url": "file:///etc/passwd"},
        {"url": 5},
        {"provider": "runpod", "graphql_url": ""},
    ],
    ids=str,
)
def test_what_can_not_be_asked_with_a_key_is_no_rental(changes):
    assert problem(RENTAL) == ""
    assert problem(replace(RENTAL, **changes))


def test_loopback_is_asked_where_that_is_allowed_and_nothing_else_is(monkeypatch):
    monkeypatch.setenv("LORATUI_ALLOW_LOOPBACK", "1")
    assert problem(replace(RENTAL, url="http://127.0.0.1:1")) == ""
    assert problem(replace(RENTAL, url="http://console.vast.ai"))


def test_what_is_shown_says_what_can_be_ended_and_never_the_key(tmp_path):
    assert shown(tmp_path, START) == {"armed": "none"}
    write_private(tmp_path / FACTS, RENTAL)
    assert shown(tmp_path, later(600))["is_watched"] is False
    seen = replace(watched(600), reason="deadline", num_tries=3, complaint=f"HTTP 401: {RENTAL.key}")
    write_private(tmp_path / WATCH, seen)
    told = shown(tmp_path, later(600))
    assert (told["armed"], told["deadline_left_s"], told["ending"], told["num_tries"]) == ("end", 3000.0, "deadline", 3)
    assert RENTAL.key not in json.dumps(told)
    assert RENTAL.key not in repr(RENTAL)
    assert armed_as(replace(RENTAL, key="")) is Armed.STOP
    assert armed_as(replace(RENTAL, instance_id="")) is Armed.STOP


ASKED = {"provider": "vast", "instance_id": "1", "key": "k", "deadline_s": 60}


def arm_unwatched(home: AgentHome, asked: object, **options) -> LoratuiError:
    text = asked if isinstance(asked, str) else json.dumps(asked)
    with pytest.raises(LoratuiError) as caught:
        arm(home, text, places=[], start_script_deadline=home.path / "deadline", timeout_s=0.1, **options)
    return caught.value


def test_nobody_is_told_that_it_is_armed_where_no_reaper_watches(tmp_path):
    home = AgentHome(tmp_path)
    home.run.mkdir()
    error = arm_unwatched(home, ASKED)
    assert isinstance(error, AgentUnreachableError)
    assert error.code == "rental.reaper"
    assert read_rental(home.run).url == "https://console.vast.ai"


@pytest.mark.parametrize(
    "asked", ["", "[]", "{}", "[" * 100_000, {**ASKED, "provider": "gpuflow"}, {**ASKED, "key": 5}, {"provider": []}]
)
def test_what_makes_no_sense_leaves_armed_what_was_armed(tmp_path, asked):
    home = AgentHome(tmp_path)
    home.run.mkdir()
    write_private(home.run / FACTS, RENTAL)
    error = arm_unwatched(home, asked)
    assert isinstance(error, UsageError)
    assert error.code == "rental.form"
    assert read_rental(home.run) == RENTAL


def test_home_that_is_not_there_is_an_error(tmp_path):
    assert isinstance(arm_unwatched(AgentHome(tmp_path / "nowhere"), ASKED), StorageError)


def test_id_and_key_that_are_left_out_stay_or_are_found_on_the_machine(tmp_path):
    home = AgentHome(tmp_path)
    home.run.mkdir()
    write_private(home.run / FACTS, RENTAL)
    arm_unwatched(home, {"provider": "vast", "deadline_s": 7200})
    extended = read_rental(home.run)
    assert (extended.instance_id, extended.key, extended.deadline_s) == (RENTAL.instance_id, RENTAL.key, 7200)
    assert (extended.lease_s, extended.setup_s) == (None, None)
    # A key belongs to one machine.
    arm_unwatched(home, {"provider": "vast", "instance_id": "2", "deadline_s": 7200})
    assert read_rental(home.run).key == ""
    place = tmp_path / "environment"
    place.write_text("RUNPOD_POD_ID=pod1\nRUNPOD_API_KEY=rpa_1\n")
    with pytest.raises(AgentUnreachableError):
        arm(home, '{"provider": "runpod", "deadline_s": 60}', places=[place], timeout_s=0.1)
    found = read_rental(home.run)
    assert (found.instance_id, found.key, found.graphql_url) == ("pod1", "rpa_1", "https://api.runpod.io/graphql")


def test_start_script_that_is_there_hears_of_the_new_deadline(tmp_path):
    home = AgentHome(tmp_path)
    home.run.mkdir()
    arm_unwatched(home, ASKED)
    deadline = home.path / "deadline"
    assert not deadline.exists()
    deadline.write_text("1000\n")
    arm_unwatched(home, {**ASKED, "deadline_s": 86_400})
    assert int(deadline.read_text()) == pytest.approx(read_rental(home.run).armed.wall_ts + 86_400, abs=2)


def test_file_of_an_earlier_version_is_none(tmp_path):
    stored = asdict(RENTAL)
    del stored["instance_id"]
    (tmp_path / FACTS).write_text(json.dumps(stored))
    assert read_rental(tmp_path) is None
