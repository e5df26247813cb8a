"""What the home screen's list says of runs and rentals, by the records alone."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui import settings
from loratui.domain.ledger import Phase
from loratui.domain.overview import Overview
from loratui.domain.rental import RentalState
from loratui.sessions.overview import overview
from loratui.store.rentals import Rentals
from support.fake_vast import fake_vast
from support.left_rented import rented, stored_run
from support.local_cli import LocalCli, local_cli

FIRST, SECOND = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAW"


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[LocalCli]:
    """A user with a rental that has cost something."""
    with local_cli(tmp_path) as cli, fake_vast() as vast:
        rented(cli, vast, "loratui-a", RentalState.READY)
        with Rentals(cli.folder / "state" / "loratui.sqlite3") as ledger:
            ledger.enter("loratui-a", Phase.TRAINING, time.time(), 3_600_000_000)
        yield cli


def read(cli: LocalCli) -> Overview:
    folder = cli.folder
    return overview(settings.load({"state_dir": str(folder / "state")}, {"LORATUI_CONFIG_DIR": str(folder / "config")}))


def test_a_run_that_had_a_machine_to_itself_cost_what_the_machine_did(cli: LocalCli) -> None:
    stored_run(cli, FIRST, "loratui-a")
    told = read(cli)
    assert told.runs[0].spent_microusd == told.rentals[0].spent_microusd > 0


def test_runs_that_share_a_machine_cost_what_each_was_told_to_have_cost(cli: LocalCli) -> None:
    stored_run(cli, FIRST, "loratui-a")
    stored_run(cli, SECOND, "loratui-a")
    assert [run.spent_microusd for run in read(cli).runs] == [0, 0]
