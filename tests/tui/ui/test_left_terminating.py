"""What becomes of a termination when the interface ends meanwhile: what was confirmed is sent, the rest is an alarm."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain.rental import RentalState
from loratui.ui.environment import UiOptions
from loratui.ui.session import Session, SessionKeeper, Unended, read
from support.agent_process import wait_until
from support.fake_vast import FakeVast, fake_vast
from support.left_rented import ledger_of, rented
from support.local_cli import LocalCli
from support.terminal import Terminal
from support.ui_effects.effect import exits_with, until
from support.ui_effects.home import DeskOfMany
from support.ui_effects.money import INSTANCE, LABEL, on_rental
from tui.ui.test_terminating import answer, cli_with_key, comes, ended, on_ledger

KEEPS = UiOptions(keeps_session=True)
ALARM = f"! NOT TERMINATED, AND BILLING: vast {INSTANCE} · ^t asks again"


@pytest.fixture
def vast() -> Iterator[FakeVast]:
    with fake_vast() as fake:
        yield fake


@pytest.fixture
def cli(tmp_path: Path, vast: FakeVast, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCli]:
    with cli_with_key(tmp_path, vast, monkeypatch) as cli:
        yield cli


@pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")
@pytest.mark.parametrize("way", ["hang up", signal.SIGTERM])
def test_what_is_counted_down_is_terminated_though_the_terminal_goes_away(
    cli: LocalCli, vast: FakeVast, way: str | signal.Signals
) -> None:
    rented(cli, vast, "loratui-x", RentalState.BOOTING)
    environ = {name: value for name, value in cli.environment.items() if name.startswith("LORATUI_")}
    with Terminal([sys.executable, "-m", "loratui.cli"], environ=environ) as terminal:
        terminal.read_until_text("nobody minds it")
        terminal.press("\x14")
        terminal.read_until_text("Nothing is lost")
        # The first ones come too soon after the question, and are ignored.
        while "u keeps it" not in terminal.screen().text():
            terminal.press("y")
            terminal.read(0.1)
        assert vast.num_living() == 1
        terminal.end(way)
        terminal.wait()
    wait_until(lambda: [each.proven_gone for each in ledger_of(cli)] == [True], "the end")

    assert vast.num_living() == 0
    assert read(cli.folder / "state").unended == ()


@pytest.mark.parametrize("keys", [("ctrl+q",), ("ctrl+c",), ("q", "d")])
async def test_what_is_counted_down_is_terminated_when_the_interface_is_left(
    cli: LocalCli, vast: FakeVast, keys: tuple[str, ...]
) -> None:
    number = await asyncio.to_thread(rented, cli, vast, "loratui-x", RentalState.BOOTING)
    async with on_ledger(cli) as shown:
        await comes(shown, number)
        await answer(shown, "ctrl+t", "y", *keys)
        [errand] = shown.screen.errands.all
        assert errand.argv == ("terminate", number, "--yes")
        await ended(shown)
        # Once is enough, whatever way it ends then.
        shown.app.let_go()
        assert shown.screen.errands.all == [errand]
    assert vast.num_living() == 0


async def test_whoever_leaves_is_told_that_it_is_terminated_then_and_can_keep_it(cli: LocalCli, vast: FakeVast) -> None:
    number = await asyncio.to_thread(rented, cli, vast, "loratui-x", RentalState.BOOTING)
    async with on_ledger(cli) as shown:
        await comes(shown, number)
        await answer(shown, "ctrl+t", "y", "q")
        assert f"! vast {number} is terminated when this closes, as was confirmed; u keeps it" in shown.text()
        assert "bills on" not in shown.text()
        await answer(shown, "u")
        await comes(shown, f"vast {number} bills on")
        assert "is terminated when this closes" not in shown.text()
        await answer(shown, "d")
        assert not shown.screen.errands.all


async def test_an_end_that_could_not_be_sent_out_is_an_alarm_the_next_time(tmp_path: Path) -> None:
    async with on_rental(is_over=True, options=KEEPS)(tmp_path) as shown:
        await answer(shown, "ctrl+t", "y")
        (tmp_path / "state").mkdir(exist_ok=True)
        (tmp_path / "state" / "errands").write_text("in the way")
        shown.app.exit(129)
    async with on_rental(is_over=True, options=KEEPS)(tmp_path) as shown:
        assert ALARM in shown.rows()[0]
        await answer(shown, "8")
        await shown.tick(3600)
        assert ALARM in shown.rows()[0], "on every screen, and it stays"


async def test_what_waits_for_files_is_an_alarm_the_next_time_until_it_is_ended(tmp_path: Path) -> None:
    async with on_rental(options=KEEPS)(tmp_path) as shown:
        await answer(shown, "ctrl+t", "y")
        await comes(shown, "once it has saved")
        await answer(shown, "q")
        assert f"! vast {INSTANCE} is not terminated if this closes now" in shown.text()
        await answer(shown, "d")
        await until(shown, exits_with(0))
        assert not shown.screen.errands.all
    for _ in range(2):
        # Nor is it forgotten by one who looks in and leaves.
        async with on_rental(is_over=True, options=KEEPS)(tmp_path) as shown:
            assert f"{ALARM} · lo" in shown.rows()[0]
            shown.app.exit(0)
    async with on_rental(is_over=True, options=KEEPS)(tmp_path) as shown:
        await answer(shown, "ctrl+t", "y")
        assert f"! TERMINATING vast {INSTANCE} in 5 s" in shown.rows()[0]


async def test_the_alarm_ends_once_the_records_have_it_as_gone(tmp_path: Path) -> None:
    left = Unended(label=LABEL, name=f"vast {INSTANCE}", argument=INSTANCE, why="loratui was left")
    SessionKeeper(tmp_path / "state").close(Session(unended=(left,)))
    async with on_rental(options=KEEPS)(tmp_path) as shown:
        desk, rental = shown.screen.desk, shown.source.run.rental
        assert isinstance(desk, DeskOfMany)
        assert rental is not None
        await shown.tick()
        assert ALARM in shown.rows()[0]
        desk.now = replace(desk.now, rentals=())
        shown.source.run.rental = replace(rental, state=RentalState.GONE)
        await shown.tick()
        assert ALARM not in shown.text()
        assert f"vast {INSTANCE} has ended meanwhile" in shown.text()
        shown.app.exit(0)
    assert read(tmp_path / "state").unended == ()


async def test_it_is_on_the_disk_while_it_waits_should_the_interface_be_killed(tmp_path: Path) -> None:
    async with on_rental(options=KEEPS)(tmp_path) as shown:
        await answer(shown, "x", "t")
        await comes(shown, "once it has saved")
        await shown.tick(5)
        keeper = shown.screen.reopening._keeper
        assert keeper._writing is not None
        keeper._writing.join()
        assert [each.name for each in read(tmp_path / "state").unended] == [f"vast {INSTANCE}"]
