"""What the keys of the samples screen must bring about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from loratui.domain.overview import Overview
from loratui.store import Store, StoredRun
from loratui.ui.desk import Desk, SoleRun
from loratui.ui.environment import UiOptions
from loratui_protocol.config_file import to_toml
from loratui_protocol.messages import JobState, Scores, State
from loratui_protocol.state_files import MANIFEST, state_folder
from support.judgements import judgement, try_out
from support.protocol_strategies import plain_config
from support.scripted_source import PRICE, HandClock, ScriptedSource
from support.tiny_training import write_pictures
from support.ui_effects.effect import Effect, lacks, shows, until
from support.ui_effects.files import preferences_in
from support.ui_effects.home import DeskOfMany, run_line
from support.ui_pilot import Shown, showing


@asynccontextmanager
async def on_samples(
    folder: Path, count: int = 8, steps: tuple[int, ...] = (1000, 1200), size: tuple[int, int] = (80, 24)
) -> AsyncIterator[Shown]:
    """Show the samples of a run with so many prompts."""
    clock = HandClock()
    source = ScriptedSource(clock, step=40)
    for step in steps:
        source.paint_samples(folder, step, tuple(f"zog {number:02}" for number in range(count)))
    async with showing(source, clock, size=size) as shown:
        await shown.press("8")
        yield shown


@asynccontextmanager
async def on_tried(
    folder: Path,
    *,
    has_samples: bool = False,
    is_here: bool = True,
    size: tuple[int, int] = (80, 24),
    options: UiOptions | None = None,
) -> AsyncIterator[Shown]:
    """Show what was tried out of a run: three files at three weights, two prompts with two seeds."""
    clock = HandClock()
    source = ScriptedSource(clock, step=40)
    if has_samples:
        source.paint_samples(folder, 40, ("a zog",))
    try_out(source, folder / "cat-judgement.zip", judgement(), is_here=is_here)
    async with showing(source, clock, size=size, options=options) as shown:
        await shown.press("8", *("t" if has_samples else ""))
        await until(shown, shows("tried out  step 300 at 1") if is_here else shows("the pictures are not here"))
        yield shown


@asynccontextmanager
async def on_next_steps(folder: Path, *, is_over: bool = False) -> AsyncIterator[Shown]:
    """Show what to try after a run that was still getting better at its end.

    ``is_over``: it is done, and its last state is where it was.
    """
    preferences, clock = preferences_in(folder), HandClock()
    source = ScriptedSource(clock, name="zorbix", total=200, step=200)
    config = plain_config(
        train_data_dir=str(write_pictures(folder / "pictures")),
        output_name="zorbix",
        trigger_word="zorbix",
        max_train_steps=200,
    )
    with Store(preferences.database) as store:
        store.add_run(
            StoredRun(
                id=source.run_id,
                name="zorbix",
                target="local",
                created_ts=1.0,
                config_toml=to_toml(config),
                home=preferences.local_home,
            )
        )
    for step, likeness in ((0, 0.3), (100, 0.4), (200, 0.6)):
        source.add(
            Scores(
                artifact_id=f"lora-{step}" if step else "",
                name=f"zorbix-{step}.safetensors" if step else "",
                step=step,
                weight=float(step > 0),
                means={"likeness": likeness},
                errors={"likeness": 0.02},
                counts={"likeness": 40},
            )
        )
    desk: Desk = SoleRun(source, preferences)
    if is_over:
        kept = preferences.local_home / "jobs" / source.run_id / "ckpt" / state_folder(200)
        kept.mkdir(parents=True)
        (kept / MANIFEST).write_text("{}", "utf-8")
        source.add(State(state=JobState.DONE))
        line = run_line(0, id=source.run_id, name="zorbix", step=200, total=200, price_microusd_per_h=PRICE)
        desk = DeskOfMany(source, preferences, Overview(runs=(line,), is_read=True))
    async with showing(source, clock, desk=desk) as shown:
        await shown.press("8", "x")
        await until(shown, shows("> undertrained", "-max_train_steps = 200"))
        yield shown


SAMPLES = {
    "next_steps": Effect(shows("what to try next", "> undertrained"), ("escape",), on_next_steps),
    "next_write": Effect(shows("write as", "zorbix.undertrained.toml"), start=on_next_steps),
    "next_close": Effect(lacks("what to try next"), start=on_next_steps),
    "tried": Effect(shows("samples  step 40"), start=partial(on_tried, has_samples=True)),
    "tried_weight": Effect(shows("tried out  step 300 at 0.5", "▀▀"), start=on_tried),
    "tried_weight_before": Effect(shows("tried out  step 300 at 0.8", "▀▀"), start=on_tried),
    "earlier": Effect(shows("samples  step 1000  (1 of 2)"), ("8",)),
    "later": Effect(shows("samples  step 1200  (2 of 2)"), ("8", "[")),
    "sample_large": Effect(shows("weight 1  step 1200  seed 0  64x64", "▀▀"), ("8",)),
    "sample_compare": Effect(shows("step 1000 beside step 1200", "1000: a zog", "1200: a zog", "▀▀"), ("8",)),
    "sample_text": Effect(shows("step 1200         seed 0", "seed 3"), ("8",)),
    "sample_left": Effect(shows(">a zog "), ("8", "right")),
    "sample_right": Effect(shows(">a red zog"), ("8",)),
    "sample_up": Effect(shows(">zog 00"), ("down",), on_samples),
    "sample_down": Effect(shows(">zog 04"), start=on_samples),
    "sample_page_up": Effect(shows(">a zog "), ("8", "right", "pagedown")),
    "sample_page_down": Effect(shows(">a zog in snow"), ("8",)),
    "samples_close": Effect(shows("─ loss", "─ log"), ("8",)),
}
