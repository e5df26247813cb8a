"""Commands: what people ask of a job. Each has an id of its own and acts once, however often it is sent."""

from dataclasses import dataclass, field
from typing import ClassVar

from loratui_protocol.inputs import JobInputs


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
    inputs: JobInputs | None = None
    """What has to be there before the trainer starts; None: all paths of the config are on this machine already."""
    on_done: str = ""
    """After the verified download: nothing, "stop" (the agent), "poweroff", "end" (the rental; refused as
    ``job.no_rental`` where the box can't), or "run:COMMAND" for the box's shell."""
    keep_s: float | None = None
    """How long an ended run waits for someone to fetch its files before ``on_done`` happens anyway; None: forever."""
    state_dir: str = ""
    """The folder of a saved state (``state_files``) that the run goes on from, below the job's folder or absolute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Hold the run after the current step. The rental, if any, goes on billing."""

    tag: ClassVar[str] = "pause"
    id: str
    author: str
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """Where a run is to end. ``max_train_epochs`` None: the plan stays; ``stop_at_epoch`` None: at its last step."""

    max_train_epochs: int | None = None
    stop_at_epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Go on after a pause; a stopped, failed or interrupted run goes on from its last checkpoint."""

    tag: ClassVar[str] = "resume"
    id: str
    author: str
    job: str
    end: RunEnd | None = None
    """Where a run that is over is to end now, which a run that is done needs; None: where it was to end."""


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
    """These artifacts are on the laptop, verified; the declined ones its user does not want there."""

    tag: ClassVar[str] = "ack_artifacts"
    id: str
    author: str
    job: str
    artifact_ids: list[str]
    declined_ids: list[str] = field(default_factory=list)


Command = StartJob | Pause | Resume | CheckpointNow | SampleNow | Stop | Extend | AckArtifacts
