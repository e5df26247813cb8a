"""Whom we talk to: the host's key is pinned and shown, and nothing is sent to anyone else."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from loratui.remote.ssh import Instance, SshBox, parse_target
from loratui.remote.ssh.handshake import fingerprint
from loratui_protocol.errors import HostError, UsageError
from support.sshd import USER, Sshd, sshd


@asynccontextmanager
async def box_of(server: Sshd, instance: Instance, **options: Any) -> AsyncIterator[SshBox]:
    server.authorize(instance.key())
    box = SshBox(parse_target(server.target), instance, **options)
    try:
        yield box
    finally:
        await box.close()


async def works(box: SshBox) -> bool:
    async with box.process(["/bin/true"]) as process:
        return await process.wait() == 0


async def refused(box: SshBox) -> HostError:
    with pytest.raises(HostError) as caught:
        await works(box)
    return caught.value


async def test_first_host_key_is_shown_and_pinned_and_then_taken_silently(plain_sshd: Sshd, instance: Instance) -> None:
    said: list[str] = []
    for _ in range(2):
        async with box_of(plain_sshd, instance, say=said.append) as box:
            assert await works(box)
    [line] = said
    assert plain_sshd.fingerprint in line
    assert "ED25519" in line
    pinned = instance.host_key()
    assert pinned is not None
    assert pinned.get_fingerprint() == plain_sshd.fingerprint


async def test_changed_host_key_is_a_hard_stop_before_anything_is_sent(tmp_path: Path, instance: Instance) -> None:
    with sshd(tmp_path / "d", config=["LogLevel VERBOSE"]) as server:
        async with box_of(server, instance) as box:
            assert await works(box)
            before = server.fingerprint
            await box.close()
            server.swap_host_key()
            logged = len(server.log())
            error = await refused(box)
            assert error.code == "ssh.host_key_changed"
            assert before in error.what
            assert server.fingerprint in error.what
            assert "nothing was sent" in error.what
            assert f"--host-key {server.fingerprint}" in error.fix
            # Not even the user's name came across.
            assert "root" not in server.log()[logged:]
            assert (await refused(box)).code == "ssh.host_key_changed"


async def test_expected_fingerprint_replaces_the_old_pin(tmp_path: Path, instance: Instance) -> None:
    with sshd(tmp_path / "d") as server:
        async with box_of(server, instance) as box:
            assert await works(box)
        server.swap_host_key()
        said: list[str] = []
        async with box_of(server, instance, expected_fingerprint=server.fingerprint, say=said.append) as box:
            assert await works(box)
        assert "as expected" in said[0]
        async with box_of(server, instance) as box:
            assert await works(box)


@pytest.mark.parametrize("is_pinned", [False, True])
async def test_other_key_than_expected_is_refused_even_where_it_is_pinned(
    plain_sshd: Sshd, instance: Instance, is_pinned: bool
) -> None:
    if is_pinned:
        async with box_of(plain_sshd, instance) as box:
            assert await works(box)
    expected = asyncssh.generate_private_key("ssh-ed25519").get_fingerprint()
    async with box_of(plain_sshd, instance, expected_fingerprint=expected) as box:
        error = await refused(box)
    assert error.code == "ssh.host_key"
    assert expected in error.what
    assert plain_sshd.fingerprint in error.what
    assert (instance.host_key() is not None) is is_pinned


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
async def test_fingerprint_may_be_of_any_key_of_the_host(tmp_path: Path, instance: Instance, kind: str) -> None:
    other = tmp_path / "other_key"
    key = asyncssh.generate_private_key(*{"ecdsa": ("ecdsa-sha2-nistp256",), "rsa": ("ssh-rsa",)}[kind])
    key.write_private_key(str(other))
    other.chmod(0o600)
    with sshd(tmp_path / "d", config=[f"HostKey {other}"]) as server:
        async with box_of(server, instance, expected_fingerprint=key.get_fingerprint()) as box:
            assert await works(box)
        # Later the host is asked for the key that is known, though it has one that we like better.
        async with box_of(server, instance) as box:
            assert await works(box)
    pinned = instance.host_key()
    assert pinned is not None
    assert pinned.get_fingerprint() == key.get_fingerprint()


async def test_host_that_changes_to_another_kind_of_key_has_changed(tmp_path: Path, instance: Instance) -> None:
    with sshd(tmp_path / "d") as server:
        async with box_of(server, instance) as box:
            assert await works(box)
        server.variant.host_key = "rsa"
        server.swap_host_key()
        async with box_of(server, instance) as box:
            assert (await refused(box)).code == "ssh.host_key_changed"


async def test_global_known_hosts_are_neither_read_nor_written(
    plain_sshd: Sshd, instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "laptop"
    (home / ".ssh").mkdir(parents=True)
    known = home / ".ssh" / "known_hosts"
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    known.write_text(f"[127.0.0.1]:{plain_sshd.port} {stranger}")
    (home / ".ssh" / "config").write_text("Host *\n  Port 1\n  User nobody\n")
    monkeypatch.setenv("HOME", str(home))
    before = known.read_text()
    async with box_of(plain_sshd, instance) as box:
        assert await works(box)
    assert known.read_text() == before


@pytest.mark.parametrize(
    "wrap",
    [
        str,
        lambda shown: shown.removeprefix("SHA256:"),
        lambda shown: shown + "=",
        lambda shown: f"256 {shown} root@box (ED25519)\n",
    ],
)
def test_fingerprints_are_taken_as_tools_print_them(wrap: Callable[[str], str]) -> None:
    shown = asyncssh.generate_private_key("ssh-ed25519").get_fingerprint()
    assert fingerprint(wrap(shown)) == shown


@pytest.mark.parametrize("text", ["", "SHA256:", "SHA256:short", "MD5:aa:bb", "x" * 44, "SHA256:" + "ü" * 43])
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        fingerprint(text)
    assert caught.value.code == "ssh.fingerprint"


def disconnect(code: int, reason: bytes) -> bytes:
    """Return the packet that ends an SSH connection, as anyone on the way can say it before keys are exchanged."""
    payload = struct.pack(">BI", 1, code) + struct.pack(">I", len(reason)) + reason + struct.pack(">I", 0)
    padding = 4 + (8 - (5 + len(payload) + 4) % 8)
    return struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


@asynccontextmanager
async def way_to(port: int, first: Callable[[asyncio.StreamWriter], bool]) -> AsyncIterator[int]:
    """Give a port that leads to ``port``; ``first`` is called for the first visitor, and may see to it instead."""
    visits: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(is_over := asyncio.Event())
        if len(visits) == 1 and first(writer):
            await reader.read()
        else:
            there, back = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(pass_on(reader, back))
                tasks.create_task(pass_on(there, writer))
        writer.close()
        is_over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        async with asyncio.timeout(10):
            for is_over in visits:
                await is_over.wait()


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while received := await reader.read(1 << 16):
            writer.write(received)
            await writer.drain()
    writer.close()


async def test_host_that_ends_the_first_attempt_before_it_shows_a_key_is_still_held_to_the_pinned_one(
    plain_sshd: Sshd, tmp_path: Path, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    async with box_of(plain_sshd, instance) as box:
        assert await works(box)

    def say_no(writer: asyncio.StreamWriter) -> bool:
        writer.write(b"SSH-2.0-x\r\n" + disconnect(14, b"no more"))
        return True

    with sshd(tmp_path / "mallory") as mallory:
        mallory.authorize(instance.key())
        async with way_to(mallory.port, say_no) as port:
            # With the user's own configuration there are two attempts: with its keys, and with that of the host.
            box = SshBox(parse_target(f"ssh://{USER}@127.0.0.1:{port}"), instance, use_ssh_config=True)
            assert (await refused(box)).code == "ssh.unreachable"
            assert (await refused(box)).code == "ssh.host_key_changed"
    pinned = instance.host_key()
    assert pinned is not None
    assert pinned.get_fingerprint() == plain_sshd.fingerprint


async def test_key_that_another_process_has_pinned_meanwhile_counts(plain_sshd: Sshd, instance: Instance) -> None:
    sooner = asyncssh.generate_private_key("ssh-ed25519")

    def pin(_: asyncio.StreamWriter) -> bool:
        Instance(instance.folder).pin_host_key(sooner)
        return False

    plain_sshd.authorize(instance.key())
    async with way_to(plain_sshd.port, pin) as port:
        box = SshBox(parse_target(f"ssh://{USER}@127.0.0.1:{port}"), instance)
        assert (await refused(box)).code == "ssh.host_key_changed"
    pinned = instance.host_key()
    assert pinned is not None
    assert pinned.get_fingerprint() == sooner.get_fingerprint()
