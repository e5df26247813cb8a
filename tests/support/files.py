"""Files as an agent makes them."""

import hashlib
import json

from loratui_protocol.messages import Artifact, ArtifactKind


def safetensors(num_values: int = 4) -> bytes:
    """Return a safetensors file with one float tensor."""
    size = 4 * num_values
    header = json.dumps(
        {"__metadata__": {"ss_x": "1"}, "w": {"dtype": "F32", "shape": [num_values], "data_offsets": [0, size]}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + bytes(index % 251 for index in range(size))


def artifact_of(
    content: bytes,
    artifact_id: str = "lora",
    *,
    name: str = "style.safetensors",
    kind: ArtifactKind = ArtifactKind.LORA,
    step: int = 0,
) -> Artifact:
    """Return the announcement of a file."""
    sha256 = hashlib.sha256(content).hexdigest()
    return Artifact(id=artifact_id, kind=kind, name=name, size=len(content), sha256=sha256, step=step)
