"""Events: what happened to a job. Each gets a sequence number from the agent and stays in its journal."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from loratui_protocol.harmless import Count, Seconds

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
    THUMBNAIL = "thumbnail"
    """A sample as a small JPEG: fetched first of all, beside everything else."""
    CONTACT_SHEET = "contact_sheet"
    EVALUATION = "evaluation"
    JUDGEMENT = "judgement"
    """The pictures of a grid and their scores, in one zip file (``judging.judgement``)."""
    CONFIG = "config"
    STATE = "state"
    """A part of a full training state (``state_files``): fetched last, and nothing waits for it."""


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
    done: Count = 0
    total: Count = 0
    unit: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One optimizer step is done.

    ``loss`` is the mean over the step's samples; NaN and infinity travel as they are. ``vram_gib`` is the peak that
    torch reserved since the last event, None without a GPU; ``ram_gib`` is the trainer's resident memory. ``stop`` is
    after which step the run ends, and ``eta_s`` counts to, where that is before the last of the ``total`` planned.
    """

    tag: ClassVar[str] = "step"
    step: Count
    total: Count
    epoch: Count
    loss: float
    lr: float
    it_s: float
    eta_s: Seconds
    vram_gib: float | None = None
    ram_gib: float | None = None
    grad_norm: float | None = None
    stop: Count | None = None


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
    size: Count
    sha256: str
    step: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """An artifact is not to be had any more, ``why`` as a sentence: the config keeps newer or better ones.

    Who has it keeps it; for all others it is as if it never was.
    """

    tag: ClassVar[str] = "withdrawn"
    id: str
    name: str
    sha256: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample picture was made; the file itself is the artifact ``artifact_id``.

    ``weight`` is that of the LoRA: 1, or 0 for the base model alone, which does not depend on the step.
    ``thumbnail_id`` is the artifact of the same picture small, "" where there is none.
    """

    tag: ClassVar[str] = "sample"
    step: Count
    index: Count
    prompt: str
    seed: int
    artifact_id: str
    width: Count
    height: Count
    weight: float = 1.0
    thumbnail_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Pictures that are not trained on were looked at, with the same noise every time, and as many that are.

    Both are mean squared errors without any weighting: comparable from step to step, not with ``Step.loss``.
    """

    tag: ClassVar[str] = "validation"
    step: Count
    loss: float
    train_loss: float
    num_pictures: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """How the last steps went, every few seconds and after the last one; None: not measured.

    ``img_s`` (pictures) and ``tflop_s`` (10^12 floating-point operations) are means over the steps that ``Step.it_s``
    looks at, the pauses between steps left out; the operations are those of the model, without what checkpointing
    computes again. ``data_wait`` is the part of that time (0 to 1) in which the device had no data to work on.
    ``exposures_per_picture`` is a mean over the training pictures, counted from the schedule. ``effective_lr`` is
    learning rate x alpha / rank of each model that learns, by its name in a pipeline, and "conv" of convolutions.
    """

    tag: ClassVar[str] = "metrics"
    step: Count
    img_s: float | None = None
    tflop_s: float | None = None
    data_wait: float | None = None
    exposures_per_picture: float | None = None
    effective_lr: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaNorms:
    """How large the LoRA is beside the weights that it changes, a few times in a run and with every file.

    ``relative`` holds the Frobenius norm of all deltas of a block through that of the weights they are added to: of
    the UNet as a whole ("unet") and block by block in diffusers' names ("down_blocks.0", "mid_block"), and of each
    text encoder.
    """

    tag: ClassVar[str] = "delta_norms"
    step: Count
    relative: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A full-state checkpoint is in place: a killed run goes on from here."""

    tag: ClassVar[str] = "checkpoint"
    step: Count
    size: Count
    seconds: Seconds


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
    spent_microusd: Count
    price_microusd_per_h: Count
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
class Scores:
    """A LoRA file was tried out at a weight: what was measured of its pictures, by the names of ``judging.scores``.

    ``step`` is the one it was written after (0: not known). At weight 0 it is the base model, and ``artifact_id`` "".
    ``errors`` are the standard errors of the ``means``, infinite where there is one picture; ``counts`` are pictures.
    """

    tag: ClassVar[str] = "scores"
    artifact_id: str
    name: str
    step: Count
    weight: float
    means: dict[str, float]
    errors: dict[str, float]
    counts: dict[str, Count]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The job reached its end; ``artifact_id`` is the LoRA file."""

    tag: ClassVar[str] = "done"
    artifact_id: str
    name: str
    size: Count
    sha256: str
    steps: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadman:
    """The box ended something by itself.

    ``action`` is stop, kill, poweroff, run or end (of the rental), ``reason`` is done, lease, deadline or setup.
    """

    tag: ClassVar[str] = "deadman"
    action: str
    reason: str
    ok: bool = True
    detail: str = ""


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
    | Withdrawn
    | Sample
    | Validation
    | Metrics
    | DeltaNorms
    | Checkpoint
    | Warn
    | Cost
    | CommandResult
    | Evaluation
    | Scores
    | Done
    | Deadman
    | Unsupported
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An event in a job's journal.

    ``seq`` starts at 1 and rises by one without a gap. ``origin`` is the trainer's own number for the event (0 for the
    agent's own events): after a restart of the agent nothing the trainer said is lost or stored twice.
    """

    seq: Count
    ts: Seconds
    event: Event
    origin: Count = 0
