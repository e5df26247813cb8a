"""The charts of the run screen: crosshair, table, marks, verdict, another run, and what a second of them costs."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain.overview import Overview
from loratui.domain.run import RunView
from loratui.ui.environment import UiOptions
from loratui.ui.widgets.chart_maths import Limits
from loratui.ui.widgets.chart_rows import labels
from loratui_protocol.messages import JobState, Record, State, Step, Validation
from support.scripted_source import STARTED_TS, HandClock, ScriptedSource
from support.ui_effects.run import OTHER, beside_another, keep_run
from support.ui_pilot import Shown, showing


def facts(shown: Shown) -> str:
    """Return the row about the step under the crosshair."""
    return next(row for row in shown.rows() if row.startswith(" @"))


def chart_rows(shown: Shown) -> list[str]:
    rows = shown.rows()
    return rows[4 : next(index for index, row in enumerate(rows) if row.startswith("      └")) + 1]


async def test_the_crosshair_tells_one_step_from_the_next_and_stays_on_it() -> None:
    async with showing() as shown:
        await shown.press("v", "+", "+", "+", "+", "+", "+", "+")
        assert facts(shown).startswith(" @1240  loss 0.0798  ema 0.0828  lr 5.1e-05  epoch 5  14:22:07  c 1000")
        await shown.press("left", "left", "right")
        assert facts(shown).startswith(" @1239  loss 0.0765")
        await shown.tick()

        assert facts(shown).startswith(" @1239  loss 0.0765")
        for row in chart_rows(shown):
            assert "│" in row[7:] or "┴" in row or any(char > "\u2800" for char in row), shown.text()


async def test_the_crosshair_never_leaves_what_was_measured() -> None:
    clock = HandClock()
    async with showing(ScriptedSource(clock, step=200), clock, size=(60, 16)) as shown:
        await shown.press("v", *["left"] * 7)
        assert facts(shown).startswith(" @1 ")
        await shown.press(*["right"] * 8)
        assert facts(shown).startswith(" @200 ")
        await shown.press("v")

        assert not any(row.startswith(" @") for row in shown.rows())


async def test_a_closer_look_is_taken_at_the_step_under_the_crosshair() -> None:
    async with showing() as shown:
        await shown.press("v", *["left"] * 8, "+", "+", "+")

        assert 38 <= chart_rows(shown)[-1].index("┴") <= 48


async def test_the_crosshair_goes_from_look_to_look_of_a_curve_with_few() -> None:
    clock = HandClock()
    source = ScriptedSource(clock)
    for step in (1000, 1100, 1200):
        source.add(Validation(step=step, loss=0.1, train_loss=0.09, num_pictures=4))
    async with showing(source, clock) as shown:
        await shown.press("]", "]", "]", "v", "left")

        assert facts(shown).startswith(" @1100  validation 0.1000  loss 0.")


async def test_the_table_has_older_steps_and_comes_back_to_the_newest() -> None:
    async with showing() as shown:
        await shown.press("t")
        newest = chart_rows_of_table(shown)
        await shown.press("left")
        older = chart_rows_of_table(shown)
        await shown.press("right", "right")

        assert [row.split()[0] for row in newest][:2] == ["1240", "1239"]
        assert int(older[0].split()[0]) == int(newest[-1].split()[0]) - 1
        assert chart_rows_of_table(shown) == newest


def chart_rows_of_table(shown: Shown) -> list[str]:
    rows = shown.rows()
    start = next(index for index, row in enumerate(rows) if "smoothed  time" in row) + 1
    end = next(index for index, row in enumerate(rows) if row.startswith("─ run"))
    return rows[start:end]


async def test_without_a_value_the_table_says_so() -> None:
    clock = HandClock()
    async with showing(ScriptedSource(clock, step=0), clock) as shown:
        await shown.press("t")

        assert "no value yet" in shown.text()


async def test_what_was_saved_sampled_and_resumed_is_marked_on_the_axis(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=1240)
    source.paint_samples(tmp_path, 1100, ("a zog",))
    source.add(State(state=JobState.RESUMING))
    source.add(State(state=JobState.RUNNING))
    source._train(1240)
    async with showing(source, clock) as shown:
        axis = next(row for row in shown.rows() if row.startswith("      └"))

    assert [axis[7 + round(step / 2501 * 73 - 0.5)] for step in (250, 500, 750, 1000, 1100, 1240)] == list("ccccsr")


@pytest.mark.parametrize(("went_on_at", "kept"), [(4, [4]), (3, [3])])
def test_a_run_remembers_where_it_went_on_after_an_interruption(went_on_at: int, kept: list[int]) -> None:
    view = RunView(run_id="run", name="a", target="local")
    events = [*(made(step) for step in (1, 2, 3)), State(state=JobState.RESUMING), made(went_on_at), made(5)]
    for seq, event in enumerate(events, 1):
        view.apply(Record(seq=seq, ts=STARTED_TS + seq, event=event))

    assert (view.past.restarts, view.past.ts.upto(5)) == (kept, (5, STARTED_TS + 6))
    assert view.snapshot().past.epoch.upto(5) == (1, 1.0)


def made(step: int) -> Step:
    return Step(step=step, total=9, epoch=1, loss=0.5, lr=1e-4, it_s=1.0, eta_s=0.0)


async def test_the_verdict_on_held_out_pictures_stands_under_the_loss() -> None:
    clock = HandClock()
    source = ScriptedSource(clock)
    async with showing(source, clock) as shown:
        assert "too early to say" not in shown.text()
        for step, loss in ((900, 0.2), (1000, 0.18), (1100, 0.15), (1200, 0.12)):
            source.add(Validation(step=step, loss=loss, train_loss=loss, num_pictures=4))
        await shown.tick()
        assert " still learning: held-out error down 40.0 % since step 900" in shown.text()
        await shown.press("]", "]", "]")

        assert "─ validation  held out 0.1200  trained on 0.1200" in shown.text()


async def test_another_run_is_drawn_until_it_is_taken_away(tmp_path: Path) -> None:
    async with beside_another(tmp_path) as shown:
        await shown.press("b", "enter")
        while "than older-style" not in shown.text():
            await shown.pilot.pause(0.01)
        assert "0.0822 lower than older-style @600" in shown.text()
        assert "o" in to_ascii_rows(shown)
        await shown.press("b")

        assert "older-style" not in shown.text()


def to_ascii_rows(shown: Shown) -> str:
    shown.screen.options = UiOptions(ascii=True)
    shown.screen.refresh_view()
    chart = shown.screen.query_one("#loss")
    text = "".join(chart.render_line(y).text for y in range(1, chart.size.height - 2))
    shown.screen.options = UiOptions()
    return text


async def test_a_run_without_a_stored_step_is_not_compared(tmp_path: Path) -> None:
    async with beside_another(tmp_path) as shown:
        database = shown.screen.desk.preferences.database
        keep_run(database, "empty", [])
        shown.screen.desk.now = Overview(runs=(replace(OTHER, id="empty", name="empty"),), is_read=True)
        await shown.press("b", "enter")
        while "no step is stored here" not in shown.text():
            await shown.pilot.pause(0.01)

        assert "─ loss  ema" in shown.text()


def test_a_label_that_stands_alone_says_its_value() -> None:
    assert labels(Limits(low=0.08, high=0.14), 4) == {3 - round(0.02 / 0.06 * 3): "0.1"}


async def test_a_second_of_a_run_of_a_hundred_thousand_steps_costs_next_to_nothing() -> None:
    """At most 3 % of a core, measured as the time of the processor that twenty seconds take."""
    clock = HandClock()
    source = ScriptedSource(clock, step=100_000, total=120_000)
    async with showing(source, clock, size=(120, 40)) as shown:
        await shown.tick()
        began_s = time.process_time()
        for _ in range(20):
            await shown.tick()

        assert (time.process_time() - began_s) / 20 < 0.03
