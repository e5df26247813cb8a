"""What the keys of the run screen must bring about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from loratui.domain.overview import Overview
from loratui.domain.run import LinkState
from loratui.store import Store, StoredRun
from loratui_protocol.messages import Record, Step
from support.ui_effects.effect import Effect, lacks, sent, shows
from support.ui_effects.home import on_home, run_line
from support.ui_pilot import Shown, showing


def column_of(label: str, shown: Shown) -> int:
    """Return where on the x axis the label stands."""
    axis = next(index for index, row in enumerate(shown.rows()) if row.startswith("      └"))
    return shown.rows()[axis + 1].index(label)


OTHER = replace(run_line(1), name="older-style")


def keep_run(database: Path, run_id: str, losses: list[float]) -> None:
    """Store a run with these losses."""
    run = StoredRun(id=run_id, name=run_id, target="local", created_ts=0, config_toml="", home=Path("/home"))
    with Store(database) as store:
        store.add_run(run)
        store.begin_history(run_id, "epoch", reset=False)
        steps = [
            Step(step=step, total=len(losses), epoch=1, loss=loss, lr=1e-4, it_s=1.0, eta_s=0.0)
            for step, loss in enumerate(losses, 1)
        ]
        store.append(run_id, "epoch", [Record(seq=step.step, ts=step.step, event=step) for step in steps])


@asynccontextmanager
async def beside_another(folder: Path) -> AsyncIterator[Shown]:
    """Show a run that trains, and know of another one whose losses are stored."""
    async with on_home(folder, Overview(runs=(OTHER,), is_read=True)) as shown:
        keep_run(shown.screen.desk.preferences.database, OTHER.id, [0.2] * 600)
        shown.screen.take(shown.source)
        shown.screen.go("run")
        yield shown


@asynccontextmanager
async def cut_off(_: Path) -> AsyncIterator[Shown]:
    """Show a run whose agent can't be reached."""
    async with showing() as shown:
        shown.source.run.heard(LinkState.DOWN, shown.clock.monotonic_s())
        await shown.tick()
        yield shown


RUN = {
    "pause": Effect(sent(("pause", 0))),
    "checkpoint": Effect(sent(("checkpoint", 0))),
    "sample": Effect(sent(("sample", 0))),
    "extend": Effect(sent(("extend", 1800))),
    "undo": Effect(shows("taken back as soon as it is through"), ("e",)),
    "stop": Effect(shows("STOP my-style-v3", "f Finish the step, save, stop", "Enter does nothing here")),
    "stop_finish": Effect(sent(("stop", 0)), ("x",)),
    "stop_cancel": Effect(lambda shown: "Enter does nothing" not in shown.text(), ("x",)),
    "log_scale": Effect(shows("log · L m")),
    "smooth": Effect(shows("ema 200 steps")),
    "zoom_in": Effect(lambda shown: "   500   " not in shown.text() and "1000" in shown.text()),
    "zoom_out": Effect(shows("   500   ", "2000"), ("+",)),
    "zoom_all": Effect(shows("   500   ", "2000"), ("+", "+")),
    "pan_left": Effect(lambda shown: column_of("1200", shown) > 45, ("+", "+", "+")),
    "pan_right": Effect(lambda shown: column_of("1200", shown) < 40, ("+", "+", "+", "left")),
    "log_up": Effect(shows("scrolled · G follows")),
    "log_down": Effect(shows("─ follow ─"), ("pageup",)),
    "log_end": Effect(shows("─ follow ─"), ("pageup", "pageup")),
    "reconnect": Effect(lambda shown: shown.source.num_retries == 1, start=cut_off),
    "pictures": Effect(shows("samples  step 1200  (2 of 2)", "a red zog", "▀▀")),
    "crosshair": Effect(shows(" @1240  loss 0.0", "  c 1000  s 1200")),
    "table": Effect(shows("─ loss  newest first", "     1240        0.0")),
    "metric_before": Effect(shows("─ it/s  ema", "2.31 it/s")),
    "metric_after": Effect(shows("─ lr  last ")),
    "compare": Effect(shows("compare the loss with that of", "> older-style"), start=beside_another),
    "compare_choose": Effect(shows("lower than older-style @600"), ("b",), beside_another),
    "compare_close": Effect(lacks("compare the loss"), ("b",), beside_another),
}
