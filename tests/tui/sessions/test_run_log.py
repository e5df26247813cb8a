"""The whole log of a run, in pages."""

from pathlib import Path

import pytest

from loratui.sessions.run_log import LEVELS, PAGE_LINES, RunLog
from loratui_protocol.messages import Event, Log, Setup, Step, Validation, Warn
from support.scripted_source import RUN_ID
from support.ui_effects.files import preferences_in
from support.ui_effects.log import append, lines, store_run

NUM = 3 * PAGE_LINES + 7


@pytest.fixture
def log(tmp_path: Path) -> RunLog:
    store_run(tmp_path, lines(1, NUM))
    return RunLog(database=preferences_in(tmp_path).database, run_id=RUN_ID)


def step(number: int) -> Event:
    return Step(step=number, total=9999, epoch=1, loss=0.5, lr=1e-4, it_s=2.0, eta_s=1.0)


def test_pages_backwards_and_forwards_hold_every_line_once(log: RunLog) -> None:
    page = log.newest()
    back = list(page.lines)
    while not page.is_end:
        page = log.before(page.first_seq)
        back[:0] = page.lines
    page = log.after(0)
    forth = list(page.lines)
    while not page.is_end:
        page = log.after(page.last_seq)
        forth += page.lines
    assert [line.seq for line in back] == [line.seq for line in forth] == list(range(1, NUM + 1))
    assert log.after(NUM).lines == []


def test_a_level_is_asked_for_without_reading_the_others(log: RunLog) -> None:
    warned = RunLog(database=log.database, run_id=RUN_ID, least=LEVELS[1]).newest()
    errors = RunLog(database=log.database, run_id=RUN_ID, least=LEVELS[2]).newest()
    assert [line.seq for line in warned.lines] == list(range(100, NUM + 1, 100))
    assert [line.seq for line in errors.lines] == list(range(500, NUM + 1, 500))
    later = RunLog(database=log.database, run_id=RUN_ID, least=LEVELS[2]).after(NUM - 5)
    assert (later.lines, later.last_seq) == ([], NUM)
    assert errors.last_seq == NUM, "the next look begins behind all that is known to be no error"


def test_steps_between_the_lines_are_passed_over(tmp_path: Path) -> None:
    store_run(tmp_path, [*lines(1, 3), *(step(number) for number in range(1, 2000)), Warn(code="few", message="few")])
    log = RunLog(database=preferences_in(tmp_path).database, run_id=RUN_ID)
    assert [line.text for line in log.newest().lines][-2:] == ["line 000003 is here", "few: few"]


def test_words_are_those_of_the_run_screen_across_pages(tmp_path: Path) -> None:
    looks = [
        Validation(step=number, loss=0.5 - number / 1000, train_loss=0.4 - number / 1000, num_pictures=4)
        for number in (10, 20, 30)
    ]
    progress = [Setup(phase="latents", done=done, total=9, message="caching latents") for done in range(9)]
    store_run(tmp_path, [*progress, *looks[:2], *lines(1, PAGE_LINES), looks[2]])
    log = RunLog(database=preferences_in(tmp_path).database, run_id=RUN_ID)
    texts = [line.text for line in log.after(0).lines]
    assert texts.count("caching latents") == 1
    from loratui.domain.learning import verdict

    assert log.newest().lines[-1].text == f"step 30: {verdict(looks).sentence}"


def test_words_are_found_in_both_directions_and_round(log: RunLog) -> None:
    assert log.find("LINE 000700", 0, newer=True) == 700
    assert log.find("line 0007", 700, newer=True) == 701
    assert log.find("line 0007", 701, newer=False) == 700
    assert log.find("line 0007", 799, newer=True) == 700
    assert log.find("line 0007", 700, newer=False) == 799
    assert log.find("nowhere", 700, newer=True) is None
    assert log.find("line 0007", 0, newer=True, is_wanted=lambda: False) is None


def test_lines_that_come_later_are_read_from_where_the_last_page_ended(log: RunLog, tmp_path: Path) -> None:
    end = log.newest().last_seq
    append(tmp_path, [step(1), Log(level="INFO", line="new")])
    assert [line.text for line in log.after(end).lines] == ["new"]
