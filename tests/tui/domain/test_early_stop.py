"""Stopping early is advised where two of three signals agree twice in a row, and with what it saves."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loratui import settings
from loratui.cli.main import main
from loratui.domain.early_stop import Course, course_of, early_stop, said_of
from loratui.domain.learning import Trend, verdict
from loratui.domain.run import RunView
from loratui.headless.narration import Narrator
from loratui.store import Store, StoredRun
from loratui.ui.widgets.chart_facts import learning
from loratui_protocol.messages import DeltaNorms, JobState, Metrics, Record, Scores, State, Step, Validation

HELD, TRAINED = [0.10, 0.09, 0.080, 0.081, 0.083, 0.086, 0.090], [0.10, 0.09, 0.07, 0.06, 0.05, 0.04, 0.03]
LOOKS = [
    Validation(step=100 * n, loss=held, train_loss=trained, num_pictures=3)
    for n, (held, trained) in enumerate(zip(HELD, TRAINED, strict=True))
]
GROWING = [(100 * n, 0.01 * n) for n in range(1, 7)]
LEVEL = [(100 * n, 0.01 * math.sqrt(n)) for n in range(1, 7)]
COURSE = Course(
    looks=LOOKS, sizes=GROWING, exposures_a_step=0.1, left_s=1800.0, price_microusd_per_h=600_000
)  # fmt: skip


def row(step: int, likeness: float, prompt: float) -> Scores:
    means = {"likeness": likeness, "prompt": prompt}
    errors, counts = dict.fromkeys(means, 0.01), dict.fromkeys(means, 20)
    return Scores(
        artifact_id=f"l{step}", name=f"z-{step}", step=step, weight=1.0, means=means, errors=errors, counts=counts
    )


WORSE = [row(300, 0.5, 0.30), row(500, 0.5, 0.25), row(600, 0.5, 0.2)]
BETTER = [row(300, 0.5, 0.30), row(500, 0.55, 0.30), row(600, 0.6, 0.3)]


@pytest.mark.parametrize(
    ("changes", "is_advised"),
    [
        ({}, True),
        ({"sizes": LEVEL}, False),
        ({"sizes": LEVEL, "scores": WORSE}, True),
        ({"sizes": LEVEL, "scores": BETTER}, False),
        ({"looks": [], "scores": WORSE}, True),
        ({"looks": [], "sizes": (), "scores": WORSE}, False),
        ({"looks": LOOKS[:5], "exposures_a_step": 1.0}, False),
        ({"exposures_a_step": 0.07}, False),
        ({"exposures_a_step": None}, False),
        ({"left_s": 0.0}, False),
        ({"left_s": None}, False),
        ({"left_s": math.inf}, False),
    ],
    ids=[
        "gap and size", "gap alone", "gap and scores", "gap alone, scores rise", "size and scores", "scores alone",
        "the first time", "39 exposures at the one before", "exposures not known", "over", "not begun", "no end",
    ],
)  # fmt: skip
def test_two_of_three_have_to_agree_twice(changes: dict[str, Any], is_advised: bool) -> None:
    assert (early_stop(replace(COURSE, **changes)) is not None) is is_advised


def test_the_advice_says_what_it_rests_on_and_saves() -> None:
    found = early_stop(COURSE)
    assert found is not None
    assert (found.saves_s, found.saves_microusd) == (1800.0, 300_000)
    assert found.sentence.startswith("stopping now would save ≈30 min and ≈$0.30: overfitting: held-out error down")
    assert found.sentence.endswith("the LoRA grows as fast as before, 6 % of the weights at step 600")


EVENTS = [
    State(state=JobState.RUNNING),
    *(DeltaNorms(step=step, relative={"unet": size}) for step, size in GROWING),
    *LOOKS[:-1],
    Metrics(step=600, exposures_per_picture=60.0),
    Step(step=600, total=1200, epoch=1, loss=0.1, lr=1e-4, it_s=1.0, eta_s=600.0),
    LOOKS[-1],
]
RECORDS = [Record(seq=seq, ts=float(seq), event=event) for seq, event in enumerate(EVENTS, 1)]


def test_a_run_is_advised_by_what_its_view_knows_and_not_once_it_is_over() -> None:
    view = RunView(run_id="r", name="r", target="local")
    for record in RECORDS:
        view.apply(record)
    found = early_stop(course_of(view))
    assert found is not None
    assert found.saves_s == 600.0
    view.apply(Record(seq=99, ts=99.0, event=State(state=JobState.DONE)))
    assert early_stop(course_of(view)) is None


def test_the_narration_and_the_screen_say_it_where_they_say_the_verdict() -> None:
    view, narrator = RunView(run_id="r", name="r", target="local"), Narrator()
    told = ""
    for record in RECORDS:
        view.apply(record)
        told = narrator.sentence(record) or told
    assert told.startswith("step 600: overfitting, stopping now would save ≈10 min: held-out error down ")
    assert "".join(text for text, _ in learning(view)) == told.removeprefix("step 600:")


TRENDS: dict[Trend, list[Validation]] = {
    Trend.TOO_EARLY: LOOKS[:3],
    Trend.LEARNING: [replace(look, loss=0.10 - 0.005 * n) for n, look in enumerate(LOOKS)],
    Trend.FLAT: [replace(look, loss=0.1, train_loss=0.1) for look in LOOKS],
    Trend.OVERFITTING: LOOKS,
    Trend.RATE_TOO_HIGH: [replace(look, loss=0.1 * (n + 1), train_loss=0.1 * (n + 1)) for n, look in enumerate(LOOKS)],
}
MEANS_TO_GO_ON = (Trend.LEARNING, Trend.TOO_EARLY)


@pytest.mark.parametrize("trend", Trend)
def test_beside_the_advice_to_stop_no_verdict_says_the_opposite(trend: Trend) -> None:
    looks = TRENDS[trend]
    alone = verdict(looks)
    assert alone.trend is trend
    assert said_of(looks, None).sentence == alone.sentence
    stop = early_stop(replace(COURSE, looks=looks, scores=WORSE))
    assert stop is not None
    said = said_of(looks, stop)
    assert said.head.endswith(", stopping now would save ≈30 min and ≈$0.30")
    assert said.head.startswith("past its best by two signs" if trend in MEANS_TO_GO_ON else trend)
    # Each reason once, and of what speaks against it that it stands alone.
    assert all(said.sentence.count(signal) == 1 for signal in stop.signals if signal != alone.sentence)
    assert said.sentence.count(alone.evidence) == (trend is not Trend.TOO_EARLY)
    assert ("the held-out error alone says still learning, " in said.reasons) is (trend is Trend.LEARNING)
    assert "too early" not in said.sentence


def test_the_advice_to_stop_is_shown_where_no_pictures_are_held_out() -> None:
    view = RunView(run_id="r", name="r", target="local")
    events = [*(each.event for each in RECORDS if not isinstance(each.event, Validation)), *WORSE]
    for seq, event in enumerate(events, 1):
        view.apply(Record(seq=seq, ts=float(seq), event=event))
    assert "".join(text for text, _ in learning(view)).startswith(" past its best by two signs, stopping now would ")


def test_status_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LORATUI_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("LORATUI_STATE_DIR", str(tmp_path / "state"))
    run = StoredRun(
        id="01JSTATUS", name="z", target="local", created_ts=1.0, config_toml="", home=tmp_path,
        price_microusd_per_h=600_000,
    )  # fmt: skip
    with Store(settings.load().database) as store:
        store.add_run(run)
        store.begin_history(run.id, "e", reset=False)
        store.append(run.id, "e", RECORDS)
    assert main(["status", "z", "--json"]) == 0
    stop = json.loads(capsys.readouterr().out)["early_stop"]
    assert (stop["saves_s"], stop["saves_microusd"], len(stop["signals"])) == (600.0, 100_000, 2)
    assert main(["status", "z"]) == 0
    assert stop["sentence"] in capsys.readouterr().out
