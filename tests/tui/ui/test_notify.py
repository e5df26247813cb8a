"""What calls the user back: each event once, in the terminal's own way, and nothing in it but text."""

import re
import sys
from pathlib import Path

import pytest

from loratui.domain.overview import Overview, RentalLine
from loratui.domain.rental import RentalState
from loratui.domain.rental_cost import RentalCost
from loratui.ui.actions import ACTIONS
from loratui.ui.app import LoratuiApp
from loratui.ui.environment import UiOptions
from loratui.ui.escapes import call, way_of
from loratui.ui.frame import Frame
from loratui.ui.notify import Notifier
from loratui_protocol.messages import Cost, JobState, State
from support.scripted_source import PRICE, HandClock, ScriptedSource
from support.terminal import Terminal
from support.ui_effects.home import run_line
from support.ui_pilot import showing

HOSTILE = "\x1b]52;c;aGFja2Vk\x07;\x9b2J\x1b\\ done\u202e"


class Watched:
    """A notifier that looks at a run, and at what else there is, each time a second later."""

    def __init__(self, source: ScriptedSource | None = None, clock: HandClock | None = None) -> None:
        self.clock = clock or HandClock()
        self.source = source
        self.overview = Overview(is_read=True)
        self._notifier = Notifier()

    def look(self, seconds: float = 1) -> list[str]:
        self.clock.advance(seconds)
        run = None if self.source is None else self.source.run.snapshot()
        now_s, wall = self.clock.monotonic_s(), self.clock.local()
        return self._notifier.news(Frame(run=run, now_s=now_s, wall=wall, overview=self.overview, keys=ACTIONS))


def training() -> Watched:
    clock = HandClock()
    return Watched(ScriptedSource(clock, step=10), clock)


@pytest.mark.parametrize(("state", "words"), [(JobState.DONE, "is done"), (JobState.FAILED, "has failed")])
def test_the_end_of_the_open_run_is_told_once(state: JobState, words: str) -> None:
    watched = training()
    assert watched.look() == []
    assert watched.source is not None
    watched.source.add(State(state=state))

    assert watched.look() == [f"my-style-v3 {words}"]
    assert watched.look() == []


def test_the_end_of_another_run_is_told_too_and_what_was_over_before_is_not() -> None:
    watched = Watched()
    going, over = run_line(1, state=JobState.RUNNING), run_line(2)
    watched.overview = Overview(runs=(going, over), is_read=True)
    assert watched.look() == []
    watched.overview = Overview(runs=(run_line(1), over, run_line(3)), is_read=True)

    assert watched.look() == ["style-1 is done"]
    assert watched.look() == []


def test_records_that_lag_behind_the_followed_run_tell_nothing_again() -> None:
    watched = training()
    source = watched.source
    assert source is not None
    late = Overview(runs=(run_line(0, id=source.run_id, name="my-style-v3", state=JobState.RUNNING),), is_read=True)
    watched.overview = late
    watched.look()
    source.add(State(state=JobState.DONE))
    assert watched.look() == ["my-style-v3 is done"]
    watched.source = None
    assert watched.look() == []
    watched.overview = Overview(runs=(run_line(0, id=source.run_id, name="my-style-v3"),), is_read=True)

    assert watched.look() == []


def test_the_countdown_calls_at_fifteen_five_and_one_minute() -> None:
    watched = training()
    source = watched.source
    assert source is not None
    calls = []
    for left_s in (1000, 899, 890, 299, 290, 59, 50):
        source.run._money(0, PRICE, left_s)
        source.run.money_at_s = watched.clock.monotonic_s() + 1
        calls.append(watched.look())

    texts = [text for told in calls for text in told]
    assert [bool(told) for told in calls] == [False, True, False, True, False, True, False]
    assert [text.rpartition(" in ")[2] for text in texts] == ["15 min", "5 min", "1 min"]


def rented(*, is_minded: bool) -> Overview:
    rental = RentalLine(
        label="lr-1",
        provider="vast",
        instance_id="77",
        gpu="RTX 4090",
        state="running",
        price_microusd_per_h=400_000,
        spent_microusd=0,
        created_ts=0,
        deadline_ts=None,
        is_minded=is_minded,
    )
    return Overview(rentals=(rental,), is_read=True)


def test_a_rental_that_nobody_minds_any_more_is_told_once() -> None:
    watched = Watched()
    watched.overview = rented(is_minded=True)
    watched.look()
    watched.overview = rented(is_minded=False)
    assert watched.look() == [], "whoever takes it up again needs a moment"

    assert watched.look(10) == ["vast 77 may bill, and nobody looks after it"]
    assert watched.look(10) == []


def test_four_fifths_of_the_budget_and_all_of_it_are_told_once() -> None:
    watched = training()
    source = watched.source
    assert source is not None
    calls = []
    for spent in (3_900_000, 4_000_000, 4_100_000, 5_000_000, 5_100_000):
        source.run.rental = RentalCost(
            label="lr-1",
            provider="vast",
            state=RentalState.READY,
            at_s=watched.clock.monotonic_s() + 1,
            price_microusd_per_h=400_000,
            spent_microusd=spent,
            cap_microusd=5_000_000,
        )
        calls.append(watched.look())

    assert calls == [[], ["$4.00 of at most $5.00 is spent"], [], ["the cap of $5.00 is reached"], []]


@pytest.mark.parametrize(
    ("environ", "way"),
    [
        ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}, "osc99"),
        ({"TERM_PROGRAM": "WezTerm"}, "osc777"),
        ({"TERM_PROGRAM": "tmux", "WEZTERM_PANE": "0"}, "osc777"),
        ({"TERM_PROGRAM": "ghostty"}, "osc777"),
        ({"TERM": "foot-extra"}, "osc777"),
        ({"TERM_PROGRAM": "iTerm.app"}, "osc9"),
        ({"WT_SESSION": "guid"}, "osc9"),
        ({"TERM": "linux"}, "bell"),
    ],
)
def test_each_terminal_is_told_in_its_own_way(environ: dict[str, str], way: str) -> None:
    assert way_of(environ) == way


@pytest.mark.parametrize("way", ["osc9", "osc777", "osc99"])
def test_a_call_holds_one_sequence_whatever_its_text_is(way: str) -> None:
    told = call(way, HOSTILE, in_tmux=False)
    sequences = re.findall(r"\x1b\](?:9|777|99);([^\x00-\x1f\x7f-\x9f]*)\x1b\\", told)

    assert len(sequences) == (2 if way == "osc99" else 1)
    assert re.sub(r"\x1b\](?:9|777|99);[^\x00-\x1f\x7f-\x9f]*\x1b\\", "", told) == ""
    assert "done" in told
    assert told.count(";") == {"osc9": 1, "osc777": 3, "osc99": 4}[way], "the text ends no field"


def test_inside_tmux_it_is_wrapped_and_tmux_hears_a_bell() -> None:
    told = call("osc9", "x is done", in_tmux=True)

    assert told == "\x1bPtmux;\x1b\x1b]9;loratui: x is done\x1b\x1b\\\x1b\\\x07"
    assert call("off", "x is done", in_tmux=True) == ""


class Hearing(LoratuiApp):
    """Keeps what the terminal would be sent between frames."""

    heard: tuple[str, ...] = ()

    def send_aside(self, escapes: str) -> None:
        self.heard += (escapes,) if escapes else ()


async def test_the_interface_calls_when_the_run_is_over(tmp_path: Path) -> None:
    async with showing(app_class=Hearing, options=UiOptions(notify="osc9")) as shown:
        await shown.tick()
        shown.source.finish(tmp_path)
        await shown.tick()
        await shown.tick()

        assert isinstance(shown.app, Hearing)
        assert shown.app.heard == ("\x1b]9;loratui: my-style-v3 is done\x1b\\",)


async def test_with_calls_off_the_terminal_hears_nothing() -> None:
    async with showing(app_class=Hearing, options=UiOptions(notify="off")) as shown:
        await shown.tick()
        shown.source.add(Cost(spent_microusd=0, price_microusd_per_h=PRICE, deadline_s=30))
        shown.source.add(State(state=JobState.FAILED))
        await shown.tick()

        assert isinstance(shown.app, Hearing)
        assert shown.app.heard == ()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")
@pytest.mark.parametrize("frames", [[], ["--stock"]])
def test_what_is_copied_goes_to_the_terminal_between_two_frames(frames: list[str], tmp_path: Path) -> None:
    app = [sys.executable, str(Path(__file__).parents[3] / "scripts" / "scripted_ui.py"), "--state", str(tmp_path)]
    with Terminal([*app, *frames]) as terminal:
        terminal.read_until_text("● TRAINING")
        terminal.press("y")
        terminal.read_until(lambda output: b"\x1b]52;c;" in output)
        terminal.read_until_text("copied to")
        output = bytes(terminal.received)

    before = output[: output.index(b"\x1b]52;c;")]
    assert before.count(b"\x1b[?2026h") == before.count(b"\x1b[?2026l"), "no frame was open"
    assert (tmp_path / "yanked.txt").read_text() == "loratui attach my-style-v3\n"
