"""The queue of each machine: what is done, trains and waits there, until when, and what it costs."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain.formatting import UNKNOWN
from loratui.domain.overview import Overview
from loratui.domain.queue import queues
from loratui.domain.run import LinkState, RunView
from loratui.sessions.queued_steps import queued_steps
from loratui.settings import load
from loratui.store import Store, StoredRun
from loratui.ui.environment import UiOptions
from loratui.ui.text import cells
from loratui_protocol.messages import CommandResult, JobState
from support.scripted_source import RUN_ID, STARTED_TS, HandClock, ScriptedSource
from support.ui_effects.home import DeskOfMany, on_home, run_line
from support.ui_effects.queue import TARGET, on_queue, queue_overview
from support.ui_pilot import Shown, showing
from tui.ui.test_hostile_text import HOSTILE

WAITS = "01HY" + "2".zfill(22)
ALSO_WAITS = "01HY" + "3".zfill(22)


def view(**changes: object) -> RunView:
    facts = {"state": JobState.RUNNING, "step": 100, "total": 600, "it_s": 2.0, "eta_s": 250.0}
    return RunView(run_id=RUN_ID, name="style-1", target=TARGET, **(facts | changes))  # type: ignore[arg-type]


def test_runs_stand_in_the_order_in_which_they_are_taken_up() -> None:
    [rented, here] = queues(queue_overview(), view(), {}, STARTED_TS)
    assert [(line.number, line.run.name) for line in rented.lines] == [(at + 1, f"style-{at}") for at in range(4)]
    assert [line.is_waiting for line in rented.lines] == [False, False, True, True]
    assert [line.run.name for line in here.lines] == ["here"]


async def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    async with on_queue(tmp_path) as shown:
        now = queue_overview()
        runs = [
            replace(run, name="anna", created_ts=run.created_ts + 60 * int(run.name[-1]))
            if run.target == TARGET
            else run
            for run in now.runs
        ]
        shown.screen.desk.now = replace(now, runs=tuple(runs))  # type: ignore[attr-defined]
        await shown.tick()
        rows = [row for row in shown.rows() if "anna" in row]
        assert len({row.split("anna")[1][:12] for row in rows}) == 4, rows


def test_what_waits_ends_after_what_is_before_it() -> None:
    [rented, _] = queues(queue_overview(), view(), {WAITS: 1000, ALSO_WAITS: 200}, STARTED_TS)
    assert [line.ends_in_s for line in rented.lines] == [None, 250.0, 750.0, 850.0]
    assert rented.ends_in_s == 850.0


def test_nobody_can_tell_when_a_run_ends_after_one_of_unknown_length() -> None:
    [rented, _] = queues(queue_overview(), view(), {ALSO_WAITS: 200}, STARTED_TS)
    assert [line.ends_in_s for line in rented.lines] == [None, 250.0, None, None]
    [rented, _] = queues(queue_overview(), view(it_s=None), {WAITS: 1000}, STARTED_TS)
    assert [line.ends_in_s for line in rented.lines][2:] == [None, None]


def test_of_a_run_that_is_heard_but_not_open_its_agent_says_when_it_ends() -> None:
    trains = run_line(1, name="trains", state=JobState.RUNNING, step=100, total=600, eta_s=250.0, is_live=True)
    waits = run_line(0, name="waits", state=JobState.QUEUED, step=0, total=1000)
    [here] = queues(Overview(runs=(waits, trains)), None, {}, STARTED_TS)
    assert {line.run.name: line.ends_in_s for line in here.lines} == {"trains": 250.0, "waits": 750.0}


def test_a_rental_costs_more_than_its_runs_and_a_machine_of_ones_own_what_they_do() -> None:
    [rented, here] = queues(queue_overview(), view(), {}, STARTED_TS)
    assert rented.spent_microusd == 120_000
    assert here.spent_microusd == here.lines[0].spent_microusd


def test_what_was_over_long_ago_is_in_no_queue_of_this_machine() -> None:
    old = run_line(1, name="old", state=JobState.DONE, ended_ts=STARTED_TS - 24 * 3600)
    new = run_line(2, name="new", state=JobState.DONE, ended_ts=STARTED_TS - 3600)
    waits = run_line(0, name="waits", state=JobState.QUEUED)
    [here] = queues(Overview(runs=(waits, new, old)), None, {}, STARTED_TS)
    assert {line.run.name for line in here.lines} == {"waits", "new"}


def test_the_steps_of_a_run_that_waits_come_from_its_config(tmp_path: Path) -> None:
    preferences = load({"state_dir": str(tmp_path)}, {})
    config = '[model]\npretrained_model_name_or_path = "m"\n[dataset]\ntrain_data_dir = "/d"\n[training]\n'
    texts = {"a": f"{config}max_train_steps = 300", "b": f"{config}max_train_epochs = 3", "c": "broken ="}
    with Store(preferences.database) as store:
        for run_id, text in texts.items():
            run = StoredRun(id=run_id, name=run_id, target="local", created_ts=1.0, config_toml=text, home=Path("/"))
            store.add_run(run)
    assert queued_steps(preferences, [*texts, "unknown"]) == {"a": 300, "b": 0, "c": 0, "unknown": 0}


def test_the_pace_of_a_run_that_stops_early_is_that_of_the_steps_up_to_there() -> None:
    trains = run_line(1, name="trains", state=JobState.RUNNING, step=100, total=600, stop=350, eta_s=250.0)
    waits = run_line(0, name="waits", state=JobState.QUEUED, step=0, total=1000)
    [here] = queues(Overview(runs=(waits, replace(trains, is_live=True))), None, {}, STARTED_TS)
    assert {line.run.name: line.ends_in_s for line in here.lines} == {"trains": 250.0, "waits": 1250.0}
    assert {line.run.name: line.total for line in here.lines} == {"trains": 350, "waits": 1000}


async def comes(shown: Shown, text: str) -> None:
    end_s = time.monotonic() + 10
    while text not in shown.text():
        assert time.monotonic() < end_s, shown.text()
        await shown.tick(0)
        await shown.pilot.pause(0.01)


def after(name: str, shown: Shown) -> list[str]:
    """Return the words that stand behind a name in the list."""
    return next(each.partition(name)[2].split() for each in shown.rows() if f" {name} " in each)


async def test_each_run_has_state_steps_end_and_cost_and_the_machine_its_total(tmp_path: Path) -> None:
    async with on_queue(tmp_path) as shown:
        assert "queue  vast 31234567 RTX 4090  4" in shown.text()
        assert "4 runs · 2 waiting · ≈$0.12 so far · $0.36/h · ≈$0.31 in all" in shown.text()
        assert after("style-0", shown) == ["■", "DONE", "600/600", "$0.05"]
        assert after("style-1", shown) == ["●", "TRAINING", "1240/2500", "≈14:31", "$0.10"]
        assert after("style-2", shown) == ["○", "QUEUED", UNKNOWN, "$0.00"]
        await shown.resize(60, 16)
        assert after("style-1", shown) == ["●", "TRAINING", "49", "%", "≈14:31", "$0.10"]


async def test_while_the_machine_is_not_heard_the_costs_of_what_goes_on_there_are_from_before(tmp_path: Path) -> None:
    async with on_queue(tmp_path) as shown:
        shown.source.run.heard(LinkState.DOWN, shown.clock.monotonic_s())
        await shown.tick()
        assert after("style-0", shown)[-1] == "$0.05", "it is over"
        assert after("style-1", shown)[-1] == "≈$0.10"
        assert after("style-2", shown)[-1] == "≈$0.00", "it may have begun"


def test_the_cost_of_a_run_that_is_not_open_is_exact_while_it_is_heard() -> None:
    trains, waits = (run_line(at, state=state) for at, state in enumerate((JobState.RUNNING, JobState.QUEUED)))
    [here] = queues(Overview(runs=(trains, waits)), None, {}, STARTED_TS)
    assert not here.is_exact
    heard = tuple(replace(line, is_live=True) for line in (trains, waits))
    [here] = queues(Overview(runs=heard), None, {}, STARTED_TS)
    assert here.is_exact
    assert all(line.is_exact for line in here.lines)


async def test_the_queue_of_a_machine_without_a_price_names_no_amount(tmp_path: Path) -> None:
    runs = (run_line(0, state=JobState.RUNNING, target="ssh://ana@box", spent_microusd=0),)
    async with on_home(tmp_path, Overview(runs=runs, is_read=True)) as shown:
        await shown.press("6")
        assert "1 run · 0 waiting · price not known" in shown.text()
        assert after("style-0", shown)[-1] == UNKNOWN


async def test_only_a_run_that_waits_is_removed_and_only_what_was_removed_is_put_back(tmp_path: Path) -> None:
    async with on_queue(tmp_path) as shown:
        await shown.press("d")
        assert "not now, the run is done" in shown.text()
        await shown.press("j", "d")
        assert "not now, the run is running" in shown.text()
        await shown.press("u")
        assert "nothing was removed from here" in shown.text()
        assert shown.source.sent == []


async def test_a_removal_that_is_refused_is_told(tmp_path: Path) -> None:
    async with on_queue(tmp_path) as shown:
        await shown.press("j", "j", "d")
        await comes(shown, "u puts it back")
        end_s = time.monotonic() + 5
        while not shown.source.answers and time.monotonic() < end_s:
            await shown.pilot.pause(0.01)
        shown.source.answers[0].set_result(
            CommandResult(id="1", command="stop", author="", ok=False, message="the run is running")
        )
        await comes(shown, "! style-2 was not removed: the run is running")
        await shown.press("u")
        assert "nothing was removed from here" in shown.text()


async def test_a_read_only_screen_removes_nothing(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, target=TARGET)
    preferences = load({"state_dir": str(tmp_path)}, {})
    desk = DeskOfMany(source, preferences, queue_overview())
    async with showing(source, clock, desk=desk, options=UiOptions(readonly=True)) as shown:
        await shown.press("6", "j", "j", "d")
        assert "read-only" in shown.text()
        assert desk.opened == []


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40)])
async def test_names_of_any_kind_keep_the_columns(tmp_path: Path, size: tuple[int, int]) -> None:
    async with on_queue(tmp_path) as shown:
        desk = shown.screen.desk
        assert isinstance(desk, DeskOfMany)
        await shown.resize(*size)
        for text in HOSTILE:
            runs = tuple(replace(run, name=text) for run in desk.now.runs)
            desk.now = replace(desk.now, runs=runs)
            await shown.tick()
            for each in shown.rows():
                assert all(char.isprintable() for char in each)
                assert cells(each) <= size[0]


async def test_an_empty_queue_says_how_one_comes_to_be() -> None:
    async with showing(is_open=False) as shown:
        await shown.press("6")
        assert "Nothing trains, and nothing waits." in shown.text()
        assert "loratui train A B C --on TARGET" in shown.text()
