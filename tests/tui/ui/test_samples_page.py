"""The samples screen: pictures that a thread decodes, steps side by side, one picture large."""

import threading
from pathlib import Path

import pytest
from PIL import Image

from loratui.ui.environment import UiOptions
from loratui.ui.text import dump
from loratui.ui.widgets import half_block
from loratui.ui.widgets.decoder import Decoder
from support.scripted_source import HandClock, ScriptedSource
from support.ui_effects.effect import lacks, shows, until
from support.ui_effects.samples import on_samples
from support.ui_pilot import showing

HOSTILE = "\x1b[2Jowned [bold red]x[/] \u202egnp \x9b31m 日本 " + "long " * 30


async def test_more_pictures_than_fit_are_paged(tmp_path: Path) -> None:
    async with on_samples(tmp_path, 30) as shown:
        assert "page 1 of 3" in shown.text()
        await until(shown, shows(">zog 00", "zog 09", "▀▀"))
        await shown.press("pagedown")
        await until(shown, shows("page 2 of 3", ">zog 10", "▀▀"))
        await shown.press("pagedown", "pagedown")
        assert ">zog 29" in shown.text()
        await shown.press("[")
        assert "step 1000" in shown.text()
        assert ">zog 29" in shown.text(), "the same prompt stays chosen"


async def test_two_steps_stand_beside_each_other_and_beside_the_base(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=40)
    source.paint_base(tmp_path, ("one", "two"))
    for step in (100, 200, 300):
        source.paint_samples(tmp_path, step, ("one", "two"))
    async with showing(source, clock, size=(100, 40)) as shown:
        await shown.press("8", "b")
        await until(shown, shows("step 200 beside step 300", "▀▀"))
        row = next(row for row in shown.rows() if "200: one" in row)
        assert row.split("without the LoRA: one")[1].split()[:4] == ["200:", "one", "300:", "one"]
        await shown.press("[")
        assert "step 100 beside step 200" in shown.text()
        await shown.press("enter")
        assert "without the LoRA  step 100  seed 0" in shown.text()
        await shown.press("right")
        assert "weight 1  step 100  seed 0" in shown.text()
        await shown.press("escape")
        assert "step 100 beside step 200" in shown.text()
        await shown.press("escape")
        assert "step 100  (1 of 3)" in shown.text()
        await shown.press("escape")
        assert "─ loss" in shown.text()


async def test_one_step_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    async with on_samples(tmp_path, 2, (1200,)) as shown:
        await shown.press("b")
        assert "not now, there is one step alone" in shown.text()


async def test_ascii_shows_words_and_a_large_picture_in_letters(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=40)
    source.paint_samples(tmp_path, 1200, ("a zog", "a red zog"))
    async with showing(source, clock, options=UiOptions(ascii=True)) as shown:
        await shown.press("8")
        assert ">step 1200         seed 0           a zog" in shown.text()
        await shown.press("enter")
        await until(shown, lacks("opening"))
        assert "weight 1  step 1200  seed 0" in shown.text()
        assert any(set(row.strip()) & set("=+*#%@") for row in shown.rows()[4:18])
        assert shown.text().isascii()


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40)])
async def test_prompts_from_elsewhere_are_text_alone(tmp_path: Path, size: tuple[int, int]) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=40)
    for step in (1000, 1200):
        source.paint_samples(tmp_path, step, (HOSTILE, HOSTILE))
    async with showing(source, clock, size=size) as shown:
        for key in ("8", "enter", "b", "i", "escape", "i"):
            await shown.press(key)
            assert all(char.isprintable() for row in shown.rows() for char in row)
            assert all(strip.cell_length == size[0] for strip in shown.screen._compositor.render_strips())


async def test_a_picture_that_takes_long_keeps_no_key_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, loop_thread = threading.Event(), threading.get_ident()
    threads = []

    def slow(pixels: Image.Image) -> object:
        threads.append(threading.get_ident())
        held.wait(10)
        return blocks(pixels)

    blocks = half_block._block_rows
    monkeypatch.setattr(half_block, "_block_rows", slow)
    async with on_samples(tmp_path, 4) as shown:
        await until(shown, lambda _: bool(threads))
        await shown.press("right")
        assert ">zog 01" in shown.text()
        assert "opening…" in shown.text()
        held.set()
        await until(shown, lambda shown: "opening…" not in shown.text() and "▀▀" in shown.text())
    assert loop_thread not in threads


async def test_a_picture_that_is_no_picture_is_said_to_be_none(tmp_path: Path) -> None:
    async with on_samples(tmp_path, 2, (1200,)) as shown:
        pass
    (tmp_path / "sample-1200-0.png").write_bytes(b"GIF89a no picture")
    clock = HandClock()
    source = ScriptedSource(clock, step=40)
    source.paint_samples(tmp_path, 1200, ("one",))
    (tmp_path / "sample-1200-0.png").write_bytes(b"GIF89a no picture")
    async with showing(source, clock) as shown:
        await shown.press("8")
        await until(shown, shows("unreadable picture"))


def painted(folder: Path, colour: str) -> Path:
    path = folder / "picture.png"
    Image.new("RGB", (4, 4), colour).save(path)
    return path


def test_a_picture_is_decoded_once_and_anew_when_another_takes_its_place(tmp_path: Path) -> None:
    ready = threading.Semaphore(0)
    decoder = Decoder(ready.release)
    path = painted(tmp_path, "red")
    assert decoder.rows(path, 4, 2, version="1") is None
    assert ready.acquire(timeout=10)
    first = decoder.rows(path, 4, 2, version="1")
    assert first is not None
    assert dump(first) == "▀▀▀▀\n▀▀▀▀"
    painted(tmp_path, "blue")
    assert decoder.rows(path, 4, 2, version="1") is first
    assert decoder.rows(path, 4, 2, version="2") is None
    assert ready.acquire(timeout=10)
    assert decoder.rows(path, 4, 2, version="2") not in (None, first)
