"""Whatever a thread works on stays as it is until the thread has ended, however often its caller is cancelled."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from loratui.remote.in_thread import in_thread
from loratui.remote.transfer import ArtifactReader, download
from loratui_protocol.messages import Artifact, ArtifactKind, Chunk, Refused
from support.agent_process import wait_until

LEFT_BYTES = 300 << 20
PIPED = os.urandom(60_000)


async def test_it_returns_what_the_function_returns_and_raises_what_it_raises() -> None:
    assert await in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)


async def test_several_cancellations_wait_for_the_thread_and_are_passed_on() -> None:
    began, leave, left = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        leave.wait(10)
        left.set()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(in_thread(work))
        await asyncio.to_thread(began.wait, 10)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        leave.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert left.is_set()


async def test_cancelled_look_at_what_is_left_of_a_file_reads_nothing_of_what_is_opened_next(tmp_path: Path) -> None:
    part = tmp_path / "pic.png.part"
    with part.open("wb") as file:
        file.truncate(LEFT_BYTES)
    artifact = Artifact(id="a", kind=ArtifactKind.SAMPLE, name="pic.png", size=LEFT_BYTES, sha256="0" * 64)
    first = os.pipe()
    os.close(first[0])
    os.close(first[1])
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(download(NeverAsked(), "r", artifact, tmp_path / "pic.png"))
        await asyncio.to_thread(wait_until, lambda: is_open(part, first[0]), "the file to be open")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # The lowest number that is free: the one that the file had.
        reader, writer = os.pipe()
        assert reader == first[0]
        os.write(writer, PIPED)
        os.close(writer)
    # Every thread has ended then.
    await asyncio.get_running_loop().shutdown_default_executor()
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == PIPED


class NeverAsked(ArtifactReader):
    """Has no time to be asked."""

    async def ask_artifact(
        self, job: str, artifact_id: str, offset: int, length: int
    ) -> asyncio.Future[Chunk | Refused]:
        raise AssertionError


def is_open(path: Path, descriptor: int) -> bool:
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except OSError:
        return False
