import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from loratui.domain.ledger import Phase, charges
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
    [first, _] = ledger.charges("loratui-one")
    assert (first.span.to_ts, first.microusd) == (1000.0, 0)


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
