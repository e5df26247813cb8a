"""The commands of ``loratui-agent`` as a user calls them."""

import json
import os
import subprocess
import sys

import pytest
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from loratui_agent import __version__
from loratui_agent.process import is_locked
from loratui_agent.secrets import forget_secrets, read_secret
from loratui_protocol.framing import FrameFinder
from loratui_protocol.paths import AgentHome
from support.agent_process import client_of, running_agent, wait_until

CLI = [sys.executable, "-m", "loratui_agent.cli"]
SUPERVISOR_MODULES = (
    "cli",
    "headless",
    "journal",
    "model_path",
    "proxy",
    "reaper",
    "server",
    "status",
    "supervisor",
    "telemetry",
)


def call(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLI, *arguments], capture_output=True, text=True, check=False, timeout=30, **options)


def test_the_supervisor_imports_nothing_that_a_full_memory_would_take_down():
    code = "import sys\n" + "".join(f"import loratui_agent.{name}\n" for name in SUPERVISOR_MODULES)
    code += "heavy = {'torch', 'diffusers', 'transformers', 'numpy', 'textual', 'loratui', 'PIL'}\n"
    code += "print(sorted(heavy & {name.split('.')[0] for name in sys.modules}),"
    code += "sorted({'loratui_agent.train', 'loratui_agent.demo'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[] []"


def test_the_reaper_needs_the_standard_library_alone():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import loratui_agent.reaper; print('websockets' in sys.modules)"
    )
    agent_root = str(__import__("loratui_agent").__path__[0]).removesuffix("/loratui_agent")
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, agent_root], capture_output=True, text=True, check=False
    )
    assert (ended.stdout.strip(), ended.stderr) == ("False", "")


async def test_an_agent_that_serves_stays_small(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 500\nstep_s = 0.001")
            await client.until_state(job, "done")
            assert agent.resident_kib() < 60 << 10


def test_model_path_names_the_folder_of_the_built_in_model():
    ended = call("model-path", "builtin:tiny")
    assert ended.returncode == 0
    assert ended.stdout.strip().endswith("loratui_agent/demo/tiny")


def test_an_unknown_built_in_model_is_an_error_with_its_code():
    ended = call("model-path", "builtin:huge")
    assert ended.returncode == 3
    assert "[model.unknown]" in ended.stderr
    assert ended.stdout == ""


def test_a_reader_that_goes_away_gets_no_traceback():
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([*CLI, "status"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [[], ["fly"], ["serve", "--idle-exit-s", "-1"], ["run"]])
def test_a_wrong_command_line_is_exit_2(arguments):
    assert call(*arguments).returncode == 2


async def test_status_tells_a_living_agent_from_a_dead_one(tmp_path):
    home = tmp_path / "home"
    nothing = json.loads(call("status", "--home", str(home)).stdout)
    assert (nothing["running"], nothing["pid"], nothing["jobs"]) == (False, None, [])
    with running_agent(home) as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 2")
            await client.until_state(job, "done")
        alive = json.loads(call("status", "--home", str(home)).stdout)
        assert (alive["running"], alive["pid"], alive["version"]) == (True, agent.process.pid, __version__)
        assert [(each["job"], each["name"], each["state"]) for each in alive["jobs"]] == [(job, "thing", "done")]
        agent.kill()
        dead = json.loads(call("status", "--home", str(home)).stdout)
        assert (dead["running"], dead["pid"]) == (False, None)


def test_the_proxy_carries_a_websocket_over_standard_input_and_output(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        argv = [*CLI, "proxy", "--home", str(agent.home.path)]
        proxy = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        protocol = ClientProtocol(parse_uri("ws://agent/"), subprotocols=["loratui.v1"])
        request = protocol.connect()
        request.headers["Authorization"] = f"Bearer {agent.home.token.read_text()}"
        protocol.send_request(request)
        proxy.stdin.write(b"".join(protocol.data_to_send()))
        proxy.stdin.flush()
        assert proxy.stdout.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
        proxy.stdin.close()
        assert proxy.wait(timeout=10) == 0
        proxy.stdout.close()


def test_a_proxy_to_nobody_is_an_error(tmp_path):
    ended = call("proxy", "--home", str(tmp_path))
    assert ended.returncode == 4
    assert "[agent.unreachable]" in ended.stderr


def test_serve_as_a_user_starts_it_and_a_second_one_is_refused(tmp_path):
    home = tmp_path / "home"
    first = subprocess.Popen([*CLI, "serve", "--home", str(home), "--idle-exit-s", "5"], stderr=subprocess.PIPE)
    first.stderr.close()
    try:
        wait_until(lambda: is_locked(home / "run" / "lock"), "the first agent")
        second = call("serve", "--home", str(home))
        assert second.returncode == 4
        assert "[agent.already_running]" in second.stderr
        assert first.wait(timeout=20) == 0
    finally:
        # Without agent.json its reaper doesn't start it again.
        (home / "run" / "agent.json").unlink(missing_ok=True)
        first.kill()
        first.wait()


def test_a_home_that_cannot_be_made_is_an_error_not_a_traceback(tmp_path):
    (tmp_path / "file").write_text("")
    ended = call("serve", "--home", str(tmp_path / "file" / "home"))
    assert ended.returncode == 1
    assert "[agent.home]" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_token_is_taken_on_standard_input_and_appears_nowhere_in_the_answer(tmp_path):
    argv = [sys.executable, "-m", "loratui_agent.cli", "secret", "--home", str(tmp_path), "--nonce", "f" * 16]
    home = AgentHome(tmp_path)
    try:
        for host, text, kept in (
            ("hub.example", "canary\n", True),
            ("../evil", "x", False),
            ("hub.example", "", False),
        ):
            done = subprocess.run([*argv, "--host", host], input=text, capture_output=True, text=True, check=False)
            (frame,) = FrameFinder("f" * 16).feed(done.stdout.encode())
            assert ("kept" in frame) is kept
            assert done.returncode == (0 if kept else 2)
            assert "canary" not in done.stdout + done.stderr
        assert read_secret(home, "hub.example") == "canary"
    finally:
        forget_secrets(home)
