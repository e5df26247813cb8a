"""Every state as the two rows over all screens say it: in a word, with what it means for money, and nothing made up."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain.overview import Overview, RentalLine
from loratui.domain.rental import RentalState
from loratui.domain.run import LinkState
from loratui.ui.errands import Errand
from loratui_protocol.messages import Artifact, ArtifactKind, JobState, Setup, State
from support.ui_effects.home import DeskOfMany, on_home, run_line
from support.ui_effects.money import on_rental, rental_cost, rental_line
from support.ui_pilot import Shown

_ARGV = ("train", "job.toml", "--on", "vast", "--offer", "7", "--max-price", "0.36", "--budget", "1.50", "--yes")


@asynccontextmanager
async def renting(folder: Path, *rentals: RentalLine, said: str = "", **facts: object) -> AsyncIterator[Shown]:
    """Show the home screen while a command rents, and the ledger has these rentals."""
    words = folder / "words"
    words.write_text(said)
    process: subprocess.Popen[bytes] = subprocess.Popen(["sleep", "600"])  # noqa: ASYNC220 - it begins at once
    async with on_home(folder, Overview(is_read=True, rentals=rentals, **facts)) as shown:  # type: ignore[arg-type]
        started_s = shown.clock.monotonic_s() - 12
        errand = Errand(name="rent RTX 4090", argv=_ARGV, words=words, process=process, started_s=started_s)
        shown.screen.errands.all.append(errand)
        try:
            await shown.tick(0)
            yield shown
        finally:
            process.kill()
            process.wait()


async def test_idle_says_that_nothing_bills_and_what_there_is_to_spend(tmp_path: Path) -> None:
    overview = Overview(
        is_read=True, month_microusd=14_200_000, most_microusd=10_000_000, balances={"vast": 21_400_000}
    )
    async with on_home(tmp_path, overview) as shown:
        assert "○ IDLE (nothing billing)" in shown.rows()[0]
        expected = " $0.00/h · this month ≈$14.20 · balance $21.40 · cap $10.00 a rental"
        assert shown.rows()[1].startswith(expected)
        await shown.resize(60, 16)
        assert "balance $21.40" in shown.rows()[1]


async def test_two_balances_name_their_accounts(tmp_path: Path) -> None:
    async with on_home(tmp_path, Overview(is_read=True, balances={"vast": 1_000_000, "runpod": 2_000_000})) as shown:
        assert "balance vast $1.00, runpod $2.00" in shown.rows()[1]
        assert "this month $0.00" in shown.rows()[1], "nothing is no estimate"


async def test_renting_says_how_far_it_is_and_whether_it_bills(tmp_path: Path) -> None:
    billing = "≈$0.12 spent · $0.36/h · at most $1.50"
    async with renting(tmp_path, said="vast RTX 4090: loading\n") as shown:
        for state, badge, money in (
            (None, "◐ RENTING 0:12", "not billing yet · quote $0.36/h · at most $1.50"),
            (RentalState.INTENT, "◐ RENTING 0:12", "not billing yet"),
            (RentalState.CREATING, "◐ RENTING 0:12", "asked for: it may bill from now on"),
            (RentalState.UNKNOWN, "! RENTED? 0:12", "assume that it is billing"),
            (RentalState.BOOTING, "◐ BOOT 2/7 0:12", billing),
            (RentalState.CONNECTING, "◐ BOOT 3/7 0:12", billing),
            (RentalState.READY, "◐ BOOT 4/7 0:12", billing),
        ):
            rentals = () if state is None else (rental_line(state=str(state)),)
            assert isinstance(shown.screen.desk, DeskOfMany)
            shown.screen.desk.now = Overview(is_read=True, rentals=rentals)
            await shown.tick(0)
            assert f"{badge}   vast RTX 4090: loading" in shown.rows()[0]
            assert money in shown.rows()[1]
            assert "IDLE" not in shown.text()
            assert ("not billing yet" in shown.rows()[1]) is (state in (None, RentalState.INTENT))


async def test_records_that_can_not_be_read_prove_nothing_about_what_is_rented(tmp_path: Path) -> None:
    async with renting(tmp_path, trouble="it is damaged") as shown:
        assert "not billing yet" not in shown.rows()[1]
        assert "whether it bills is not known" in shown.rows()[1]


async def test_what_bills_beside_it_is_told_while_something_is_rented(tmp_path: Path) -> None:
    other = rental_line(label="loratui-other")
    runs = (run_line(1, target=other.target, state=JobState.RUNNING),)
    async with renting(tmp_path, other, runs=runs) as shown:
        assert "not billing yet" in shown.rows()[1]
        assert "! 1 more rented $0.36/h" in shown.rows()[1]


async def test_leaving_while_something_is_rented_says_what_goes_on(tmp_path: Path) -> None:
    async with renting(tmp_path) as shown:
        await shown.press("q")
        words = " ".join(shown.text().split())
        assert "rent RTX 4090 goes on by itself (not billing yet · quote $0.36/h · at most $1.50)" in words
        assert "x Stop…" not in words, "no run is open"
        assert shown.app.is_running


async def test_what_another_screen_has_sent_out_can_be_given_up_which_says_what_it_costs(
    tmp_path: Path,
) -> None:
    async with renting(tmp_path, rental_line(state=str(RentalState.BOOTING))) as shown:
        assert shown.rows()[1].endswith("4, then x gives it up")
        await shown.press("4", "x")
        assert "GIVE UP rent RTX 4090" in shown.text()
        assert "≈$0.12 until now" in " ".join(shown.text().split())
        shown.clock.advance(1)
        await shown.press("y")
        [errand] = shown.screen.errands.all
        assert await asyncio.to_thread(errand.process.wait, 30) == -signal.SIGINT


def doing(phase: str, done: int = 0, total: int = 0) -> Setup:
    return Setup(phase=phase, done=done, total=total, unit="bytes", message="")


async def test_on_a_rental_the_steps_before_training_are_counted(tmp_path: Path) -> None:
    async with on_rental()(tmp_path) as shown:
        shown.source.add(State(state=JobState.PREPARING))
        for phase, badge in (
            (doing("environment", 2, 5), "◐ BOOT 5/7 environment 40 %"),
            (doing("environment", 5, 5), "◐ BOOT 6/7 environment 100 %"),
            (doing("base_model", 41, 100), "◐ BOOT 6/7 base model 41 %"),
            (doing("dataset"), "◐ BOOT 7/7 dataset"),
            (doing("cache_latents", 3, 4), "◐ BOOT 7/7 cache latents 75 %"),
        ):
            shown.source.add(phase)
            await shown.tick(0)
            assert badge in shown.rows()[0]
            assert "$0.12 spent · $0.36/h" in shown.rows()[1]


async def test_a_run_on_a_rental_bills_on_when_it_is_over(tmp_path: Path) -> None:
    async with on_rental()(tmp_path) as shown:
        rental = shown.source.run.rental
        for state, badge in (
            (JobState.RUNNING, "● TRAINING"),
            (JobState.PAUSED, "‖ PAUSED (still billing)"),
            (JobState.FINISHING, "◆ FINISHING"),
            (JobState.DONE, "■ DONE, STILL BILLING"),
            (JobState.STOPPED, "■ STOPPED, STILL BILLING"),
            (JobState.FAILED, "x FAILED, STILL BILLING"),
        ):
            shown.source.run.rental = rental
            shown.source.add(State(state=state))
            await shown.tick(0)
            assert badge in shown.rows()[0]
            if state.is_final:
                assert "^t Terminate…" in shown.text()
                gone = rental_cost(shown.clock.monotonic_s(), state=RentalState.GONE, ended_ts=1.0)
                shown.source.run.rental = gone
                await shown.tick(0)
                assert "STILL BILLING" not in shown.rows()[0]
                assert "(provider confirmed)" in shown.rows()[1]


async def test_files_on_their_way_are_told_beside_the_state(tmp_path: Path) -> None:
    async with on_rental()(tmp_path) as shown:
        await shown.resize(120, 40)
        for name in ("a", "b"):
            shown.source.add(Artifact(id=name, kind=ArtifactKind.LORA, name=name, size=100, sha256="1" * 64, step=1))
        shown.source.run.fetching = "a", 62
        await shown.tick(0)
        assert "● TRAINING   ↓ SYNC 2 files 62 %" in shown.rows()[0]


@pytest.mark.parametrize(
    ("link", "badge"), [(LinkState.DOWN, "! LINK DOWN 0:37"), (LinkState.STALE, "! NO HEARTBEAT 0:37")]
)
async def test_without_a_link_numbers_are_marked_and_the_rental_can_be_ended(
    tmp_path: Path, link: LinkState, badge: str
) -> None:
    async with on_rental()(tmp_path) as shown:
        shown.source.run.heard(link, shown.clock.monotonic_s())
        rental = shown.source.run.rental
        assert rental is not None
        shown.source.run.rental = replace(rental, heard_s=None)
        await shown.tick(37)
        assert badge in shown.rows()[0]
        assert "≈$0.12 spent" in shown.rows()[1]
        await shown.press("ctrl+t")
        assert "TERMINATE vast" in shown.text()


async def test_a_budget_that_is_nearly_spent_is_told_in_words(tmp_path: Path) -> None:
    async with on_rental()(tmp_path) as shown:
        await shown.resize(120, 40)
        for spent, words in (
            (790_000, "79 % of $1.00"),
            (800_000, "! near the cap: 80 % of $1.00"),
            (1_010_000, "! CAP REACHED 101 % of $1.00"),
        ):
            shown.source.run.rental = rental_cost(shown.clock.monotonic_s(), spent_microusd=spent)
            await shown.tick(0)
            assert f" · {words}" in shown.rows()[1]


async def test_the_countdown_has_a_mark_beside_its_colour(tmp_path: Path) -> None:
    async with on_rental()(tmp_path) as shown:
        shown.source.beat = lambda: None  # type: ignore[method-assign]
        for minutes, words in ((16, " AUTO-STOP 16 min"), (15, "! AUTO-STOP 15 min"), (4, "! AUTO-STOP 4 min")):
            shown.source.run.deadline_s, shown.source.run.money_at_s = minutes * 60.0, shown.clock.monotonic_s()
            await shown.tick(0)
            assert words in shown.rows()[1]
