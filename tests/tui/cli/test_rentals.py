"""``rentals`` and ``rentals sweep`` as they are typed, with a ledger that knows some of what is rented."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain import formatting
from loratui.domain.ledger import Rates, traffic_microusd
from loratui.domain.rental import RentalState
from loratui.store import Store
from loratui.store.rentals import Rentals
from support.fake_vast import FakeVast
from support.left_rented import ledger_of, rented, stored_run
from support.local_cli import LocalCli, local_cli
from support.market_cli import config_file

_ABOUT_WORK = (
    [],
    ["ls"],
    ["status"],
    ["logs"],
    ["attach"],
    ["download"],
    ["resume", "nothing"],
    ["resume", "nothing", "--on", "cheapest"],
    ["extend", "nothing", "30m"],
    ["stop"],
    ["support"],
    ["keys", "vast", "--forget"],
    ["offers", "--provider", "nowhere"],
    ["check", "nowhere.toml"],
    ["plan", "nowhere.toml"],
    ["clean", "nowhere"],
    ["train", "nowhere.toml", "--on", "local"],
    ["train", "nowhere.toml", "--on", "cheapest"],
)


@pytest.fixture
def cli(tmp_path: Path, vast: FakeVast) -> Iterator[LocalCli]:
    with local_cli(
        tmp_path,
        LORATUI_PROVIDERS__VAST__URL=vast.url,
        LORATUI_PROVIDERS__VAST__SPACING="0",
        LORATUI_VAST_API_KEY=vast.key,
    ) as cli:
        yield cli


def test_each_rental_is_yours_or_an_orphan_and_a_sweep_ends_only_orphans(cli: LocalCli, vast: FakeVast) -> None:
    mine = rented(cli, vast, "loratui-mine", RentalState.READY, "01RUN")
    orphan = rented(cli, vast, "loratui-orphan", RentalState.BOOTING)
    listed = cli.run("rentals", "--json")
    assert listed.finish() == 5, "an orphan bills"
    said = {each["id"]: each for each in json.loads(listed.lines[0])["rentals"]}
    assert (said[mine]["standing"], said[mine]["runs"]) == ("yours", ["01RUN"])
    assert said[orphan]["standing"] == "orphan"
    assert "killed while it started" in said[orphan]["why"]
    unasked = cli.run("rentals", "sweep")
    assert unasked.finish() == 2
    assert vast.num_living() == 2, "nothing is ended that nobody has agreed to"
    swept = cli.run("rentals", "sweep", "--yes")
    assert swept.finish() == 0, swept.errors
    assert swept.lines == ["1 ended, and shown gone by the provider"]
    assert list(vast.instances) == [int(mine)]
    assert {each.label: each.proven_gone for each in ledger_of(cli)} == {"loratui-mine": False, "loratui-orphan": True}
    again = cli.run("rentals")
    assert again.finish() == 0
    assert "yours: run 01RUN" in again.lines[0]
    ended = cli.run("terminate", "loratui-mine", "--yes")
    assert ended.finish() == 0, ended.errors
    assert all(each.proven_gone and each.is_tidy for each in ledger_of(cli)), "whoever ends it, the ledger knows"


@pytest.mark.parametrize("command", [("terminate", "loratui-one", "--yes"), ("rentals", "sweep", "--yes")])
def test_whoever_ends_a_rental_by_hand_is_told_what_it_has_cost_with_the_traffic_that_is_known(
    cli: LocalCli, vast: FakeVast, command: tuple[str, ...]
) -> None:
    number = rented(cli, vast, "loratui-one", RentalState.BOOTING, "01RUN")
    stored_run(cli, "01RUN", "loratui-one")
    database = cli.folder / "state" / "loratui.sqlite3"
    with Store(database) as store, Rentals(database) as ledger:
        store.add_state_bytes("01RUN", 10**11)
        price = traffic_microusd(Rates.of(ledger.rental("loratui-one").offer), 10**11, 0)
    assert price > 0
    ended = cli.run(*command)
    assert ended.finish() == 0, ended.errors
    [told] = [line for line in ended.errors if "the rental is gone, as vast shows" in line]
    assert told.startswith(f"vast {number}: ")
    assert f"traffic {formatting.money(price)}" in told


def test_traffic_of_which_nothing_is_known_is_said_not_to_be_counted(cli: LocalCli, vast: FakeVast) -> None:
    rented(cli, vast, "loratui-one", RentalState.BOOTING)
    ended = cli.run("terminate", "loratui-one", "--yes")
    assert ended.finish() == 0, ended.errors
    assert any("its traffic is billed, too, and not counted" in line for line in ended.errors)


def test_every_command_about_work_begins_with_what_may_still_bill_and_asks_nobody_for_it(
    cli: LocalCli, vast: FakeVast
) -> None:
    quiet = cli.run("ls")
    assert (quiet.finish(), quiet.lines, quiet.errors) == (0, [], [])
    number = rented(cli, vast, "loratui-orphan", RentalState.BOOTING)
    requests = len(vast.requests)
    told = f"vast {number} may bill, $0."
    for command in _ABOUT_WORK:
        said = cli.run(*command).errors
        assert said[0].startswith(told), (command, said)
        assert said[0].endswith(": loratui rentals")
        assert sum(line.startswith(told) for line in said) == 1
    for command in (["--version"], ["config", "show"], ["config", "path"], ["train", "--help"]):
        assert cli.run(*command).errors == []
    assert json.loads(cli.run("ls", "--json").lines[0]) == []
    assert len(vast.requests) == requests
    with Rentals(cli.folder / "state" / "loratui.sqlite3") as ledger:
        ledger.note_end("loratui-orphan", RentalState.GONE, time.time())
    assert cli.run("ls").errors == []


def test_whoever_rents_is_told_once_what_bills_there_that_this_laptop_does_not_know(
    cli: LocalCli, vast: FakeVast
) -> None:
    number = rented(cli, vast, "loratui-of-another-laptop", RentalState.READY, "01RUN")
    for path in cli.folder.glob("state/loratui.sqlite3*"):
        path.unlink()
    config = config_file(cli)
    assert cli.run("ls").errors == [], "the ledger alone can't know"
    gone = b'{"success": false, "error": "no_such_ask", "msg": "error 410/3907: no_such_ask it is gone"}'
    vast.answer("create", 410, gone, times=9)
    train = cli.run("train", config, "--on", "vast", "--budget", "5", "--yes", "--plain")
    assert train.finish() == 4
    [note] = [line for line in train.errors if line.startswith(f"note: vast {number} (loratui-of-another-laptop)")]
    assert "no ledger of this laptop knows it, another computer of yours may" in note
    assert f"loratui terminate {number}" in note
    assert "loratui rentals sweep" in note
    assert list(vast.instances) == [int(number)], "it was left alone"


def test_a_ledger_that_can_not_be_read_is_not_taken_for_an_empty_one(cli: LocalCli, vast: FakeVast) -> None:
    rented(cli, vast, "loratui-orphan", RentalState.BOOTING)
    (cli.folder / "state" / "loratui.sqlite3").write_bytes(b"no database" * 1000)
    for path in cli.folder.glob("state/loratui.sqlite3-*"):
        path.unlink()
    [said, *_] = cli.run("keys", "vast", "--forget").errors
    assert said.startswith("what was rented here is not known (")
    assert said.endswith("may bill: loratui rentals asks the providers")


def test_a_box_that_ended_itself_is_settled_by_looking(cli: LocalCli, vast: FakeVast) -> None:
    number = rented(cli, vast, "loratui-mine", RentalState.READY, "01RUN")
    vast._end(int(number), None)
    listed = cli.run("rentals")
    assert listed.finish() == 0, listed.errors
    assert listed.lines == ["nothing is rented"]
    assert f"vast {number}: it ended while nobody looked; it is gone" in listed.errors
    assert [each.state for each in ledger_of(cli)] == [RentalState.LOST]


def test_what_nobody_can_know_counts_as_billing(cli: LocalCli, vast: FakeVast) -> None:
    number = rented(cli, vast, "loratui-mine", RentalState.READY, "01RUN")
    vast.answer("list", 200, b'""', times=100)
    for command in (["rentals"], ["rentals", "sweep", "--yes"]):
        listed = cli.run(*command)
        assert listed.finish() == 5
        assert number in "\n".join([*listed.lines, *listed.errors])
    assert "STILL BILLING, perhaps" in "\n".join(listed.errors)
    del cli.environment["LORATUI_VAST_API_KEY"]
    without = cli.run("rentals")
    assert without.finish() == 5
    assert "there is no key of vast to ask with" in without.lines[0]


def test_a_ledger_that_is_damaged_hides_nothing_that_is_rented(cli: LocalCli, vast: FakeVast) -> None:
    number = rented(cli, vast, "loratui-mine", RentalState.READY, "01RUN")
    (cli.folder / "state" / "loratui.sqlite3").write_bytes(b"no database" * 1000)
    for path in cli.folder.glob("state/loratui.sqlite3-*"):
        path.unlink()
    listed = cli.run("rentals")
    assert listed.finish() == 5
    assert number in listed.lines[0]
    assert "unknown fate: the ledger can't be read" in listed.lines[0]
    ended = cli.run("terminate", number, "--yes")
    assert ended.finish() == 0, ended.errors
    assert vast.num_living() == 0


def test_a_list_ends_nothing(cli: LocalCli) -> None:
    assert cli.run("rentals", "--yes").finish() == 2
    assert cli.run("rentals", "mop").finish() == 2


def test_a_rental_is_ended_by_the_name_of_a_run_on_it(cli: LocalCli, vast: FakeVast) -> None:
    mine = rented(cli, vast, "loratui-mine", RentalState.READY, run_ids="01ARZ3NDEKTSV4RRFFQ69G5FAV")
    other = rented(cli, vast, "loratui-other", RentalState.READY, run_ids="01BX5ZZKBKACTAV9WEVGEMMVS0")
    stored_run(cli, "01ARZ3NDEKTSV4RRFFQ69G5FAV", "loratui-mine")
    terminated = cli.run("terminate", "cat", "--yes")
    assert terminated.finish() == 0, terminated.errors
    assert [str(each) for each in vast.instances] == [other]
    assert mine != other
    by_label = {rental.label: rental for rental in ledger_of(cli)}
    assert by_label["loratui-mine"].state is RentalState.GONE
    assert cli.run("terminate", "dog", "--yes").finish() == 2


def test_what_the_ledger_alone_knows_is_not_ended_by_saying_that_nothing_is_rented(
    cli: LocalCli, vast: FakeVast
) -> None:
    rented(cli, vast, "loratui-mine", RentalState.READY, "01RUN")
    with Rentals(cli.folder / "state" / "loratui.sqlite3") as ledger:
        [known] = ledger.rentals()
        elsewhere = {"label": "loratui-pod", "provider": "runpod", "instance_id": "pod1", "account_id": ""}
        ledger.intend(replace(known, **elsewhere, state=RentalState.READY, run_ids=""))  # type: ignore[arg-type]
    for meant in ("loratui-pod", "pod1"):
        ended = cli.run("terminate", meant, "--yes")
        assert ended.finish() == 5, "there is no key to ask with, so nobody has ended it"
        assert "STILL BILLING, perhaps: runpod pod1" in "\n".join(ended.errors)
    assert vast.num_living() == 1, "the other one was not meant"
    every = cli.run("terminate", "--all", "--yes")
    assert every.finish() == 5
    assert every.lines == []
    assert "there is no key of runpod to ask with" in "\n".join(every.errors)
    assert vast.num_living() == 0, "what can be ended is"
    assert {each.label: each.proven_gone for each in ledger_of(cli)} == {"loratui-mine": True, "loratui-pod": False}
    del cli.environment["LORATUI_VAST_API_KEY"]
    assert cli.run("terminate", "--all", "--yes").finish() == 5, "the same without any key"


def test_another_account_that_shows_nothing_ends_nothing(cli: LocalCli, vast: FakeVast) -> None:
    number = rented(cli, vast, "loratui-mine", RentalState.READY, "01RUN")
    vast.instances.clear()
    vast.account_id += 1
    for meant in ("--all", "loratui-mine"):
        ended = cli.run("terminate", meant, "--yes")
        assert ended.finish() == 5
        said = "\n".join(ended.errors)
        assert "opens another account than the one that this was rented with" in said
        assert f"STILL BILLING, perhaps: vast {number}" in said


def test_a_request_whose_fate_is_unknown_is_looked_for_before_all_is_said_to_be_ended(
    cli: LocalCli, vast: FakeVast
) -> None:
    rented(cli, vast, "loratui-lost", RentalState.UNKNOWN)
    vast.instances.clear()
    with Rentals(cli.folder / "state" / "loratui.sqlite3") as ledger:
        ledger._database.execute("UPDATE rentals SET instance_id = ''")
    young = cli.run("terminate", "--all", "--yes")
    assert young.finish() == 5, "it may be too young to be listed"
    assert "listings lag behind" in "\n".join(young.errors)
    with Rentals(cli.folder / "state" / "loratui.sqlite3") as ledger:
        ledger._database.execute("UPDATE rentals SET created_ts = created_ts - 600")
    old = cli.run("terminate", "loratui-lost", "--yes")
    assert old.finish() == 0, old.errors
    assert old.lines == ["nothing is rented"]
    assert "it is gone" in "\n".join(old.errors)
    assert [each.proven_gone for each in ledger_of(cli)] == [True]


def test_whoever_ends_a_rental_is_who_the_ledger_says_has_ended_it(cli: LocalCli, vast: FakeVast) -> None:
    rented(cli, vast, "loratui-mine", RentalState.READY, "01RUN")
    ended = cli.run("terminate", "loratui-mine", "--yes")
    assert ended.finish() == 0, ended.errors
    assert [each.why for each in ledger_of(cli)] == ["you ended it"]


def test_a_listing_that_is_broken_keeps_nothing_alive_that_the_ledger_knows_by_its_id(
    cli: LocalCli, vast: FakeVast
) -> None:
    rented(cli, vast, "loratui-mine", RentalState.READY, "01RUN")
    vast.answer("list", 200, b'""', times=100)
    ended = cli.run("terminate", "loratui-mine", "--yes")
    assert vast.num_living() == 0
    assert [each.proven_gone for each in ledger_of(cli)] == [True]
    assert ended.finish() == 5, "something else may be rented there"
    assert "STILL BILLING, perhaps: whatever is at vast" in "\n".join(ended.errors)
