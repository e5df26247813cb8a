"""A stored history that is folded in at once is the one that was folded in record by record."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loratui.domain.run import RunView
from loratui.sessions.recalled import fold_stored
from loratui.store import Store, StoredRun
from loratui.store.record_tags import step_numbers
from loratui_protocol.codec import encode_record
from loratui_protocol.errors import ProtocolError
from loratui_protocol.messages import Event, JobState, Log, Record, Setup, State, Step

RUN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
_numbers = st.sampled_from([0.5, 0.25, 0.125, float("nan"), float("inf"), float("-inf")])
_steps = st.builds(
    Step,
    step=st.integers(0, 6),
    total=st.just(9),
    epoch=st.integers(1, 3),
    loss=_numbers,
    lr=_numbers,
    it_s=_numbers,
    eta_s=st.just(1.0),
    grad_norm=st.none() | _numbers,
)
_others = st.sampled_from(
    [
        State(state=JobState.RESUMING),
        State(state=JobState.RUNNING),
        Setup(phase="sample", done=1, total=4),
        Log(level="INFO", line="t step"),
    ]
)
# Mostly steps in a row, as a training makes them.
_events = st.lists(_steps | _steps | _steps | _others, max_size=30)


def stored(folder: str, records: Sequence[Record]) -> Store:
    store = Store(Path(folder) / "runs.sqlite3")
    store.add_run(StoredRun(id=RUN, name="x", target="local", created_ts=1.0, config_toml="", home=Path(folder)))
    store.begin_history(RUN, "epoch", reset=True)
    store.append(RUN, "epoch", records)
    return store


def empty() -> RunView:
    return RunView(run_id=RUN, name="x", target="local")


@settings(max_examples=60)
@given(_events)
def test_it_is_the_same_whatever_is_in_it(events: list[Event]) -> None:
    records = [Record(seq=seq, ts=float(seq), event=event) for seq, event in enumerate(events, start=1)]
    one_by_one, at_once = empty(), empty()
    for record in records:
        one_by_one.apply(record)
    with tempfile.TemporaryDirectory() as folder, stored(folder, records) as store:
        fold_stored(at_once, store)

    assert repr(at_once) == repr(one_by_one)


@pytest.mark.parametrize(
    ("field", "value"), [("loss", "low"), ("step", -1), ("step", 2**63), ("epoch", None), ("it_s", b"1"), ("t", 7)]
)
def test_numbers_that_are_none_are_left_to_be_refused(field: str, value: object, tmp_path: Path) -> None:
    step = Step(step=1, total=9, epoch=1, loss=0.5, lr=1e-4, it_s=1.0, eta_s=1.0)
    record = Record(seq=1, ts=1.0, event=step)
    with stored(str(tmp_path), [record]) as store:
        fields = msgpack.unpackb(encode_record(record))
        fields["event"][field] = value
        broken = msgpack.packb(fields)
        assert step_numbers(broken) is None
        store._database.execute("UPDATE records SET record = ?", (broken,))
        with pytest.raises(ProtocolError):
            fold_stored(empty(), store)
