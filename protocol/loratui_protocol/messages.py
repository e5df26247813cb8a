"""Everything that travels between client, agent and trainer: frozen dataclasses in one tagged union.

Three kinds. *Events* happen once, get a sequence number from the agent and stay in its journal. *Commands* travel
down, carry an id of their own and act once however often they are sent; what came of them is an event. *Controls*
belong to one connection and are never stored.

Units: ``_s`` seconds, ``_gib`` GiB, ``_microusd`` millionths of a dollar (integers: money never is a float on the
wire). ``ts`` is seconds since the epoch.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import ClassVar

MICROUSD_PER_USD = 1_000_000


class JobState(StrEnum):
    """Where a job is. ``docs/agent.md`` draws the transitions."""

    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    INTERRUPTED = "interrupted"
    RESUMING = "resuming"
    FINISHING = "finishing"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Return whether nothing more will happen unless someone asks for it."""
        return self in (JobState.DONE, JobState.STOPPED, JobState.FAILED)


class ArtifactKind(StrEnum):
    """What a finished file is."""

    LORA = "lora"
    CHECKPOINT_LORA = "checkpoint_lora"
    SAMPLE = "sample"
    CONTACT_SHEET = "contact_sheet"
    EVALUATION = "evaluation"
    CONFIG = "config"


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A job changed state. ``reason`` is a stable code, ``detail`` a sentence."""

    tag: ClassVar[str] = "state"
    state: JobState
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Progress of what comes before and after the steps; ``total`` 0 means unknown."""

    tag: ClassVar[str] = "setup"
    phase: str
    done: int = 0
    total: int = 0
    unit: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One optimizer step is done.

    ``loss`` is the mean over the step's samples; NaN and infinity travel as they are. ``vram_gib`` is the peak that
    torch reserved since the last event, None without a GPU; ``ram_gib`` is the trainer's resident memory.
    """

    tag: ClassVar[str] = "step"
    step: int
    total: int
    epoch: int
    loss: float
    lr: float
    it_s: float
    eta_s: float
    vram_gib: float | None = None
    ram_gib: float | None = None
    grad_norm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A line that the trainer or the agent wrote; ``level`` is a name from ``logging``."""

    tag: ClassVar[str] = "log"
    level: str
    line: str
    stream: str = "trainer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A finished file lies in the job's folder on the box, complete and hashed.

    ``id`` names it in ``GetArtifact``; ``name`` is a suggestion, never a path.
    """

    tag: ClassVar[str] = "artifact"
    id: str
    kind: ArtifactKind
    name: str
    size: int
    sha256: str
    step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample picture was made; the file itself is the artifact ``artifact_id``."""

    tag: ClassVar[str] = "sample"
    step: int
    index: int
    prompt: str
    seed: int
    artifact_id: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A full-state checkpoint is in place: a killed run goes on from here."""

    tag: ClassVar[str] = "checkpoint"
    step: int
    size: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Warn:
    """Something the user should know; ``code`` is stable."""

    tag: ClassVar[str] = "warn"
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the job has cost so far at its hourly price, and the time left before auto-stop (None: no limit)."""

    tag: ClassVar[str] = "cost"
    spent_microusd: int
    price_microusd_per_h: int
    deadline_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """A command was carried out or refused. The same id always gets the same result."""

    tag: ClassVar[str] = "command_result"
    id: str
    command: str
    author: str
    ok: bool
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The finished LoRA was tried: shares of pictures, 0 to 1, and the verdict as a sentence."""

    tag: ClassVar[str] = "evaluation"
    scores: dict[str, float]
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The job reached its end; ``artifact_id`` is the LoRA file."""

    tag: ClassVar[str] = "done"
    artifact_id: str
    name: str
    size: int
    sha256: str
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsupported:
    """An event of a later version. Its sequence number counts, its content is not shown."""

    tag: ClassVar[str] = "unsupported"
    original_tag: str = ""


Event = (
    State
    | Setup
    | Step
    | Log
    | Artifact
    | Sample
    | Checkpoint
    | Warn
    | Cost
    | CommandResult
    | Evaluation
    | Done
    | Unsupported
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An event in a job's journal.

    ``seq`` starts at 1 and rises by one without a gap. ``origin`` is the trainer's own number for the event (0 for the
    agent's own events): after a restart of the agent nothing the trainer said is lost or stored twice.
    """

    seq: int
    ts: float
    event: Event
    origin: int = 0


# --- commands --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StartJob:
    """Start a run, or find it already started: ``job`` is chosen by the client.

    ``config_toml`` is the resolved config with absolute paths. ``max_runtime_s`` is the auto-stop: from then on the
    run saves and stops.
    """

    tag: ClassVar[str] = "start_job"
    id: str
    author: str
    job: str
    name: str
    config_toml: str
    price_microusd_per_h: int = 0
    max_runtime_s: float | None = None
    evaluate_concept: str = ""
    """Name of a built-in concept to score when done (the demo); empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Hold the run after the current step. The rental, if any, goes on billing."""

    tag: ClassVar[str] = "pause"
    id: str
    author: str
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Go on after a pause; a stopped, failed or interrupted run goes on from its last checkpoint."""

    tag: ClassVar[str] = "resume"
    id: str
    author: str
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointNow:
    """Save the full state, and a LoRA file of this step, after the current step."""

    tag: ClassVar[str] = "checkpoint_now"
    id: str
    author: str
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleNow:
    """Make the configured sample pictures after the current step."""

    tag: ClassVar[str] = "sample_now"
    id: str
    author: str
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Finish the current step, save everything, export the LoRA as it is, and end the run."""

    tag: ClassVar[str] = "stop"
    id: str
    author: str
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend:
    """Move the auto-stop by ``seconds`` (negative: earlier)."""

    tag: ClassVar[str] = "extend"
    id: str
    author: str
    job: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AckArtifacts:
    """These artifacts are on the laptop, verified."""

    tag: ClassVar[str] = "ack_artifacts"
    id: str
    author: str
    job: str
    artifact_ids: list[str]


Command = StartJob | Pause | Resume | CheckpointNow | SampleNow | Stop | Extend | AckArtifacts


# --- controls --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """First message of a client."""

    tag: ClassVar[str] = "hello"
    client_id: str
    client_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """A job as the agent sees it now."""

    job: str
    name: str
    state: JobState
    step: int = 0
    total: int = 0
    created_ts: float = 0.0
    price_microusd_per_h: int = 0
    spent_microusd: int = 0
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloOk:
    """The agent's answer to ``Hello``; ``features`` are abilities added within one major version."""

    tag: ClassVar[str] = "hello_ok"
    agent_version: str
    now_ts: float
    features: list[str]
    jobs: list[JobStatus]


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """Ask for the records of a job after ``after_seq``, those that exist and those to come.

    ``epoch`` is the journal that the client's copy belongs to, empty when it has none.
    """

    tag: ClassVar[str] = "follow"
    job: str
    epoch: str = ""
    after_seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """The answer to ``Follow``; records come next, from ``after_seq`` + 1.

    ``after_seq`` is 0 when the epoch differs from the client's: its copy belongs to another history and is dropped.
    """

    tag: ClassVar[str] = "following"
    job: str
    epoch: str
    head: int
    after_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """How the machine is. ``source`` says who measured ("nvml", "psutil"); GPU fields are None without a GPU."""

    source: str
    cpu_pct: float | None = None
    ram_used_gib: float | None = None
    ram_total_gib: float | None = None
    disk_free_gib: float | None = None
    gpu_name: str | None = None
    gpu_util_pct: float | None = None
    vram_used_gib: float | None = None
    vram_total_gib: float | None = None
    gpu_temp_c: float | None = None
    gpu_power_w: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Sent by the agent every ``link.HEARTBEAT_S``: it lives, and here is what changes without being history.

    ``last_step_age_s`` tells a hanging trainer from a living agent.
    """

    tag: ClassVar[str] = "heartbeat"
    now_ts: float
    telemetry: Telemetry
    active: JobStatus | None = None
    last_step_age_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """A run of consecutive records of one job."""

    tag: ClassVar[str] = "records"
    job: str
    epoch: str
    records: list[Record]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """The client has stored everything of the job up to ``seq``; renews its lease."""

    tag: ClassVar[str] = "ack"
    job: str
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GetArtifact:
    """Ask for bytes of an artifact; the answer is a ``Chunk`` with the same ``id``."""

    tag: ClassVar[str] = "get_artifact"
    id: str
    job: str
    artifact_id: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Bytes of an artifact."""

    tag: ClassVar[str] = "chunk"
    id: str
    offset: int
    total: int
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The last request can't be served; the connection stays open unless the code starts with ``protocol.``."""

    tag: ClassVar[str] = "refused"
    id: str
    code: str
    what: str
    fix: str = ""


Control = Hello | HelloOk | Follow | Following | Heartbeat | Records | Ack | GetArtifact | Chunk | Refused


# --- agent and trainer, on one machine -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerHello:
    """First message of a trainer, again after every reconnection."""

    tag: ClassVar[str] = "trainer_hello"
    job: str
    pid: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerWelcome:
    """The agent's answer: events up to ``last_origin`` are in the journal, the trainer sends those after it."""

    tag: ClassVar[str] = "trainer_welcome"
    last_origin: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerEvent:
    """An event on its way from the trainer to the journal."""

    tag: ClassVar[str] = "trainer_event"
    origin: int
    ts: float
    event: Event


Message = Event | Command | Control | TrainerHello | TrainerWelcome | TrainerEvent


def json_fields(event: Event) -> dict[str, object]:
    """Return the event as ``train --json`` prints it: money in dollars, everything else under its own name."""
    if isinstance(event, Cost):
        return {
            "event": "cost",
            "usd": event.spent_microusd / MICROUSD_PER_USD,
            "usd_per_h": event.price_microusd_per_h / MICROUSD_PER_USD,
            "deadline_s": event.deadline_s,
        }
    return {"event": event.tag, **{field.name: getattr(event, field.name) for field in fields(event)}}
