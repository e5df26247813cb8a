"""A rented machine that ends itself: real reapers and agents with the machine's own key, providers on loopback."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from loratui_agent.arm import arm as arm_here
from loratui_agent.process import is_locked, try_lock
from loratui_agent.rental import FACTS, WATCH
from loratui_protocol import messages
from loratui_protocol.paths import AgentHome
from support.agent_process import AgentProcess, client_of, running_agent, wait_until
from support.reaper_process import running_reaper
from support.rented import Arming, Rented, arm, change, rented_at
from support.set_clock import SetClock

LONG = "steps = 20000\nstep_s = 0.01\ncheckpoint_every = 10"
SHORT = "steps = 3"
SOON = ("--pause-s", "0.05", "--round-s", "0.1")
DAY_S = 86_400.0


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_ALLOW_LOOPBACK", "1")


@pytest.fixture(params=["vast", "runpod"])
def anywhere(request: pytest.FixtureRequest) -> Iterator[Rented]:
    with rented_at(request.param) as machine:
        yield machine


@pytest.fixture
def machine() -> Iterator[Rented]:
    with rented_at("vast") as machine:
        yield machine


@contextmanager
def armed(home: Path, machine: Rented, *options: str, **fields: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Have a reaper watch over the machine, and no agent."""
    (home / "run").mkdir(parents=True, exist_ok=True)
    arming = Arming(home, machine.asked(**fields))
    wait_until((home / "run" / FACTS).exists, "the facts")
    with running_reaper(home, *SOON, *options) as reaper:
        answer = arming.answer()
        assert (answer["armed"], answer["verified"], answer["why"]) == ("end", True, "")
        yield reaper


@contextmanager
def armed_agent(home: Path, machine: Rented, **fields: Any) -> Iterator[AgentProcess]:
    with running_agent(home, client_ends_s=1.0) as agent, running_reaper(home, *SOON):
        assert arm(home, machine.asked(**fields))["armed"] == "end"
        yield agent


@contextmanager
def agent_with_reaper(home: Path) -> Iterator[AgentProcess]:
    """Have an agent and the reaper that it starts, which starts it again."""
    with running_agent(home, reaper=True, client_ends_s=1.0) as agent:
        wait_until(lambda: is_locked(agent.home.reaper_lock), "the reaper")
        try:
            yield agent
        finally:
            end_all(home)


def processes_of(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(home) in process.cmdline():
                found.append(process)
    return found


def end_all(home: Path) -> None:
    """End agent and reaper, which goes on for as long as its machine runs."""
    (home / "run" / "agent.json").unlink(missing_ok=True)
    for process in processes_of(home):
        with contextlib.suppress(psutil.Error):
            process.kill()
            process.wait()


def wait_rounds(home: Path, num_rounds: int = 2) -> None:
    """Wait for the reaper to begin so many rounds: by then it has done one less."""
    beat = home / "run" / "reaper.beat"
    for _ in range(num_rounds):
        before_ns = beat.stat().st_mtime_ns
        wait_until(lambda: beat.stat().st_mtime_ns != before_ns, "a round of the reaper")  # noqa: B023


def log_of(home: Path) -> str:
    log = home / "run" / "reaper.log"
    return log.read_text() if log.exists() else ""


async def until(condition: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what)


def deeds(events: list[messages.Event]) -> list[tuple[str, str, bool]]:
    return [(each.action, each.reason, each.ok) for each in events if isinstance(each, messages.Deadman)]


def test_machine_that_nobody_comes_back_to_ends_at_its_deadline(tmp_path, anywhere):
    with armed(tmp_path, anywhere, deadline_s=1.0) as reaper:
        assert not anywhere.is_gone
        wait_until(lambda: anywhere.is_gone, "its end")
        # Its own end is the machine's to show: until then it goes on asking.
        wait_until(lambda: "HTTP 404" in log_of(tmp_path), "another try")
        assert reaper.poll() is None
        assert "ends: deadline" in log_of(tmp_path)


FAULTS = {
    "500": lambda fake, name: fake.answer("end", 500, b"oops", times=6),
    "429": lambda fake, name: fake.answer("end", 429, b"API requests too frequent", times=6),
    "garbage": lambda fake, name: fake.answer("end", 200, b"<html>\xff", times=6),
    "broken connections": lambda fake, name: [fake.lose_answers("end", carried_out=False) for _ in range(3)],
    "agreed to for nothing": lambda fake, name: fake.cling(name, 3),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_provider_that_fails_is_asked_until_it_does_it(tmp_path, anywhere, fault):
    if anywhere.provider == "runpod":
        # Else GraphQL would do it at once.
        anywhere.fake.answer("account", 502, b"", times=2)
    FAULTS[fault](anywhere.fake, anywhere.instance_id)
    with armed(tmp_path, anywhere, deadline_s=0.5):
        wait_until(lambda: anywhere.is_gone, "its end")
        assert anywhere.fake.num_requests("end") > 1


def test_provider_that_never_answers_holds_up_nothing_else(tmp_path, machine):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        (tmp_path / "run").mkdir()
        arming = Arming(tmp_path, machine.asked(url=url, deadline_s=0.5))
        wait_until((tmp_path / "run" / FACTS).exists, "the facts")
        with running_reaper(tmp_path, *SOON):
            wait_until(lambda: "ends: deadline" in log_of(tmp_path), "the first try")
            wait_rounds(tmp_path, 3)
            # A client that comes back is heard.
            arm(tmp_path, machine.asked(deadline_s=0.5))
            wait_until(lambda: machine.is_gone, "its end")
        arming.process.kill()
        arming.process.communicate()


def test_restart_of_all_that_runs_moves_no_deadline(tmp_path, machine):
    with armed(tmp_path, machine, deadline_s=3600.0):
        pass
    change(tmp_path / "run" / FACTS, lambda facts: facts["armed"].update(boot_s=facts["armed"]["boot_s"] - 3600))
    assert not machine.is_gone
    with running_reaper(tmp_path):
        wait_until(lambda: machine.is_gone, "its end")


def test_start_script_of_the_machine_has_the_reaper_watch_again(tmp_path, machine):
    home = tmp_path / "it's home"
    script = tmp_path / "start" / "deadline"
    script.parent.mkdir()
    script.write_text("1\n")
    with armed(home, machine, deadline_s=3600.0):
        answer = arm_here(AgentHome(home), json.dumps(machine.asked(deadline_s=2.0)), start_script_deadline=script)
        assert (answer["armed"], answer["why"]) == ("end", "")
    assert not is_locked(home / "run" / "reaper.lock")
    subprocess.run(["sh", script.with_name("again")], check=True)
    wait_until(lambda: machine.is_gone, "its end")
    end_all(home)


def test_restart_of_the_machine_with_its_clock_set_back_moves_no_deadline(tmp_path, machine):
    with armed(tmp_path, machine, deadline_s=3600.0):
        pass

    def of_another_boot(facts: dict[str, Any]) -> None:
        facts.update(elapsed_s=3599.0)
        for name in ("counted", "seen"):
            facts[name].update(boot="another", wall_ts=facts[name]["wall_ts"] + DAY_S)

    change(tmp_path / "run" / WATCH, of_another_boot)
    change(tmp_path / "run" / FACTS, lambda facts: facts["armed"].update(boot="another"))
    with running_reaper(tmp_path):
        wait_until(lambda: machine.is_gone, "its end")


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S], ids=["ahead", "back"])
def test_clock_that_is_set_neither_ends_a_rental_nor_keeps_it(tmp_path, machine, monkeypatch, jump_s):
    clock = SetClock(tmp_path / "clock")
    for name, text in clock.environment.items():
        monkeypatch.setenv(name, text)
    with armed(tmp_path, machine, deadline_s=3.0, lease_s=3600.0, setup_s=3600.0):
        clock.set(jump_s)
        wait_rounds(tmp_path)
        assert not machine.is_gone
        wait_until(lambda: machine.is_gone, "its end")


def test_damaged_facts_disarm_nothing(tmp_path, machine):
    with armed(tmp_path, machine, deadline_s=5.0):
        (tmp_path / "run" / FACTS).write_text("{")
        (tmp_path / "run" / WATCH).write_text("{")
        wait_until(lambda: machine.is_gone, "its end")


def test_deadline_moves_with_every_arming(tmp_path, machine):
    with armed(tmp_path, machine, deadline_s=4.0):
        answer = arm(tmp_path, machine.asked(deadline_s=3600.0, key="", instance_id=""))
        assert (answer["armed"], answer["instance_id"]) == ("end", machine.instance_id)
        assert 3590 < answer["deadline_left_s"] <= 3600
        wait_rounds(tmp_path, 4)
        assert not machine.is_gone
        arm(tmp_path, machine.asked(deadline_s=0.5))
        wait_until(lambda: machine.is_gone, "its end")


def test_machine_on_which_no_run_was_ever_started_ends(tmp_path, machine):
    with armed(tmp_path, machine, setup_s=1.0):
        wait_until(lambda: machine.is_gone, "its end")
        assert "ends: setup" in log_of(tmp_path)


def test_upload_keeps_the_lease_and_its_end_does_not(tmp_path, machine):
    (tmp_path / "blobs").mkdir()
    lock = try_lock(tmp_path / "blobs" / "receive.lock")
    with armed(tmp_path, machine, lease_s=1.0, setup_s=1.0):
        wait_rounds(tmp_path, 3)
        assert not machine.is_gone
        os.close(lock)
        wait_until(lambda: machine.is_gone, "its end")


def test_key_that_may_not_read_is_armed_and_said_not_to_be_verified(tmp_path, machine):
    with armed(tmp_path, machine):
        machine.fake.answer("get", 403, b'{"detail": "Pod-scoped"}')
        answer = arm(tmp_path, machine.asked())
        assert (answer["armed"], answer["verified"]) == ("end", False)
        assert "HTTP 403" in answer["why"]
        answer = arm(tmp_path, machine.asked(instance_id="777", key=""))
        assert (answer["armed"], answer["verified"]) == ("stop", False)
        assert "no key" in answer["why"]


async def test_training_saves_before_the_deadline_and_ends_with_the_rental(tmp_path, machine):
    with armed_agent(tmp_path, machine) as agent:
        async with client_of(agent) as client:
            job = await client.start(LONG)
            await client.until_step(job, 12)
            await asyncio.to_thread(arm, tmp_path, machine.asked(deadline_s=5.0, lease_s=1.0))
            await client.until_state(job, "stopped")
            assert not machine.is_gone
            await client.receive_until(lambda: len(deeds(client.events(job))) == 2)
            assert agent.state(job)["reason"] == "deadline"
            assert deeds(client.events(job)) == [("stop", "deadline", True), ("end", "deadline", True)]
            await until(lambda: machine.is_gone, "its end")
    assert (tmp_path / "jobs" / job / "artifacts" / "lora").exists()


async def test_training_that_does_not_end_keeps_no_rental_beyond_its_deadline(tmp_path, machine):
    with armed_agent(tmp_path, machine) as agent:
        async with client_of(agent) as client:
            job = await client.start(f"{LONG}\nignore_stop = true")
            await client.until_step(job, 5)
            await asyncio.to_thread(arm, tmp_path, machine.asked(deadline_s=2.0))
        await until(lambda: machine.is_gone, "its end")
        assert agent.state(job)["trainer"]


async def test_neither_training_nor_files_that_nobody_has_end_for_want_of_a_client(tmp_path, machine):
    with armed_agent(tmp_path, machine) as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 600\nstep_s = 0.01")
            await client.until_step(job, 5)
            await asyncio.to_thread(arm, tmp_path, machine.asked(lease_s=1.0))
        await asyncio.to_thread(wait_rounds, tmp_path, 2)
        assert not machine.is_gone
        await until(lambda: agent.state(job)["state"] == "done", "the run's end")
        await asyncio.to_thread(wait_rounds, tmp_path, 3)
        assert not machine.is_gone
        async with client_of(agent) as client:
            await client.follow(job)
            await client.until_state(job, "done")
            await client.command(messages.AckArtifacts, job, artifact_ids=["lora"])
            await client.receive_until(lambda: agent.state(job)["acked"])
        await until(lambda: machine.is_gone, "its end")
        assert "ends: lease" in log_of(tmp_path)


async def test_client_that_is_there_keeps_the_lease(tmp_path, machine):
    with armed_agent(tmp_path, machine, lease_s=5.0) as agent:
        async with client_of(agent):
            await asyncio.to_thread(wait_rounds, tmp_path, 5)
            assert not machine.is_gone
        await until(lambda: machine.is_gone, "its end")


async def test_lease_goes_on_without_any_agent(tmp_path, machine):
    with armed_agent(tmp_path, machine, lease_s=4.0) as agent:
        # It ends by itself; its reaper stays.
        agent.process.terminate()
        await until(lambda: agent.process.poll() == 0, "the agent's end")
        await until(lambda: machine.is_gone, "its end")
        assert is_locked(agent.home.reaper_lock)


async def test_rental_ends_after_the_last_run_once_its_files_are_fetched(tmp_path, machine):
    with armed_agent(tmp_path, machine) as agent:
        async with client_of(agent) as client:
            first = await client.start(SHORT, on_done="end")
            second = await client.start(SHORT, on_done="end")
            for job in (first, second):
                await client.until_state(job, "done")
            await client.command(messages.AckArtifacts, first, artifact_ids=["lora"])
            await client.receive_until(lambda: agent.state(first)["acked"])
            await asyncio.to_thread(wait_rounds, tmp_path, 2)
            assert not machine.is_gone, "the second run's files are nowhere else"
            await client.command(messages.AckArtifacts, second, artifact_ids=["lora"])
            await client.receive_until(lambda: agent.state(second)["acked"])
            assert not machine.is_gone, "the client that is there has a moment to end it itself"
            await client.receive_until(lambda: deeds([*client.events(first), *client.events(second)]))
            assert ("end", "done", True) in deeds([*client.events(first), *client.events(second)])
            await until(lambda: machine.is_gone, "its end")
            assert "ends: done" in log_of(tmp_path)


async def test_the_next_run_may_be_prepared_for_as_long_as_it_takes_after_one_that_asks_for_no_end(tmp_path, machine):
    with armed_agent(tmp_path, machine) as agent:
        async with client_of(agent) as client:
            first = await client.start(SHORT)
            await client.until_state(first, "done")
            await client.command(messages.AckArtifacts, first, artifact_ids=["lora"])
            await client.receive_until(lambda: agent.state(first)["acked"])
            # Longer than the second that a client has to end a rental itself.
            await asyncio.to_thread(wait_rounds, tmp_path, 15)
            assert not machine.is_gone
            inputs = agent.home.job(first) / "inputs"
            inputs.mkdir(exist_ok=True)
            second = await client.start(SHORT, on_done="end")
            await client.until_state(second, "done")
            await client.command(messages.AckArtifacts, second, artifact_ids=["lora"])
            await client.receive_until(lambda: deeds(client.events(second)))
        await until(lambda: machine.is_gone, "its end")
        assert not inputs.exists(), "what the earlier run was sent goes, too"


async def test_end_that_was_asked_for_comes_though_the_agent_is_killed_and_the_provider_fails(tmp_path, machine):
    machine.fake.answer("end", 500, b"", times=1)
    with agent_with_reaper(tmp_path) as agent:
        arm(tmp_path, machine.asked())
        async with client_of(agent) as client:
            job = await client.start(SHORT, on_done="end")
            await client.until_state(job, "done")
            await client.command(messages.AckArtifacts, job, artifact_ids=["lora"])
            await client.receive_until(lambda: agent.state(job)["afterwards"] == "begun")
        agent.kill()
        await until(lambda: machine.is_gone, "its end")
        await until(agent.socket_answers, "the next agent")
        async with client_of(agent) as client:
            await client.follow(job)
            await client.receive_until(lambda: len(deeds(client.events(job))) > 1)
            assert deeds(client.events(job)) == [("end", "done", True), ("end", "done", False)]


async def test_run_that_is_to_end_a_rental_is_refused_where_none_is_armed(tmp_path):
    with running_agent(tmp_path) as agent:
        async with client_of(agent) as client:
            job = await client.start(SHORT, on_done="end")
            await client.receive_until(lambda: len(client.answers) == 2)
            assert client.answers[0].code == "job.no_rental"
            assert not agent.home.job(job).exists()


async def test_key_is_nowhere_but_in_its_file_and_goes_with_the_home(tmp_path, machine):
    home = tmp_path / ".loratui"
    with armed_agent(home, machine) as agent:
        async with client_of(agent) as client:
            job = await client.start(SHORT, on_done="end")
            await client.until_state(job, "done")
        machine.fake.answer("end", 401, f"key {machine.key} is wrong".encode())
        arm(home, machine.asked(deadline_s=0.2))
        await until(lambda: "is wrong" in log_of(home), "the first try")
        status = call("status", home)
        assert json.loads(status)["rental"]["armed"] == "end"
        places = [path for path in home.rglob("*") if path.is_file() and path.name != FACTS]
        assert not [path for path in places if machine.key.encode() in path.read_bytes()]
        assert machine.key not in status
        running = processes_of(home)
        assert len(running) == 2
        for process in running:
            assert machine.key not in " ".join([*process.cmdline(), *process.environ().values()])
        call("purge", home, "--remove")
        assert not home.exists()
        assert not is_locked(agent.home.reaper_lock)


def call(command: str, home: Path, *words: str) -> str:
    argv = [sys.executable, "-m", "loratui_agent.cli", command, "--home", str(home), *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
