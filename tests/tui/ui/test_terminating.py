"""Ending a rental from the interface: nothing is lost unasked, it can be thought over, and gone is what is proven."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from loratui import settings
from loratui.domain.overview import Overview
from loratui.domain.rental import RentalState
from loratui.domain.run import LinkState
from loratui.domain.run_source import RunSource
from loratui.sessions.at_stake import at_stake
from loratui.sessions.overview import overview
from loratui.settings import Settings
from loratui.store import Store
from loratui.store.rentals import Rentals
from loratui.ui.terminating import UNDO_S
from loratui.ui.text import cells
from loratui.ui.widgets.confirm_strip import GUARD_S
from loratui_protocol.messages import (
    Artifact,
    ArtifactKind,
    CommandResult,
    JobState,
    Record,
    State,
    Telemetry,
    Withdrawn,
)
from support.fake_vast import FakeVast, fake_vast
from support.left_rented import ledger_of, rented, stored_run
from support.local_cli import LocalCli, local_cli
from support.scripted_source import HandClock, ScriptedSource
from support.ui_effects.home import DeskOfMany
from support.ui_effects.money import INSTANCE, LABEL, forget_a_file, on_rental, rental_cost
from support.ui_pilot import Shown, showing
from tui.ui.test_hostile_text import HOSTILE

RUN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
_WAIT_S = 30.0


@pytest.fixture
def vast() -> Iterator[FakeVast]:
    with fake_vast() as fake:
        yield fake


@contextmanager
def cli_with_key(folder: Path, vast: FakeVast, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCli]:
    """Give a command line, and let this process be like it, that knows the key of an account."""
    environment = {
        "LORATUI_PROVIDERS__VAST__URL": vast.url,
        "LORATUI_PROVIDERS__VAST__SPACING": "0",
        "LORATUI_VAST_API_KEY": vast.key,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with local_cli(folder, **environment) as cli:
        yield cli


@pytest.fixture
def cli(tmp_path: Path, vast: FakeVast, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCli]:
    with cli_with_key(tmp_path, vast, monkeypatch) as cli:
        yield cli


class LedgerDesk:
    """A desk whose rentals are those of a real ledger."""

    def __init__(self, preferences: Settings, source: RunSource) -> None:
        self.preferences = preferences
        self._source = source

    def overview(self) -> Overview:
        return overview(self.preferences)

    def look(self) -> None:
        pass

    def open_run(self, run_id: str) -> RunSource:
        raise AssertionError(run_id)


@asynccontextmanager
async def on_ledger(cli: LocalCli, *, run_on: str = "") -> AsyncIterator[Shown]:
    """Show the home screen of somebody whose rentals are real, or a run that is over and is on one of them."""
    preferences = settings.load(
        {"state_dir": str(cli.folder / "state")}, {"LORATUI_CONFIG_DIR": str(cli.folder / "config")}
    )
    clock = HandClock()
    source = ScriptedSource(clock, target=f"vast:{run_on}" if run_on else "local")
    if run_on:
        source.run.rental = rental_cost(clock.monotonic_s(), label=run_on)
        source.finish(cli.folder)
    async with showing(source, clock, desk=LedgerDesk(preferences, source), is_open=bool(run_on)) as shown:
        yield shown
        await ended(shown)


async def ended(shown: Shown) -> None:
    """Wait for the end of every command that was sent out."""
    for errand in shown.screen.errands.all:
        await asyncio.to_thread(errand.process.wait, _WAIT_S)


async def comes(shown: Shown, *texts: str) -> None:
    """Wait until all texts are on the screen."""
    end_s = time.monotonic() + _WAIT_S
    while not all(text in shown.text() for text in texts):
        assert time.monotonic() < end_s, shown.text()
        await shown.tick(0)
        await shown.pilot.pause(0.02)


async def answer(shown: Shown, *keys: str) -> None:
    """Press keys, none of them typed ahead."""
    for key in keys:
        shown.clock.advance(GUARD_S + 0.1)
        await shown.press(key)


async def test_billing_has_stopped_only_when_the_provider_has_shown_it(cli: LocalCli, vast: FakeVast) -> None:
    number = await asyncio.to_thread(rented, cli, vast, "loratui-orphan", RentalState.BOOTING)
    async with on_ledger(cli) as shown:
        await comes(shown, f"! vast {number}", "nobody minds it: ^t ends it")
        await answer(shown, "ctrl+t")
        assert "Nothing is lost" in shown.text()
        await answer(shown, "enter", "space", "n", "t")
        assert f"TERMINATE vast {number}" in shown.text()
        await answer(shown, "y")
        assert f"! TERMINATING vast {number} in 5 s · u keeps it" in shown.rows()[0]
        await shown.tick(UNDO_S - 1)
        assert vast.num_living() == 1
        await shown.tick(1)
        assert "billing stopped" not in shown.text()
        await comes(shown, "billing stopped", "(provider confirmed)")
        assert vast.num_living() == 0
        assert [each.proven_gone for each in ledger_of(cli)] == [True]
        assert "STILL BILLING" not in shown.text()


async def test_the_rows_follow_the_proof_before_the_run_has_heard_of_it(cli: LocalCli, vast: FakeVast) -> None:
    await asyncio.to_thread(rented, cli, vast, LABEL, RentalState.READY)
    async with on_ledger(cli, run_on=LABEL) as shown:
        rental = shown.source.run.rental
        assert rental is not None
        await answer(shown, "ctrl+t", "y")
        await shown.tick(UNDO_S)
        shown.source.run.rental = replace(rental, state=RentalState.ENDING)
        await shown.tick()
        assert "STILL BILLING" in shown.rows()[1]
        await comes(shown, "(provider confirmed): vast")
        assert "STILL BILLING" not in shown.text()
        assert "billing stopped" in shown.rows()[1]


async def test_a_provider_that_refuses_leaves_an_alarm_that_stays_until_it_is_gone(
    cli: LocalCli, vast: FakeVast
) -> None:
    number = await asyncio.to_thread(rented, cli, vast, "loratui-x", RentalState.READY)
    vast.key = "another"
    async with on_ledger(cli) as shown:
        await comes(shown, number)
        await answer(shown, "ctrl+t", "y")
        await shown.tick(UNDO_S)
        await comes(shown, f"! STILL BILLING, perhaps: vast {number} · ^t asks again")
        await shown.tick(3600)
        assert f"! STILL BILLING, perhaps: vast {number}" in shown.rows()[0], "an alarm stays"
        assert [errand.status for errand in shown.screen.errands.all] == [5]
        assert "billing stopped" not in shown.text()
        with Rentals(cli.folder / "state" / "loratui.sqlite3") as ledger:
            ledger.note_end("loratui-x", RentalState.LOST, time.time())
        await comes(shown, "billing stopped")
        assert "STILL BILLING" not in shown.text()


async def test_a_termination_is_taken_back_within_five_seconds_on_any_screen(cli: LocalCli, vast: FakeVast) -> None:
    number = await asyncio.to_thread(rented, cli, vast, "loratui-x", RentalState.READY)
    async with on_ledger(cli) as shown:
        await comes(shown, number)
        await answer(shown, "ctrl+t", "y", "5", "u")
        assert f"kept, and billing: vast {number}" in shown.text()
        await shown.tick(UNDO_S + 1)
        assert not shown.screen.errands.all
        assert "TERMINATING" not in shown.text()
        await answer(shown, "ctrl+t", "y")
        assert "TERMINATING" in shown.text()
        assert "kept, and billing" not in shown.text()


async def test_only_the_id_that_is_typed_loses_files_and_keys_typed_ahead_type_nothing(tmp_path: Path) -> None:
    async with on_rental(is_over=True)(tmp_path) as shown:
        forget_a_file(shown.source)
        await answer(shown, "ctrl+t")
        assert "Not fetched yet: my-style-v3-step00000250" in shown.text()
        await answer(shown, "n")
        await shown.type(INSTANCE)
        assert "TERMINATING" not in shown.text(), "typed ahead"
        shown.clock.advance(GUARD_S + 0.1)
        await shown.type("31234568")
        await answer(shown, "enter", "y")
        assert "TERMINATING" not in shown.text()
        await answer(shown, *["backspace"] * 3)
        await shown.type("7")
        assert "TERMINATING" not in shown.text()
        await answer(shown, *["backspace"] * 8)
        await shown.type(INSTANCE)
        assert f"! TERMINATING vast {INSTANCE} in 5 s" in shown.text()


async def test_what_is_lost_is_never_cut_off(tmp_path: Path) -> None:
    async with on_rental()(tmp_path) as shown:
        await shown.resize(60, 16)
        forget_a_file(shown.source)
        await answer(shown, "ctrl+t", "n")
        words = " ".join(shown.text().split())
        assert "my-style-v3-step00000250.safetensors (1.2 MB)" in words
        assert "what was learned since step 1000" in words
        assert "AUTO-STOP" in shown.rows()[1]


async def test_the_key_is_hinted_at_while_something_bills(tmp_path: Path) -> None:
    async with on_rental()(tmp_path) as shown:
        assert "^t Terminate…" in shown.text()
        assert "RTX 4090 · vast 312" in shown.rows()[0], "by the name that is typed to end it"
    async with showing() as shown:
        assert "^t" not in shown.text()


async def test_keys_typed_ahead_do_not_terminate(tmp_path: Path) -> None:
    async with on_rental(is_over=True)(tmp_path) as shown:
        await shown.press("ctrl+t", "y")
        assert "TERMINATING" not in shown.text()
        assert "Nothing is lost" in shown.text()


async def test_without_a_link_nothing_can_be_fetched_and_its_provider_can_still_be_asked(tmp_path: Path) -> None:
    async with on_rental()(tmp_path) as shown:
        shown.source.run.heard(LinkState.DOWN, shown.clock.monotonic_s())
        await answer(shown, "ctrl+t")
        assert "no link to the agent" in shown.text()
        assert "Save and fetch" not in shown.text()
        shown.clock.advance(GUARD_S + 0.1)
        await shown.type(INSTANCE)
        assert f"! TERMINATING vast {INSTANCE} in 5 s" in shown.text()


async def test_a_run_is_stopped_and_its_files_are_fetched_before_the_end_is_asked_for(tmp_path: Path) -> None:
    async with on_rental()(tmp_path) as shown:
        sent: list[tuple[str, ...]] = []
        send = shown.screen.send_out

        def send_out(name: str, *argv: str) -> object:
            sent.append(argv)
            return send(name, "config", "path")

        shown.screen.money._terminations._send = send_out  # type: ignore[assignment]
        await answer(shown, "ctrl+t", "y")
        await comes(shown, "once it has saved")
        assert shown.source.sent == [("stop", 0)]
        assert not sent
        shown.source.answers[0].set_result(CommandResult(id="1", command="stop", author="", ok=True))
        shown.source.add(State(state=JobState.STOPPED))
        await comes(shown, "once its files are here")
        await comes(shown, "in 5 s")
        assert sent == [("download", shown.source.run_id)]
        await shown.tick(UNDO_S)
        assert sent[1:] == [("terminate", INSTANCE, "--yes")]
        await ended(shown)


async def test_the_question_of_a_stop_offers_the_end_of_the_rental_only_where_there_is_one(tmp_path: Path) -> None:
    async with showing() as shown:
        await answer(shown, "x")
        assert "then terminate" not in shown.text()
        await answer(shown, "t")
        assert "on nothing that is rented" in shown.text()
        assert not shown.source.sent
    async with on_rental()(tmp_path) as shown:
        await answer(shown, "x")
        assert "t Same, then terminate" in shown.text()
        assert "its machine ends once the files are here" in " ".join(shown.text().split())
        await answer(shown, "t")
        await comes(shown, f"! TERMINATING vast {INSTANCE} once it has saved", "u keeps it")
        await answer(shown, "u")
        assert f"kept, and billing: vast {INSTANCE}" in shown.text()


async def test_what_else_goes_on_there_is_not_stopped_unasked(tmp_path: Path) -> None:
    with local_cli(tmp_path) as cli:
        stored_run(cli, RUN, LABEL, name="other")
        async with on_rental()(tmp_path) as shown:
            desk = shown.screen.desk
            assert isinstance(desk, DeskOfMany)
            other = replace(desk.now.runs[0], id=RUN, name="other")
            desk.now = replace(desk.now, runs=(*desk.now.runs, other))
            await answer(shown, "x", "t")
            await comes(shown, "y Save and fetch, then terminate", "other is")
            assert not shown.source.sent


async def test_files_that_can_not_be_fetched_keep_the_rental(tmp_path: Path) -> None:
    async with on_rental(is_over=True)(tmp_path) as shown:
        forget_a_file(shown.source)
        await answer(shown, "ctrl+t", "y")
        # There is no such run in these records: the real command fails.
        await comes(shown, f"! NOT TERMINATED, AND BILLING: vast {INSTANCE} · ^t asks again")
        await shown.tick(UNDO_S)
        assert [errand.argv[0] for errand in shown.screen.errands.all] == ["download"]


async def test_of_several_the_one_is_chosen_on_the_home_screen(cli: LocalCli, vast: FakeVast) -> None:
    numbers = [
        await asyncio.to_thread(rented, cli, vast, label, RentalState.READY) for label in ("loratui-a", "loratui-b")
    ]
    async with on_ledger(cli) as shown:
        await comes(shown, *numbers)
        await answer(shown, "5", "ctrl+t")
        assert "▌1Home▐" in shown.text()
        assert "2 are rented: choose one, then ^t" in shown.text()
        await answer(shown, "j")
        chosen = next(row for row in shown.rows() if row.startswith(">"))
        await answer(shown, "ctrl+t")
        assert next(row for row in shown.rows() if "TERMINATE" in row).split()[3] == chosen.split()[3]


async def test_time_is_added_while_a_text_is_typed(tmp_path: Path) -> None:
    async with on_rental()(tmp_path) as shown:
        shown.screen.ask_text("note", lambda _: None)
        await shown.type("abc")
        await shown.press("f8")
        assert shown.source.sent == [("extend", 1800)]
        assert shown.screen.prompt.is_open


async def test_keeping_a_rental_whose_runs_were_stopped_says_that_they_stop_all_the_same(tmp_path: Path) -> None:
    async with on_rental()(tmp_path) as shown:
        await answer(shown, "ctrl+t", "y")
        await comes(shown, "once it has saved")
        await answer(shown, "u")
        assert f"kept, and billing: vast {INSTANCE}; its runs stop all the same" in shown.text()


async def test_no_name_does_anything_in_the_question(tmp_path: Path) -> None:
    async with on_rental()(tmp_path) as shown:
        run = shown.source.run
        for at, text in enumerate(HOSTILE):
            run.name = text
            run.telemetry = Telemetry(source="nvml", gpu_name=text)
            lora = Artifact(id=str(at), kind=ArtifactKind.LORA, name=text * 3, size=1, sha256="1" * 64, step=1)
            shown.source.add(lora)
            for key in ("ctrl+t", "n"):
                await answer(shown, key)
                for row in shown.rows():
                    assert all(char.isprintable() for char in row), ascii(row)
                    assert cells(row) <= 80
            await answer(shown, "escape")


async def test_terminate_is_asked_while_a_text_is_typed_and_while_a_filter_is(tmp_path: Path) -> None:
    async with on_rental()(tmp_path) as shown:
        shown.screen.ask_text("note", lambda _: None)
        await shown.type("abc")
        await shown.press("ctrl+t")
        assert f"TERMINATE vast {INSTANCE}" in shown.text()
        await answer(shown, "escape", "1", "/")
        await shown.type("st")
        await shown.press("ctrl+t")
        assert f"TERMINATE vast {INSTANCE}" in shown.text()


def test_what_is_at_stake_is_read_from_the_records(tmp_path: Path) -> None:
    with local_cli(tmp_path) as cli:
        stored_run(cli, RUN, LABEL)
        made = [
            Artifact(id=name, kind=kind, name=f"{name}.bin", size=10, sha256=sha256, step=1)
            for name, kind, sha256 in (
                ("here", ArtifactKind.LORA, "a" * 64),
                ("anew", ArtifactKind.LORA, "b" * 64),
                ("anew", ArtifactKind.LORA, "c" * 64),
                ("gone", ArtifactKind.LORA, "d" * 64),
                ("state", ArtifactKind.STATE, "e" * 64),
                ("there", ArtifactKind.SAMPLE, "f" * 64),
            )
        ]
        events = [*made, Withdrawn(id="gone", name="gone.bin", sha256="d" * 64, why="newer ones are kept")]
        with Store(tmp_path / "state" / "loratui.sqlite3") as store:
            store.append(RUN, "epoch", [Record(seq=at, ts=1.0, event=each) for at, each in enumerate(events, 2)])
            store.add_download(RUN, "here", tmp_path / "here.bin", "a" * 64)
            store.add_download(RUN, "anew", tmp_path / "anew.bin", "b" * 64)
        preferences = settings.load({"state_dir": str(tmp_path / "state")}, {})
        [run] = at_stake(preferences, f"vast:{LABEL}")
        assert run.is_lost
        assert [artifact.id for artifact in run.missing] == ["anew", "there"]
        assert at_stake(preferences, "vast:loratui-other") == []
