"""What a rental is said to have cost, whatever its machine says: what is known here, and marked where it is guessed."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loratui.domain.base_kinds import LARGEST_MODEL_BYTES
from loratui.domain.ledger import Phase
from loratui.domain.rental import RentalState
from loratui.domain.run import RunView
from loratui.sessions.reckoning import Reckoning, travelled_for
from loratui.store import Store, StoredRun
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.codec import decode_record, encode_record
from loratui_protocol.messages import Event, JobState, Record, Setup, State
from tui.store.test_rentals import OFFER

RUN = "r"
LABEL = "loratui-one"


@dataclass
class Reckoned:
    store: Store
    ledger: Rentals
    reckoning: Reckoning
    view: RunView

    def rent(self, model_bytes: int | None) -> StoredRental:
        """Remember a rental that began an hour ago, at $0.36 and $0.02 a gigabyte both ways."""
        offer = replace(OFFER, sent_microusd_per_gb=20_000, received_microusd_per_gb=20_000)
        rental = StoredRental(
            label=LABEL,
            provider="vast",
            account_id="1",
            offer=offer,
            public_key="",
            price_microusd_per_h=360_000,
            created_ts=time.time() - 3600.0,
            model_bytes=model_bytes,
        )
        self.ledger.intend(rental)
        self.ledger.enter(LABEL, Phase.SETTING_UP, rental.created_ts, 360_000)
        self.ledger.note(LABEL, state=RentalState.READY)
        return self.ledger.rental(LABEL)

    def hear(self, event: Event, ts: float = 0.0) -> None:
        """Take in what a machine says, as it comes over the wire."""
        self.view.apply(decode_record(encode_record(Record(seq=self.view.last_seq + 1, ts=ts, event=event))))

    def traffic(self, rental: StoredRental) -> int:
        return self.reckoning.spent(rental, {RUN: self.view}).traffic_microusd


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Reckoned]:
    path = tmp_path / "loratui.sqlite3"
    with Store(path) as store, Rentals(path) as ledger:
        run = StoredRun(id=RUN, name="n", target="vast:x", created_ts=1.0, config_toml="", home=Path("/home"))
        store.add_run(run)
        view = RunView(run_id=RUN, name="n", target="vast:x")
        yield Reckoned(store, ledger, Reckoning(ledger, store), view)


def downloaded(done: int) -> Setup:
    return Setup(phase="base_model", done=done, total=done, unit="bytes")


def test_a_base_model_counts_as_far_as_it_was_weighed_before(it: Reckoned) -> None:
    rental = it.rent(model_bytes=4_000_000_000)
    it.hear(downloaded(1_000_000_000))
    assert it.traffic(rental) == 20_000
    it.hear(downloaded(1 << 53))
    assert it.traffic(rental) == 80_000
    assert it.reckoning.cost(rental, {RUN: it.view}).is_exact


def test_a_base_model_that_nobody_could_weigh_counts_as_the_largest_and_what_is_spent_is_marked(it: Reckoned) -> None:
    rental = it.rent(model_bytes=None)
    assert it.reckoning.cost(rental, {RUN: it.view}).is_exact
    it.hear(downloaded(1 << 53))
    assert it.traffic(rental) == LARGEST_MODEL_BYTES * 20_000 // 10**9
    cost = it.reckoning.cost(rental, {RUN: it.view})
    assert not cost.is_exact
    it.view.rental = replace(cost, heard_s=cost.at_s)
    assert not it.view.spent(cost.at_s).exact


def test_a_machine_that_downloads_no_model_can_say_nothing_of_one(it: Reckoned) -> None:
    rental = it.rent(model_bytes=0)
    it.hear(downloaded(1 << 53))
    assert it.traffic(rental) == 0


def test_saved_states_are_traffic_that_is_spent_and_told_apart(it: Reckoned) -> None:
    rental = it.rent(model_bytes=0)
    it.store.add_state_bytes(RUN, 920_000_000)
    it.store.add_state_bytes(RUN, 80_000_000)
    cost = it.reckoning.cost(rental, {RUN: it.view})
    assert (cost.traffic_microusd, cost.states_microusd, cost.sent_microusd_per_gb) == (20_000, 20_000, 20_000)
    assert cost.spent_microusd == cost.time_microusd + 20_000
    travelled = it.reckoning.travelled(rental, {RUN: it.view})
    assert (travelled.sent, travelled.states) == (10**9, 10**9)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(said=st.lists(st.integers(0, 1 << 53), max_size=4), weighed=st.none() | st.integers(0, 10**11))
def test_no_word_of_a_machine_makes_a_base_model_larger_than_was_known(
    it: Reckoned, said: list[int], weighed: int | None
) -> None:
    rental = replace(it.ledger.rentals()[0] if it.ledger.rentals() else it.rent(None), model_bytes=weighed)
    for done in said:
        it.hear(downloaded(done))
    received = it.reckoning.travelled(rental, {RUN: it.view}).received
    assert 0 <= received <= (LARGEST_MODEL_BYTES if weighed is None else weighed)


def test_whoever_follows_no_run_counts_what_was_written_down_of_it(it: Reckoned) -> None:
    rental = it.rent(model_bytes=4_000_000_000)
    it.ledger.note_run(LABEL, RUN)
    it.store.add_state_bytes(RUN, 10**9)
    it.store.begin_history(RUN, "epoch", reset=True)
    preparing, running = State(state=JobState.PREPARING), State(state=JobState.RUNNING)
    events: list[Event] = [preparing, downloaded(4_000_000_000)]
    it.store.append(RUN, "epoch", [Record(seq=n, ts=1.0, event=each) for n, each in enumerate(events, 1)])
    found = travelled_for(it.ledger.rental(rental.label), it.ledger, it.store)
    assert (found.sent, found.received) == (10**9, 4_000_000_000)
    assert not found.is_exact, "nobody wrote down how far the upload had come"
    it.store.append(RUN, "epoch", [Record(seq=3, ts=2.0, event=running)])
    assert travelled_for(it.ledger.rental(rental.label), it.ledger, it.store).is_exact


def test_a_rental_without_runs_has_no_traffic_that_is_known(it: Reckoned) -> None:
    rental = it.rent(model_bytes=None)
    it.ledger.note_run(LABEL, "never-stored")
    found = travelled_for(it.ledger.rental(rental.label), it.ledger, it.store)
    assert (found.sent, found.received, found.is_exact) == (0, 0, True)


def test_what_a_machine_downloads_to_judge_with_counts_too(it: Reckoned) -> None:
    rental = it.rent(model_bytes=4_000_000_000)
    it.hear(downloaded(1_000_000_000))
    it.hear(Setup(phase="dino_model", done=500_000_000, total=500_000_000, unit="bytes"))
    it.hear(Setup(phase="clip_model", done=500_000_000, total=500_000_000, unit="bytes"))
    assert it.traffic(rental) == 40_000
