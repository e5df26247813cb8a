"""Gives out bytes of finished files: those that the job's journal lists, and no other file."""

import os
import re

from loratui_agent.job import Job
from loratui_protocol.errors import JobError
from loratui_protocol.messages import Chunk, GetArtifact

_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")


def is_artifact_id(text: str) -> bool:
    """Return whether the text is a plain file name."""
    return _ID.fullmatch(text) is not None and text not in (".", "..")


def read_chunk(job: Job, request: GetArtifact) -> Chunk:
    """Return the bytes that the request asks for; fewer at the end of the file. Blocks on the disk.

    Raises:
        JobError: the job lists no such artifact, or its file is gone.
    """
    if not is_artifact_id(request.artifact_id) or request.artifact_id not in job.artifacts:
        raise JobError(
            f"run {job.id} has no artifact {request.artifact_id!r}", fix="ask for a listed one", code="artifact.unknown"
        )
    path = job.folder / "artifacts" / request.artifact_id
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise JobError(
            f"the file of artifact {request.artifact_id} is gone: {error.strerror}",
            fix="resume the run, which writes it again",
            code="artifact.missing",
        ) from error
    try:
        content = os.pread(descriptor, request.length, request.offset)
        return Chunk(id=request.id, offset=request.offset, total=os.fstat(descriptor).st_size, content=content)
    finally:
        os.close(descriptor)
