"""What a job on another machine needs before it can train: files that travel, models, an environment.

Files are content-addressed: a manifest names each with its size and SHA-256, the box keeps ``blobs/<sha256>``, and only
what it lacks is sent. The agent lays them out below ``jobs/<id>/inputs/`` under the manifest's names.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from loratui_protocol.errors import ProtocolError

MAX_FILES = 50_000
MAX_MANIFEST_BYTES = 32 << 20
MAX_FILE_BYTES = 64 << 30
_MAX_NAME_CHARS = 400
_MAX_PART_BYTES = 255
_MAX_DEPTH = 8
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\..*)?", re.IGNORECASE)
"""What Windows opens as a device, in every folder and whatever the extension; a box may lie on its disk (WSL)."""


class ModelKind(StrEnum):
    """Where the box has the base model from."""

    FILES = "files"
    """It is among the files of the manifest, below ``model/<name>``."""
    HUB = "hub"
    HTTPS = "https"


class ModelPurpose(StrEnum):
    """What a job needs a model for."""

    BASE = "base"
    """To train on it."""
    DINO = "dino"
    CLIP = "clip"
    """To measure drawn pictures with."""

    @property
    def phase(self) -> str:
        """Return what its download is called while a job is prepared."""
        return f"{self}_model"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """A model of a job: its base model, or one that pictures are measured with."""

    kind: ModelKind
    name: str
    """Of its folder or file on the box."""
    purpose: ModelPurpose = ModelPurpose.BASE
    address: str = ""
    """Hub id ("org/name") or https address."""
    revision: str = ""
    """Of a hub id; empty: main."""
    sha256: str = ""
    """Of an https file, where it is known; empty: not checked against anything but the server's own word."""
    hub_url: str = "https://huggingface.co"

    @property
    def place(self) -> str:
        """Return where it lies below ``inputs/``."""
        folder = "model" if self.purpose is ModelPurpose.BASE else f"evaluate_{self.purpose}"
        return f"{folder}/{self.name}"


class EnvironmentKind(StrEnum):
    """What a trainer's Python is made of."""

    AGENT = "agent"
    """The agent's own Python has everything (this machine)."""
    OVERLAY = "overlay"
    """An environment of ours over the torch that is there."""
    CLEAN = "clean"
    """An environment of ours with a torch of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSpec:
    """How the box gets the Python that trains. Chosen by the client before anything is sent."""

    kind: EnvironmentKind
    python: str = ""
    """OVERLAY: the interpreter whose torch is used. CLEAN: an interpreter, or a version ("3.12") that uv brings."""
    torch: str = ""
    """OVERLAY: the version found. CLEAN: the version to install."""
    torch_folder: str = ""
    """OVERLAY: the folder that holds torch, where it lies in a venv or conda environment; empty: system packages."""
    backend: str = ""
    """CLEAN: torch's build ("cpu", "cu128")."""
    uv: str = ""
    """The uv to use: a path on the box, or ``sha256:<hex>`` of a blob that travels with the job's files."""
    lock_sha256s: list[str] = field(default_factory=list)
    """Blobs: the hash-locked requirement files to install without dependencies, in this order."""
    index_url: str = ""
    torch_index_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInputs:
    """Everything a job waits for before its trainer starts. ``manifest_sha256`` names a blob."""

    manifest_sha256: str
    model: ModelSource
    environment: EnvironmentSpec
    features: list[ModelSource] = field(default_factory=list)
    """Models to measure drawn pictures with, which the box downloads. Without them it trains all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file that travels; ``name`` is its path below ``inputs/``, with forward slashes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a job's inputs, by name."""

    files: tuple[InputFile, ...]

    @property
    def size(self) -> int:
        """Return the bytes of all files, each content counted once: what travels at most."""
        return sum({file.sha256: file.size for file in self.files}.values())

    def to_bytes(self) -> bytes:
        """Return the manifest as canonical JSON: equal manifests are equal bytes."""
        rows = sorted([file.name, file.size, file.sha256] for file in self.files)
        return json.dumps({"files": rows}, ensure_ascii=True, separators=(",", ":")).encode("ascii")

    def sha256(self) -> str:
        """Return the hash of ``to_bytes``."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def make_manifest(files: Sequence[InputFile]) -> Manifest:
    """Return the manifest of these files.

    Raises:
        ProtocolError: a name, size or hash is not one that may travel, or two names are equal but for their case.
    """
    if len(files) > MAX_FILES:
        raise _refused(f"it lists {len(files)} files, over {MAX_FILES}")
    seen: dict[str, str] = {}
    for file in files:
        _check(file)
        # On a file system that ignores case, or composes characters, twins would overwrite each other.
        key = unicodedata.normalize("NFC", file.name).casefold()
        if key in seen:
            raise _refused(f"{seen[key]!r} and {file.name!r} are the same file on some systems")
        seen[key] = file.name
    return Manifest(tuple(sorted(files, key=lambda file: file.name)))


def parse_manifest(content: bytes) -> Manifest:
    """Return the manifest in ``content``, strictly; errors as in ``make_manifest``."""
    if len(content) > MAX_MANIFEST_BYTES:
        raise _refused(f"it has {len(content)} bytes")
    try:
        rows = json.loads(content)["files"]
        files = [InputFile(name=name, size=size, sha256=sha256) for name, size, sha256 in rows]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _refused("it is no manifest") from error
    return make_manifest(files)


def check_name(name: str) -> None:
    """Return if ``name`` is a relative path that can only lie below the folder it is joined to.

    Raises:
        ProtocolError: it is not.
    """
    parts = name.split("/") if isinstance(name, str) else []
    if not parts or len(name) > _MAX_NAME_CHARS or len(parts) > _MAX_DEPTH:
        raise _refused(f"{str(name)[:80]!r} is no file name")
    for part in parts:
        if part in ("", ".", "..") or len(part.encode("utf-8", "replace")) > _MAX_PART_BYTES:
            raise _refused(f"{name[:80]!r} is no plain relative path")
        if any(unicodedata.category(char) in ("Cc", "Cs", "Cf") for char in part) or "\\" in part:
            raise _refused(f"{name[:80]!r} holds characters that no file name should")
        if part[-1] in ". " or _DEVICE.fullmatch(part):
            raise _refused(f"{name[:80]!r} is the name of a device, or loses its end, on some systems")


def is_sha256(text: object) -> bool:
    """Return whether ``text`` is a SHA-256 in small hex digits."""
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def _check(file: InputFile) -> None:
    check_name(file.name)
    if type(file.size) is not int or not 0 <= file.size <= MAX_FILE_BYTES:
        raise _refused(f"{file.name!r} is said to have {file.size!r} bytes")
    if not is_sha256(file.sha256):
        raise _refused(f"{file.name!r} has no SHA-256")


def _refused(why: str) -> ProtocolError:
    return ProtocolError(
        f"the list of files is refused: {why}", fix="rename the file or its folder", code="inputs.manifest"
    )
