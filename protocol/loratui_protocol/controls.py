"""Controls: what belongs to one connection and is never stored."""

from dataclasses import dataclass
from typing import ClassVar

from loratui_protocol.events import Event, JobState, Record
from loratui_protocol.harmless import Count, Seconds


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
    step: Count = 0
    total: Count = 0
    created_ts: Seconds = 0.0
    price_microusd_per_h: Count = 0
    spent_microusd: Count = 0
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloOk:
    """The agent's answer to ``Hello``; ``features`` are abilities added within one major version."""

    tag: ClassVar[str] = "hello_ok"
    agent_version: str
    now_ts: Seconds
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
    head: Count
    after_seq: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """How the machine is. ``source``: who measured ("nvml", "proc", "psutil"). GPU fields are None without a GPU."""

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
    now_ts: Seconds
    telemetry: Telemetry
    active: JobStatus | None = None
    last_step_age_s: Seconds | None = None


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
    seq: Count


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
    offset: Count
    total: Count
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
    last_origin: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerEvent:
    """An event on its way from the trainer to the journal."""

    tag: ClassVar[str] = "trainer_event"
    origin: Count
    ts: Seconds
    event: Event
