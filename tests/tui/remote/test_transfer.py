import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loratui.remote.transfer import MAX_ARTIFACT_BYTES, download
from loratui_protocol.errors import JobError, ProtocolError, StorageError
from loratui_protocol.link import MAX_CHUNK_BYTES
from loratui_protocol.messages import Artifact, ArtifactKind, Chunk, Refused
from support.files import artifact_of, safetensors
from support.small_disk import needs_small_disk, small_disk

BIG = os.urandom(3 * MAX_CHUNK_BYTES + 17)


class Reader:
    """Gives a file out as an agent does; ``spoil`` changes answers."""

    def __init__(self, content: bytes, spoil: Callable[[Chunk], Chunk | Refused] = lambda chunk: chunk) -> None:
        self.content = content
        self.spoil = spoil
        self.offsets: list[int] = []

    async def ask_artifact(
        self, job: str, artifact_id: str, offset: int, length: int
    ) -> asyncio.Future[Chunk | Refused]:
        self.offsets.append(offset)
        answer: asyncio.Future[Chunk | Refused] = asyncio.get_running_loop().create_future()
        part = self.content[offset : offset + length]
        answer.set_result(self.spoil(Chunk(id="x", offset=offset, total=len(self.content), content=part)))
        return answer


def fetch(reader: Reader, *arguments: Any) -> None:
    asyncio.run(download(reader, *arguments))


def picture(content: bytes) -> Artifact:
    return artifact_of(content, "pic", name="pic.png", kind=ArtifactKind.SAMPLE)


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "r" / "pic.png"


@pytest.mark.parametrize("content", [b"", b"x", BIG], ids=["empty", "one byte", "several chunks"])
def test_file_arrives_whole(destination: Path, content: bytes) -> None:
    told: list[int] = []
    fetch(Reader(content), "r", picture(content), destination, told.append)
    assert destination.read_bytes() == content
    assert told == sorted(told)
    assert [path.name for path in destination.parent.iterdir()] == ["pic.png"]
    assert destination.stat().st_mode & 0o077 == 0


def test_interrupted_download_goes_on_where_it_ended(destination: Path) -> None:
    def refuse_late(chunk: Chunk) -> Chunk | Refused:
        return chunk if chunk.offset < MAX_CHUNK_BYTES else Refused(id="x", code="agent.busy", what="no")

    with pytest.raises(JobError, match=r"agent\.busy"):
        fetch(Reader(BIG, refuse_late), "r", picture(BIG), destination)
    assert not destination.exists()
    again = Reader(BIG)
    fetch(again, "r", picture(BIG), destination)
    assert destination.read_bytes() == BIG
    assert again.offsets[0] == MAX_CHUNK_BYTES


@pytest.mark.parametrize("left", [b"z" * 5, b"z" * (len(BIG) + 1)], ids=["of another version", "too long"])
def test_leftover_that_does_not_fit_is_thrown_away(destination: Path, left: bytes) -> None:
    destination.parent.mkdir(parents=True)
    part = destination.with_name("pic.png.part")
    part.write_bytes(left)
    if len(left) < len(BIG):
        with pytest.raises(ProtocolError, match=r"artifact\.corrupt"):
            fetch(Reader(BIG), "r", picture(BIG), destination)
        assert not part.exists()
    fetch(Reader(BIG), "r", picture(BIG), destination)
    assert destination.read_bytes() == BIG


def changed(chunk: Chunk, **fields: object) -> Chunk:
    return Chunk(**{name: fields.get(name, getattr(chunk, name)) for name in ("id", "offset", "total", "content")})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda chunk: changed(chunk, content=bytes(len(chunk.content))),
        lambda chunk: changed(chunk, content=chunk.content[:-1]),
        lambda chunk: changed(chunk, content=chunk.content + b"x"),
        lambda chunk: changed(chunk, content=b""),
        lambda chunk: changed(chunk, offset=chunk.offset + 1),
        lambda chunk: changed(chunk, total=chunk.total + 1),
    ],
    ids=["other bytes", "short", "long", "empty", "elsewhere", "another size"],
)
def test_damaged_file_never_gets_its_name(destination: Path, spoil: Callable[[Chunk], Chunk]) -> None:
    with pytest.raises(ProtocolError, match=r"artifact\.corrupt"):
        fetch(Reader(BIG, spoil), "r", picture(BIG), destination)
    assert not destination.exists()


def test_what_is_there_stays_until_the_new_version_is_verified(destination: Path) -> None:
    destination.parent.mkdir(parents=True)
    destination.write_bytes(b"old")
    with pytest.raises(ProtocolError):
        fetch(Reader(b"bad"), "r", picture(b"new"), destination)
    assert destination.read_bytes() == b"old"
    fetch(Reader(b"new"), "r", picture(b"new"), destination)
    assert destination.read_bytes() == b"new"


def test_lora_must_be_a_safetensors_file(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    fetch(Reader(safetensors()), "r", artifact_of(safetensors()), good)
    assert good.read_bytes() == safetensors()
    pickle_bytes = b"\x80\x04\x95" + bytes(100)
    with pytest.raises(ProtocolError, match=r"artifact\.not_safetensors"):
        fetch(Reader(pickle_bytes), "r", artifact_of(pickle_bytes), bad)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.safetensors"]


@pytest.mark.parametrize("size", [-1, MAX_ARTIFACT_BYTES + 1])
def test_impossible_size_is_refused_before_anything_is_asked(destination: Path, size: int) -> None:
    reader = Reader(b"x")
    told = Artifact(id="a", kind=ArtifactKind.SAMPLE, name="x", size=size, sha256="0")
    with pytest.raises(ProtocolError, match=r"artifact\.too_large"):
        fetch(reader, "r", told, destination)
    assert reader.offsets == []


def test_link_in_the_way_is_not_followed(destination: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    destination.parent.mkdir(parents=True)
    destination.with_name("pic.png.part").symlink_to(victim)
    with pytest.raises(StorageError, match=r"disk\.write"):
        fetch(Reader(b"x"), "r", picture(b"x"), destination)
    assert victim.read_text() == "mine"


def test_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"disk\.write"):
        fetch(Reader(b"x"), "r", picture(b"x"), tmp_path / "file" / "pic.png")


async def test_two_do_not_fetch_the_same_file_at_once(destination: Path) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    class Slow(Reader):
        async def ask_artifact(
            self, job: str, artifact_id: str, offset: int, length: int
        ) -> asyncio.Future[Chunk | Refused]:
            entered.set()
            await leave.wait()
            return await super().ask_artifact(job, artifact_id, offset, length)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(download(Slow(b"x"), "r", picture(b"x"), destination))
        await entered.wait()
        with pytest.raises(StorageError, match=r"transfer\.elsewhere"):
            await download(Reader(b"x"), "r", picture(b"x"), destination)
        leave.set()
    assert await asyncio.to_thread(destination.read_bytes) == b"x"


@needs_small_disk
def test_disk_without_room_is_refused_before_anything_is_asked() -> None:
    reader = Reader(b"x")
    with small_disk(8) as disk, pytest.raises(StorageError, match=r"disk\.full"):
        fetch(reader, "r", picture(b"x"), disk.path / "runs" / "pic.png")
    assert reader.offsets == []


@needs_small_disk
def test_download_that_fills_the_disk_goes_on_from_there_once_there_is_room() -> None:
    with small_disk(80) as disk:
        destination = disk.path / "runs" / "pic.png"

        def fill_on_the_way(chunk: Chunk) -> Chunk:
            if chunk.offset == MAX_CHUNK_BYTES:
                disk.fill(leave=MAX_CHUNK_BYTES // 2)
            return chunk

        with pytest.raises(StorageError, match=r"disk\.full"):
            fetch(Reader(BIG, fill_on_the_way), "r", picture(BIG), destination)
        [part] = destination.parent.iterdir()
        assert part.name == "pic.png.part"
        kept = part.stat().st_size
        assert 0 < kept < len(BIG)
        disk.free()
        again = Reader(BIG)
        fetch(again, "r", picture(BIG), destination)
        assert destination.read_bytes() == BIG
        assert again.offsets[0] == kept
