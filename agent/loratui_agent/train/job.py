"""A job's folder as the trainer sees it: what it was asked to do, and where everything goes."""

import contextlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from loratui_agent.files import fsync_path, sha256_of, write_atomically, write_json
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import parse_config
from loratui_protocol.messages import Artifact, ArtifactKind
from loratui_protocol.state_files import MANIFEST, STATE_PARTS, read_manifest, state_file_id, state_folder

SEED_FILE = "seed"
_ROOM_NAME = ".exit.json.room"
_ROOM_BYTES = 16 << 10
_MAX_CHARS = 1000


@dataclass(frozen=True, slots=True)
class Job:
    """One run. Folders exist; the config is checked and its paths are absolute."""

    folder: Path
    config: TrainingConfig
    evaluate_concept: str
    price_microusd_per_h: int = 0
    """What the machine costs; 0: nothing."""
    base_address: str = ""
    """Where this machine fetched the base model from, a hub id or an https address; empty: it was brought."""

    @property
    def checkpoints(self) -> Path:
        """Return the folder of full-state checkpoints."""
        return self.folder / "ckpt"

    @property
    def artifacts(self) -> Path:
        """Return the folder of finished files."""
        return self.folder / "artifacts"

    def published_state(self, step: int) -> list[Artifact]:
        """Return the events that offer the saved state of a step: they need no copy, and no second look at it."""
        folder = self.checkpoints / state_folder(step)
        manifest = folder / MANIFEST
        listed = {**read_manifest(manifest), MANIFEST: (manifest.stat().st_size, sha256_of(manifest))}
        return [
            Artifact(
                id=state_file_id(step, part),
                kind=ArtifactKind.STATE,
                name=state_file_id(step, part),
                size=listed[part][0],
                sha256=listed[part][1],
                step=step,
            )
            for part in STATE_PARTS
        ]

    def publish(self, artifact_id: str, kind: ArtifactKind, name: str, step: int) -> Artifact:
        """Return the event that says the file ``artifact_id`` is complete in the artifacts folder."""
        path = self.artifacts / artifact_id
        return Artifact(
            id=artifact_id, kind=kind, name=name, size=path.stat().st_size, sha256=sha256_of(path), step=step
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended; ``what`` and ``fix`` are set when it failed."""

    outcome: str
    code: str = ""
    what: str = ""
    fix: str = ""

    def write(self, folder: Path) -> None:
        """Leave the outcome where the agent finds it, even one that was started later, and on a full disk."""
        texts = {"code": self.code, "what": self.what[:_MAX_CHARS], "fix": self.fix[:_MAX_CHARS]}
        content = {"outcome": self.outcome, **texts}
        # Of several processes that fail at once each writes a file of its own: the last one is told of.
        room = folder / f"{_ROOM_NAME}.{os.getpid()}"
        try:
            (folder / _ROOM_NAME).rename(room)
        except FileNotFoundError:
            write_json(folder / "exit.json", content)
            return
        with room.open("r+b") as file:
            file.write(json.dumps(content).encode("ascii"))
            file.truncate()
            os.fsync(file.fileno())
        room.replace(folder / "exit.json")
        fsync_path(folder)


def reserve_room(folder: Path) -> None:
    """Take now what the outcome will need of the disk: a disk that is full then must not keep it from being told."""
    with contextlib.suppress(OSError):
        (folder / _ROOM_NAME).write_bytes(bytes(_ROOM_BYTES))


def load_job(folder: Path) -> Job:
    """Read the job in ``folder``.

    Raises:
        ConfigError: its config is refused.
    """
    spec = json.loads((folder / "spec.json").read_text("utf-8"))
    config = parse_config((folder / "job.toml").read_text("utf-8"), folder).config
    model = (spec.get("inputs") or {}).get("model") or {}
    job = Job(
        folder,
        config,
        str(spec.get("evaluate_concept", "")),
        int(spec.get("price_microusd_per_h", 0)),
        str(model.get("address", "")),
    )
    for path in (job.checkpoints, job.artifacts):
        path.mkdir(mode=0o700, exist_ok=True)
    for unfinished in job.artifacts.glob(".*.tmp"):
        unfinished.unlink()  # left by an attempt that was killed while it wrote
    return job


def fixed_seed(job: Job) -> int:
    """Return the run's seed; one that the config leaves open is drawn once and kept for every resume."""
    if job.config.seed is not None:
        return job.config.seed
    path = job.folder / SEED_FILE
    if not path.exists():
        seed = str(secrets.randbits(31))
        write_atomically(path, lambda temporary: _write(temporary, seed))
    return int(path.read_text("utf-8"))


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
