"""The servers that other tests stand on are what they say, and a real long line is no hindrance."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import pytest

from loratui.remote.ssh import Instance, SshBox, parse_target
from loratui_protocol.errors import HostError
from loratui_protocol.framing import new_nonce
from support.agent_process import wait_until
from support.far_network import FarNetwork, far_network
from support.sshd import Sshd, sshd


@asynccontextmanager
async def box_of(server: Sshd, instance: Instance) -> AsyncIterator[SshBox]:
    server.authorize(instance.key())
    box = SshBox(parse_target(server.target), instance)
    try:
        yield box
    finally:
        await box.close()


async def status(box: SshBox, script: str) -> int:
    async with box.process(["/bin/sh", "-s"]) as process:
        await process.write(script.encode())
        await process.write_eof()
        return await process.wait()


async def test_home_is_the_servers_own(plain_sshd: Sshd, instance: Instance) -> None:
    async with box_of(plain_sshd, instance) as box:
        assert await status(box, 'echo yes > "$HOME/here"') == 0
    assert (plain_sshd.home / "here").read_text() == "yes\n"


async def test_read_only_home(tmp_path: Path, instance: Instance) -> None:
    with sshd(tmp_path / "d", read_only_home=True) as server:
        async with box_of(server, instance) as box:
            assert await status(box, 'touch "$HOME/x"') != 0
            assert await status(box, 'test -d "$HOME"') == 0


async def test_tiny_disk(tmp_path: Path, instance: Instance) -> None:
    with sshd(tmp_path / "d", tmpfs_home="1m") as server:
        async with box_of(server, instance) as box:
            assert await status(box, 'head -c 2000000 /dev/zero > "$HOME/x"') != 0
            assert (server.root / str(server.home).lstrip("/") / "x").stat().st_size <= 1 << 20
    assert not (tmp_path / "d" / "home" / "x").exists()


async def test_hidden_program(tmp_path: Path, instance: Instance) -> None:
    with sshd(tmp_path / "d", hide=["/usr/bin/od"]) as server:
        async with box_of(server, instance) as box:
            assert await status(box, "od </dev/null") in (126, 127)
            assert await status(box, "wc </dev/null >/dev/null") == 0


async def test_nothing_that_was_started_there_outlives_the_server(tmp_path: Path, instance: Instance) -> None:
    with sshd(tmp_path / "d") as server:
        async with box_of(server, instance) as box:
            assert await status(box, "setsid sleep 1000 </dev/null >/dev/null 2>&1 &") == 0
        server.kill_sessions()
        await asyncio.to_thread(wait_until, server.processes, "what was left there")
    assert not server.processes()


async def test_real_delay_and_loss_are_survived(tmp_path: Path, instance: Instance) -> None:
    nonce = new_nonce()
    with far_network() as network, server_in(network, tmp_path / "d") as server:
        network.delay("delay", "10ms", "loss", "2%")
        (server.home / "script").write_text(f"""printf '\\n@@loratui {nonce} {{"n": %s}}\\n' $(wc -c)""")
        async with (
            asyncio.timeout(60),
            box_of(server, instance) as box,
            box.process(["/bin/sh", str(server.home / "script")], nonce) as process,
        ):
            for _ in range(32):
                await process.write(bytes(1 << 15))
            await process.write_eof()
            assert (await process.frame())["n"] == 1 << 20


async def test_line_that_swallows_everything_is_noticed_and_later_taken_up_again(
    tmp_path: Path, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loratui.remote.ssh.handshake.KEEPALIVE_S", 0.2)
    with far_network() as network, server_in(network, tmp_path / "d") as server:
        async with asyncio.timeout(60), box_of(server, instance) as box:
            async with box.process(["/bin/cat"], new_nonce()) as process:
                network.swallow()
                with pytest.raises(HostError) as caught:
                    await process.frame()
            assert caught.value.code == "ssh.lost"
            network.mend()
            assert await status(box, "true") == 0


def server_in(network: FarNetwork, folder: Path) -> AbstractContextManager[Sshd]:
    return sshd(folder, address=network.address, prefix=network.prefix)
