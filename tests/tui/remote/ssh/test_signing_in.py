"""How we get in, or why not: always an error that says what to do, never a password, never a hang."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from loratui.remote.ssh import Instance, SshBox, SshTarget, handshake, parse_target
from loratui_protocol.errors import HostError, LoratuiError, UsageError
from support.agent_process import wait_until
from support.sshd import Sshd, sshd


@asynccontextmanager
async def box_at(target: str, instance: Instance, **options: Any) -> AsyncIterator[SshBox]:
    box = SshBox(parse_target(target), instance, **options)
    try:
        yield box
    finally:
        await box.close()


async def works(box: SshBox) -> bool:
    async with box.process(["/bin/true"]) as process:
        return await process.wait() == 0


async def refused(target: str, instance: Instance, **options: Any) -> LoratuiError:
    async with box_at(target, instance, **options) as box:
        with pytest.raises(LoratuiError) as caught:
            await works(box)
    return caught.value


async def test_unknown_key_is_an_error_with_all_that_it_takes_to_make_it_known(
    plain_sshd: Sshd, instance: Instance, tmp_path: Path
) -> None:
    error = await refused(plain_sshd.target, instance)
    assert isinstance(error, HostError)
    assert error.code == "ssh.auth"
    assert error.exit_status == 4
    assert instance.key().export_public_key().decode().strip() in error.what
    command = error.fix.splitlines()[-1].strip()
    assert command.startswith(f"ssh -p {plain_sshd.port} ")
    # What a person would do with a password, done here with a shell in the place of ssh: it must work as it stands.
    script = command[command.index("'") :]
    remote, _, source = script.partition("' < ")
    environment = {"HOME": str(tmp_path), "PATH": "/bin"}
    assert await (await asyncio.create_subprocess_shell(f"sh -c {remote}' < {source}", env=environment)).wait() == 0
    assert (tmp_path / ".ssh" / "authorized_keys").read_bytes() == instance.key().export_public_key()


async def test_host_key_is_pinned_before_the_key_is_made_known(plain_sshd: Sshd, instance: Instance) -> None:
    said: list[str] = []
    await refused(plain_sshd.target, instance, say=said.append)
    plain_sshd.authorize(instance.key())
    async with box_at(plain_sshd.target, instance, say=said.append) as box:
        assert await works(box)
    assert len(said) == 1


async def test_host_that_wants_a_password_gets_none(tmp_path: Path, instance: Instance) -> None:
    with sshd(tmp_path / "d", password_only=True) as server:
        error = await refused(server.target, instance)
        assert error.code == "ssh.auth"
        assert "password" in error.what
        assert "Failed password" not in server.log()


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
async def test_named_key_is_used(plain_sshd: Sshd, instance: Instance, tmp_path: Path, kind: str) -> None:
    key = asyncssh.generate_private_key(kind)
    key.write_private_key(str(tmp_path / "id"))
    plain_sshd.authorize(key)
    async with box_at(plain_sshd.target, instance, identity=tmp_path / "id") as box:
        assert await works(box)


async def test_named_keys_that_can_not_be_used_are_named(plain_sshd: Sshd, instance: Instance, tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_public_key(str(tmp_path / "id.pub"))
    for name, why in (("none", "can't be read"), ("id.pub", "is no private key")):
        error = await refused(plain_sshd.target, instance, identity=tmp_path / name)
        assert isinstance(error, UsageError)
        assert error.code == "ssh.key"
        assert why in error.what


async def test_protected_key_needs_its_passphrase(plain_sshd: Sshd, instance: Instance, tmp_path: Path) -> None:
    path = tmp_path / "id"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "right", "-f", str(path)]
    assert await (await asyncio.create_subprocess_exec(*argv)).wait() == 0
    plain_sshd.authorize(path.with_suffix(".pub").read_text())
    assert (await refused(plain_sshd.target, instance, identity=path)).code == "ssh.passphrase"
    error = await refused(plain_sshd.target, instance, identity=path, passphrase=lambda _: "wrong")
    assert error.code == "ssh.passphrase"
    assert "wrong" not in str(error)
    asked: list[Path] = []

    def ask(protected: Path) -> str:
        asked.append(protected)
        return "right"

    async with box_at(plain_sshd.target, instance, identity=path, passphrase=ask) as box:
        assert await works(box)
        box.abort()
        assert await works(box)
    assert asked == [path]


async def test_user_configuration_counts_only_when_asked_for(
    plain_sshd: Sshd, instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(tmp_path / "my key"))
    plain_sshd.authorize(key)
    (tmp_path / ".ssh" / "config").write_text(
        f"Host gpu-box\n  HostName 127.0.0.1\n  Port {plain_sshd.port}\n  User root\n"
        f"  IdentityFile '{tmp_path}/my key'\n"
        "  ForwardAgent yes\n  RequestTTY force\n  RemoteCommand false\n  Compression yes\n"
        "  SendEnv LC_SECRET\n  SetEnv LC_OTHER=1\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LC_SECRET", "c4n4ry")
    async with box_at("ssh://gpu-box", instance, use_ssh_config=True) as box:
        assert await works(box)
        # It would take both.
        assert "AcceptEnv LC_*" in (plain_sshd.folder / "sshd_config").read_text()
        async with box.process(["/bin/sh", "-c", "test -z $LC_SECRET$LC_OTHER"]) as process:
            assert await process.wait() == 0
    assert "gpu-box" in (await refused("ssh://gpu-box", instance)).what


async def test_key_of_the_host_is_tried_where_the_users_own_keys_do_not_fit(
    plain_sshd: Sshd, instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    plain_sshd.authorize(instance.key())
    async with box_at(plain_sshd.target, instance, use_ssh_config=True) as box:
        assert await works(box)


def test_nothing_of_this_machine_is_offered_to_the_host() -> None:
    options = handshake.options(SshTarget("root", "h"), [], None, handshake.HOST_KEY_KINDS, use_ssh_config=False)
    assert options["agent_path"] is None
    assert options["agent_forwarding"] is False
    assert options["x11_forwarding"] is False
    assert options["config"] is None
    assert options["known_hosts"] == ([], [], [])
    assert options["request_pty"] is False
    assert options["env"] == options["send_env"] == []
    assert options["encryption_algs"][0] == "aes256-gcm@openssh.com"
    assert options["compression_algs"] is None
    assert (options["keepalive_interval"], options["keepalive_count_max"]) == (5, 3)


async def test_agent_of_the_user_is_neither_asked_nor_forwarded(
    plain_sshd: Sshd, instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    server = await asyncio.start_unix_server(lambda reader, writer: asked.append(True), tmp_path / "agent")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    plain_sshd.authorize(instance.key())
    async with (
        box_at(plain_sshd.target, instance) as box,
        box.process(["/bin/sh", "-c", "exit ${#SSH_AUTH_SOCK}"]) as process,
    ):
        assert await process.wait() == 0
    server.close()
    assert not asked


async def test_addresses_where_nothing_is_are_told_apart(instance: Instance) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = await refused(f"ssh://root@127.0.0.1:{unused.getsockname()[1]}", instance)
    assert error.code == "ssh.unreachable"
    assert "nobody listens" in error.what
    error = await refused("ssh://root@no-such-host.invalid", instance)
    assert error.code == "ssh.unreachable"
    assert "no machine is known" in error.what


async def test_banner_is_skipped_and_a_flood_of_it_is_left(tmp_path: Path, instance: Instance) -> None:
    with sshd(tmp_path / "d", banner="Welcome!\n\x1b]52;c;ZXZpbA==\x07\n" * 100) as server:
        server.authorize(instance.key())
        async with box_at(server.target, instance) as box:
            assert await works(box)
        (server.folder / "banner").write_text("Welcome!\n" * 20_000)
        assert (await refused(server.target, instance)).code == "ssh.noise"


async def _chatter(writer: asyncio.StreamWriter, line: bytes) -> None:
    try:
        while True:
            writer.write(line)
            await writer.drain()
    except OSError:
        writer.close()


@pytest.mark.parametrize(
    "line",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"x" * 65536, b"220 mail\r\n" * 100, b"SSH-1.0-old\r\n", b"SSH-2.0-x\r\n\0"],
)
async def test_what_is_no_ssh_server_is_left_soon(instance: Instance, line: bytes) -> None:
    async with asyncio.timeout(20):
        server = await asyncio.start_server(lambda _, writer: _chatter(writer, line), "127.0.0.1", 0)
        error = await refused(f"ssh://root@127.0.0.1:{server.sockets[0].getsockname()[1]}", instance)
        server.close()
    assert error.code in ("ssh.unreachable", "ssh.algorithms")
    assert error.what.isprintable()


async def test_server_that_says_nothing_is_not_waited_for_long(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loratui.remote.ssh.connection.CONNECT_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = await refused(f"ssh://root@127.0.0.1:{silent.getsockname()[1]}", instance)
    assert error.code == "ssh.unreachable"
    assert "did not answer" in error.what


async def test_attempt_can_be_abandoned(tmp_path: Path, instance: Instance) -> None:
    with sshd(tmp_path / "d") as server:
        server.authorize(instance.key())
        async with box_at(server.target, instance) as box:
            server.freeze()
            async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
                attempt = tasks.create_task(refused_by(box))
                await asyncio.to_thread(wait_until, lambda: box._attempt is not None, "the attempt")
                box.abort()
            assert attempt.result().code == "ssh.unreachable"
            server.thaw()
            assert await works(box)


async def refused_by(box: SshBox) -> LoratuiError:
    with pytest.raises(LoratuiError) as caught:
        await works(box)
    return caught.value
