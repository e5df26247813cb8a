"""The home screen: what each run's row says at every width, where one goes on, and the way to a first run."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain.overview import Overview, RunLine
from loratui.ui.errands import Errand, begun_run
from loratui.ui.screens.home import HomePage
from loratui.ui.text import cells
from loratui_protocol.messages import JobState
from support.scripted_source import RUN_ID
from support.ui_effects.home import STOPPED, on_home, run_line
from support.ui_pilot import Shown

NOW_TS = 1_795_443_727.0
LIVE = run_line(
    1, name="anna", state=JobState.RUNNING, step=1240, total=2500, is_live=True, eta_s=5000.0, heard_ts=NOW_TS
)
AWAY = run_line(2, name="away", state=JobState.RUNNING, step=300, heard_ts=NOW_TS - 3600)
LACKING = run_line(3, name="lacking", is_lacking=True)


def overview(*runs: RunLine) -> Overview:
    return Overview(runs=runs, is_read=True)


def row_of(name: str, shown: Shown) -> str:
    return next(row for row in shown.rows() if row[2:].startswith(name))


@pytest.mark.parametrize(
    ("width", "live"),
    [
        (60, "anna           ● TRAINING      49 % ends 15:45      $0.12"),
        (80, "anna              ● TRAINING          1240/2500  49 % eta 1 h 23 min    $0.12"),
        (120, "● TRAINING     ▕████▌    ▏      1240/2500  49 % eta 1 h 23 min    $0.12  2026-"),
    ],
)
async def test_a_row_says_what_its_width_has_room_for(width: int, live: str, tmp_path: Path) -> None:
    async with on_home(tmp_path, overview(LIVE)) as shown:
        await shown.resize(width, 24 if width < 100 else 40)

        assert live in row_of("anna", shown)


@pytest.mark.parametrize("width", [60, 70, 80, 120, 160])
async def test_no_row_is_wider_than_the_screen_and_steps_are_whole_or_left_out(width: int, tmp_path: Path) -> None:
    long = replace(
        LIVE, name="長い名前" * 9, target="ssh://someone@somewhere.example.org:2222", step=100_000, total=120_000
    )
    async with on_home(tmp_path, overview(long, AWAY, LACKING)) as shown:
        await shown.resize(width, 30)

        assert all(cells(row) <= width for row in shown.rows())
        assert "83 %" in shown.text()
        assert ("100000/120000" in shown.text()) == (width >= 80)


@pytest.mark.parametrize("width", [60, 80, 120])
async def test_runs_of_one_name_are_told_apart_by_when_they_began(width: int, tmp_path: Path) -> None:
    first, again = (run_line(n, name="my-own-very-long-style-v3", created_ts=NOW_TS - n * 7200) for n in (1, 2))
    other = run_line(3, name="other")
    async with on_home(tmp_path, overview(first, again, other)) as shown:
        await shown.resize(width, 24 if width < 100 else 40)

        rows = [row for row in shown.rows() if row[2:].startswith("my-own")]
        assert ["12:22" in rows[0], "10:22" in rows[1]] == [True, True], rows
        assert "11:" not in row_of("other", shown)[:40]
        assert all(cells(row) <= width for row in shown.rows())


async def test_what_is_not_heard_is_as_of_then_and_its_cost_is_about_so_much(tmp_path: Path) -> None:
    async with on_home(tmp_path, overview(AWAY)) as shown:
        assert "as of 13:22" in row_of("away", shown)
        assert "≈$0.12" in row_of("away", shown)

        shown.screen.desk.now = overview(replace(AWAY, heard_ts=NOW_TS - 90_000))
        await shown.tick()
        assert "as of 11-22" in row_of("away", shown)


async def test_the_cursor_begins_on_the_newest_run_that_goes_on_and_stays_where_it_is_put(tmp_path: Path) -> None:
    async with on_home(tmp_path, overview(run_line(0), AWAY, run_line(4))) as shown:
        assert row_of("away", shown).startswith(">")
        await shown.press("down")
        await shown.tick()

        assert row_of("style-4", shown).startswith(">")


async def test_what_is_done_and_not_here_is_told_and_fetched(tmp_path: Path) -> None:
    async with on_home(tmp_path, overview(LACKING)) as shown:
        assert "1 done and not fetched: enter fetches" in shown.text()
        assert "↓ not here" in row_of("lacking", shown)
        await shown.press("enter")

        assert await comes(lambda: shown.screen.desk.opened == [LACKING.id], shown)


async def test_what_the_settings_leave_there_is_fetched_by_its_command(tmp_path: Path) -> None:
    async with on_home(tmp_path, overview(LACKING)) as shown:
        desk = shown.screen.desk
        desk.preferences = replace(desk.preferences, downloads=replace(desk.preferences.downloads, which="none"))
        await shown.press("enter")
        [errand] = shown.screen.errands.all
        errand.process.wait(60)

        assert errand.argv == ("download", LACKING.id)
        assert desk.opened == []


async def test_only_what_has_stopped_goes_on(tmp_path: Path) -> None:
    async with on_home(tmp_path, overview(LIVE)) as shown:
        await shown.press("R")

        assert "not now, the run is running" in shown.text()
        assert shown.screen.errands.all == []


async def test_a_run_whose_machine_costs_nothing_goes_on_at_once(tmp_path: Path) -> None:
    async with on_home(tmp_path, overview(replace(STOPPED, price_microusd_per_h=0))) as shown:
        await shown.press("R")
        [errand] = shown.screen.errands.all
        errand.process.wait(60)

        assert errand.argv == ("resume", STOPPED.id, "--yes", "--detach")


async def test_records_that_can_not_be_read_are_not_told_as_no_runs(tmp_path: Path) -> None:
    async with on_home(tmp_path, Overview(is_read=True, trouble="the disk fails")) as shown:
        assert "! the runs can't be read: the disk fails" in shown.text()
        assert "no run yet" not in shown.text()


@pytest.mark.parametrize(
    ("typed", "argv"),
    [
        (["local"], ("--on", "local")),
        (["cheapest", "$2.50", "y"], ("--on", "cheapest", "--budget", "2.50")),
        (["cheapest", "2.50", "enter"], None),
        (["cheapest", "much"], None),
    ],
)
async def test_a_run_whose_machine_is_gone_goes_on_where_the_user_says(
    typed: list[str], argv: tuple[str, ...] | None, tmp_path: Path
) -> None:
    async with on_home(tmp_path, overview(replace(STOPPED, is_there=False))) as shown:
        await shown.press("R")
        for text in typed:
            if text in ("y", "enter"):
                assert "A machine is rented for at most $2.50" in shown.text()
                shown.clock.advance(1)
                await shown.press(text)
                continue
            shown.screen.prompt._field.value = text
            await shown.press("enter")
        sent = [errand.argv for errand in shown.screen.errands.all]
        for errand in shown.screen.errands.all:
            errand.process.wait(60)

        assert sent == ([] if argv is None else [("resume", STOPPED.id, "--yes", "--detach", *argv)])


async def test_an_empty_home_leads_to_a_first_run_at_the_smallest_size(tmp_path: Path) -> None:
    async with on_home(tmp_path, overview()) as shown:
        await shown.resize(60, 16)

        for step in ("1  o  open a folder of pictures", "2  n  make a config", "3  t  train it", "or d  try it all"):
            assert step in shown.text()


async def test_the_run_of_a_demo_is_opened_as_soon_as_it_has_one(tmp_path: Path) -> None:
    async with on_home(tmp_path, overview()) as shown:
        with spoken(tmp_path, "making pictures\n") as errand:
            await opens_its_run(shown, errand)


async def opens_its_run(shown: Shown, errand: Errand) -> None:
    home(shown).await_run(errand)
    await shown.tick()
    assert shown.screen.desk.opened == []
    errand.words.write_text(f"making pictures\nrun {RUN_ID}: demo, 400 steps on this machine\n")

    assert await comes(lambda: "▌5Run▐" in shown.text(), shown)
    assert shown.screen.desk.opened == [RUN_ID]


async def test_who_has_gone_to_another_screen_is_not_called_back_by_the_demo(tmp_path: Path) -> None:
    async with on_home(tmp_path, overview()) as shown:
        with spoken(tmp_path, f"run {RUN_ID}: demo, 400 steps on this machine\n") as errand:
            home(shown).await_run(errand)
        shown.screen.go("samples")
        await shown.tick()
        shown.screen.go("home")
        for _ in range(3):
            await shown.tick()

        assert shown.screen.desk.opened == []


async def test_one_demo_at_a_time(tmp_path: Path) -> None:
    async with on_home(tmp_path, overview()) as shown:
        with spoken(tmp_path, "") as errand:
            shown.screen.errands.all.append(errand)
            await shown.press("d")

            assert "Demo: not now, one is under way" in shown.text()


async def test_a_demo_that_ends_without_a_run_is_waited_for_no_more(tmp_path: Path) -> None:
    async with on_home(tmp_path, overview()) as shown:
        with spoken(tmp_path, "the demo's pictures could not be made\n") as errand:
            home(shown).await_run(errand)

        assert await comes(lambda: home(shown)._beginning is None, shown)


def test_only_a_line_of_its_own_names_a_run() -> None:
    assert begun_run(["warning: run wild", "run 01: short", f"run {RUN_ID}: demo"]) == RUN_ID
    assert begun_run([]) == ""


async def test_a_typed_folder_is_shown_or_its_command_named_where_no_screen_shows_it(tmp_path: Path) -> None:
    async with on_home(tmp_path, overview()) as shown:
        home(shown)._open_pictures(str(tmp_path))
        await shown.pilot.pause()

        is_shown = shown.screen.page.place == "data"
        assert is_shown == ("data" in shown.screen.pages)
        assert is_shown or f"loratui check {tmp_path}"[:60] in shown.text()


def home(shown: Shown) -> HomePage:
    page = shown.screen.pages["home"]
    assert isinstance(page, HomePage)
    return page


@contextmanager
def spoken(folder: Path, words: str) -> Iterator[Errand]:
    """Yield a command that has said something, and goes on."""
    path = folder / "words"
    path.write_text(words)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield Errand(name="demo", argv=("demo",), words=path, process=process, started_s=0.0)
    process.communicate(b"\n")


async def comes(check: Callable[[], bool], shown: Shown) -> bool:
    """Wait until a thread has done what it should."""
    end_s = time.monotonic() + 5
    while not check():
        if time.monotonic() > end_s:
            return False
        await shown.tick()
    return True


async def test_while_a_filter_stands_its_keys_come_first(tmp_path: Path) -> None:
    async with on_home(tmp_path) as shown:
        await shown.press("/", "-", "3", "enter", "n", "n")
        assert any(row.startswith(">") and "style-31 " in row for row in shown.rows()), "style-3, 30, 31"
        assert "n New" not in shown.rows()[-1]
        assert "n Next" in shown.rows()[-1]

        await shown.press("escape")
        assert "n New" in shown.rows()[-1]
        assert any(row.startswith(">") and "style-31 " in row for row in shown.rows()), "the cursor stays"
