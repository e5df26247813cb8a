import multiprocessing
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.store import Store, StoredRun
from loratui.store.database import _MIGRATIONS
from loratui_protocol.errors import StorageError
from loratui_protocol.messages import Artifact, ArtifactKind, Cost, Event, JobState, Log, Record, State, Step


def stored_run(run_id: str = "r1", created_ts: float = 1.0) -> StoredRun:
    return StoredRun(
        id=run_id,
        name="n",
        target="local",
        created_ts=created_ts,
        config_toml='a = "b"',
        home=Path("/h"),
        price_microusd_per_h=5,
        max_runtime_s=60.0,
        evaluate_concept="c",
    )


def records(first: int, last: int) -> list[Record]:
    return [Record(seq=seq, ts=float(seq), event=Log(level="INFO", line="x" * 50)) for seq in range(first, last + 1)]


def step(number: int) -> Event:
    return Step(step=number, total=9, epoch=1, loss=0.5, lr=1e-4, it_s=2.0, eta_s=1.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "loratui.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path) as opened:
        opened.add_run(stored_run())
        opened.begin_history("r1", "e1", reset=False)
        yield opened


def seqs(store: Store, after_seq: int = 0) -> list[int]:
    return [record.seq for record in store.records("r1", after_seq)]


def test_run_is_remembered_as_it_was_asked_for(store: Store, path: Path) -> None:
    store.add_run(stored_run("r2", created_ts=2.0))
    store.add_run(stored_run("r2", created_ts=9.0))
    with Store(path) as again:
        assert [run.id for run in again.runs()] == ["r2", "r1"]
        assert again.run("r2") == stored_run("r2", created_ts=2.0)


def test_runs_are_found_by_the_gpu_that_they_trained_on_newest_first(store: Store) -> None:
    store.add_run(replace(stored_run("r2", created_ts=2.0), gpu="RTX 4090"))
    store.add_run(stored_run("r3", created_ts=3.0))
    store.add_run(replace(stored_run("never started", created_ts=4.0), gpu="RTX 4090"))
    for run_id in ("r1", "r2", "r3"):
        store.begin_history(run_id, "e1", reset=False)
        store.append(run_id, "e1", [Record(seq=1, ts=1.0, event=step(1))])
    store.note_gpu("r2", "NVIDIA GeForce RTX 4090")
    store.note_gpu("r3", "NVIDIA GeForce RTX 3060")
    assert [(run.id, run.gpu) for run in store.runs_on_gpus()] == [
        ("r3", "NVIDIA GeForce RTX 3060"),
        ("r2", "RTX 4090"),
    ]


def test_the_line_is_as_fast_as_the_newest_run_that_measured_it_says(store: Store) -> None:
    store.add_run(stored_run("r2", created_ts=2.0))
    store.add_run(stored_run("r3", created_ts=3.0))
    assert store.downlink_bytes_per_s() is None
    store.note_downlink("r2", 2e6)
    store.note_downlink("r1", 1e6)
    assert store.downlink_bytes_per_s() == 2e6


def test_unknown_run_is_an_error(store: Store) -> None:
    for ask in (lambda: store.run("nobody"), lambda: store.append("nobody", "e", records(1, 1))):
        with pytest.raises(StorageError, match=r"store\.unknown_run"):
            ask()


def test_forgotten_run_takes_everything_of_it_along(store: Store) -> None:
    store.append("r1", "e1", records(1, 3))
    store.forget_run("r1")
    assert (store.runs(), seqs(store)) == ([], [])


def test_records_come_back_in_order_and_once(store: Store) -> None:
    store.append("r1", "e1", records(1, 5))
    store.append("r1", "e1", records(3, 8))
    assert seqs(store) == list(range(1, 9))
    assert seqs(store, 6) == [7, 8]
    assert next(iter(store.records("r1"))) == records(1, 1)[0]
    assert (store.run("r1").epoch, store.run("r1").head) == ("e1", 8)


def test_runs_row_says_how_far_it_is(store: Store) -> None:
    events = [
        State(state=JobState.RUNNING),
        step(3),
        Cost(spent_microusd=7, price_microusd_per_h=5, deadline_s=None),
        step(4),
        State(state=JobState.DONE),
    ]
    store.append("r1", "e1", [Record(seq=i, ts=10.0 + i, event=event) for i, event in enumerate(events, 1)])
    run = store.run("r1")
    assert (run.state, run.step, run.total, run.spent_microusd, run.ended_ts) == (JobState.DONE, 4, 9, 7, 15.0)
    assert store.costs("r1") == [(13.0, 7)]


def test_history_of_another_journal_is_dropped_and_its_late_records_refused(store: Store) -> None:
    store.append("r1", "e1", records(1, 5))
    store.begin_history("r1", "e1", reset=False)
    assert len(seqs(store)) == 5
    store.begin_history("r1", "e2", reset=False)
    assert (seqs(store), store.run("r1").head) == ([], 0)
    with pytest.raises(StorageError, match=r"store\.other_history"):
        store.append("r1", "e1", records(6, 7))


def test_reset_drops_a_copy_that_is_longer_than_the_journal(store: Store) -> None:
    store.append("r1", "e1", records(1, 5))
    store.begin_history("r1", "e1", reset=True)
    assert seqs(store) == []


def test_downloads_are_remembered(store: Store, tmp_path: Path) -> None:
    store.add_download("r1", "a", tmp_path / "a.png", "00")
    store.add_download("r1", "b", tmp_path / "b.png", "11")
    store.note_export("r1", "a", tmp_path / "out" / "a.png")
    store.note_acknowledged("r1", ["a"])
    downloads = store.downloads("r1")
    assert (downloads["a"].path, downloads["a"].exported) == (tmp_path / "a.png", tmp_path / "out" / "a.png")
    assert (downloads["a"].acknowledged, downloads["b"].acknowledged) == (True, False)


def picture(artifact_id: str, sha256: str = "1", size: int = 10) -> Artifact:
    return Artifact(id=artifact_id, kind=ArtifactKind.SAMPLE, name="x", size=size, sha256=sha256)


def test_file_keeps_its_name_and_no_other_file_gets_it(store: Store) -> None:
    first = store.begin_file("r1", picture("a"), "x.png")
    assert first is not None
    assert first.name == "x.png"
    assert store.begin_file("r1", picture("b"), "X.PNG") is None
    again = store.begin_file("r1", picture("a", "2"), "y.png")
    assert again is not None
    assert again.name == "x.png"
    assert {artifact_id: file.name for artifact_id, file in store.files("r1").items()} == {"a": "x.png"}


def test_every_version_that_was_begun_counts_once_and_for_ever(store: Store) -> None:
    for sha256, size in (("1", 10), ("1", 10), ("2", 20), ("1", 10), ("3", 2**53), ("4", -1)):
        store.begin_file("r1", picture("a", sha256, size), "x.png")
    file = store.files("r1")["a"]
    assert (file.num_versions, file.num_bytes) == (5, 40 + 2**53)
    assert file.is_for(picture("a", "4", -1))


def test_files_that_were_fetched_by_an_earlier_version_keep_their_names(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        for statement in ";".join(_MIGRATIONS[:2]).split(";"):
            database.execute(statement)
        database.execute(
            "INSERT INTO runs (id, name, target, created_ts, config_toml, home, price_microusd_per_h, evaluate_concept)"
            " VALUES ('r1', 'n', 'local', 1, '', '/h', 0, '')"
        )
        places = ("/state/x/style.safetensors", "C:\\state\\x\\b.png", "/elsewhere/x/STYLE.safetensors")
        rows = [(f"a{number}", place) for number, place in enumerate(places)]
        database.executemany("INSERT INTO downloads (run, artifact_id, path, sha256) VALUES (1, ?, ?, '0')", rows)
        database.execute("INSERT INTO records (run, seq, ts, record) VALUES (1, 1, 1.0, x'0102')")
        database.execute("PRAGMA user_version = 2")
    database.close()
    with Store(path) as store:
        names = {artifact_id: file.name for artifact_id, file in store.files("r1").items()}
        assert names == {"a0": "style.safetensors", "a1": "b.png"}
        assert store._rows("SELECT stored_bytes FROM runs") == [(2,)]
        assert set(store.downloads("r1")) == {"a0", "a1", "a2"}


def test_damaged_file_is_named_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 500)
    with pytest.raises(StorageError, match=r"store\.damaged"):
        Store(path)
    assert path.read_bytes() == b"this is no database" * 500


def test_damage_further_in_is_found_when_it_is_read(store: Store, path: Path) -> None:
    store.append("r1", "e1", records(1, 2000))
    store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"store\.damaged"), Store(path) as damaged:
        list(damaged.records("r1"))


def test_file_of_a_newer_version_is_not_touched(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StorageError, match=r"store\.newer"):
        Store(path)


def test_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"store\.unusable"):
        Store(tmp_path / "file" / "x.sqlite3")


def test_full_disk_is_called_by_its_name_and_loses_nothing_stored(store: Store) -> None:
    store.append("r1", "e1", records(1, 100))
    store._database.execute("PRAGMA max_page_count = 30")
    with pytest.raises(StorageError, match=r"disk\.full"):
        store.append("r1", "e1", records(101, 5000))
    assert len(seqs(store)) == 100


def test_several_threads_may_write_at_once(store: Store, path: Path) -> None:
    def write(start: int) -> None:
        with Store(path) as mine:
            for first in range(1, 200, 10):
                mine.append("r1", "e1", records(first, first + 9 + start))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seqs(store) == list(range(1, 203))


def _write_until_killed(path: Path, told: "multiprocessing.connection.Connection[int, int]") -> None:
    with Store(path) as store:
        first = 1
        while True:
            store.append("r1", "e1", records(first, first + 9))
            first += 10
            told.send(first - 1)


@pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")
def test_kill_at_any_time_loses_nothing_that_was_stored(store: Store, path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    told, tell = context.Pipe(duplex=False)
    writer = context.Process(target=_write_until_killed, args=(path, tell))
    writer.start()
    tell.close()
    stored = 0
    while stored < 200:
        stored = told.recv()
    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    while True:
        try:
            stored = told.recv()
        except EOFError:
            break
    kept = seqs(store)
    assert kept == list(range(1, len(kept) + 1))
    assert len(kept) >= stored
    assert len(kept) % 10 == 0
