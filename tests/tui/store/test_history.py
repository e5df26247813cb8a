"""Single things of stored histories, found without reading all of them."""

from pathlib import Path

import pytest

from loratui.store import Store, StoredRun
from loratui.store.history import Glance, glances, losses
from loratui_protocol.messages import Done, Event, JobState, Log, Record, State, Step

DONE = Done(artifact_id="lora", name="a.safetensors", size=1, sha256="0" * 64, steps=2)


def step(number: int, loss: float) -> Step:
    return Step(step=number, total=9, epoch=1, loss=loss, lr=1e-4, it_s=1.0, eta_s=0.0)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "loratui.sqlite"


def keep(database: Path, run_id: str, *events: Event) -> StoredRun:
    with Store(database) as store:
        store.add_run(StoredRun(id=run_id, name=run_id, target="local", created_ts=0, config_toml="", home=Path()))
        store.begin_history(run_id, "epoch", reset=False)
        records = [Record(seq=seq, ts=100.0 + seq, event=event) for seq, event in enumerate(events, 1)]
        store.append(run_id, "epoch", records)
        return store.run(run_id)


def test_the_losses_are_those_of_the_history_that_counts(database: Path) -> None:
    """What only looks like a step, and what was trained again after a crash, do not."""
    keep(database, "one", step(1, 0.5), Log(level="INFO", line="\u00a1t\u00a4step"), step(2, 0.4), step(2, 0.3))
    keep(database, "other", step(1, 9.0))

    assert (losses(database, "one").steps, losses(database, "one").values) == ([1, 2], [0.5, 0.3])
    assert not losses(database, "unknown")


def test_a_run_that_goes_on_tells_when_it_was_heard(database: Path) -> None:
    runs = [keep(database, "never"), keep(database, "one", State(state=JobState.RUNNING), step(1, 0.5))]

    assert glances(database, runs) == {"never": Glance(), "one": Glance(heard_ts=102.0)}


def test_a_run_that_is_done_lacks_its_lora_until_it_was_fetched(database: Path) -> None:
    run = keep(database, "one", step(1, 0.5), DONE, State(state=JobState.DONE))
    stopped = keep(database, "stopped", step(1, 0.5), State(state=JobState.STOPPED))
    assert glances(database, [run, stopped]) == {"one": Glance(is_lacking=True)}

    with Store(database) as store:
        store.add_download("one", "lora", Path("/a"), "0" * 64)
    assert glances(database, [run]) == {"one": Glance()}
