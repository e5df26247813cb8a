"""JSON for programs: one object a line, numbers that JSON doesn't know as null."""

import json
import math
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from loratui_protocol.messages import Artifact, ArtifactKind, Done, Record, json_fields

_printing = threading.Lock()


def print_line(text: str) -> None:
    """Print a line on standard output, whole: what happens in a run and to its rental is told by two threads."""
    with _printing:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def to_json(fields: Mapping[str, object]) -> str:
    """Return the object on one line; a loss that is NaN or infinite is null, because JSON has neither."""
    return json.dumps({name: _number(value) for name, value in fields.items()}, allow_nan=False, default=str)


def record_line(record: Record, path: Path | None = None) -> str:
    """Return a record as ``--json`` prints it; ``path`` is where the file of an artifact, or of the end, is here."""
    fields = {**json_fields(record.event), "ts": record.ts, "seq": record.seq}
    if isinstance(record.event, Artifact) and record.event.kind is not ArtifactKind.STATE:
        fields["path"] = path
    if isinstance(record.event, Done):
        fields["lora"] = path
    return to_json(fields)


def _number(value: object) -> object:
    if isinstance(value, dict):
        return {name: _number(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
