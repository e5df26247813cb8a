"""Large files of a run on a host, over a real SSH server and a way that breaks: whole in the end, and fetched once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from loratui import settings
from loratui.domain.download_policy import BYTES_PER_MBIT, DownloadPolicy
from loratui.domain.read_ahead import CHUNK_BYTES
from loratui.domain.run import LinkState
from loratui.sessions.downloads import BULK_FROM_BYTES
from loratui.sessions.host import SessionHost
from loratui.sessions.start_run import start_run
from loratui.settings import Settings
from loratui_protocol.messages import JobState
from loratui_protocol.paths import FILES_SOCKET, socket_path
from support import following_client
from support.agent_process import AgentProcess, running_agent, wait_until
from support.delay_proxy import DelayProxy, delay_proxy
from support.known_host import known_host, remember_agent
from support.sshd import Sshd, needs_sshd, sshd
from support.stand_in_trainer import lora

pytestmark = needs_sshd

ONE_WAY_S = 0.04
LORA_BYTES = 8_000_000
SLOW_BYTES_PER_S = 2_000_000
PART_BYTES = 2 << 20
OVERHEAD_BYTES = 500_000
"""What SSH, the run's records and heartbeats take beside the file, at most."""
FAST = f"steps = 5\nstep_s = 0.001\nlora_bytes = {LORA_BYTES}"
SLOW_TO_END = f"steps = 5\nstep_s = 0.2\nlora_bytes = {LORA_BYTES}"


@dataclass
class Far:
    """An agent behind a long way, and the laptop that knows it."""

    agent: AgentProcess
    way: DelayProxy
    here: Settings
    target: str

    @contextmanager
    def client(self, **policy: float) -> Iterator[SessionHost]:
        # Anew: a client in another process may be of another version, where the code is being worked on.
        remember_agent(self.here, self.target, self.agent.home.path)
        host = SessionHost(replace(self.here, downloads=DownloadPolicy(**policy)))  # type: ignore[arg-type]
        host.start()
        try:
            yield host
        finally:
            host.close()

    def start(self, host: SessionHost, script: str = FAST) -> str:
        return start_run(host, name="n", target=self.target, config_toml=script, home=Path())

    def is_giving_out_files(self) -> bool:
        """Return whether someone is connected to the agent's socket for large files."""
        path = str(socket_path(self.agent.home.path, FILES_SOCKET))
        sockets = psutil.Process(self.agent.process.pid).net_connections("unix")
        return sum(each.laddr == path for each in sockets) > 1

    def part(self, run_id: str) -> Path:
        return self.here.run_folder(run_id) / "thing.safetensors.part"

    def wait_for_part(self, run_id: str) -> None:
        wait_until(lambda: size_of(self.part(run_id)) >= PART_BYTES, "a part of the file")
        assert self.is_giving_out_files()
        assert size_of(self.part(run_id)) < LORA_BYTES, "it came too quickly to be interrupted"

    def assert_rest_came(self, host: SessionHost, run_id: str) -> None:
        """Check that the file becomes whole, and that from now on no more travels than was missing."""
        had, before = size_of(self.part(run_id)), self.way.passed().from_target
        self.way.set(bytes_per_s=0, refuses=False)
        host.retry_now(run_id)
        wait_until(self.is_giving_out_files, "the rest to be asked for")
        self.assert_whole(host, run_id)
        assert self.way.passed().from_target - before < LORA_BYTES - had + OVERHEAD_BYTES

    def assert_whole(self, host: SessionHost, run_id: str) -> None:
        wait_until(lambda: host.view(run_id).is_settled, "the file")
        view = host.view(run_id)
        assert view.state is JobState.DONE
        assert view.download_failures == {}
        assert view.downloaded["lora"].read_bytes() == lora(LORA_BYTES)
        assert not self.part(run_id).exists()
        wait_until(lambda: self.agent.state(run_id)["acked"] == ["lora"], "the acknowledgement")


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with running_agent(tmp_path_factory.mktemp("agent") / "home") as started:
        yield started


@pytest.fixture(scope="module", params=[True, False], ids=["forwarded", "through-the-proxy"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A host that forwards to sockets, and one that does not."""
    with sshd(tmp_path_factory.mktemp("server"), streamlocal=request.param) as started:
        yield started


@pytest.fixture
def far(agent: AgentProcess, server: Sshd, tmp_path: Path) -> Iterator[Far]:
    here = settings.load({"state_dir": str(tmp_path / "state")}, {"LORATUI_CONFIG_DIR": str(tmp_path)})
    with delay_proxy(server.port, delay_s=ONE_WAY_S) as way:
        yield Far(agent, way, here, known_host(here, server, way.port, agent.home.path))


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_large_file_comes_whole_over_the_socket_for_files_and_is_acknowledged(far: Far) -> None:
    with far.client() as host:
        far.way.set(bytes_per_s=SLOW_BYTES_PER_S)
        run_id = far.start(host)
        wait_until(far.is_giving_out_files, "the file to be asked for")
        far.way.set(bytes_per_s=0)
        far.assert_whole(host, run_id)


def test_file_goes_on_where_the_connection_broke(far: Far) -> None:
    with far.client() as host:
        far.way.set(bytes_per_s=SLOW_BYTES_PER_S)
        run_id = far.start(host)
        far.wait_for_part(run_id)
        far.way.set(refuses=True)
        assert far.way.cut() > 0
        wait_until(lambda: host.view(run_id).link is LinkState.DOWN, "the break to be noticed")
        far.assert_rest_came(host, run_id)


def test_file_goes_on_where_a_killed_client_was(far: Far) -> None:
    with far.client() as host:
        run_id = far.start(host, SLOW_TO_END)
    far.way.set(bytes_per_s=SLOW_BYTES_PER_S)
    home = str(far.agent.home.path)
    argv = [sys.executable, following_client.__file__, str(far.here.state_dir), run_id, far.target, home]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as client:
        try:
            far.wait_for_part(run_id)
        finally:
            os.kill(client.pid, signal.SIGKILL)
    # What is still on its way to the dead client must not be counted as what the next one gets.
    far.way.cut()
    wait_until(lambda: not far.is_giving_out_files(), "its connection to end")
    with far.client() as host:
        host.follow(run_id)
        far.assert_rest_came(host, run_id)


def test_capped_file_takes_its_time_and_commands_do_not_wait_for_it(far: Far) -> None:
    cap_mbit_s, size = 6.0, BULK_FROM_BYTES
    script = f"steps = 2000\nstep_s = 0.01\ncheckpoint_every = 1000\npublish_at = 1\nlora_bytes = {size}"
    with far.client(max_mbit_s=cap_mbit_s) as host:
        began_s = time.monotonic()
        run_id = far.start(host, script)
        wait_until(far.is_giving_out_files, "the file to be asked for")
        assert host.send(run_id, "pause").result(20).ok
        assert host.send(run_id, "resume").result(20).ok
        assert "lora" not in host.view(run_id).downloaded, "the answers came after the file"
        wait_until(lambda: "lora" in host.view(run_id).downloaded, "the file")
        # The last piece is asked for once the time of those before it is over.
        assert time.monotonic() - began_s >= (size - CHUNK_BYTES) / (cap_mbit_s * BYTES_PER_MBIT)
        assert host.view(run_id).downloaded["lora"].read_bytes() == lora(size)
        assert host.send(run_id, "stop").result(20).ok
