"""What was tried out, on the samples screen: pictures by file and weight, and the table the advice is read from."""

from pathlib import Path

import pytest

from loratui.ui.environment import UiOptions
from loratui_protocol.judging.prompts import GridPrompt, Role
from support.judgements import judgement, try_out
from support.scripted_source import HandClock, ScriptedSource
from support.ui_effects.effect import lacks, shows, until
from support.ui_effects.samples import on_tried
from support.ui_pilot import showing

HOSTILE = "\x1b[2Jowned [bold red]x[/] \u202egnp \x9b31m 日本 " + "long " * 30


async def test_what_is_advised_is_shown_first_with_its_scores_over_its_pictures(tmp_path: Path) -> None:
    async with on_tried(tmp_path) as shown:
        await until(shown, shows("▀▀", ">101: sks cat", "102: sks cat"))
        assert "tried out  step 300 at 1  advised" in shown.text()
        assert "likeness 0.61 ± 0.01, copying 1.00 ± 0.19, bleeds 0.06 ± 0.00" in shown.text()


async def test_files_and_weights_are_turned_and_the_same_picture_stays_chosen(tmp_path: Path) -> None:
    async with on_tried(tmp_path) as shown:
        await shown.press("right", "[", "[", "[")
        await until(shown, shows("tried out  step 100 at 1", ">102: sks cat", "▀▀"))
        assert "advised" not in shown.text()
        await shown.press("W")
        assert "tried out  step 100 at 0.8" in shown.text()
        await shown.press("]")
        assert "tried out  step 200 at 0.8" in shown.text()
        await shown.press("w", "w")
        assert "tried out  step 200 at 0.5" in shown.text()


async def test_the_base_model_and_the_file_before_stand_beside_each_picture(tmp_path: Path) -> None:
    async with on_tried(tmp_path, size=(120, 40)) as shown:
        await shown.press("b")
        await until(shown, shows("base 101: sks cat", "before 101: sks", "this 101: sks cat", "▀▀"))
        await shown.press("[", "[")
        await until(shown, lacks("before 101"))
        assert "this 101: sks cat" in shown.text()
        await shown.press("escape")
        assert "base 101" not in shown.text()
        await shown.press("escape")
        assert "─ loss" in shown.text()


async def test_a_picture_large_says_what_it_is_of_and_what_was_measured_of_it_alone(tmp_path: Path) -> None:
    async with on_tried(tmp_path) as shown:
        await shown.press("enter")
        await until(shown, shows("▀▀", "cat-step00000300.safetensors at 1  seed 101  64x64"))
        assert "likeness 0.62, copying 1.00" in shown.text()


async def test_the_table_has_all_files_and_weights_and_leads_to_the_pictures_of_one(tmp_path: Path) -> None:
    async with on_tried(tmp_path) as shown:
        await shown.press("i")
        assert "9 files and weights" in shown.text()
        row = next(row for row in shown.rows() if row.startswith(">"))
        assert " ".join(row.split()) == "> * step 300 1 0.61 ± 0.01 1.00 ± 0.19 0.06 ± 0.00 advised"
        assert "cat-step00000300.safetensors at 1 is what the scores speak for" in shown.text()
        assert "it is advice, nothing was picked" in shown.text()
        await shown.press("up", "up", "up", "enter")
        await until(shown, shows("tried out  step 200 at 1", "▀▀"))


async def test_without_the_judgement_itself_its_scores_are_shown_as_the_run_told_them(tmp_path: Path) -> None:
    async with on_tried(tmp_path, is_here=False) as shown:
        assert "9 files and weights" in shown.text()
        assert "step 300" in shown.text()
        await shown.press("enter")
        assert "9 files and weights" in shown.text()


async def test_a_judgement_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=40)
    path = tmp_path / "cat-judgement.zip"
    try_out(source, path, judgement())
    path.write_bytes(b"PK no zip")
    async with showing(source, clock) as shown:
        await shown.press("8")
        await until(shown, shows("reading the judgement: the judgement can't be read"))
        assert "9 files and weights" in shown.text()


async def test_a_newer_judgement_takes_the_place_of_the_one_that_is_shown(tmp_path: Path) -> None:
    async with on_tried(tmp_path) as shown:
        await until(shown, shows("▀▀"))
        try_out(shown.source, tmp_path / "again-judgement.zip", judgement(files=1, weights=(0.0, 0.7), name="dog"))
        await shown.tick()
        await until(shown, shows("tried out  step 100 at 0.7", "▀▀"))


async def test_a_run_with_nothing_tried_out_says_so(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=40)
    source.paint_samples(tmp_path, 40, ("a zog",))
    async with showing(source, clock) as shown:
        await shown.press("8", "t")
        assert "not now, nothing was tried out" in shown.text()
        await shown.press("w")
        assert "not now, nothing was tried out" in shown.text()


async def test_ascii_has_the_table_first(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=40)
    try_out(source, tmp_path / "cat-judgement.zip", judgement())
    async with showing(source, clock, options=UiOptions(ascii=True)) as shown:
        await shown.press("8")
        await until(shown, shows("9 files and weights", "its pictures"))
        await shown.press("enter")
        await until(shown, shows("step 300 at 1"))
        await until(shown, lacks("opening"))
        assert shown.text().isascii()


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40)])
async def test_names_and_prompts_of_another_machine_are_text_alone(tmp_path: Path, size: tuple[int, int]) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=40)
    prompts = tuple(GridPrompt(role=role, text=HOSTILE, plain=HOSTILE, negative=HOSTILE) for role in Role)
    try_out(source, tmp_path / "hostile.zip", judgement(name=HOSTILE, prompts=prompts))
    async with showing(source, clock, size=size) as shown:
        await shown.press("8")
        for key in ("enter", "escape", "b", "i", "down", "t", "escape"):
            await shown.press(key)
            assert all(char.isprintable() for row in shown.rows() for char in row)
            assert all(strip.cell_length == size[0] for strip in shown.screen._compositor.render_strips())
