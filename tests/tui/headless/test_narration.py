"""Sentences about a run: every change is told, steps are thinned."""

import math
from dataclasses import replace

from hypothesis import given

from loratui.headless.narration import Narrator
from loratui_protocol.messages import (
    Artifact,
    ArtifactKind,
    Checkpoint,
    CommandResult,
    Cost,
    DeltaNorms,
    Done,
    Evaluation,
    Event,
    JobState,
    Log,
    Metrics,
    Record,
    Sample,
    Setup,
    State,
    Step,
    Unsupported,
    Warn,
)
from support.protocol_strategies import wild_records


def told(*timed: tuple[float, Event]) -> list[str]:
    """Return the sentences about events at the given seconds."""
    narrator = Narrator()
    sentences = [narrator.sentence(Record(seq=n, ts=ts, event=event)) for n, (ts, event) in enumerate(timed, 1)]
    return [sentence for sentence in sentences if sentence]


def step(number: int, total: int, loss: float = 0.1) -> Step:
    return Step(step=number, total=total, epoch=1, loss=loss, lr=1e-4, it_s=10.0, eta_s=(total - number) / 10)


def test_steps_of_a_short_run_are_told_every_twentieth_and_at_least_5_s_apart():
    sentences = told(*((n / 10, step(n, 1000)) for n in range(1, 1001)))
    assert len(sentences) == 21
    assert sentences[0] == "step 1 of 1000, loss 0.1000, 10.00 it/s, ≈1 min 39 s left"
    assert sentences[-1].startswith("step 1000 of 1000")


def test_a_run_that_stops_before_its_plan_is_done_is_told_by_where_it_stops():
    early = [replace(step(n, 500), total=1000, stop=500) for n in (1, 500)]
    sentences = told(*((each.step / 10, each) for each in early))
    assert [sentence.split(",")[0] for sentence in sentences] == ["step 1 of 500", "step 500 of 500"]


def test_steps_of_a_long_run_are_told_once_a_minute():
    assert len(told(*((float(n), step(n, 36_000)) for n in range(1, 3601)))) == 60


def test_steps_of_a_very_fast_run_are_not_told_before_5_s_have_passed():
    assert len(told(*((n / 100, step(n, 400)) for n in range(1, 401)))) == 2


def test_a_loss_is_called_noisy_beside_the_mean_of_the_steps_since_the_last_sentence():
    sentences = told((0.0, step(1, 40, 9.0)), *((n * 1.0, step(n, 40, 0.1 * n)) for n in range(2, 8)))
    assert sentences[-1].startswith("step 5 of 40, loss 0.5000 (noisy; mean of 4 steps 0.3500), ")


def test_steps_are_told_with_the_pace_where_it_is_measured():
    metrics = Metrics(step=1, img_s=9.24, data_wait=0.031)
    [sentence] = told((0.0, metrics), (0.0, step(1, 1000)))
    assert "10.00 it/s (9.2 img/s, \u2013, 3.1 % of the time without data), " in sentence


def test_going_back_to_a_checkpoint_is_told_at_once():
    assert told((0.0, step(1, 100)), (6.0, step(50, 100)), (7.0, step(41, 100)))[-1].startswith("step 41 of 100")


def test_a_step_of_a_run_without_a_total_is_told():
    assert told((0.0, step(3, 0)))[0].startswith("step 3 of 0")


@given(wild_records())
def test_whatever_a_host_says_has_a_sentence_or_none(record: Record):
    narrator = Narrator()
    narrator.sentence(Record(seq=1, ts=0.0, event=Cost(spent_microusd=0, price_microusd_per_h=2**53, deadline_s=None)))
    narrator.sentence(record)
    narrator.sentence(Record(seq=2, ts=record.ts, event=record.event))


def test_a_loss_that_is_no_number_is_told_by_name():
    assert "loss nan" in told((0.0, step(1, 10, math.nan)))[0]


def test_phases_before_training_are_told_when_they_begin_now_and_then_and_when_they_are_complete():
    latents = [(n * 1.0, Setup(phase="latents", done=n, total=8, unit="pictures")) for n in range(9)]
    assert told(*latents) == [
        "latents 0 of 8 pictures",
        "latents 5 of 8 pictures (5 s so far)",
        "latents 8 of 8 pictures (8 s)",
    ]
    assert told((0, Setup(phase="load_model", message="loading"))) == ["load model: loading"]
    drawn = Sample(step=5, index=0, prompt="a zog", seed=1, artifact_id="a", width=64, height=64)
    between = [(0, Setup(phase="sample", total=1)), (1, drawn), (1, Setup(phase="sample", done=1, total=1))]
    between += [(1, Setup(phase="checkpoint", total=1)), (2, Checkpoint(step=5, size=2000, seconds=0.5))]
    assert told(*between) == ['sample at step 5: "a zog"', "checkpoint at step 5, 2.0 kB"]


def test_every_other_change_is_a_sentence():
    sha = "0" * 64
    changes: list[tuple[Event, str]] = [
        (State(state=JobState.RUNNING), "running"),
        (State(state=JobState.FAILED, reason="killed", detail="killed twice"), "failed: killed twice [killed]"),
        (Log(level="INFO", line="a line"), "a line"),
        (Warn(code="gpu.old", message="slow"), "warning: slow [gpu.old]"),
        (Checkpoint(step=4, size=1000, seconds=0.1), "checkpoint at step 4, 1.0 kB"),
        (
            Sample(step=4, index=0, prompt="a cat", seed=1, artifact_id="s", width=64, height=64),
            'sample at step 4: "a cat"',
        ),
        (
            Artifact(id="l", kind=ArtifactKind.LORA, name="cat.safetensors", size=5, sha256=sha),
            "file cat.safetensors, 5 B",
        ),
        (CommandResult(id="1", command="pause", author="ann", ok=True), "pause by ann: done"),
        (
            CommandResult(id="1", command="stop", author="ann", ok=False, code="job.not_running", message="it is over"),
            "stop by ann: refused [job.not_running], it is over",
        ),
        (
            DeltaNorms(step=4, relative={"unet": 0.0088, "up_blocks.1": 0.1, "mid_block": 0.12, "text_encoder": 2}),
            "step 4: delta norm 0.88 % of the unet, 200 % of the text encoder, most in mid_block (12 %)",
        ),
        (DeltaNorms(step=4, relative={}), "step 4: delta norm \u2013"),
        (Evaluation(scores={}, verdict="It works."), "It works."),
        (Done(artifact_id="l", name="cat", size=5, sha256=sha, steps=9), "done after 9 steps: cat, 5 B"),
    ]
    assert told(*((0.0, event) for event, _ in changes)) == [sentence for _, sentence in changes]


def test_what_is_no_change_for_a_reader_is_not_told():
    silent: list[Event] = [
        Cost(spent_microusd=1, price_microusd_per_h=1, deadline_s=None),
        Unsupported(),
        Artifact(id="s", kind=ArtifactKind.SAMPLE, name="s.png", size=5, sha256=""),
        CommandResult(id="1", command="start_job", author="ann", ok=True),
        CommandResult(id="2", command="ack_artifacts", author="ann", ok=True),
    ]
    assert told(*((0.0, event) for event in silent)) == []
