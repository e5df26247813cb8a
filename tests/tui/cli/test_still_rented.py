"""Commands that fail while something is rented: none of them says, by its exit status, that nothing is billing."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui.domain.rental import RentalState
from loratui.store.rentals import Rentals
from support.fake_vast import FakeVast
from support.left_rented import rented, stored_run
from support.local_cli import LocalCli, local_cli

RUN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture
def cli(tmp_path: Path, vast: FakeVast) -> Iterator[LocalCli]:
    with local_cli(
        tmp_path,
        LORATUI_PROVIDERS__VAST__URL=vast.url,
        LORATUI_VAST_API_KEY=vast.key,
    ) as cli:
        yield cli


@pytest.fixture
def silent(cli: LocalCli, vast: FakeVast) -> Iterator[Rentals]:
    """The ledger of a user whose rented machine does not answer any more."""
    rented(cli, vast, "loratui-mine", RentalState.READY, RUN)
    stored_run(cli, RUN, "loratui-mine")
    with socket.socket() as nobody, Rentals(cli.folder / "state" / "loratui.sqlite3") as ledger:
        nobody.bind(("127.0.0.1", 0))
        ledger.note_address("loratui-mine", "root", "127.0.0.1", nobody.getsockname()[1])
        ledger.note("loratui-mine", armed="end", deadline_ts=time.time() + 3000)
        yield ledger


@pytest.mark.parametrize("command", [["attach", "--plain"], ["pause"], ["extend", "cat", "30m", "--yes"], ["resume"]])
def test_a_machine_that_does_not_answer_may_still_bill(silent: Rentals, cli: LocalCli, command: list[str]) -> None:
    said = cli.run(*command)
    assert said.finish() == 5, said.errors
    [last] = said.errors[-1:]
    assert last.startswith("STILL BILLING, perhaps: vast ")
    assert "$0." in last
    assert "/h; it ends itself in 4" in last
    assert last.endswith("To end it now: loratui terminate loratui-mine")


def test_what_nobody_has_seen_end_itself_is_not_said_to(silent: Rentals, cli: LocalCli) -> None:
    silent.note("loratui-mine", armed="none")
    said = cli.run("pause")
    assert said.finish() == 5
    assert "nobody has seen that it can end itself" in said.errors[-1]


def test_a_machine_that_is_proven_gone_bills_no_more(silent: Rentals, cli: LocalCli) -> None:
    silent.note_end("loratui-mine", RentalState.LOST, time.time(), "its host is off")
    said = cli.run("pause")
    assert said.finish() == 4
    assert "BILLING" not in "\n".join(said.errors)


def test_what_a_command_has_nothing_to_do_with_does_not_change_its_status(silent: Rentals, cli: LocalCli) -> None:
    stored_run(cli, "01BX5ZZKBKACTAV9WEVGEMMVS0", "loratui-nobody", name="dog", target="ssh://root@127.0.0.1:1")
    said = cli.run("pause", "dog")
    assert said.finish() == 4, said.errors
