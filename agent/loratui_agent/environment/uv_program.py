"""The installer: one that is on the box, or the one that came as a blob, ready to run."""

import os
import shutil
import zipfile
from pathlib import Path

from loratui_agent.environment.recipe import blob_of
from loratui_agent.files import sha256_of, write_atomically
from loratui_protocol.errors import JobError
from loratui_protocol.paths import AgentHome

_MAX_BYTES = 256 << 20


def provide(home: AgentHome, uv: str) -> Path:
    """Return the path of uv. A blob may be the program itself or the wheel that it is published in.

    Raises:
        JobError: ``env_failed``; the blob is not what its name says, or holds no uv.
    """
    sha256 = blob_of(uv)
    if sha256 is None:
        return Path(uv)
    # A file system that stops programs from being marked as such is found out when it is run.
    program = home.environments / f"uv-{sha256[:16]}"
    if program.exists():
        return program
    blob = home.blobs / sha256
    if sha256_of(blob) != sha256:
        raise _refused("is damaged")
    write_atomically(program, lambda path: _extract(blob, path))
    return program


def _extract(blob: Path, path: Path) -> None:
    if zipfile.is_zipfile(blob):
        with zipfile.ZipFile(blob) as wheel:
            member = next((item for item in wheel.infolist() if item.filename.endswith(".data/scripts/uv")), None)
            if member is None or member.file_size > _MAX_BYTES:
                raise _refused("holds no uv")
            with wheel.open(member) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
    else:
        shutil.copyfile(blob, path)
    path.chmod(0o700)
    if not os.access(path, os.X_OK):
        raise _refused("can't be made a program")


def _refused(why: str) -> JobError:
    return JobError(
        f"the installer that was sent {why}: nothing was installed", fix="start the run again", code="env_failed"
    )
