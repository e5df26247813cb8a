import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loratui.domain.ledger import Phase, charges, microseconds, time_microusd
from loratui.domain.offers import Offer
from loratui.domain.rental import RentalState
from loratui.store import Store
from loratui.store.database import _MIGRATIONS
from loratui.store.rentals import Rentals, StoredRental, may_bill
from loratui_protocol.errors import StorageError

OFFER = Offer(
    provider="vast",
    id="101",
    gpu_name="RTX 4090",
    vram_mib=24_564,
    price_microusd_per_h=360_000,
    stopped_microusd_per_h=8_000,
    disk_gb=40,
    cuda=(12, 8),
    compute_capability=(8, 9),
    machine="2101",
)


def stored_rental(label: str = "loratui-one", created_ts: float = 1000.0) -> StoredRental:
    return StoredRental(
        label=label,
        provider="vast",
        account_id="123456",
        offer=OFFER,
        machine=OFFER.machine,
        public_key="ssh-ed25519 AAAA loratui",
        price_microusd_per_h=OFFER.price_microusd_per_h,
        cap_microusd=5_000_000,
        deadline_ts=9000.0,
        created_ts=created_ts,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "loratui.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[Rentals]:
    with Rentals(path) as opened:
        yield opened


def test_an_intent_is_remembered_as_it_was_meant_facts_of_the_offer_included(ledger: Rentals, path: Path) -> None:
    ledger.intend(stored_rental())
    with Rentals(path) as again:
        assert again.rental("loratui-one") == stored_rental()
        assert again.unproven() == [stored_rental()]


def test_a_label_is_used_once(ledger: Rentals) -> None:
    ledger.intend(stored_rental())
    with pytest.raises(StorageError):
        ledger.intend(replace(stored_rental(), instance_id="7"))
    assert ledger.rental("loratui-one").instance_id == ""


def test_what_is_noted_is_changed_and_nothing_else(ledger: Rentals) -> None:
    ledger.intend(stored_rental())
    ledger.intend(stored_rental("loratui-two", created_ts=2000.0))
    ledger.note("loratui-one", state=RentalState.BOOTING, instance_id="12345678")
    ledger.note("loratui-one", machine="m", price_microusd_per_h=370_000)
    ledger.note_address("loratui-one", "root", "203.0.113.7", 40_022)
    changed = replace(
        stored_rental(),
        state=RentalState.BOOTING,
        instance_id="12345678",
        machine="m",
        price_microusd_per_h=370_000,
        ssh_user="root",
        ssh_host="203.0.113.7",
        ssh_port=40_022,
    )
    assert ledger.rentals() == [stored_rental("loratui-two", created_ts=2000.0), changed]


def test_a_run_finds_its_rental(ledger: Rentals) -> None:
    ledger.intend(stored_rental())
    for run_id in ("r1", "r2", "r1"):
        ledger.note_run("loratui-one", run_id)
    assert ledger.rental("loratui-one").run_ids == "r1 r2"
    assert ledger.of_run("r2") == ledger.rental("loratui-one")
    assert ledger.of_run("r") is None


def test_unknown_labels_are_errors(ledger: Rentals) -> None:
    for ask in (
        lambda: ledger.rental("x"),
        lambda: ledger.note("x", why="y"),
        lambda: ledger.note_run("x", "r"),
        lambda: ledger.enter("x", Phase.IDLE, 1.0, 1),
        lambda: ledger.enter_as_told("x", Phase.IDLE, 1.0, 1.0),
        lambda: ledger.price_from("x", 1.0, 1),
        lambda: ledger.note_end("x", RentalState.GONE, 1.0),
        lambda: ledger.reprice("x", 1),
    ):
        with pytest.raises(StorageError, match=r"store\.unknown_rental"):
            ask()


def test_phases_follow_one_another_and_add_up(ledger: Rentals) -> None:
    ledger.intend(stored_rental())
    ledger.enter("loratui-one", Phase.BOOTING, 1000.0, 360_000)
    ledger.enter("loratui-one", Phase.BOOTING, 1010.0, 360_000)
    ledger.enter("loratui-one", Phase.TRAINING, 1060.5, 360_000)
    ledger.enter("loratui-one", Phase.TRAINING, 2000.0, 400_001)
    ledger.note_end("loratui-one", RentalState.GONE, 3000.25)
    rows = ledger.charges("loratui-one")
    assert [(row.span.phase, row.span.from_ts, row.span.to_ts) for row in rows] == [
        (Phase.BOOTING, 1000.0, 1060.5),
        (Phase.TRAINING, 1060.5, 2000.0),
        (Phase.TRAINING, 2000.0, 3000.25),
    ]
    assert [row.microusd for row in rows] == charges(ledger.spans("loratui-one"), 0.0)
    ended = ledger.rental("loratui-one")
    assert (ended.state, ended.proven_gone, ended.ended_ts) == (RentalState.GONE, True, 3000.25)
    assert ledger.unproven() == []


def test_a_price_is_corrected_from_the_beginning_of_the_phase_that_lasts(ledger: Rentals) -> None:
    ledger.intend(stored_rental())
    ledger.enter("loratui-one", Phase.BOOTING, 1000.0, 360_000)
    ledger.enter("loratui-one", Phase.CONNECTING, 1100.0, 360_000)
    ledger.reprice("loratui-one", 500_000)
    assert [span.microusd_per_h for span in ledger.spans("loratui-one")] == [360_000, 500_000]
    assert ledger.rental("loratui-one").price_microusd_per_h == 500_000


def test_a_clock_that_was_set_back_makes_no_negative_phase(ledger: Rentals) -> None:
    ledger.intend(stored_rental())
    ledger.enter("loratui-one", Phase.BOOTING, 1000.0, 360_000)
    ledger.enter("loratui-one", Phase.TRAINING, 900.0, 360_000)
    [first, second] = ledger.charges("loratui-one")
    assert (first.span.to_ts, first.microusd) == (1000.0, 0)
    assert second.span.from_ts == 1000.0, "and none that began before its time was paid for"
    ledger.note_end("loratui-one", RentalState.GONE, 950.0)
    assert ledger.rental("loratui-one").ended_ts == 1000.0


def test_a_phase_that_another_client_has_written_down_is_not_paid_for_again(ledger: Rentals) -> None:
    ledger.intend(stored_rental())
    ledger.enter("loratui-one", Phase.SETTING_UP, 1000.0, 360_000)
    told = [(Phase.TRAINING, 1600.0), (Phase.IDLE, 4600.0), (Phase.TRAINING, 11_800.0)]
    for phase, ts in told:
        ledger.enter_as_told("loratui-one", phase, ts, 11_900.0)
    before = ledger.spans("loratui-one")
    # The one that slept hears of it all now.
    for phase, ts in told:
        ledger.enter_as_told("loratui-one", phase, ts, 11_900.0)
    assert ledger.spans("loratui-one") == before
    assert sum(charges(before, 12_000.0)) == 11_000 * 360_000 // 3600


def test_a_price_that_was_seen_before_the_news_of_a_sleep_moves_no_time(ledger: Rentals) -> None:
    ledger.intend(stored_rental())
    ledger.enter("loratui-one", Phase.TRAINING, 1000.0, 360_000)
    ledger.price_from("loratui-one", 11_800.0, 720_000)
    ledger.enter_as_told("loratui-one", Phase.DOWNLOADING, 5000.0, 11_801.0)
    found = [(span.phase, span.from_ts, span.to_ts, span.microusd_per_h) for span in ledger.spans("loratui-one")]
    assert found == [
        (Phase.TRAINING, 1000.0, 11_800.0, 360_000),
        (Phase.TRAINING, 11_800.0, 11_800.0, 720_000),
        (Phase.DOWNLOADING, 11_800.0, None, 720_000),
    ]
    assert ledger.rental("loratui-one").price_microusd_per_h == 720_000


@pytest.mark.parametrize("ts", [0.0, 999.0, 1e12])
def test_no_word_of_a_machine_moves_time_out_of_its_rental(ledger: Rentals, ts: float) -> None:
    ledger.intend(stored_rental())
    ledger.enter("loratui-one", Phase.SETTING_UP, 1000.0, 360_000)
    ledger.enter_as_told("loratui-one", Phase.TRAINING, ts, 2000.0)
    ledger.note_end("loratui-one", RentalState.GONE, 4600.0)
    assert sum(row.microusd for row in ledger.charges("loratui-one")) == 360_000


_moments = st.one_of(st.floats(-1e6, 2e6), st.just(0.0), st.floats(0.0, 1e15))
_phases = st.sampled_from([Phase.SETTING_UP, Phase.TRAINING, Phase.IDLE, Phase.DOWNLOADING])
_calls = st.lists(
    st.one_of(
        st.tuples(st.just("told"), _phases, _moments),
        st.tuples(st.just("enter"), _phases, st.floats(-5000.0, 0.0)),
        st.tuples(st.just("price"), st.integers(1, 5_000_000), st.floats(-5000.0, 0.0)),
        st.tuples(st.just("end"), st.none(), st.floats(-5000.0, 0.0)),
        st.tuples(st.just("reopen"), st.none(), st.none()),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(calls=_calls, steps=st.lists(st.floats(0.0, 10_000.0), min_size=12, max_size=12))
def test_no_order_of_calls_makes_more_time_than_the_rental_has_lasted(calls: list[Any], steps: list[float]) -> None:
    """Clocks of several processes disagree, and machines say what they like: money counts no second twice."""
    with TemporaryDirectory() as folder, Rentals(Path(folder) / "loratui.sqlite3") as ledger:
        ledger.intend(stored_rental(created_ts=1000.0))
        now_ts = 1000.0
        for (kind, what, moment), step in zip(calls, steps, strict=False):
            now_ts += step
            if kind == "told":
                ledger.enter_as_told("loratui-one", what, moment, now_ts)
            elif kind == "enter":
                ledger.enter("loratui-one", what, now_ts + moment, 360_000)
            elif kind == "price":
                ledger.price_from("loratui-one", now_ts + moment, what)
            elif kind == "end":
                ledger.note_end("loratui-one", RentalState.GONE, now_ts + moment)
            else:
                ledger.reopen("loratui-one", "7")
        spans, rental = ledger.spans("loratui-one"), ledger.rental("loratui-one")
        end_ts = now_ts if rental.ended_ts is None else rental.ended_ts
        assert end_ts <= now_ts
        edges = [ts for span in spans for ts in (span.from_ts, end_ts if span.to_ts is None else span.to_ts)]
        assert edges == sorted(edges), "spans do not overlap"
        assert all(1000.0 <= ts <= end_ts for ts in edges), "nor do they leave the rental"
        paid_us = sum(span.elapsed_us(end_ts) for span in spans)
        assert paid_us <= microseconds(end_ts) - microseconds(1000.0)
        most = max((span.microusd_per_h for span in spans), default=0)
        assert sum(charges(spans, end_ts)) <= time_microusd(most, microseconds(end_ts) - microseconds(1000.0))


def test_what_is_found_again_is_no_more_proven_gone(ledger: Rentals) -> None:
    ledger.intend(stored_rental())
    ledger.note_end("loratui-one", RentalState.LOST, 3000.0)
    ledger.reopen("loratui-one", "12345678")
    [again] = ledger.unproven()
    assert (again.state, again.instance_id, again.ended_ts) == (RentalState.ENDING, "12345678", None)
    with pytest.raises(ValueError, match="no end"):
        ledger.note_end("loratui-one", RentalState.ENDING, 1.0)


def test_machines_that_did_not_serve_are_remembered_for_a_while_by_their_provider(ledger: Rentals) -> None:
    ledger.note_bad_host("vast", "2101", "it did not start", 1000.0)
    ledger.note_bad_host("vast", "2101", "no space", 2000.0)
    ledger.note_bad_host("vast", "", "nobody can tell it", 2000.0)
    ledger.note_bad_host("runpod", "x", "why", 2000.0)
    assert ledger.bad_hosts("vast", 1500.0) == {"2101": "no space"}
    assert ledger.bad_hosts("vast", 2500.0) == {}


def test_who_only_looks_makes_no_ledger(path: Path) -> None:
    assert may_bill(path) == []
    assert not path.exists()
    with Rentals(path) as ledger:
        ledger.intend(stored_rental())
    assert may_bill(path) == [stored_rental()]


def test_writes_are_on_the_disk_before_they_return(ledger: Rentals) -> None:
    [level] = ledger._database.execute("PRAGMA synchronous").fetchone()
    assert level == 2, "FULL: each commit waits for the disk"


def test_a_process_that_is_killed_right_after_its_intent_leaves_it(path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "sys.path[:0] = sys.argv[2:]\n"
        "from tui.store.test_rentals import stored_rental\n"
        "from loratui.store.rentals import Rentals\n"
        "Rentals(Path(sys.argv[1])).intend(stored_rental())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    tests = str(Path(__file__).resolve().parents[2])
    killed = subprocess.run([sys.executable, "-c", program, str(path), tests], env=dict(os.environ), check=False)
    assert killed.returncode == -signal.SIGKILL
    assert may_bill(path) == [stored_rental()]


def test_a_store_of_an_earlier_version_gets_a_ledger_and_keeps_its_runs(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        for statement in ";".join(_MIGRATIONS[:3]).split(";"):
            database.execute(statement)
        database.execute(
            "INSERT INTO runs (id, name, target, created_ts, config_toml, home, price_microusd_per_h, evaluate_concept)"
            " VALUES ('r1', 'n', 'local', 1, '', '/h', 0, '')"
        )
        database.execute("PRAGMA user_version = 3")
    database.close()
    with Rentals(path) as ledger, Store(path) as store:
        ledger.intend(stored_rental())
        assert [run.id for run in store.runs()] == ["r1"]
        assert len(ledger.rentals()) == 1


@pytest.mark.parametrize(("offer", "gpu"), [(None, "RTX 4090"), ("no json", ""), ("{}", "")])
def test_runs_that_were_rented_by_an_earlier_version_get_the_gpu_of_their_offer(
    path: Path, offer: str | None, gpu: str
) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        for statement in ";".join(_MIGRATIONS[:6]).split(";"):
            database.execute(statement)
        columns = "(id, name, target, created_ts, config_toml, home, price_microusd_per_h, evaluate_concept, step)"
        for run_id, target in (("r1", "vast:loratui-one"), ("r2", "local")):
            database.execute(
                f"INSERT INTO runs {columns} VALUES (?, 'n', ?, 1, '', '/h', 0, '', 5)",  # noqa: S608
                (run_id, target),
            )
        database.execute("PRAGMA user_version = 6")
        database.execute(
            "INSERT INTO rentals (label, provider, account_id, offer, public_key, state, price_microusd_per_h,"
            " created_ts) VALUES ('loratui-one', 'vast', '', ?, '', 'ready', 1, 1)",
            (json.dumps(asdict(OFFER)) if offer is None else offer,),
        )
    database.close()
    with Store(path) as store:
        assert [store.run(run_id).gpu for run_id in ("r1", "r2")] == [gpu, ""]


def test_an_offer_of_a_newer_version_is_read_as_far_as_it_is_known(ledger: Rentals, path: Path) -> None:
    ledger.intend(stored_rental())
    with sqlite3.connect(path) as database:
        database.execute("UPDATE rentals SET offer = json_set(offer, '$.of_tomorrow', 1)")
    database.close()
    assert ledger.rental("loratui-one").offer == OFFER
