"""Everything that travels between client, agent and trainer: frozen dataclasses in one tagged union.

``events`` happen once and stay in the journal, ``commands`` travel down and act once, ``controls`` belong to one
connection. What came of a command is an event.

Units: ``_s`` seconds, ``_gib`` GiB, ``_microusd`` millionths of a dollar (integers: money never is a float on the
wire). ``ts`` is seconds since the epoch.
"""

from dataclasses import fields

from loratui_protocol.commands import (
    AckArtifacts,
    CheckpointNow,
    Command,
    Extend,
    Pause,
    Resume,
    RunEnd,
    SampleNow,
    StartJob,
    Stop,
)
from loratui_protocol.controls import (
    Ack,
    Chunk,
    Control,
    Follow,
    Following,
    GetArtifact,
    Heartbeat,
    Hello,
    HelloOk,
    JobStatus,
    Records,
    Refused,
    Telemetry,
    TrainerEvent,
    TrainerHello,
    TrainerWelcome,
)
from loratui_protocol.events import (
    MICROUSD_PER_USD,
    Artifact,
    ArtifactKind,
    Checkpoint,
    CommandResult,
    Cost,
    Deadman,
    DeltaNorms,
    Done,
    Evaluation,
    Event,
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
    # A line of an artifact says where its file is; parts of a saved state are for going on elsewhere, not for anyone.
    is_of_state = isinstance(event, Artifact) and event.kind is ArtifactKind.STATE
    return {
        "event": "state_file" if is_of_state else event.tag,
        **{field.name: getattr(event, field.name) for field in fields(event)},
    }


__all__ = [
    "Ack",
    "AckArtifacts",
    "Artifact",
    "ArtifactKind",
    "Checkpoint",
    "CheckpointNow",
    "Chunk",
    "Command",
    "CommandResult",
    "Control",
    "Cost",
    "Deadman",
    "DeltaNorms",
    "Done",
    "Evaluation",
    "Event",
    "Extend",
    "Follow",
    "Following",
    "GetArtifact",
    "Heartbeat",
    "Hello",
    "HelloOk",
    "JobState",
    "JobStatus",
    "Log",
    "MICROUSD_PER_USD",
    "Message",
    "Metrics",
    "Pause",
    "Record",
    "Records",
    "Refused",
    "Resume",
    "RunEnd",
    "Sample",
    "Scores",
    "SampleNow",
    "Setup",
    "StartJob",
    "State",
    "Step",
    "Stop",
    "Telemetry",
    "TrainerEvent",
    "TrainerHello",
    "TrainerWelcome",
    "Unsupported",
    "Validation",
    "Warn",
    "Withdrawn",
    "json_fields",
]
