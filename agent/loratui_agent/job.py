"""One job: its folder, its state on disk, its journal, and what the journal says about it.

``state.json`` is written before the journal's event, so a crash between the two is seen and repaired at the next start.
"""

import asyncio
import collections
import contextlib
import dataclasses
import json
import logging
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from loratui_agent.artifact_list import LISTING, ArtifactList, is_of_state
from loratui_agent.clock import Moment, now
from loratui_agent.files import full_disk_named, with_ballast, write_json, write_text
from loratui_agent.journal import Journal
from loratui_agent.meter import Meter
from loratui_agent.process import ProcessIdentity, boot_mark
from loratui_agent.states import OF_TRAINER, is_legal
from loratui_protocol import messages
from loratui_protocol.codec import decode, decode_record, encode, encode_record, strict_converter
from loratui_protocol.errors import StorageError
from loratui_protocol.ids import is_id
from loratui_protocol.inputs import EnvironmentKind, JobInputs, ModelKind, ModelPurpose
from loratui_protocol.messages import JobState, Record

log = logging.getLogger(__name__)

_OWN = b"\xa6origin\x00"
"""How a stored record of the agent itself ends: the field ``origin`` is the last, and 0."""
_COMMON = (b"\xa1t\xa4step", b"\xa1t\xa3log", b"\xa1t\xa7metrics")
"""Events whose earlier copies say nothing that the last one does not; nearly every record is one of these."""
_DURABLE = (*LISTING, messages.State, messages.Checkpoint, messages.CommandResult, messages.Done)
_STEP_TIMES_KEPT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """What ``state.json`` holds. ``pending`` are commands, in hex, that no trainer has answered yet."""

    job: str
    name: str
    created_ts: float
    state: JobState = JobState.QUEUED
    reason: str = ""
    detail: str = ""
    attempt: int = 0
    trainer: ProcessIdentity | None = None
    meter: Meter = field(default_factory=Meter)
    pending: list[str] = field(default_factory=list)
    stop_reason: str = ""
    interruptions_ts: list[float] = field(default_factory=list)
    hangs: int = 0
    acked: list[str] = field(default_factory=list)
    declined: list[str] = field(default_factory=list)
    on_done: str = ""
    keep_s: float | None = None
    ended: Moment | None = None
    leased: Moment | None = None
    """When a client last held the lease of the ended job."""
    afterwards: str = ""
    """How far ``on_done`` has come: nothing, "begun" or "done". Begun once, it is never begun again."""
    begun: Moment | None = None
    """When that, or the last try of it, was begun."""
    power_tries: list[str] = field(default_factory=list)
    """What was said against each try to power off; empty: it was agreed to."""
    reaped_ts: float = 0.0
    """The reaper's last deed that is in the journal."""


class TrainerLine(Protocol):
    """The way down to a connected trainer."""

    def send(self, message: messages.Message) -> None:
        """Send without waiting."""


_converter = strict_converter()
for _enum in (JobState, ModelKind, ModelPurpose, EnvironmentKind):
    _converter.register_structure_hook(_enum, lambda value, cls: cls(value))


class Job:
    """A job of this agent. ``changed`` is set, and replaced, at every record: followers wait on it."""

    def __init__(self, folder: Path, facts: JobFacts) -> None:
        """Take up the job in ``folder``, whose ``state.json`` says ``facts``."""
        self.folder = folder
        self._run = folder.parent.parent / "run"
        self.facts = facts
        self.results: dict[str, messages.CommandResult] = {}
        self.files = ArtifactList(folder / "artifacts")
        self.artifacts = self.files.artifacts
        self.heard_done = False
        self.last_step: messages.Step | None = None
        self.last_step_s: float | None = None
        self.last_heard_s = time.monotonic()
        self.step_times_s: collections.deque[float] = collections.deque(maxlen=_STEP_TIMES_KEPT)
        self.last_origin = 0
        self.is_trying_out = False
        self.state_seq = 0
        """The record that says the state."""
        self.without_line = asyncio.Event()
        self.without_line.set()
        self.changed = asyncio.Event()
        self._line: TrainerLine | None = None
        self._last_state: messages.State | None = None
        tail: dict[bytes, bytes] = {}
        self.journal = Journal(folder / "journal", boot_mark(), lambda stored: self._visit(stored, tail))
        for stored in tail.values():
            self._learn(decode_record(stored))
        if facts.state.is_final:
            self.files.clear()

    @classmethod
    def create(cls, folder: Path, command: messages.StartJob) -> "Job":
        """Make the folder of a new job; ``state.json`` comes last and makes it real.

        Raises:
            StorageError: the disk is full; the same command makes the job once there is room.
        """
        with full_disk_named(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(folder / "spec.json", dataclasses.asdict(command))
        write_text(folder / "job.toml", command.config_toml)
        meter = Meter(price_microusd_per_h=command.price_microusd_per_h, limit_s=command.max_runtime_s)
        facts = JobFacts(
            job=command.job,
            name=command.name,
            created_ts=time.time(),
            meter=meter,
            on_done=command.on_done,
            keep_s=command.keep_s,
        )
        write_json(folder / "state.json", _converter.unstructure(facts))
        with full_disk_named(folder):
            job = cls(folder, facts)
        job.repair()
        return job

    @classmethod
    def load(cls, folder: Path) -> "Job | None":
        """Return the job in ``folder``; None, and the folder is gone, when a crash left half a job there.

        Raises:
            StorageError: ``state.json`` is damaged, or the disk is full.
        """
        try:
            stored = json.loads((folder / "state.json").read_text("utf-8"))
            facts = _converter.structure(stored, JobFacts)
        except FileNotFoundError:
            shutil.rmtree(folder)
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise StorageError(
                f"{folder / 'state.json'} is damaged ({error}); the job is left as it is",
                fix="move the folder away; finished files are in its artifacts folder",
                code="job.damaged",
            ) from error
        with full_disk_named(folder):
            job = cls(folder, dataclasses.replace(facts, meter=facts.meter.at(now())))
        # On a full disk whoever runs it repairs it later.
        with contextlib.suppress(StorageError):
            job.repair()
        return job

    @property
    def id(self) -> str:
        """Return the job's id."""
        return self.facts.job

    @property
    def inputs(self) -> JobInputs | None:
        """Return what has to be there before the trainer starts, None when the config's paths are this machine's.

        Raises:
            StorageError: ``spec.json`` is damaged.
        """
        path = self.folder / "spec.json"
        try:
            asked = json.loads(path.read_text("utf-8")).get("inputs")
            return None if asked is None else _converter.structure(asked, JobInputs)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise StorageError(f"{path} is damaged ({error})", fix="start the run anew", code="job.damaged") from error

    @property
    def state(self) -> JobState:
        """Return the state."""
        return self.facts.state

    def status(self) -> messages.JobStatus:
        """Return the job as clients see it now."""
        meter = self.meter()
        return messages.JobStatus(
            job=self.id,
            name=self.facts.name,
            state=self.state,
            step=self.last_step.step if self.last_step else 0,
            total=self.last_step.total if self.last_step else 0,
            created_ts=self.facts.created_ts,
            price_microusd_per_h=meter.price_microusd_per_h,
            spent_microusd=meter.spent_microusd(),
            deadline_s=meter.left_s(),
        )

    def meter(self) -> Meter:
        """Return the meter as of now."""
        return self.facts.meter.at(now())

    def update(self, **changes: object) -> None:
        """Change facts and write ``state.json``, the meter included."""
        changes.setdefault("meter", self.meter())
        facts = dataclasses.replace(self.facts, **changes)  # type: ignore[arg-type]  # names are checked at run time
        stored = _converter.unstructure(facts)
        with_ballast(self._run, lambda: write_json(self.folder / "state.json", stored))
        self.facts = facts

    def start_meter(self) -> None:
        """Count time from now on."""
        if self.facts.meter.running_since_ts is None:
            self.update(meter=self.facts.meter.started(now()))

    def record(self, event: messages.Event, *, ts: float | None = None, origin: int = 0) -> None:
        """Append an event to the journal and wake every follower.

        Raises:
            StorageError: the disk is full; nothing was appended.
        """
        if isinstance(event, messages.Artifact) and self.files.replaces(event):
            # What a client has of it is of an earlier attempt.
            self.update(acked=[each for each in self.facts.acked if each != event.id])
        record = Record(seq=self.journal.head + 1, ts=time.time() if ts is None else ts, event=event, origin=origin)
        with_ballast(self._run, lambda: self.journal.append(encode_record(record)))
        if isinstance(event, _DURABLE) and not is_of_state(event):
            self.journal.sync()
        self._learn(record)
        if isinstance(event, messages.Withdrawn):
            self.files.remove(event.id)
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def move(
        self,
        state: JobState,
        *,
        reason: str = "",
        detail: str = "",
        said: messages.TrainerEvent | None = None,
        **changes: object,
    ) -> None:
        """Change the state: on disk first, then in the journal. A transition that is not in the table is our bug.

        ``said`` is the trainer's event that says so; ``changes`` are other facts that change with the state.
        """
        if not is_legal(self.state, state):
            raise AssertionError(f"job {self.id}: {self.state} may not become {state}")
        log.info("job=%s state=%s reason=%s", self.id, state, reason)
        if state.is_final:
            changes.update(meter=self.meter().stopped(), ended=now(), leased=None)
        self.update(state=state, reason=reason, detail=detail, **changes)
        event = messages.State(state=state, reason=reason, detail=detail)
        self.record(event, ts=said.ts if said else None, origin=said.origin if said else 0)
        self.record_cost()

    def record_cost(self) -> None:
        """Write down what the job has cost so far."""
        meter = self.meter()
        self.record(
            messages.Cost(
                spent_microusd=meter.spent_microusd(),
                price_microusd_per_h=meter.price_microusd_per_h,
                deadline_s=meter.left_s(),
            )
        )

    def keep_count(self) -> None:
        """Write down time and cost so far, for the next agent too. On a full disk the next time has to do."""
        try:
            self.update()
            self.record_cost()
        except StorageError as error:
            log.warning("job=%s not counted: %s", self.id, error.what)

    def answer(self, command: messages.Command, *, ok: bool, code: str = "", message: str = "") -> None:
        """Write down what came of a command."""
        self.record(
            messages.CommandResult(
                id=command.id, command=command.tag, author=command.author, ok=ok, code=code, message=message
            )
        )

    def pending(self) -> list[messages.Command]:
        """Return the commands that wait for the trainer's answer, oldest first."""
        commands = [decode(bytes.fromhex(stored)) for stored in self.facts.pending]
        return [c for c in commands if isinstance(c, messages.Command) and c.id not in self.results]

    def forward(self, command: messages.Command, *, stop_reason: str = "user") -> None:
        """Keep the command until a trainer answers it, and send it down when one is connected."""
        pending = [*self.pending(), command]
        changes: dict[str, object] = {"pending": [encode(each).hex() for each in pending]}
        if isinstance(command, messages.Stop):
            changes["stop_reason"] = self.facts.stop_reason or stop_reason
        self.update(**changes)
        if isinstance(command, messages.Stop) and is_legal(self.state, JobState.STOPPING):
            self.move(JobState.STOPPING, reason=self.facts.stop_reason)
        if self._line is not None:
            self._line.send(command)

    def connect(self, line: TrainerLine) -> None:
        """Take up the way down to the trainer; ``without_line`` is clear while there is one."""
        self._line = line
        self.without_line.clear()
        self.repair()

    def disconnect(self, line: TrainerLine) -> None:
        """Drop the way down, unless another has replaced it."""
        if self._line is line:
            self._line = None
            self.without_line.set()

    def hear(self, said: messages.TrainerEvent) -> None:
        """Write down what the trainer says, each event once."""
        self.last_heard_s = time.monotonic()
        if said.origin <= self.last_origin or self.state.is_final:
            return
        match said.event:
            case messages.State(state=state, reason=reason, detail=detail):
                # While it stops a trainer may still say that it prepares or runs; that is no news.
                if state in OF_TRAINER and is_legal(self.state, state):
                    self.move(state, reason=reason, detail=detail, said=said)
            case messages.Step():
                if self.last_step_s is not None:
                    self.step_times_s.append(self.last_heard_s - self.last_step_s)
                self.last_step_s = self.last_heard_s
                self.record(said.event, ts=said.ts, origin=said.origin)
            case messages.Withdrawn(id=gone) if gone not in self.artifacts:
                self.files.remove(gone)  # a resumed trainer says again what is known
            case messages.CommandResult(id=done):
                self.record(said.event, ts=said.ts, origin=said.origin)
                self.update(pending=[encode(command).hex() for command in self.pending() if command.id != done])
            case event:
                self.record(event, ts=said.ts, origin=said.origin)
        # Last: what a full disk kept out of the journal must be told again.
        self.last_origin = said.origin

    def _visit(self, stored: bytes, tail: dict[bytes, bytes]) -> None:
        """Learn from a stored record at start; of the common kinds only the last is decoded, after the scan."""
        if not stored.endswith(_OWN):
            tail[b"trainer"] = stored
        common = next((tag for tag in _COMMON if tag in stored[:48]), None)
        if common is None:
            self._learn(decode_record(stored))
        else:
            tail[common] = stored

    def _learn(self, record: Record) -> None:
        self.last_origin = max(self.last_origin, record.origin)
        match record.event:
            case messages.Step() as step:
                self.last_step = step
            case messages.Setup(phase=phase):
                self.is_trying_out = phase.startswith("judge.")
            case messages.State() as state:
                self._last_state, self.state_seq = state, record.seq
                # One that goes on after its end is to be heard at its next one.
                self.heard_done = self.heard_done and state.state.is_final
            case messages.Artifact() | messages.Withdrawn() as event:
                self.files.learn(event)
            case messages.CommandResult() as result:
                self.results[result.id] = result
            case messages.Done():
                self.heard_done = True

    def repair(self) -> None:
        """Write the state event that a crash, or a full disk, kept out of the journal."""
        facts = self.facts
        written = messages.State(state=facts.state, reason=facts.reason, detail=facts.detail)
        if self._last_state != written:
            self.record(written)


def load_all(folder: Path) -> list[Job]:
    """Return the jobs in ``folder``, oldest first; one that is damaged costs no other."""
    jobs = []
    for each in sorted(folder.iterdir()):
        if not is_id(each.name):
            continue
        try:
            job = Job.load(each)
        except StorageError as error:
            log.error("skipped: %s", error)  # noqa: TRY400 - the sentence says it all
            continue
        if job is not None:
            jobs.append(job)
    return jobs
