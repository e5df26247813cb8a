"""Opens a job's files for clients: those that its journal lists, a few logs under names of their own, and no other."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loratui_agent.job import Job
from loratui_agent.offered_state import offered_file
from loratui_protocol.errors import JobError
from loratui_protocol.messages import Chunk, GetArtifact
from loratui_protocol.paths import AgentHome
from loratui_protocol.support import SUPPORT_FILES

_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")


def is_artifact_id(text: str) -> bool:
    """Return whether the text is a plain file name."""
    return _ID.fullmatch(text) is not None and text not in (".", "..")


@contextmanager
def opened(job: Job, artifact_id: str) -> Iterator[tuple[int, int]]:
    """Give a descriptor of the file, and its size, for the block.

    Raises:
        JobError: the job lists no such artifact, or its file is gone.
    """
    path = _path(job, artifact_id)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise JobError(
            f"the file of artifact {artifact_id} is gone: {error.strerror}",
            fix="resume the run, which writes it again",
            code="artifact.missing",
        ) from error
    try:
        yield descriptor, os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def read_chunk(job: Job, request: GetArtifact) -> Chunk:
    """Return the bytes that the request asks for; fewer at the end of the file. Blocks on the disk.

    Raises:
        JobError: as ``opened``.
    """
    with opened(job, request.artifact_id) as (descriptor, size):
        content = os.pread(descriptor, request.length, request.offset)
        return Chunk(id=request.id, offset=request.offset, total=size, content=content)


def _path(job: Job, artifact_id: str) -> Path:
    if artifact_id in SUPPORT_FILES:
        folder, name = SUPPORT_FILES[artifact_id]
        # A job that runs in the foreground has a folder and no home around it.
        return (AgentHome(job.folder.parent.parent).run if folder == "run" else job.folder) / name
    if is_artifact_id(artifact_id) and (state_file := offered_file(job.folder, artifact_id)) is not None:
        return state_file
    if not is_artifact_id(artifact_id) or artifact_id not in job.artifacts:
        raise JobError(
            f"run {job.id} has no artifact {artifact_id!r}", fix="ask for a listed one", code="artifact.unknown"
        )
    return job.folder / "artifacts" / artifact_id
