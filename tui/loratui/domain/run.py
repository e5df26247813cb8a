"""What is known about one run: the records of its journal folded into one picture that screens and commands read."""

import math
from collections import deque
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal, TypeVar

from loratui.domain import formatting, signals
from loratui.domain.learning import verdict
from loratui.domain.log_line import LogLine
from loratui.domain.past import Past, remember
from loratui.domain.phases import Phase, title, took
from loratui.domain.rental_cost import RentalCost
from loratui.domain.run_files import announce, withdraw
from loratui.domain.saved_states import offer
from loratui.domain.series import Series
from loratui.domain.supplied import Supplied
from loratui_protocol.errors import LoratuiError
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
    Heartbeat,
    JobState,
    Log,
    Metrics,
    Record,
    Sample,
    Scores,
    Setup,
    State,
    Step,
    Telemetry,
    Validation,
    Warn,
    Withdrawn,
)

NUM_LOG_LINES = 1000
NUM_KEPT = 1000
"""Of samples, checkpoints and warnings, and of phases: the newest. Each snapshot copies them."""
_SILENT = ("start_job", "ack_artifacts")
"""Commands that the client sends by itself: their success is not news."""
_NOTED = (JobState.INTERRUPTED, JobState.RESUMING)
"""States that pass so quickly that only the log can tell of them."""
_TRAINED = (JobState.RUNNING, JobState.PAUSED, JobState.STOPPING, JobState.FINISHING)
T = TypeVar("T")
CommandKind = Literal["pause", "resume", "checkpoint", "sample", "stop", "extend"]


class LinkState(StrEnum):
    """How the client hears the agent."""

    CONNECTING = "connecting"
    UP = "up"
    STALE = "stale"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount in micro-dollars; not ``exact`` means that it is carried on from an older figure of the agent."""

    value_microusd: int
    exact: bool


@dataclass(slots=True, kw_only=True)
class RunView:
    """A run as the client knows it now. ``_s`` moments are monotonic seconds of this machine, ``ts`` epoch seconds.

    Only its owner folds records in; everyone else gets a ``snapshot``, which nobody changes.
    """

    run_id: str
    name: str
    target: str
    version: int = 0
    """Rises with every snapshot."""
    clock_offset_s: float = 0.0
    """Added to a ``ts`` of the agent it gives monotonic seconds here."""

    state: JobState = JobState.QUEUED
    reason: str = ""
    detail: str = ""
    started_ts: float | None = None
    ended_ts: float | None = None
    journal: str = ""
    """Epoch of the journal that the records come from; another one means another history."""
    last_seq: int = 0
    last_ts: float | None = None
    head: int = 0
    """The journal's last record when the agent last took up this run: the view has caught up once it is that far."""

    step: int = 0
    total: int = 0
    stop: int | None = None
    epoch: int = 0
    loss: float | None = None
    lr: float | None = None
    it_s: float | None = None
    eta_s: float | None = None
    grad_norm: float | None = None
    vram_gib: float | None = None
    ram_gib: float | None = None
    series: Series = field(default_factory=Series)
    """The loss."""
    lr_series: Series = field(default_factory=Series)
    grad_norm_series: Series = field(default_factory=Series)
    past: Past = field(default_factory=Past)
    min_loss: tuple[float, int] | None = None
    """The lowest loss and its step."""

    setup: Setup | None = None
    phases: dict[str, Phase] = field(default_factory=dict)
    """What comes before the steps, by name: several go on at once on another machine."""
    checkpoints: list[Checkpoint] = field(default_factory=list)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    withdrawn: dict[str, Artifact] = field(default_factory=dict)
    """By id what the config does not keep: of these only what is here is among ``artifacts``."""
    offered: dict[str, Artifact] = field(default_factory=dict)
    """The parts of the newest saved states on the box, by artifact id. Nothing waits for them."""
    kept_step: int | None = None
    """The step of the newest saved state that is whole on this machine."""
    downloaded: dict[str, Path] = field(default_factory=dict)
    """Artifact id -> verified file on this machine."""
    exported: dict[str, Path] = field(default_factory=dict)
    """Artifact id -> its copy in the config's ``output_dir``."""
    download_failures: dict[str, str] = field(default_factory=dict)
    """Artifact id -> why the file is not on this machine."""
    declined: dict[str, str] = field(default_factory=dict)
    """Artifact id -> why the user's settings keep the file from being fetched."""
    unwanted: set[str] = field(default_factory=set)
    """Of the declined: what the agent is told that nobody wants. A rented machine is kept for all others."""
    acknowledged: set[str] = field(default_factory=set)
    """Ids of artifacts of which the agent knows that they are here, or not wanted."""
    fetching: tuple[str, int] | None = None
    """The artifact that is on its way, and how many bytes of it are here."""
    samples: list[Sample] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    """Looks at pictures that are not trained on, by step."""
    metrics: Metrics | None = None
    delta_norms: DeltaNorms | None = None
    log: deque[LogLine] = field(default_factory=lambda: deque(maxlen=NUM_LOG_LINES))
    warnings: list[Warn] = field(default_factory=list)
    evaluation: Evaluation | None = None
    scores: list[Scores] = field(default_factory=list)
    """What was measured of each file at each weight; tried out again, a file has newer ones further down."""
    done: Done | None = None

    supply: Supplied | None = None
    """What this machine sends; None: nothing, or it was not needed any more when the agent was reached."""
    telemetry: Telemetry | None = None
    last_step_age_s: float | None = None
    """How long the trainer has been silent, as the agent said with its last heartbeat."""
    spent_microusd: int = 0
    price_microusd_per_h: int = 0
    deadline_s: float | None = None
    """Seconds left before auto-stop at ``money_at_s``; None: no limit."""
    money_at_s: float | None = None
    rental: RentalCost | None = None
    """The rental that it is on, if it is on one: what that costs counts, not the run's part of it."""

    link: LinkState = LinkState.CONNECTING
    link_since_s: float = 0.0
    link_detail: str = ""
    """Why the link is down."""
    retry_at_s: float | None = None
    """When the next attempt to reach the agent is made."""
    given_up: LoratuiError | None = None
    """Why no attempt is made any more: a person has to decide first."""

    def apply(self, record: Record) -> None:
        """Fold the next record of the journal in; one that makes no sense is noted in the log, and the others count."""
        self.last_seq = record.seq
        self.last_ts = record.ts
        try:
            self._fold(record)
        except (ArithmeticError, ValueError) as error:
            self.note(record.ts, "WARNING", f"record {record.seq} can't be shown: {type(error).__name__}")

    def _fold(self, record: Record) -> None:
        match record.event:
            case State() as event:
                self._enter(event, record.ts)
            case Step() as event:
                self._step(event, record.ts)
            case Setup() as event:
                self._prepare(event, record.ts)
            case Log(level=level, line=line):
                self.note(record.ts, level, line)
            case Artifact(kind=ArtifactKind.STATE) as event:
                offer(self.offered, event)
            case Artifact() as event:
                self._artifact(event, record.ts)
            case Withdrawn() as event:
                withdraw(self, event)
                self.note(record.ts, "INFO", f"file {event.name} is not to be had any more: {event.why}")
            case Sample() as event:
                _keep(self.samples, event)
                of = f"of step {event.step}" if event.weight else "without the LoRA"
                self.note(record.ts, "INFO", f'sample {of}: "{event.prompt}"')
            case Validation() as event:
                self.validations = [look for look in self.validations if look.step < event.step]
                _keep(self.validations, event)
                self.note(record.ts, "INFO", f"step {event.step}: {verdict(self.validations).sentence}")
            case Metrics() as event:
                self.metrics = event
            case DeltaNorms() as event:
                self.delta_norms = event
                if signals.WHOLE in event.relative:
                    self.past.delta.append(event.step, event.relative[signals.WHOLE])
                self.note(record.ts, "INFO", f"step {event.step}: {signals.strength(event)}")
            case Checkpoint() as event:
                _keep(self.checkpoints, event)
                saved = f"state of step {event.step} saved, {formatting.size(event.size)} in {event.seconds:.1f} s"
                self.note(record.ts, "INFO", saved)
            case Warn() as event:
                _keep(self.warnings, event)
                self.note(record.ts, "WARNING", f"{event.code}: {event.message}")
            case Cost() as event:
                self._money(event.spent_microusd, event.price_microusd_per_h, event.deadline_s)
                # No figure is older than the one before it: the clock of the agent's machine may be set back.
                said_s = record.ts + self.clock_offset_s
                self.money_at_s = said_s if self.money_at_s is None else max(said_s, self.money_at_s)
            case CommandResult() as event if not (event.ok and event.command in _SILENT):
                self.note(record.ts, "INFO" if event.ok else "WARNING", formatting.command_result(event))
            case Evaluation() as event:
                self.evaluation = event
            case Scores() as event:
                _keep(self.scores, event)
            case Done() as event:
                self.done = event
            case Deadman() as event:
                self.note(record.ts, "INFO" if event.ok else "WARNING", formatting.deadman(event))

    def beat(self, heartbeat: Heartbeat, now_s: float) -> None:
        """Take in what the agent says about itself every few seconds; ``now_s`` is when it arrived."""
        self.telemetry = heartbeat.telemetry
        self.last_step_age_s = None
        active = heartbeat.active
        if active is not None and active.job == self.run_id:
            self.last_step_age_s = heartbeat.last_step_age_s
            self._money(active.spent_microusd, active.price_microusd_per_h, active.deadline_s)
            self.money_at_s = now_s
            self.total = self.total or active.total

    def note(self, ts: float, level: str, text: str) -> None:
        """Add a line to the log."""
        self.log.append(LogLine(ts=ts, level=level, text=text))

    def heard(self, link: LinkState, now_s: float, *, detail: str = "", retry_at_s: float | None = None) -> None:
        """Note how the agent is heard; the moment is kept when only the detail changes."""
        if link is not self.link or self.link_since_s == 0:
            self.link, self.link_since_s = link, now_s
        self.link_detail, self.retry_at_s = detail, retry_at_s

    @property
    def tries_out(self) -> bool:
        """Return whether files are tried out, and nothing is trained."""
        return not self.total and any(name.startswith("judge.") for name in self.phases)

    def spent(self, now_s: float) -> Money:
        """Return what the run, or the rental that it is on, has cost at ``now_s``.

        Of a run it is carried on from the agent's last figure at the hourly price.
        """
        if self.rental is not None:
            return Money(value_microusd=self.rental.spent_at(now_s), exact=self.rental.is_known(now_s))
        if self.money_at_s is None or not self.is_billing:
            return Money(value_microusd=self.spent_microusd, exact=True)
        since_s = self._money_age_s(now_s)
        carried = round(self.price_microusd_per_h * since_s / 3600)
        return Money(value_microusd=self.spent_microusd + carried, exact=self.link is LinkState.UP)

    def deadline_left_s(self, now_s: float) -> float | None:
        """Return the seconds before auto-stop at ``now_s``, not below 0; None: no limit, or nothing left to stop."""
        if self.deadline_s is None or self.state.is_final:
            return None
        return max(0.0, self.deadline_s - self._money_age_s(now_s))

    @property
    def is_settled(self) -> bool:
        """Return whether nothing more is coming: the run is over, and its files are here or can't be had."""
        settled = self.downloaded.keys() | self.download_failures.keys() | self.declined.keys()
        return self.state.is_final and not self.artifacts.keys() - settled

    @property
    def is_known_to_be_settled(self) -> bool:
        """Return whether the agent knows it, too: what it does after the run waits for that."""
        return self.is_settled and self.downloaded.keys() | self.unwanted <= self.acknowledged

    @property
    def may_need_supply(self) -> bool:
        """Return whether the box may still wait for files of this machine."""
        return not self.state.is_final and not self.step and self.state not in _TRAINED

    @property
    def is_machine_gone(self) -> bool:
        """Return whether it was on a rented machine that ended before it: nothing of it goes on."""
        return self.rental is not None and self.rental.is_over and not self.state.is_final

    @property
    def is_billing(self) -> bool:
        """Return whether time costs money now."""
        if self.rental is not None:
            return not self.rental.is_over
        return self.state is not JobState.QUEUED and not self.state.is_final

    def snapshot(self) -> "RunView":
        """Return a copy that later records don't reach, with the next version."""
        self.version += 1
        return replace(
            self,
            series=self.series.copy(),
            lr_series=self.lr_series.copy(),
            grad_norm_series=self.grad_norm_series.copy(),
            past=self.past.copy(),
            phases=self.phases.copy(),
            checkpoints=self.checkpoints.copy(),
            artifacts=self.artifacts.copy(),
            withdrawn=self.withdrawn.copy(),
            offered=self.offered.copy(),
            downloaded=self.downloaded.copy(),
            exported=self.exported.copy(),
            download_failures=self.download_failures.copy(),
            declined=self.declined.copy(),
            unwanted=self.unwanted.copy(),
            acknowledged=self.acknowledged.copy(),
            samples=self.samples.copy(),
            scores=self.scores.copy(),
            log=self.log.copy(),
            warnings=self.warnings.copy(),
        )

    def _enter(self, event: State, ts: float) -> None:
        self.state, self.reason, self.detail = event.state, event.reason, event.detail
        if event.state is not JobState.QUEUED and self.started_ts is None:
            self.started_ts = ts
        if event.state in _NOTED and event.detail:
            self.note(ts, "WARNING", f"{event.state}: {event.detail}")
        self.ended_ts = ts if event.state.is_final else None
        self.past.is_resumed |= event.state is JobState.RESUMING
        if event.state in (JobState.QUEUED, JobState.RESUMING):
            # Another attempt has its own: one that the last one was cut off in is no longer in it.
            self.phases.clear()
        if event.state in (JobState.FINISHING, JobState.INTERRUPTED):
            # What went on is past, whether or not each phase said so.
            self.setup = None
        if event.state.is_final:
            self.eta_s = None

    def _prepare(self, event: Setup, ts: float) -> None:
        known = self.phases.get(event.phase)
        phase = Phase(setup=event, started_ts=ts, last_ts=ts) if known is None else known.heard(event, ts)
        if phase.is_over and not (known is not None and known.is_over) and phase.seconds >= 1:
            self.note(ts, "INFO", f"{title(event.phase)}: done in {took(phase, self.price_microusd_per_h)}")
        elif event.message and (self.setup is None or self.setup.phase != event.phase):
            self.note(ts, "INFO", event.message)
        self.phases[event.phase] = phase
        if len(self.phases) > NUM_KEPT:
            self.phases.pop(next(iter(self.phases)))
        self.setup = event

    def _step(self, event: Step, ts: float) -> None:
        remember(self, event, ts)
        self.total, self.stop, self.epoch = event.total, event.stop, event.epoch
        self.loss, self.lr, self.it_s, self.eta_s = event.loss, event.lr, event.it_s, max(0.0, event.eta_s)
        self.grad_norm, self.vram_gib, self.ram_gib = event.grad_norm, event.vram_gib, event.ram_gib

    def _money_age_s(self, now_s: float) -> float:
        """Return how old the agent's figures are; a clock of the agent that can't be right counts for nothing."""
        if self.money_at_s is None or not math.isfinite(self.money_at_s):
            return 0.0
        return max(0.0, now_s - self.money_at_s)

    def _artifact(self, event: Artifact, ts: float) -> None:
        announce(self, event)
        if event.kind not in (ArtifactKind.SAMPLE, ArtifactKind.THUMBNAIL):
            self.note(ts, "INFO", f"file {event.name}, {formatting.size(event.size)}")

    def _money(self, spent_microusd: int, price_microusd_per_h: int, deadline_s: float | None) -> None:
        self.spent_microusd = spent_microusd
        self.price_microusd_per_h = self.rental.price_microusd_per_h if self.rental else price_microusd_per_h
        self.deadline_s = deadline_s


def _keep(newest: list[T], event: T) -> None:
    newest.append(event)
    del newest[:-NUM_KEPT]
