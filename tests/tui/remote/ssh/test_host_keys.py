"""Whom we talk to: the host's key is pinned and shown, and nothing is sent to anyone else."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from loratui.remote.ssh import Instance, SshBox, parse_target
from loratui.remote.ssh.handshake import fingerprint
from loratui_protocol.errors import HostError, UsageError
from support.sshd import Sshd, sshd


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
