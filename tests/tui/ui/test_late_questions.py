"""What is typed while a question is on its way answers nothing, and a question stays with what it was asked about."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loratui.ui import renting
from loratui.ui.registry import Scope
from loratui.ui.screens import data_edits
from loratui.ui.terminating import Stage, Terminations
from loratui.ui.widgets.confirm_strip import GUARD_S, MOST_GUARDED_S
from support.captioned import write_captioned
from support.scripted_source import ScriptedSource
from support.ui_effects.config import config_page, on_config
from support.ui_effects.data import data_page, on_pictures
from support.ui_effects.effect import until
from support.ui_effects.money import on_rental, rental_line
from support.ui_effects.offers import on_offers_unsaid
from support.ui_pilot import Shown, showing


@contextmanager
def held_up(module: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a function wait until the block ends."""
    gate, real = threading.Event(), getattr(module, name)

    def waits(*args: Any, **kwargs: Any) -> Any:
        gate.wait(60)
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, waits)
    try:
        yield
    finally:
        gate.set()


async def answer(shown: Shown, key: str) -> None:
    shown.clock.advance(GUARD_S + 0.1)
    await shown.press(key)


def captions_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*.txt")}


def is_asked(scope: Scope | None):
    return lambda shown: shown.screen.strip.scope is scope


def spied(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Return what commands are sent out from now on; none is started."""
    sent: list[tuple[str, ...]] = []
    monkeypatch.setattr(shown.screen, "send_out", lambda _, *argv, typed="": sent.append(argv))
    return sent


async def test_nothing_that_is_typed_before_the_question_rents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with on_offers_unsaid(tmp_path) as shown:
        sent = spied(shown, monkeypatch)
        await answer(shown, "enter")
        with held_up(renting, "answer_rights", monkeypatch):
            await answer(shown, "m")
            await shown.press("/")
            await shown.type("gpuyy")
            assert not shown.screen.keyboard.is_filtering
        await until(shown, is_asked(Scope.RENT_STRIP))
        await shown.type("yyy")
        assert sent == []

        await answer(shown, "y")
        assert len(sent) == 1


async def test_escape_gives_up_what_is_still_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with on_offers_unsaid(tmp_path) as shown:
        await answer(shown, "enter")
        with held_up(renting, "answer_rights", monkeypatch):
            await answer(shown, "m")
            await shown.press("escape")
        await shown.app.workers.wait_for_complete()
        assert shown.screen.strip.scope is None
        assert not shown.screen.prompt.is_open


async def test_a_caption_can_not_be_begun_under_a_bulk_edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with on_pictures(tmp_path) as shown:
        before = captions_in(tmp_path)
        with held_up(data_edits, "caption_edit", monkeypatch):
            await shown.press("p")
            await shown.type("my ")
            await shown.press("enter", "enter")
            await shown.type("a very nice zog")
        await until(shown, is_asked(Scope.CHANGE_STRIP))
        await shown.type("y")
        await shown.pilot.pause()
        assert captions_in(tmp_path) == before

        await answer(shown, "y")
        await until(shown, lambda _: captions_in(tmp_path) != before)


async def test_what_is_typed_on_as_the_question_comes_up_answers_nothing_until_there_is_a_pause() -> None:
    async with showing() as shown:
        await shown.press("x")
        for _ in range(6):
            shown.clock.advance(GUARD_S * 0.9)
            await shown.press("f")
        assert shown.source.sent == []

        await answer(shown, "f")
        assert shown.source.sent == [("stop", 0)]


async def test_a_key_that_is_pressed_again_and_again_is_meant_at_last() -> None:
    async with showing() as shown:
        await shown.press("x")
        for _ in range(int(MOST_GUARDED_S / 0.1) + 1):
            shown.clock.advance(0.1)
            await shown.press("f")
        assert shown.source.sent == [("stop", 0)]


async def test_a_run_that_is_opened_meanwhile_is_not_the_one_that_is_stopped() -> None:
    async with showing() as shown:
        other = ScriptedSource(shown.clock, name="local-b")
        await shown.press("x")
        shown.screen._opened(other)
        await shown.tick()
        await answer(shown, "f")
        assert (shown.source.sent, other.sent) == ([("stop", 0)], [])

        await shown.tick()
        assert shown.screen.source is other
        assert "the run is open: 5 shows it" in shown.text()


def waiting_termination(shown: Shown) -> Terminations:
    """Let a rental be terminated once the run that trains there has saved, and return all that are."""
    terminations = shown.screen.money._terminations
    begun = terminations.begin(rental_line(label="a", instance_id="1111"), Stage.SAVING, shown.clock.monotonic_s())
    assert begun is not None
    begun.runs.append(shown.source)
    return terminations


async def test_only_the_termination_that_is_told_is_taken_back(tmp_path: Path) -> None:
    async with on_rental()(tmp_path) as shown:
        terminations = waiting_termination(shown)
        counting = rental_line(label="b", instance_id="2222")
        terminations.begin(counting, Stage.COUNTING, shown.clock.monotonic_s())
        shown.screen.refresh_view()
        assert "TERMINATING vast 2222 in 5 s · u keeps it" in shown.text()
        await shown.press("u")

        assert "kept, and billing: vast 2222" in shown.text()
        assert terminations.unasked() == ["vast 1111"]


async def test_while_files_are_fetched_a_screens_own_undo_stays_its_own(tmp_path: Path) -> None:
    write_captioned(tmp_path / "pictures", {"a": "a zog"})
    caption = tmp_path / "pictures" / "a.txt"
    async with on_rental()(tmp_path) as shown:
        await shown.press("2")
        data_page(shown).open_path(tmp_path / "pictures")
        await until(shown, lambda shown: data_page(shown).is_checked)
        await shown.press("enter")
        await shown.type(" and a cat")
        await shown.press("enter")
        await until(shown, lambda _: "cat" in caption.read_text("utf-8"))
        terminations = waiting_termination(shown)
        await shown.tick(0)
        assert "u on Home keeps it" in shown.text()
        await shown.press("u")
        await until(shown, lambda _: "cat" not in caption.read_text("utf-8"))
        assert terminations.unasked() == ["vast 1111"]

        await shown.press("1")
        await shown.press("u")
        assert terminations.unasked() == []


async def test_what_is_asked_about_is_trained_whatever_is_read_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on_config(tmp_path) as shown:
        sent, page = spied(shown, monkeypatch), config_page(shown)
        other = tmp_path / "other.toml"
        other.write_text((tmp_path / "my.toml").read_text("utf-8"), "utf-8")
        await shown.press("t")
        page.open(other)
        await until(shown, lambda _: page.opened is not None and page.opened.path == other)
        await answer(shown, "y")
        assert [argv[:2] for argv in sent] == [("train", str(tmp_path / "my.toml"))]
