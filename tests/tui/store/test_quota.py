from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui.store import Store, StoredRun
from loratui_protocol.errors import ProtocolError
from loratui_protocol.messages import Log, Record, Setup

RUN = StoredRun(id="r", name="n", target="local", created_ts=1.0, config_toml="", home=Path("/h"))
MAX_BYTES = 200_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "s.sqlite3", MAX_BYTES) as opened:
        opened.add_run(RUN)
        opened.begin_history("r", "epoch", reset=False)
        yield opened


def logs(first: int, last: int) -> list[Record]:
    return [
        Record(seq=seq, ts=1.0, event=Log(level="INFO", line=f"{seq} {'x' * 90}")) for seq in range(first, last + 1)
    ]


def setups(first: int, last: int) -> list[Record]:
    return [Record(seq=seq, ts=1.0, event=Setup(phase="x" * 90)) for seq in range(first, last + 1)]


def flood(store: Store) -> None:
    for first in range(501, 20_000, 500):
        store.append("r", "epoch", setups(first, first + 499))


def test_oldest_log_lines_go_when_a_run_says_too_much_and_the_newest_stay(store: Store) -> None:
    store.append("r", "epoch", setups(1, 5))
    for first in range(6, 20_006, 500):
        store.append("r", "epoch", logs(first, first + 499))
    kept = list(store.records("r"))
    assert [record.seq for record in kept[:5]] == [1, 2, 3, 4, 5]
    assert kept[-1].seq == 20_005
    assert store.run("r").head == 20_005
    assert 10 < len(kept) < 3_000


def test_run_that_floods_with_what_is_no_log_is_stored_no_further(store: Store) -> None:
    store.append("r", "epoch", setups(1, 500))
    with pytest.raises(ProtocolError, match=r"agent\.flood"):
        flood(store)
    head = store.run("r").head
    assert [record.seq for record in store.records("r")] == list(range(1, head + 1))
    store.begin_history("r", "other", reset=True)
    store.append("r", "other", logs(1, 10))
    assert store.run("r").head == 10


def test_two_processes_that_store_the_same_lose_nothing_early(store: Store, tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite3", MAX_BYTES) as other:
        for first in range(1, 1_001, 100):
            store.append("r", "epoch", logs(first, first + 99))
            other.append("r", "epoch", logs(first, first + 99))
    assert len(list(store.records("r"))) == 1_000


def test_host_that_floods_does_not_have_everything_read_again_for_each_batch(store: Store) -> None:
    store.append("r", "epoch", setups(1, 500))
    with pytest.raises(ProtocolError, match=r"agent\.flood"):
        flood(store)
    head, instructions = store.run("r").head, 0

    def count() -> None:
        nonlocal instructions
        instructions += 10

    store._database.set_progress_handler(count, 10)
    with pytest.raises(ProtocolError, match=r"agent\.flood"):
        store.append("r", "epoch", setups(head + 1, head + 500))
    # Storing them takes 90 each; reading what is stored took 20 more for each record that was there.
    assert instructions < 100 * 500
