"""Says what a run's records mean, a sentence a change. Steps come thick and fast: most of them are not worth one."""

import math

from loratui.domain import formatting, signals
from loratui.domain.phases import PAUSES, Phase, amount, title, took
from loratui_protocol.judging.scores import scores_told
from loratui_protocol.messages import (
    Artifact,
    ArtifactKind,
    Checkpoint,
    CommandResult,
    Cost,
    Deadman,
    DeltaNorms,
    Done,
    Evaluation,
    JobState,
    Log,
    Metrics,
    Record,
    Sample,
    Scores,
    Setup,
    State,
    Step,
    Unsupported,
    Validation,
    Warn,
    Withdrawn,
)

STEP_SHARE = 0.05
SOONEST_S = 5.0
LATEST_S = 60.0
"""A step is told when a twentieth of the run has passed, within 5 s of the last one never, after a minute always."""
_FEWEST_LOSSES = 2


class Narrator:
    """Turns the records of one run, in their order, into sentences. Its clock is the records' own."""

    def __init__(self) -> None:
        self._told_step = 0
        self._told_step_ts = float("-inf")
        self._phases: dict[str, Phase] = {}
        self._told_phase_ts: dict[str, float] = {}
        self._price_microusd_per_h = 0
        self._looks: list[Validation] = []
        self._sizes: list[tuple[int, float]] = []
        self._scores: list[Scores] = []
        self._left_s = 0.0
        self._metrics: Metrics | None = None
        self._losses: list[float] = []
        """Since a step was told: a single one says little."""

    def sentence(self, record: Record) -> str | None:
        """Return what to say about the record, None if it is not worth saying."""
        match record.event:
            case Step() as step:
                return self._step(step, record.ts)
            case Setup(phase=phase) if phase in PAUSES:
                return None  # what comes of it is told
            case Setup() as setup:
                return self._progress(setup, record.ts)
            case State(state=state, reason=reason, detail=detail):
                if state in (JobState.QUEUED, JobState.RESUMING):
                    self._phases.clear()
                return str(state) + (f": {detail}" if detail else "") + (f" [{reason}]" if reason else "")
            case Log(line=line):
                return line
            case Warn(code=code, message=message):
                return f"warning: {message} [{code}]"
            case Checkpoint(step=number, size=size):
                return f"checkpoint at step {number}, {formatting.size(size)}"
            case Sample(weight=0, prompt=prompt):
                return f'sample without the LoRA: "{prompt}"'
            case Sample(step=number, prompt=prompt):
                return f'sample at step {number}: "{prompt}"'
            case Validation() as look:
                self._looks = [*(each for each in self._looks if each.step < look.step), look]
                return f"step {look.step}: {self._learning()}"
            case Metrics() as metrics:
                self._metrics = metrics
                return None
            case DeltaNorms() as norms:
                if signals.WHOLE in norms.relative:
                    self._sizes.append((norms.step, norms.relative[signals.WHOLE]))
                return f"step {norms.step}: {signals.strength(norms)}"
            case Artifact(kind=ArtifactKind.SAMPLE | ArtifactKind.THUMBNAIL | ArtifactKind.STATE):
                return None
            case Withdrawn(name=name, why=why):
                return f"file {name} is not to be had any more: {why}"
            case Artifact(name=name, size=size):
                return f"file {name}, {formatting.size(size)}"
            case CommandResult(command="start_job" | "ack_artifacts", ok=True):
                return None
            case CommandResult() as result:
                return formatting.command_result(result)
            case Evaluation(verdict=judged):
                return judged
            case Scores(name=tried, weight=weight, means=means) as scores:
                self._scores.append(scores)
                return f"{tried or 'base model'} at weight {weight:g}: {scores_told(means)}"
            case Done(steps=steps, name=name, size=size):
                after = f" after {steps} steps" if steps else ""
                return f"done{after}: {name}, {formatting.size(size)}"
            case Deadman() as event:
                return formatting.deadman(event)
            case Cost(price_microusd_per_h=price_microusd_per_h):
                self._price_microusd_per_h = price_microusd_per_h
                return None
            case Unsupported():
                return None

    def _step(self, step: Step, ts: float) -> str | None:
        self._losses += [step.loss] if math.isfinite(step.loss) else []
        since_s = ts - self._told_step_ts
        self._left_s = step.eta_s
        # A trainer that is anyone's may know no total.
        end = step.stop or step.total
        share = (step.step - self._told_step) / max(1, end)
        worth_telling = since_s >= LATEST_S or (share >= STEP_SHARE and since_s >= SOONEST_S)
        # A run that was taken back to a checkpoint counts from there.
        if step.step < self._told_step or worth_telling or step.step in (1, end):
            self._told_step, self._told_step_ts = step.step, ts
            pace = f" ({signals.pace(self._metrics)})" if self._metrics else ""
            return (
                f"step {step.step} of {end}, loss {formatting.loss(step.loss)}{self._mean_loss()}, "
                f"{formatting.speed(step.it_s)}{pace}, {formatting.duration(max(0.0, step.eta_s), exact=False)} left"
            )
        return None

    def _learning(self) -> str:
        # It knows of configs and grids, which no start waits for.
        from loratui.domain.early_stop import Course, early_stop, exposures_a_step, said_of

        course = Course(
            looks=self._looks,
            sizes=self._sizes,
            scores=self._scores,
            exposures_a_step=exposures_a_step(self._metrics),
            left_s=self._left_s,
            price_microusd_per_h=self._price_microusd_per_h,
        )
        return said_of(self._looks, early_stop(course)).sentence

    def _mean_loss(self) -> str:
        """Return the mean since a step was last told, where it is one of several."""
        losses, self._losses = self._losses, []
        if len(losses) < _FEWEST_LOSSES:
            return ""
        return f" (noisy; mean of {len(losses)} steps {formatting.loss(math.fsum(losses) / len(losses))})"

    def _progress(self, setup: Setup, ts: float) -> str | None:
        """Return how a phase is getting on; of several at once each has its own pace."""
        before = self._phases.get(setup.phase)
        phase = Phase(setup=setup, started_ts=ts, last_ts=ts) if before is None else before.heard(setup, ts)
        self._phases[setup.phase] = phase
        is_new = before is None or (
            before.setup.message != setup.message and (before.setup.done != setup.done or not setup.total)
        )
        is_over = phase.is_over and not (before is not None and before.is_over)
        if not is_new and not is_over and ts - self._told_phase_ts.get(setup.phase, float("-inf")) < SOONEST_S:
            return None
        self._told_phase_ts[setup.phase] = ts
        progress = amount(setup)
        said = (
            title(setup.phase) + (f" {progress}" if progress else "") + (f": {setup.message}" if setup.message else "")
        )
        passed = f"{took(phase, self._price_microusd_per_h)}{'' if is_over else ' so far'}"
        return f"{said} ({passed})" if phase.seconds >= 1 else said
