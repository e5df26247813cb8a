import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain import formatting, signals
from loratui.domain.phases import took
from loratui.domain.run import NUM_KEPT, LinkState, Money, RunView
from loratui.domain.run_files import NUM_ARTIFACTS
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
    Heartbeat,
    JobState,
    JobStatus,
    Log,
    Metrics,
    Record,
    Sample,
    Setup,
    State,
    Step,
    Telemetry,
    Unsupported,
    Warn,
    Withdrawn,
)
from support.protocol_strategies import wild_records

ARTIFACT = Artifact(id="a", kind=ArtifactKind.LORA, name="a.safetensors", size=1, sha256="0" * 64)


def step(number: int, loss: float = 0.5, grad_norm: float | None = None) -> Step:
    return Step(
        step=number, total=100, epoch=1, loss=loss, lr=1e-4, it_s=2.0, eta_s=-1.0, ram_gib=1.0, grad_norm=grad_norm
    )


def run(*events: Event) -> RunView:
    view = RunView(run_id="r", name="n", target="local")
    for seq, event in enumerate(events, start=1):
        view.apply(Record(seq=seq, ts=1000.0 + seq, event=event))
    return view


def test_what_an_older_trainer_does_not_measure_is_unknown_and_not_0():
    view = run(step(1))
    assert view.metrics is None
    assert view.delta_norms is None
    assert signals.pace(None) == "\u2013, \u2013, \u2013 of the time without data"
    assert signals.exposures(None) == signals.effective_lrs({}) == "\u2013"


def test_pace_and_strength_are_the_last_ones_told():
    norms = [DeltaNorms(step=n, relative={"unet": n / 100}) for n in (1, 2)]
    view = run(Metrics(step=1, img_s=1.0), norms[0], Metrics(step=2, img_s=2.0), norms[1])
    assert view.metrics == Metrics(step=2, img_s=2.0)
    assert view.delta_norms == norms[1]
    assert view.log[-1].text == "step 2: delta norm 2 % of the unet"


def beat(job: str = "r", *, deadline_s: float | None = 100.0) -> Heartbeat:
    status = JobStatus(
        job=job,
        name="n",
        state=JobState.RUNNING,
        total=100,
        price_microusd_per_h=3_600_000,
        spent_microusd=500,
        deadline_s=deadline_s,
    )
    return Heartbeat(now_ts=0.0, telemetry=Telemetry(source="psutil"), active=status, last_step_age_s=1.5)


def test_steps_are_folded_into_the_latest_numbers_and_the_curves() -> None:
    view = run(step(1, 0.9), step(2, 0.4, 0.7), step(3, 0.6))
    assert (view.step, view.total, view.loss, view.last_seq, view.eta_s) == (3, 100, 0.6, 3, 0.0)
    assert (view.series.steps, view.series.values) == ([1, 2, 3], [0.9, 0.4, 0.6])
    assert (view.grad_norm_series.steps, view.lr_series.steps) == ([2], [1, 2, 3])
    assert view.min_loss == (0.4, 2)


def test_run_that_goes_back_to_a_checkpoint_drops_what_it_repeats() -> None:
    view = run(step(1, 0.9), step(2, 0.4), step(3, 0.1), step(2, 0.5))
    assert view.series.values == [0.9, 0.5]
    assert view.min_loss == (0.5, 2)


def test_loss_that_is_no_number_is_never_the_lowest() -> None:
    assert run(step(1, math.nan), step(2, -math.inf)).min_loss is None
    assert run(step(1, math.nan), step(2, 0.3)).min_loss == (0.3, 2)


def test_states_say_when_the_run_began_and_ended() -> None:
    view = run(State(state=JobState.QUEUED), State(state=JobState.PREPARING), State(state=JobState.RUNNING))
    assert (view.started_ts, view.ended_ts) == (1002.0, None)
    view.apply(Record(seq=4, ts=1009.0, event=State(state=JobState.FAILED, reason="killed", detail="twice")))
    assert (view.state, view.reason, view.detail, view.ended_ts) == (JobState.FAILED, "killed", "twice", 1009.0)
    view.apply(Record(seq=5, ts=1010.0, event=State(state=JobState.RESUMING)))
    assert (view.started_ts, view.ended_ts) == (1002.0, None)


def test_the_log_names_each_phase_once() -> None:
    view = run(
        Setup(phase="load_model", message="loading the base model"),
        Setup(phase="export", message="writing"),
        Setup(phase="export", done=1, total=2, message="writing"),
    )
    assert [line.text for line in view.log] == ["loading the base model", "writing"]


def test_everything_that_happens_has_its_place() -> None:
    view = run(
        Setup(phase="cache latents", done=1, total=2),
        Log(level="ERROR", line="oh"),
        ARTIFACT,
        Sample(step=1, index=0, prompt="p", seed=1, artifact_id="a", width=64, height=64),
        Checkpoint(step=1, size=10, seconds=0.1),
        Warn(code="w.x", message="careful"),
        Evaluation(scores={"learned": 1.0}, verdict="yes"),
        Done(artifact_id="a", name="a", size=1, sha256="0", steps=1),
        Unsupported(original_tag="later"),
    )
    assert view.setup is not None
    assert view.artifacts == {"a": ARTIFACT}
    assert (len(view.samples), len(view.checkpoints), len(view.warnings)) == (1, 1, 1)
    assert view.evaluation is not None
    assert view.done is not None
    assert [(line.level, line.text) for line in view.log] == [
        ("ERROR", "oh"),
        ("INFO", "file a.safetensors, 1 B"),
        ("INFO", 'sample of step 1: "p"'),
        ("INFO", "state of step 1 saved, 10 B in 0.1 s"),
        ("WARNING", "w.x: careful"),
    ]
    assert view.last_seq == 9


def test_commands_leave_a_line_that_says_who_and_what_came_of_it() -> None:
    view = run(
        CommandResult(id="1", command="pause", author="ann", ok=True),
        CommandResult(id="2", command="stop", author="bob", ok=False, code="job.not_running", message="it is over"),
    )
    assert [line.text for line in view.log] == [
        "pause by ann: done",
        "stop by bob: refused [job.not_running], it is over",
    ]


def test_what_the_client_sends_by_itself_leaves_no_line_unless_it_is_refused() -> None:
    view = run(
        CommandResult(id="1", command="ack_artifacts", author="ann", ok=True),
        CommandResult(id="2", command="start_job", author="ann", ok=False, code="x"),
    )
    assert [line.text for line in view.log] == ["start_job by ann: refused [x]"]


def test_run_is_settled_when_it_is_over_and_its_files_are_here_or_lost() -> None:
    view = run(ARTIFACT, State(state=JobState.RUNNING))
    assert not view.is_settled
    view.apply(Record(seq=3, ts=0.0, event=State(state=JobState.DONE)))
    assert not view.is_settled
    view.download_failures["a"] = "gone"
    assert view.is_settled
    view.download_failures.clear()
    view.downloaded["a"] = Path("a")
    assert view.is_settled


def test_file_that_is_written_anew_is_not_here_any_more() -> None:
    view = run(ARTIFACT)
    view.downloaded["a"] = Path("a")
    view.apply(Record(seq=2, ts=0.0, event=ARTIFACT))
    assert view.downloaded
    view.apply(Record(seq=3, ts=0.0, event=replace(ARTIFACT, sha256="1" * 64)))
    assert not view.downloaded


def test_log_keeps_the_newest_lines() -> None:
    view = run(*(Log(level="INFO", line=str(number)) for number in range(1100)))
    assert (len(view.log), view.log[-1].text) == (1000, "1099")


def test_money_is_carried_on_between_the_agents_figures() -> None:
    view = run(State(state=JobState.RUNNING))
    view.beat(beat(), 10.0)
    view.heard(LinkState.UP, 10.0)
    assert view.spent(12.0) == Money(value_microusd=500 + 2000, exact=True)
    assert view.deadline_left_s(70.0) == 40.0
    assert view.deadline_left_s(500.0) == 0.0
    assert view.last_step_age_s == 1.5
    view.heard(LinkState.DOWN, 20.0)
    assert view.spent(20.0).exact is False


def test_money_of_a_stored_history_is_carried_on_from_when_it_was_said() -> None:
    view = RunView(run_id="r", name="n", target="local", clock_offset_s=-990.0)
    cost = Cost(spent_microusd=100, price_microusd_per_h=3_600_000, deadline_s=60.0)
    view.apply(Record(seq=1, ts=1000.0, event=State(state=JobState.RUNNING)))
    view.apply(Record(seq=2, ts=1000.0, event=cost))
    assert view.spent(11.0) == Money(value_microusd=1100, exact=False)
    assert view.deadline_left_s(30.0) == 40.0


def test_clock_of_the_agents_machine_that_is_set_back_makes_no_new_figure_look_old() -> None:
    view = run(State(state=JobState.RUNNING))
    view.beat(beat(), 10.0)
    cost = Cost(spent_microusd=600, price_microusd_per_h=3_600_000, deadline_s=90.0)
    view.apply(Record(seq=2, ts=10.0 - 86_400, event=cost))
    assert view.spent(12.0).value_microusd == 600 + 2000
    assert view.deadline_left_s(12.0) == 88.0


@pytest.mark.parametrize("ts", [math.nan, math.inf, -math.inf])
def test_clock_that_can_not_be_right_counts_for_nothing(ts: float) -> None:
    view = run(State(state=JobState.RUNNING))
    cost = Cost(spent_microusd=100, price_microusd_per_h=3_600_000, deadline_s=math.nan)
    view.apply(Record(seq=2, ts=ts, event=cost))
    assert view.spent(11.0).value_microusd == 100
    assert view.deadline_left_s(30.0) == 0.0


def test_run_that_waits_or_is_over_costs_nothing_more() -> None:
    view = run(Cost(spent_microusd=7, price_microusd_per_h=3_600_000, deadline_s=10.0))
    assert view.spent(1e9) == Money(value_microusd=7, exact=True)
    view.apply(Record(seq=2, ts=1.0, event=State(state=JobState.DONE)))
    assert view.spent(1e9) == Money(value_microusd=7, exact=True)
    assert view.deadline_left_s(0.0) is None


def test_run_without_a_limit_has_no_time_left() -> None:
    view = run(State(state=JobState.RUNNING))
    view.beat(beat(deadline_s=None), 0.0)
    assert view.deadline_left_s(5.0) is None


def test_heartbeat_about_another_run_changes_no_money() -> None:
    view = run(State(state=JobState.RUNNING))
    view.beat(beat("other"), 0.0)
    assert (view.spent_microusd, view.last_step_age_s) == (0, None)
    assert view.telemetry is not None


def test_link_keeps_the_moment_it_changed() -> None:
    view = run()
    view.heard(LinkState.DOWN, 5.0, detail="gone", retry_at_s=6.0)
    view.heard(LinkState.DOWN, 8.0, detail="still gone", retry_at_s=9.0)
    assert (view.link_since_s, view.link_detail, view.retry_at_s) == (5.0, "still gone", 9.0)


def test_snapshot_is_out_of_reach_of_later_records() -> None:
    view = run(step(1))
    first = view.snapshot()
    view.apply(Record(seq=2, ts=0.0, event=step(2)))
    view.apply(Record(seq=3, ts=0.0, event=Log(level="INFO", line="x")))
    view.apply(Record(seq=4, ts=0.0, event=ARTIFACT))
    assert (first.step, first.series.steps, len(first.log), first.artifacts) == (1, [1], 0, {})
    assert view.snapshot().version > first.version


def test_a_trainer_that_was_killed_and_started_again_stands_in_the_log() -> None:
    view = run(
        State(state=JobState.RUNNING, detail="from step 0 of 100"),
        State(state=JobState.INTERRUPTED, reason="killed", detail="the trainer was killed"),
        State(state=JobState.RESUMING, detail="going on from the last checkpoint"),
        State(state=JobState.RUNNING, detail="from step 50 of 100"),
    )
    assert [line.text for line in view.log] == [
        "interrupted: the trainer was killed",
        "resuming: going on from the last checkpoint",
    ]


@given(st.lists(wild_records(), max_size=4), st.floats(0, 1e9))
def test_whatever_a_host_says_can_be_folded_in_and_shown(records: list[Record], now_s: float) -> None:
    view = run()
    for seq, record in enumerate(records, start=1):
        view.apply(replace(record, seq=seq))
        assert (view.last_seq, view.last_ts) == (seq, record.ts)
    shown = view.snapshot()
    assert formatting.money(shown.spent(now_s).value_microusd)
    for phase in shown.phases.values():
        assert took(phase, shown.price_microusd_per_h, now_s)
    assert not [each for each in shown.log if "can't be shown" in each.text]


def test_record_that_makes_no_sense_is_noted_and_the_others_count() -> None:
    view = run()
    # As an earlier version may have stored it: what arrives now is bounded.
    events = (Cost(spent_microusd=1, price_microusd_per_h=1, deadline_s=None), Setup(phase="p", total=1))
    for seq, (ts, event) in enumerate([(0.0, events[0]), (0.0, events[1]), (math.inf, replace(events[1], done=1))], 1):
        view.apply(Record(seq=seq, ts=ts, event=event))
    view.apply(Record(seq=4, ts=5.0, event=step(7)))
    assert (view.last_seq, view.step) == (4, 7)
    assert "record 3 can't be shown" in view.log[-1].text


def test_run_that_goes_on_for_ever_keeps_what_is_newest() -> None:
    view = run()
    for number in range(NUM_ARTIFACTS):
        view.apply(Record(seq=number + 1, ts=0.0, event=replace(ARTIFACT, id=str(number))))
    view.downloaded["1"] = Path("1")
    for number, gone in ((NUM_ARTIFACTS, "1"), (NUM_ARTIFACTS + 1, "0")):
        assert gone in view.artifacts
        view.apply(Record(seq=number + 1, ts=0.0, event=replace(ARTIFACT, id=str(number))))
        # The one that is here goes first.
        assert gone not in view.artifacts
    assert not view.downloaded
    assert len(view.artifacts) == NUM_ARTIFACTS
    for number in range(NUM_KEPT + 5):
        warn, setup = Warn(code="c", message=str(number)), Setup(phase=str(number))
        for event in (warn, setup, Checkpoint(step=number, size=1, seconds=1.0)):
            view.apply(Record(seq=1, ts=0.0, event=event))
    assert (len(view.warnings), len(view.phases), len(view.checkpoints)) == (NUM_KEPT, NUM_KEPT, NUM_KEPT)
    assert view.warnings[-1].message == str(NUM_KEPT + 4)
    assert next(iter(view.phases)) == "5"


WITHDRAWN = Withdrawn(id="a", name=ARTIFACT.name, sha256=ARTIFACT.sha256, why="newer ones are kept")


def test_a_file_that_was_withdrawn_is_waited_for_by_nobody() -> None:
    view = run(ARTIFACT)
    view.download_failures["a"] = "the file is gone"
    over = State(state=JobState.DONE)
    for seq, event in enumerate((WITHDRAWN, over), 2):
        view.apply(Record(seq=seq, ts=0.0, event=event))
    assert (view.artifacts, view.download_failures, view.is_settled) == ({}, {}, True)
    view.apply(Record(seq=4, ts=0.0, event=ARTIFACT))
    assert (set(view.artifacts), view.withdrawn, view.is_settled) == ({"a"}, {}, False)


def test_a_file_that_is_here_stays_when_it_is_withdrawn_and_another_version_is_left_alone() -> None:
    view = run(ARTIFACT)
    view.downloaded["a"] = Path("a")
    view.apply(Record(seq=2, ts=0.0, event=replace(WITHDRAWN, sha256="f" * 64)))
    assert not view.withdrawn
    view.apply(Record(seq=3, ts=0.0, event=WITHDRAWN))
    assert (set(view.artifacts), set(view.downloaded)) == ({"a"}, {"a"})


def test_a_host_that_withdraws_without_end_fills_no_memory() -> None:
    view = run()
    for number in range(NUM_ARTIFACTS + 3):
        for event in (replace(ARTIFACT, id=str(number)), replace(WITHDRAWN, id=str(number))):
            view.apply(Record(seq=1, ts=0.0, event=event))
    assert (len(view.withdrawn), len(view.artifacts)) == (NUM_ARTIFACTS, 0)


def test_the_base_alone_is_named_so() -> None:
    drawn = Sample(step=3, index=0, prompt="a cat", seed=1, artifact_id="s", width=1, height=1, weight=0.0)
    assert run(drawn).log[-1].text == 'sample without the LoRA: "a cat"'
