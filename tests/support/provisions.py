"""Files of a job as a client brings them."""

import hashlib

from loratui_agent.blobs import blob_path, part_path
from loratui_protocol.inputs import InputFile, Manifest, make_manifest
from loratui_protocol.paths import AgentHome


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def manifest_of(contents: dict[str, bytes]) -> Manifest:
    return make_manifest(
        [InputFile(name=name, size=len(content), sha256=sha256(content)) for name, content in contents.items()]
    )


def bring(home: AgentHome, *contents: bytes) -> None:
    home.blobs.mkdir(exist_ok=True)
    for content in contents:
        arriving = part_path(home, sha256(content))
        arriving.write_bytes(content)
        arriving.replace(blob_path(home, sha256(content)))
