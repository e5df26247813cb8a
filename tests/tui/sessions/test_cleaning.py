import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loratui.remote.ssh.instance import Instance, host_folder
from loratui.remote.ssh.target import parse_target
from loratui.remote.ssh_agent import SshAgent
from loratui.sessions.cleaning import clean, look
from loratui_agent.process import identify
from loratui_agent.secrets import keep_secret, read_secret
from loratui_protocol.errors import HostError
from loratui_protocol.paths import AgentHome
from support.boxes import box_of
from support.local_cli import local_cli
from support.sshd import Sshd, needs_sshd, sshd

pytestmark = needs_sshd


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path / "server") as started:
        yield started


def home_of(server: Sshd) -> AgentHome:
    return AgentHome(server.home / ".loratui")


@contextmanager
def training(home: AgentHome) -> Iterator[int]:
    """A run with a trainer that does not listen, and two files of which one was fetched."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(1000)"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, start_new_session=True) as trainer:
        assert trainer.stdout is not None
        trainer.stdout.readline()
        identity = identify(trainer.pid)
        assert identity is not None
        job = home.jobs / "01ARZ3NDEKTSV4RRFFQ69G5FAV"
        (job / "artifacts").mkdir(parents=True)
        (job / "artifacts" / "lora").write_bytes(bytes(1000))
        (job / "artifacts" / "sample").write_bytes(bytes(500))
        state = {"state": "running", "name": "style \x1b[31m", "trainer": {"pid": identity.pid, "mark": identity.mark}}
        (job / "state.json").write_text(json.dumps({**state, "acked": ["sample"]}))
        yield trainer.pid


@contextmanager
def reading(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Somebody looks at a file of the agent's."""
    with subprocess.Popen(["tail", "-f", str(path)], stdout=subprocess.DEVNULL) as reader:
        yield reader
        reader.kill()


async def test_what_is_there_is_named_with_what_would_be_lost(server: Sshd, tmp_path: Path) -> None:
    async with box_of(server, tmp_path / "host") as (box, instance):
        await SshAgent(box, instance).ensure()
        with training(home_of(server)) as pid:
            _, [remains] = await look(box)
            os.kill(pid, signal.SIGKILL)
    assert remains.home == str(home_of(server).path)
    assert remains.num_bytes > 1 << 20
    assert remains.num_processes == 3
    [run] = remains.runs
    assert (run.name, run.num_unfetched, run.unfetched_bytes) == ("style [31m", 1, 1000)
    assert remains.loses_results
    assert "1 files (1.0 kB) were fetched by no laptop" in "\n".join(remains.sentences())


async def test_everything_of_ours_goes_and_nothing_else(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = server.home / "mine.txt"
    kept.write_text("mine")
    async with box_of(server, tmp_path / "host") as (box, instance):
        await SshAgent(box, instance).ensure()
        home = home_of(server)
        keep_secret(home, "huggingface.co", "hf_canary")
        (home.path / "link").symlink_to(kept)
        (home.path / "cache").mkdir()
        (home.path / "cache" / "file").touch()
        (home.path / "cache").chmod(0o500)
        with training(home) as trainer, reading(home.log) as reader:
            facts, [remains] = await look(box)
            num_ended = await clean(box, facts, remains.home)
            assert identify(trainer) is None
            assert reader.poll() is None
        assert num_ended == 3
        assert server.processes() == []
        assert list(server.home.iterdir()) == [kept]
        assert read_secret(home, "huggingface.co") == ""
        _, left = await look(box)
        assert left == []


async def test_a_folder_with_other_things_is_neither_used_nor_removed(server: Sshd, tmp_path: Path) -> None:
    named = server.home / "data"
    named.mkdir()
    (named / "precious").touch()
    async with box_of(server, tmp_path / "host") as (box, instance):
        with pytest.raises(HostError, match="holds other things"):
            await SshAgent(box, instance, home=str(named)).ensure()
        facts, found = await look(box, [str(named)])
        assert found == []
        with pytest.raises(HostError, match="holds other things"):
            await clean(box, facts, str(named))
    assert [path.name for path in named.iterdir()] == ["precious"]


async def test_a_folder_that_was_named_for_it_goes_as_a_whole(server: Sshd, tmp_path: Path) -> None:
    named = server.home / "some" / "folder"
    async with box_of(server, tmp_path / "host") as (box, instance):
        await SshAgent(box, instance, home=str(named)).ensure()
        facts, [remains] = await look(box, [str(named)])
        assert remains.home == str(named)
        await clean(box, facts, str(named))
    assert list((server.home / "some").iterdir()) == []


def test_the_command_asks_and_says_what_it_did(server: Sshd, tmp_path: Path) -> None:
    with local_cli(tmp_path / "cli") as cli:
        state_dir = Path(cli.environment["LORATUI_STATE_DIR"])
        server.authorize(Instance(host_folder(state_dir, parse_target(server.target))).key())
        assert "nothing of loratui is there" in finished(cli, server)
        (home_of(server).run).mkdir(parents=True)
        command = cli.run("clean", server.target)
        assert command.finish() == 2
        assert "clean.unasked" in "\n".join(command.errors)
        assert home_of(server).path.exists()
        assert "is gone" in finished(cli, server)
    assert not home_of(server).path.exists()


def finished(cli, server: Sshd) -> str:
    command = cli.run("clean", server.target, "--yes")
    assert command.finish() == 0, command.errors
    return "\n".join(command.lines)


async def test_a_home_in_an_unusual_place_is_found_by_another_laptop_and_forgotten_with_it(
    server: Sshd, tmp_path: Path
) -> None:
    folder = server.home / "big-disk" / "agent"
    folder.parent.mkdir()
    async with box_of(server, tmp_path / "one") as (box, instance):
        await SshAgent(box, instance, home=str(folder)).ensure()
    async with box_of(server, tmp_path / "other") as (box, instance):
        facts, [remains] = await look(box)
        assert remains.home == str(folder)
        assert (await SshAgent(box, instance).ensure()).home == str(folder), "no second agent beside it"
        await clean(box, facts, str(folder))
        assert (await look(box))[1] == []
    assert not (server.home / ".loratui-homes").exists()
