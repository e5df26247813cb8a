"""Commands on a terminal open the interface, and leave the shell with a sentence and a status."""

import json
import sys
import time

import pytest

from loratui.domain.rental import RentalState
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.config_file import to_toml
from support.agent_process import running_agent
from support.estimates import an_offer
from support.local_cli import local_cli
from support.small_dataset import small_config, write_small_dataset
from support.terminal import Terminal


@pytest.fixture
def cli(tmp_path, monkeypatch):
    monkeypatch.setenv("STAND_IN", "steps = 100000\nstep_s = 0.02")
    with local_cli(tmp_path) as cli, running_agent(cli.home.path):
        config = small_config(write_small_dataset(tmp_path / "pictures"))
        (tmp_path / "job.toml").write_text(to_toml(config), "utf-8")
        yield cli


def on_a_terminal(cli, *arguments: str) -> Terminal:
    return Terminal([sys.executable, "-m", "loratui.cli", *arguments], environ=cli.environment)


def test_train_opens_the_interface_and_leaving_it_leaves_the_run_going(cli):
    config = str(cli.folder / "job.toml")
    with on_a_terminal(cli, "train", config, "--on", "local", "--yes") as terminal:
        terminal.read_until_text("TRAINING")
        terminal.press("q")
        terminal.read_until_text("Detach")
        end_s = time.monotonic() + 20
        while b"Back to it" not in terminal.received and time.monotonic() < end_s:
            terminal.press("d")  # the first ones come too soon after the question, and are ignored
            terminal.read(0.1)
        assert terminal.wait() == 0
        terminal.read_until(lambda output: b"Back to it: loratui attach cat" in output)
    assert json.loads(cli.run("status", "--json").lines[0])["state"] == "running"


def test_loratui_alone_opens_the_active_run_and_survives_a_hang_up(cli):
    assert cli.run("train", cli.folder / "job.toml", "--on", "local", "--detach").process.returncode == 0
    with on_a_terminal(cli) as terminal:
        terminal.read_until_text("TRAINING")
        terminal.hang_up()
        assert terminal.wait() == 129
    assert json.loads(cli.run("status", "--json").lines[0])["live"]


def test_warnings_are_asked_about_before_anything_starts(cli):
    config = cli.folder / "job.toml"
    config.write_text(config.read_text("utf-8") + "\n[more]\nxformers = true\n", "utf-8")
    with on_a_terminal(cli, "train", str(config), "--on", "local") as terminal:
        terminal.read_until(lambda output: b"[y/N]" in output)
        assert b"config.without_effect" in terminal.received
        terminal.press("n\n")
        assert terminal.wait() == 0
    assert cli.run("ls", "--json").lines == ["[]"]


def test_the_interface_shows_at_its_start_what_may_bill_beside_the_run(cli):
    with Rentals(cli.folder / "state" / "loratui.sqlite3") as ledger:
        ledger.intend(
            StoredRental(
                label="loratui-forgotten",
                provider="vast",
                account_id="1",
                instance_id="12345678",
                offer=an_offer(),
                public_key="",
                state=RentalState.READY,
                price_microusd_per_h=352_800,
                created_ts=time.time(),
            )
        )
    config = str(cli.folder / "job.toml")
    with on_a_terminal(cli, "train", config, "--on", "local", "--yes") as terminal:
        terminal.read_until_text("! vast 12345678 may bill, $0.35/h since ")
        terminal.hang_up()
        assert terminal.wait() == 129
