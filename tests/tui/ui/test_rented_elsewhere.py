"""What another computer has rented on the same account: seen on the home screen, and ended there by its typed id."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loratui import settings
from loratui.domain.accounts import Accounts, with_accounts
from loratui.domain.overview import Overview
from loratui.domain.rental import RentalState
from loratui.sessions.accounts import look_at_accounts
from loratui.sessions.desk import HostDesk
from loratui.sessions.host import SessionHost
from loratui.settings import Settings
from loratui.ui.terminating import UNDO_S
from support.agent_process import wait_until
from support.fake_vast import FakeVast, fake_vast
from support.left_rented import rented
from support.local_cli import LocalCli, local_cli
from support.scripted_source import HandClock, ScriptedSource
from support.ui_effects.home import DeskOfMany
from support.ui_effects.money import rental_line
from support.ui_pilot import Shown, showing
from tui.ui.test_terminating import answer, cli_with_key, comes, ended


@pytest.fixture
def vast() -> Iterator[FakeVast]:
    with fake_vast() as fake:
        yield fake


@pytest.fixture
def cli(tmp_path: Path, vast: FakeVast, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCli]:
    with cli_with_key(tmp_path / "here", vast, monkeypatch) as cli:
        yield cli


@pytest.fixture
def number(tmp_path: Path, vast: FakeVast, cli: LocalCli) -> str:
    """Rent something on another computer; return its id."""
    with local_cli(tmp_path / "there") as other:
        return rented(other, vast, "loratui-there", RentalState.READY)


def preferences(cli: LocalCli) -> Settings:
    folders = {"state_dir": str(cli.folder / "state")}
    return settings.load(folders, {**os.environ, "LORATUI_CONFIG_DIR": str(cli.folder / "config")})


@asynccontextmanager
async def on_accounts(cli: LocalCli) -> AsyncIterator[Shown]:
    """Show the home screen of somebody whose providers were asked."""
    here = preferences(cli)
    clock = HandClock()
    source = ScriptedSource(clock)
    accounts = await asyncio.to_thread(look_at_accounts, here)
    desk = DeskOfMany(source, here, with_accounts(Overview(is_read=True), accounts))
    async with showing(source, clock, desk=desk, is_open=False) as shown:
        yield shown
        await ended(shown)


async def test_it_is_seen_and_ended_only_by_its_typed_id_and_gone_when_the_provider_says_so(
    cli: LocalCli, vast: FakeVast, number: str
) -> None:
    async with on_accounts(cli) as shown:
        await comes(shown, f"vast {number}", "not rented from here")
        assert "! 1 RENTED, MAY BILL" in shown.rows()[0]
        await answer(shown, "tab", "ctrl+t")
        words = " ".join(shown.text().split())
        assert "What would be lost is not known: it was not rented from here." in words
        assert "Another computer of yours may be training on it. Everything on it is LOST." in words
        await answer(shown, "y", "enter")
        assert "TERMINATING" not in shown.text()
        await answer(shown, *["backspace"] * 2)
        await shown.type(number)
        await comes(shown, f"! TERMINATING vast {number} in 5 s · u keeps it")
        # The ledger here never had it: that it is not in there proves nothing.
        assert isinstance(shown.screen.desk, DeskOfMany)
        shown.screen.desk.now = Overview(is_read=True)
        await shown.tick(UNDO_S - 1)
        assert "billing stopped" not in shown.text()
        assert vast.num_living() == 1
        await shown.tick(1)
        await comes(shown, "billing stopped", "(provider confirmed)")
        assert vast.num_living() == 0


async def test_leaving_names_it_and_claims_nothing_of_it(cli: LocalCli, number: str) -> None:
    async with on_accounts(cli) as shown:
        await shown.press("q")
        words = " ".join(shown.text().split())
        assert f"vast {number} bills on at" in words
        assert "until its own auto-stop; it was not rented from here." in words
        assert "nobody minds it" not in words


def test_the_desk_asks_providers_by_itself_and_what_the_records_have_counts_once(cli: LocalCli, vast: FakeVast) -> None:
    here = preferences(cli)
    own = rented(cli, vast, "loratui-own", RentalState.READY)
    with local_cli(cli.folder.parent / "there") as other:
        foreign = rented(other, vast, "loratui-there", RentalState.READY)
    host = SessionHost(here)
    host.start()
    try:
        with HostDesk(host, here) as desk:
            desk.look()
            wait_until(lambda: len(desk.overview().rentals) == 2, "the foreign one")
            lines = {line.instance_id: line for line in desk.overview().rentals}
            assert lines[foreign].is_elsewhere
            assert not lines[own].is_elsewhere
            assert desk.overview().balances == {"vast": 25_000_000}
            vast.key = "another"
            wait_until(lambda: desk.look() or desk.overview().unheard, "the refusal")
            assert {line.instance_id for line in desk.overview().rentals} == {own, foreign}, "an error is no emptiness"
            assert not desk.overview().balances
    finally:
        host.close()


async def test_a_listing_that_failed_is_told_beside_what_is_known(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock)
    silent = Accounts(failures={"vast": "it does not answer"})
    overview = with_accounts(Overview(is_read=True), silent)
    with local_cli(tmp_path) as cli:
        async with showing(source, clock, desk=DeskOfMany(source, preferences(cli), overview), is_open=False) as shown:
            assert "! vast not heard: more may be rented there" in shown.text()
            assert "vast: it does not answer" in shown.text()
            assert "(nothing billing)" not in shown.rows()[0]


def test_without_a_key_nobody_is_asked(cli: LocalCli, vast: FakeVast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LORATUI_VAST_API_KEY")
    assert look_at_accounts(preferences(cli)) == Accounts(asked=frozenset())
    assert with_accounts(Overview(is_read=True), look_at_accounts(preferences(cli))).is_all_known
    assert not vast.requests


def test_what_a_silent_provider_had_is_kept_and_of_the_others_what_they_say_now() -> None:
    lines = tuple(rental_line(provider=name, is_elsewhere=True) for name in ("vast", "runpod"))
    renewed = Accounts(elsewhere=lines).renewed(Accounts(failures={"runpod": "silent"}))
    assert [line.provider for line in renewed.elsewhere] == ["runpod"]


async def test_before_any_provider_was_asked_no_more_is_claimed_than_that_nothing_from_here_bills(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    source = ScriptedSource(clock)
    overview = with_accounts(Overview(is_read=True), Accounts())
    with local_cli(tmp_path) as cli:
        desk = DeskOfMany(source, preferences(cli), overview)
        async with showing(source, clock, desk=desk, is_open=False) as shown:
            assert "○ IDLE (nothing from here bills)" in shown.rows()[0]
            assert "nothing is rented from here, as far as is known" in shown.text()
            desk.now = with_accounts(Overview(is_read=True), Accounts().asking(["vast"]))
            await shown.tick()
            assert "○ IDLE (nothing from here bills)" in shown.rows()[0]
            assert "vast: not asked yet" in shown.text()
            desk.now = with_accounts(Overview(is_read=True), Accounts(asked=frozenset({"vast"})))
            await shown.tick()
            assert "○ IDLE (nothing billing)" in shown.rows()[0]
