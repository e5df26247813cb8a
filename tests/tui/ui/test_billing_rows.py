"""Whatever bills is told in the rows over every screen, and again when the interface is left."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain.formatting import UNKNOWN
from loratui.domain.overview import Overview
from loratui.domain.rental import RentalState
from loratui.domain.run import LinkState
from loratui.ui.actions import ACTIONS
from loratui.ui.errands import Errand, is_renting
from loratui.ui.frame import Frame
from loratui.ui.text import row_width
from loratui.ui.widgets.status import StatusRows
from loratui_protocol.messages import JobState
from support.scripted_source import STARTED_TS, HandClock, ScriptedSource
from support.ui_effects.home import on_home, run_line
from support.ui_effects.money import LABEL, on_rental, rental_cost, rental_line
from support.ui_pilot import showing


def rows(frame: Frame, width: int = 80) -> list[str]:
    drawn = StatusRows(id="status").compose_rows(frame, width, 2)
    assert all(row_width(row) <= width for row in drawn)
    return ["".join(text for text, _ in row) for row in drawn]


def frame(**changes: object) -> Frame:
    clock = HandClock()
    source = ScriptedSource(clock, target=f"vast:{LABEL}")
    source.run.rental = rental_cost(clock.monotonic_s(), stops_for="1.5 x p90")
    usual = {
        "run": source.view(),
        "now_s": clock.monotonic_s(),
        "wall": clock.local(),
        "overview": Overview(rentals=(rental_line(),), is_read=True),
        "keys": ACTIONS,
    }
    return Frame(**(usual | changes))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_other_rentals_are_told_without_cutting_the_countdown(width: int) -> None:
    others = tuple(rental_line(label=f"loratui-{number}") for number in range(2))
    [_, money] = rows(frame(overview=Overview(rentals=(rental_line(), *others), is_read=True)), width)
    assert ("! 3 at $1.08/h" if width == 60 else "! 2 more rented $0.72/h") in money
    assert "$0.12 spent" in money
    assert money.rstrip().endswith(")")
    assert "AUTO-STOP 2 h 51 min (17:13" in money


def test_the_rental_of_the_open_run_is_no_other() -> None:
    assert "more rented" not in rows(frame(), 120)[1]


def test_from_four_fifths_of_the_cap_on_it_is_a_warning_in_words() -> None:
    near = frame()
    assert "12 % of $1.00" in rows(near, 120)[1]
    assert "! 12 %" not in rows(near, 120)[1]
    assert near.run is not None
    near.run.rental = rental_cost(near.now_s, spent_microusd=800_000)
    assert "! 80 % of $1.00" in rows(near, 80)[1]


def test_billing_has_stopped_since_the_provider_has_shown_it() -> None:
    over = frame(overview=Overview(is_read=True))
    assert over.run is not None
    over.run.rental = rental_cost(over.now_s, state=RentalState.GONE, ended_ts=STARTED_TS)
    [_, money] = rows(over)
    assert "billing stopped " in money
    assert "(provider confirmed)" in money


def errand(folder: Path, *argv: str, said: str = "") -> Errand:
    words = folder / "words"
    words.write_text(said)
    process: subprocess.Popen[bytes] = subprocess.Popen(["true"])
    process.wait()
    return Errand(name=argv[0], argv=argv, words=words, process=process, started_s=0.0)


def test_renting_is_a_state_while_no_run_is_followed(tmp_path: Path) -> None:
    renting = errand(tmp_path, "train", "job.toml", "--on", "cheapest", said="asking vast for an offer\n")
    idle = replace(frame(run=None, overview=Overview(is_read=True), errands=(renting,)), now_s=12.0)
    assert "◐ RENTING 0:12   asking vast for an offer" in rows(idle)[0]
    assert "TRAINING" in rows(frame(errands=(renting,)))[0]


def test_only_what_goes_to_a_provider_rents(tmp_path: Path) -> None:
    assert is_renting(errand(tmp_path, "resume", "cat", "--on", "vast"))
    for argv in (["train", "c", "--on", "local"], ["train", "c", "--on", "ssh://a@b"], ["demo"], ["train", "--on"]):
        assert not is_renting(errand(tmp_path, *argv))


async def test_leaving_says_what_goes_on_until_when_at_what_price(tmp_path: Path) -> None:
    async with on_rental(other="41234567")(tmp_path) as shown:
        await shown.press("q")
        assert "The run goes on without this screen at $0.69/h, auto-stop 17:13." in shown.text()
        assert "vast 41234567 bills on at $0.36/h, until" in shown.text()
        assert "TRAINING" in shown.rows()[0]


async def test_leaving_without_an_open_run_names_what_bills(tmp_path: Path) -> None:
    overview = Overview(rentals=tuple(rental_line(label=f"loratui-{at}") for at in range(5)), is_read=True)
    async with on_home(tmp_path, overview) as shown:
        await shown.press("q")
        assert shown.text().count("bills on at $0.36/h") == 3
        assert "2 more bill on at $0.72/h: loratui rentals" in shown.text()
        assert shown.app.is_running


async def test_leaving_says_what_is_terminated_then(tmp_path: Path) -> None:
    async with on_rental(is_over=True)(tmp_path) as shown:
        await shown.press("ctrl+t")
        shown.clock.advance(1)
        await shown.press("y", "q")
        assert "vast 31234567 is terminated when this closes, as was confirmed" in shown.text()


async def test_what_was_read_before_the_records_broke_is_shown_as_old_and_not_as_all_there_is(tmp_path: Path) -> None:
    overview = Overview(rentals=(rental_line(),), is_read=True).troubled("too many files are open")
    async with on_home(tmp_path, overview) as shown:
        assert "! WHAT IS RENTED IS NOT KNOWN" in shown.rows()[0]
        assert "! as last read: too many files are open" in shown.text()
        assert "vast 31234567" in shown.text()
        assert "this month" not in shown.text()
        await shown.press("q")
        words = " ".join(shown.text().split())
        assert "What is rented is not known, and may bill on: too many files are open." in words


@pytest.mark.parametrize(("width", "words"), [(60, "! more may bill"), (120, "! other rentals not known")])
def test_an_open_run_does_not_hide_that_other_rentals_are_not_known(width: int, words: str) -> None:
    troubled = Overview(rentals=(rental_line(),), is_read=True).troubled("too many files are open")
    assert words in rows(frame(overview=troubled), width)[1]


def unpriced(clock: HandClock, **changes: object) -> ScriptedSource:
    """Return a run on a machine of which nobody has said what it costs."""
    source = ScriptedSource(clock, target="ssh://ana@box", step=3)
    source.beat = lambda: None  # type: ignore[method-assign]
    facts = {"spent_microusd": 0, "price_microusd_per_h": 0, **changes}
    source.run = replace(source.run, **facts)  # type: ignore[arg-type]
    return source


async def test_of_a_machine_whose_price_nobody_has_said_no_amount_is_made_up() -> None:
    clock = HandClock()
    async with showing(unpriced(clock), clock) as shown:
        assert shown.rows()[1].startswith(" price not known · ssh.price_usd_per_h is not set")
        assert shown.rows()[1].endswith("AUTO-STOP 2 h 59 min (17:22)")
        for key, words in (
            ("x", "at a price that is not known. What is learned so far is saved."),
            ("q", "The run goes on without this screen at a price that is not known"),
            ("f8", "+30 min, at a price that is not known"),
        ):
            await shown.press(key)
            assert words in " ".join(shown.text().split())
            assert "$" not in shown.text()
            shown.clock.advance(1)
            await shown.press("escape")
        shown.source.run.heard(LinkState.DOWN, clock.monotonic_s())
        await shown.tick()
        assert "price not known may bill on" in shown.rows()[1]


def test_what_is_rented_beside_a_machine_without_a_price_is_told_all_the_same() -> None:
    run = unpriced(HandClock()).view()
    assert "price not known · ! 1 more rented $0.36/h" in rows(frame(run=run))[1]
    run.state = JobState.DONE
    assert rows(frame(run=run, overview=Overview(is_read=True)))[1].strip().startswith("price not known")


async def test_a_run_whose_price_nobody_has_said_has_no_cost_in_the_list(tmp_path: Path) -> None:
    runs = (run_line(0, target="ssh://ana@box", spent_microusd=0), run_line(1, spent_microusd=0))
    async with on_home(tmp_path, Overview(runs=runs, is_read=True)) as shown:
        [other, here] = [row for row in shown.rows() if " style-" in row]
        assert UNKNOWN in other
        assert "$" not in other
        assert "$0.00" in here


async def test_what_our_clock_makes_of_a_rental_is_an_estimate_and_so_is_an_end_that_is_not_heard_of(
    tmp_path: Path,
) -> None:
    async with on_home(tmp_path, Overview(rentals=(rental_line(),), is_read=True)) as shown:
        assert "≈$0.12 · $0.36/h" in shown.text()
        await shown.press("ctrl+t")
        assert "≈$0.12 spent." in shown.text()
    clock = HandClock()
    async with showing(ScriptedSource(clock), clock) as shown:
        await shown.press("q")
        assert ", auto-stop 17:" in shown.text()
        shown.source.run.heard(LinkState.DOWN, clock.monotonic_s())
        await shown.tick()
        assert ", auto-stop ≈17:" in shown.text()
