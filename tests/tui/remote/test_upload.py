"""Uploads into a real receiver, a process behind a shell; and over SSH that breaks on the way."""

import asyncio
import hashlib
import json
import os
import random
import signal
import sys
import tarfile
from pathlib import Path

import pytest

from loratui.remote.upload import LocalBlob, Uploaded, upload
from loratui_protocol.errors import DatasetError, HostError, JobError, ProtocolError, StorageError
from loratui_protocol.framing import FrameFinder
from support.agent_process import wait_until
from support.boxes import box_of
from support.local_box import LocalBox, receive_argv
from support.sshd import may_unshare, needs_sshd, sshd

NONCE = "0123456789abcdef"
NAME = hashlib.sha256(b"abc").hexdigest()


def blobs_of(folder: Path, *sizes: int) -> dict[str, LocalBlob]:
    folder.mkdir(exist_ok=True)
    rng = random.Random(1)
    blobs = {}
    for index, size in enumerate(sizes):
        path = folder / str(index)
        path.write_bytes(rng.randbytes(size))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        blobs[sha256] = LocalBlob(path=path, size=size, mtime_ns=path.stat().st_mtime_ns)
    return blobs


def arrived(home: Path) -> set[str]:
    """Return the blobs that are complete and are what their names say."""
    found = [path for path in (home / "blobs").iterdir() if path.suffix == ""]
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in found)
    return {path.name for path in found}


def ignore(_: Uploaded) -> None:
    pass


async def test_everything_arrives_once_and_nothing_that_is_there_travels_again(tmp_path):
    home, box = tmp_path / "home", LocalBox()
    blobs = blobs_of(tmp_path / "files", 0, 1, 511, 512, 513, 3_000_000)
    content = b"a manifest"
    blobs[hashlib.sha256(content).hexdigest()] = LocalBlob(size=len(content), content=content)
    seen: list[Uploaded] = []
    await upload(box, receive_argv(home), blobs, seen.append)
    assert arrived(home) == set(blobs)
    assert seen[-1].done == seen[-1].total == sum(blob.size for blob in blobs.values())
    assert [each.done for each in seen] == sorted(each.done for each in seen)
    more = blobs | blobs_of(tmp_path / "more", 7)
    await upload(box, receive_argv(home), more, ignore)
    assert arrived(home) == set(more)
    assert box.processes[-1].num_written < 5000
    assert not list((home / "blobs").glob("*.part"))
    assert (home / "blobs").stat().st_mode & 0o077 == 0


async def test_an_upload_that_was_cut_off_goes_on_from_the_byte_where_it_ended(tmp_path):
    home, box = tmp_path / "home", LocalBox()
    blobs = blobs_of(tmp_path / "files", 20_000_000)
    (name,) = blobs
    part = home / "blobs" / f"{name}.part"

    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(upload(box, receive_argv(home), blobs, ignore))
        while not (part.exists() and part.stat().st_size > 4_000_000):
            assert not sending.done()
            await asyncio.sleep(0.001)
        sending.cancel()
    kept = part.stat().st_size
    assert 4_000_000 < kept < 20_000_000
    before = len(box.processes)
    await upload(box, receive_argv(home), blobs, ignore)
    assert arrived(home) == set(blobs)
    assert sum(process.num_written for process in box.processes[before:]) < 20_000_000 - kept + 10_000


async def test_a_receiver_that_is_killed_again_and_again_costs_nothing_that_had_arrived(tmp_path):
    home, box = tmp_path / "home", LocalBox()
    blobs = blobs_of(tmp_path / "files", *[400_000] * 50)
    kills = 0

    async def kill() -> None:
        nonlocal kills
        while kills < 3:
            await asyncio.sleep(0.02)
            if box.processes and len(list((home / "blobs").glob("*"))) > 10 * (kills + 1):
                process = box.processes[-1].process
                if process.returncode is None:
                    kills += 1
                    process.kill()
                    await process.wait()

    async with asyncio.TaskGroup() as tasks:
        killing = tasks.create_task(kill())
        await upload(box, receive_argv(home), blobs, ignore)
        killing.cancel()
    assert arrived(home) == set(blobs)
    assert kills
    assert sum(process.num_written for process in box.processes) < 1.5 * 50 * 400_000


async def test_a_file_that_changed_since_it_was_hashed_is_named_and_never_taken(tmp_path):
    home = tmp_path / "home"
    for change in (b"other", b""):
        blobs = blobs_of(tmp_path / "files", 1000, 2000)
        changed = list(blobs.values())[1].path
        assert changed
        changed.write_bytes(change)
        with pytest.raises(DatasetError) as caught:
            await upload(LocalBox(), receive_argv(home), blobs, ignore)
        assert caught.value.code == "inputs.changed"
        assert str(changed) in caught.value.what
    (tmp_path / "files" / "1").unlink()
    with pytest.raises(DatasetError):
        await upload(LocalBox(), receive_argv(home), blobs, ignore)
    assert len(arrived(home)) <= 1


async def test_content_that_arrives_as_another_is_thrown_away_and_said(tmp_path):
    home = tmp_path / "home"
    (blob,) = blobs_of(tmp_path / "files", 1000).values()
    with pytest.raises(ProtocolError) as caught:
        await upload(LocalBox(), receive_argv(home), {"0" * 64: blob}, ignore)
    assert caught.value.code == "upload.damaged"
    assert arrived(home) == set()
    assert not list((home / "blobs").glob("*.part"))


async def test_what_the_watch_raises_ends_the_upload_and_what_had_arrived_stays(tmp_path):
    home = tmp_path / "home"
    blobs = blobs_of(tmp_path / "files", 100, 30_000_000)

    def refuse(uploaded: Uploaded) -> None:
        if uploaded.done:
            raise HostError("too slow", code="upload.slow")

    with pytest.raises(HostError, match="too slow"):
        await upload(LocalBox(), receive_argv(home), blobs, refuse)
    assert len(arrived(home)) >= 1


async def test_a_receiver_on_a_dead_link_gives_way_and_a_busy_one_does_not(tmp_path):
    home = tmp_path / "home"
    blobs = blobs_of(tmp_path / "files", 1000)
    box = LocalBox()
    async with box.process([*receive_argv(home), "--nonce", NONCE], NONCE) as hanging:
        request = json.dumps({"blobs": {name: blob.size for name, blob in blobs.items()}}).encode()
        await hanging.write(len(request).to_bytes(8, "big") + request)
        await hanging.frame()
        said: list[str] = []
        lock = home / "blobs" / "receive.lock"

        def watch(uploaded: Uploaded) -> None:
            said.append(uploaded.message)
            # It has received nothing for a long time.
            os.utime(lock, (1, 1))

        await upload(box, receive_argv(home), blobs, watch)
        assert "another client is uploading" in said
        assert await hanging.wait() == -signal.SIGKILL
    assert arrived(home) == set(blobs)


async def test_a_busy_receiver_is_not_taken_for_a_hanging_one_when_the_clock_is_set(tmp_path):
    home = tmp_path / "home"
    request = json.dumps({"blobs": {NAME: 3}}).encode()
    words = [*receive_argv(home), "--nonce", NONCE]
    program = (
        "import sys, time; real = time.time; time.time = lambda: real() + 3600; from loratui_agent.cli import main;"
    )
    an_hour_later = [*words[:3], "-c", f"{program} sys.exit(main())", *words[5:]]
    async with LocalBox().process(words, NONCE) as busy:
        await busy.write(len(request).to_bytes(8, "big") + request)
        await busy.frame()
        async with LocalBox().process(an_hour_later, NONCE) as other:
            await other.write(len(request).to_bytes(8, "big") + request)
            assert (await other.frame())["error"]["code"] == "upload.busy"
        assert busy.process.returncode is None


async def test_a_receiver_that_looks_at_what_came_before_says_so_all_the_time(tmp_path):
    home = tmp_path / "home"
    part, lock = home / "blobs" / f"{NAME}.part", home / "blobs" / "receive.lock"
    part.parent.mkdir(parents=True)
    part.touch()
    os.truncate(part, 400 << 20)
    sent = spoken({"blobs": {NAME: (400 << 20) + 3}}, (f"{NAME}@{400 << 20}", b"abc", 3))
    async with LocalBox().process([*receive_argv(home), "--nonce", NONCE], NONCE) as receiver:
        touched: set[int] = set()

        def looked_at() -> bool:
            touched.add(lock.stat().st_mtime_ns if lock.exists() else 0)
            return len(touched) > 4

        await receiver.write(sent)
        await asyncio.to_thread(wait_until, looked_at, "signs of life", 10)


def spoken(request: object, *members: tuple[str, bytes, int], kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return what a client might send: its list, and a tar stream of (name, content, announced size)."""
    listed = json.dumps(request).encode()
    stream = len(listed).to_bytes(8, "big") + listed
    for name, content, size in members:
        header = tarfile.TarInfo(name)
        header.size, header.type = size, kind
        stream += header.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)
    return stream + bytes(1024)


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff" * 64,
        spoken([]),
        spoken({"blobs": {"../evil": 3}}),
        spoken({"blobs": {NAME: -1}}),
        spoken({"blobs": {NAME: 1 << 60}}),
        spoken({"blobs": {NAME: True}}),
        spoken({"blobs": {NAME: 3}}, ("../../evil@0", b"abc", 3)),
        spoken({"blobs": {NAME: 3}}, ("/tmp/evil", b"abc", 3)),
        spoken({"blobs": {NAME: 3}}, (f"{NAME}@1", b"bc", 2)),
        spoken({"blobs": {NAME: 3}}, (f"{NAME}@0", b"abcd", 4)),
        spoken({"blobs": {NAME: 3}}, (f"{NAME}@0", b"abc", 3), (f"{NAME}@0", b"abc", 3)),
        spoken({"blobs": {NAME: 3}}, (f"{NAME}@0", b"", 3), kind=tarfile.SYMTYPE),
        spoken({"blobs": {NAME: 3}}, (f"{NAME}@0", b"", 1 << 50)),
        spoken({"blobs": {NAME: 3}})[:-1024] + b"x" * 4096,
    ],
)
async def test_a_client_that_lies_is_refused_and_writes_nothing_outside_the_blobs(tmp_path, sent):
    home = tmp_path / "box" / "home"
    argv = [*receive_argv(home), "--nonce", NONCE]
    process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate(sent)
    frames = FrameFinder(NONCE).feed(said)
    assert frames[-1]["error"]["code"] == "upload.garbage"
    assert process.returncode == 4
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.parent for path in written} <= {home / "blobs"}
    assert {path.name for path in written} <= {NAME, f"{NAME}.part", "receive.lock"}


@pytest.mark.skipif(not may_unshare(), reason="mount namespaces need root and unshare")
async def test_a_box_with_too_small_a_disk_refuses_before_anything_travels(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    blobs = blobs_of(tmp_path / "files", 5_000_000, 90_000_000)

    script = f"mount -t tmpfs -o size=80m tmpfs {home} && exec $0 $*"
    box = LocalBox()
    with pytest.raises(StorageError) as caught:
        await upload(box, ["unshare", "-m", "/bin/sh", "-c", script, *receive_argv(home)], blobs, ignore)
    assert caught.value.code == "disk.full"
    assert "MiB free" in caught.value.what
    assert box.processes[-1].num_written < 1000


@needs_sshd
async def test_over_ssh_a_broken_link_is_made_again_and_the_upload_goes_on(tmp_path):
    blobs = blobs_of(tmp_path / "files", *[300_000] * 40)
    with sshd(tmp_path / "server") as server:
        home = server.home / ".loratui"
        async with box_of(server, tmp_path / "instance") as (box, _):
            breaks = 0

            def break_links(uploaded: Uploaded) -> None:
                nonlocal breaks
                if breaks < 2 and uploaded.done:
                    breaks += 1
                    server.kill_sessions()

            await upload(box, receive_argv(home), blobs, break_links)
            assert breaks
        assert arrived(home) == set(blobs)


ESCAPES = "\x1b]52;c;ZXZpbA==\x07\u202e"


def says(folder: Path, *frames: dict[str, object]) -> list[str]:
    """Return the command of a program that prints frames, takes whatever it is sent, and does not end."""
    program = folder / "says.py"
    program.write_text(
        "import signal, sys\nfrom loratui_protocol.framing import frame_line\n"
        f"for fields in {list(frames)!r}:\n    sys.stdout.buffer.write(frame_line(sys.argv[-1], fields))\n"
        "sys.stdout.flush()\nsys.stdin.buffer.read()\nsignal.pause()\n"
    )
    return [sys.executable, str(program)]


@pytest.mark.parametrize(
    ("code", "kind", "shown"),
    [
        ("disk.full", StorageError, "disk.full"),
        ("upload.other", JobError, "upload.other"),
        ("ssh.host_key_changed", HostError, "host.agent"),
        (f"host.{ESCAPES} x", HostError, "host.agent"),
        (7, HostError, "host.agent"),
    ],
)
async def test_refusal_of_a_box_that_lies_commands_no_terminal_and_passes_for_nothing_of_ours(
    tmp_path, monkeypatch, code, kind, shown
):
    monkeypatch.setattr("loratui.remote.upload._RETRY_FIRST_S", 0.01)
    monkeypatch.setattr("loratui.remote.upload._RETRY_LAST_S", 0.01)
    blobs = blobs_of(tmp_path / "files", 10)
    argv = says(tmp_path, {"error": {"code": code, "what": f"no {ESCAPES}", "fix": ESCAPES * 1000}})
    with pytest.raises(kind) as caught:
        await upload(LocalBox(), argv, blobs, ignore)
    assert caught.value.code == shown
    assert str(caught.value).replace("\n", "").isprintable()
    assert len(str(caught.value)) < 1200


@pytest.mark.parametrize("counts", [False, True])
async def test_box_that_counts_nothing_more_is_tried_again_and_then_given_up(tmp_path, monkeypatch, counts):
    monkeypatch.setattr("loratui.remote.upload.STALL_S", 0.5)
    monkeypatch.setattr("loratui.remote.upload._RETRY_LAST_S", 0.01)
    monkeypatch.setattr("loratui.remote.upload.MAX_FAILURES", 1)
    (name,) = blobs = blobs_of(tmp_path / "files", 1000)
    box = LocalBox()
    # The same again and again is no progress.
    told = [{"missing": {name: 0}}] * counts + [{"received": 0}] * 3 * counts
    with pytest.raises(HostError) as caught:
        await upload(box, says(tmp_path, *told), blobs, ignore)
    assert caught.value.code == "ssh.lost"
    assert "has taken nothing" in caught.value.what
    assert len(box.processes) == 2
