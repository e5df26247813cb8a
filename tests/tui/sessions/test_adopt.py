"""Taking up the runs of a host: whatever it says of them, they are remembered as something that can be worked with."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui.sessions.adopt import RunsThere, adopt
from loratui.store import Store, StoredRun
from loratui_protocol.ids import new_id
from loratui_protocol.messages import JobState, JobStatus


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "s.sqlite3") as opened:
        yield opened


def adopted(store: Store, name: str = "cat", created_ts: float = 7.0) -> StoredRun:
    job = JobStatus(job=new_id(), name=name, state=JobState.RUNNING, created_ts=created_ts)
    [run_id] = adopt(store, "ssh://root@host", RunsThere(home="/root/.loratui", jobs=(job,)))
    return store.run(run_id)


def test_run_of_a_host_is_remembered_as_it_says(store: Store) -> None:
    run = adopted(store)
    assert (run.name, run.target, run.created_ts, run.is_ours) == ("cat", "ssh://root@host", 7.0, False)


@pytest.mark.parametrize("name", ["/victim/docs/pwn", "..", "--on\nssh://x", ".hidden", "x" * 5_000, "", "\n\t"])
def test_its_name_is_one_short_line_that_is_no_path_and_no_option(store: Store, name: str) -> None:
    known = adopted(store, name).name
    assert 0 < len(known) <= 100
    assert not set(known) & set("/\\\n\t")
    assert known[0] not in "-. "


@pytest.mark.parametrize("created_ts", [math.nan, math.inf, 1e18, -1e18])
def test_no_run_began_in_the_future_or_at_no_time(store: Store, created_ts: float) -> None:
    assert 0 <= adopted(store, created_ts=created_ts).created_ts <= time.time()


def test_host_that_claims_a_run_of_another_does_not_get_it(store: Store) -> None:
    run = adopted(store)
    jobs = (JobStatus(job=run.id, name="mine", state=JobState.RUNNING),)
    assert adopt(store, "ssh://root@evil", RunsThere(home="/", jobs=jobs)) == []
    assert store.run(run.id) == run
