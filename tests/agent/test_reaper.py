"""The reaper with real agents and trainers: hung, killed, and not to be started again."""

import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loratui_agent.deeds import DEEDS
from loratui_agent.process import identify, is_alive, is_locked, signal_group
from loratui_agent.reaper import Reaper
from loratui_protocol import messages
from support.agent_process import SCRIPT, AgentProcess, client_of, running_agent, wait_until
from support.reaper_process import fake_power_switch, running_reaper

LONG = "steps = 20000\nstep_s = 0.01\ncheckpoint_every = 10"


async def trained_without_agent(agent: AgentProcess, script: str = LONG, **fields: object) -> str:
    """Start a run, then kill its agent, which can't be started again."""
    async with client_of(agent) as client:
        job = await client.start(script, **fields)
        await client.until_step(job, 12)
    agent.kill()
    return job


def use_up_time(agent: AgentProcess, job: str, seconds: float) -> None:
    path = agent.home.job(job) / "state.json"
    facts = json.loads(path.read_text())
    facts["meter"]["elapsed_s"] += seconds
    path.write_text(json.dumps(facts))


async def until(condition, what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what)


async def test_overdue_trainer_of_a_dead_agent_saves_and_the_next_agent_tells_why(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        job = await trained_without_agent(agent, max_runtime_s=3600)
        trainer = agent.trainer(job)
        with running_reaper(agent.home.path):
            await until(lambda: is_locked(agent.home.reaper_lock), "the reaper")
            use_up_time(agent, job, 3600)
            await until((agent.home.job(job) / "exit.json").exists, "the trainer to save")
            assert is_alive(trainer), "it waits for an agent to tell its last events to"
        assert "deadline" not in agent.home.log.read_text()
        assert "told to save" in agent.home.reaper_log.read_text()
        agent.restart()
        async with client_of(agent) as client:
            await client.follow(job)
            await client.until_state(job, "stopped")
            assert agent.state(job)["reason"] == "deadline"
            deeds = [event for event in client.events(job) if isinstance(event, messages.Deadman)]
            assert [(deed.action, deed.reason, deed.ok) for deed in deeds] == [("stop", "deadline", True)]
        agent.kill()
        agent.restart()
        async with client_of(agent) as client:
            await client.follow(job)
            await client.until_state(job, "stopped")
            assert sum(isinstance(event, messages.Deadman) for event in client.events(job)) == 1


async def test_trainer_that_does_not_stop_for_the_reaper_is_killed_after_its_grace(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        job = await trained_without_agent(agent, f"{LONG}\nignore_stop = true", max_runtime_s=3600)
        trainer = agent.trainer(job)
        use_up_time(agent, job, 3600)
        with running_reaper(agent.home.path, "--grace-s", "0.5"):
            await until(lambda: not is_alive(trainer), "the trainer's death")
        assert "did not stop in time" in agent.home.reaper_log.read_text()


async def test_agent_that_hangs_is_killed_and_replaced_and_its_trainer_goes_on(tmp_path):
    with running_agent(tmp_path / "home", reaper=False) as agent:
        async with client_of(agent) as client:
            job = await client.start(LONG)
            await client.until_step(job, 5)
        trainer = agent.trainer(job)
        status = json.loads(agent.home.status.read_text())
        agent.home.status.write_text(
            json.dumps({**status, "argv": [sys.executable, SCRIPT, str(agent.home.path), "{}"]})
        )
        os.kill(agent.process.pid, signal.SIGSTOP)
        assert is_locked(agent.home.lock)
        with running_reaper(agent.home.path, "--hung-after-s", "1"):
            await until(lambda: agent.process.poll() == -signal.SIGKILL, "the hung agent's death")
            await until(agent.socket_answers, "a new agent")
            assert is_alive(trainer)
            async with client_of(agent) as client:
                await client.follow(job)
                await client.until_step(job, 30)
                assert client.states(job) == ["queued", "preparing", "running"]
            os.kill(json.loads(agent.home.status.read_text())["pid"], signal.SIGKILL)


async def test_damaged_job_costs_no_other_its_end(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        job = await trained_without_agent(agent, max_runtime_s=3600)
        for number, text in enumerate(("{", '{"meter": {"elapsed_s": "x", "limit_s": 1}, "trainer": null}', "[]")):
            damaged = agent.home.jobs / f"0{number}"
            damaged.mkdir()
            (damaged / "state.json").write_text(text)
        use_up_time(agent, job, 3600)
        with running_reaper(agent.home.path):
            await until((agent.home.job(job) / "exit.json").exists, "the trainer to save")


@pytest.mark.parametrize("refuses", [False, True], ids=["may", "may not"])
async def test_reaper_powers_off_once_where_the_user_allowed_it_and_nobody_came(tmp_path, monkeypatch, refuses):
    with running_agent(tmp_path / "home") as agent:
        job = await trained_without_agent(agent, max_runtime_s=3600, on_done="poweroff", keep_s=1.0)
        agent.home.status.write_text("{}")
        use_up_time(agent, job, 3600)
        told = fake_power_switch(tmp_path / "bin", monkeypatch, refuses=refuses)
        with running_reaper(agent.home.path):
            await until((agent.home.job(job) / "exit.json").exists, "the trainer to save")
            assert not told.exists()
            os.kill(agent.trainer(job).pid, signal.SIGKILL)
            said = "stays on" if refuses else "poweroff: nobody came"
            await until(lambda: told.exists() and said in agent.home.reaper_log.read_text(), "the power switch")
        with running_reaper(agent.home.path) as reaper, pytest.raises(subprocess.TimeoutExpired):
            await asyncio.to_thread(reaper.wait, 3)
        lines = told.read_text().splitlines()
        assert lines[0].startswith("poweroff")
        assert len(lines) == len(set(lines)), "asked twice"
        agent.restart()
        async with client_of(agent) as client:
            await client.follow(job)
            await client.receive_until(lambda: any(isinstance(e, messages.Deadman) for e in client.events(job)))
            deeds = [event for event in client.events(job) if isinstance(event, messages.Deadman)]
            assert [deed.action for deed in deeds] == ["stop", "poweroff"] + ["poweroff"] * refuses
            assert (deeds[-1].reason, deeds[-1].ok) == ("lease", not refuses)
            assert "no permission" in deeds[-1].detail or not refuses


async def test_reaper_powers_off_where_a_run_was_never_begun_and_no_agent_can_begin_it(tmp_path, monkeypatch):
    told = fake_power_switch(tmp_path / "bin", monkeypatch)
    with running_agent(tmp_path / "home") as agent:
        job = await trained_without_agent(agent, on_done="poweroff", keep_s=1.0)
        other = await asyncio.to_thread(trainer_of_nobody, agent, job)
        agent.home.status.write_text("{}")
        with running_reaper(agent.home.path) as reaper:
            with pytest.raises(subprocess.TimeoutExpired):
                await asyncio.to_thread(reaper.wait, 5)
            assert not told.exists(), "another run trains on this machine"
            os.kill(other, signal.SIGKILL)
            await until(told.exists, "the power switch")


def trainer_of_nobody(agent: AgentProcess, job: str) -> int:
    """Make of a training job one that waits in preparation, and of its trainer that of a second job; return its pid."""
    path = agent.home.job(job) / "state.json"
    facts = json.loads(path.read_text())
    second = agent.home.jobs / "second"
    second.mkdir()
    (second / "state.json").write_text(json.dumps({**facts, "job": "second", "on_done": ""}))
    path.write_text(json.dumps({**facts, "state": "preparing", "trainer": None}))
    return int(facts["trainer"]["pid"])


async def test_reaper_leaves_the_machine_on_where_nobody_allowed_it(tmp_path, monkeypatch):
    with running_agent(tmp_path / "home") as agent:
        job = await trained_without_agent(agent, max_runtime_s=3600, on_done="stop", keep_s=0.0)
        told = fake_power_switch(tmp_path / "bin", monkeypatch)
        os.kill(agent.trainer(job).pid, signal.SIGKILL)
        agent.home.status.unlink()
        with running_reaper(agent.home.path) as reaper:
            assert await asyncio.to_thread(reaper.wait, 10) == 0
        assert not told.exists()


async def test_reaper_starts_the_agent_before_it_thinks_of_the_power_switch(tmp_path, monkeypatch):
    told = fake_power_switch(tmp_path / "bin", monkeypatch)
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 3", on_done="poweroff", keep_s=3600.0)
            await client.until_state(job, "done")
        agent.kill()
        # Its time ran out while nobody was there.
        change_state(agent, job, keep_s=0.0)
        status = json.loads(agent.home.status.read_text())
        agent.home.status.write_text(
            json.dumps({**status, "argv": [sys.executable, SCRIPT, str(agent.home.path), "{}"]})
        )
        with running_reaper(agent.home.path):
            await until(told.exists, "the power switch")
            await until(lambda: agent.state(job)["power_tries"], "that to be known")
            assert not (agent.home.job(job) / DEEDS).exists(), "the agent did it"
            assert told.read_text() == "poweroff \n"
        os.kill(json.loads(agent.home.status.read_text())["pid"], signal.SIGKILL)


async def test_reaper_stays_for_the_power_switch_when_the_agent_has_ended(tmp_path, monkeypatch):
    told = fake_power_switch(tmp_path / "bin", monkeypatch)
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 3", on_done="poweroff", keep_s=6.0)
            await client.until_state(job, "done")
        agent.process.terminate()
        await until(lambda: agent.process.poll() == 0, "the agent's end")
        with running_reaper(agent.home.path) as reaper:
            await until(told.exists, "the power switch")
            assert reaper.poll() is None


async def test_files_of_another_run_keep_the_reaper_from_the_power_switch_for_their_time(tmp_path, monkeypatch):
    told = fake_power_switch(tmp_path / "bin", monkeypatch)
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            jobs = [await client.start("steps = 3", on_done=on_done) for on_done in ("poweroff", "")]
            for job in jobs:
                await client.until_state(job, "done")
        agent.kill()
        agent.home.status.write_text("{}")
        change_state(agent, jobs[0], keep_s=0.0)
        reaper = Reaper(agent.home.path)
        reaper.round()
        assert not told.exists()
        change_state(agent, jobs[1], acked=["lora"])
        reaper.round()
        assert told.exists()


def change_state(agent: AgentProcess, job: str, **changes: object) -> None:
    path = agent.home.job(job) / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


async def test_time_of_a_run_counts_from_the_end_of_its_last_trainer(tmp_path, monkeypatch):
    told = fake_power_switch(tmp_path / "bin", monkeypatch)
    keep_s = 1.0
    with running_agent(tmp_path / "home") as agent:
        job = await trained_without_agent(agent, on_done="poweroff", keep_s=keep_s)
        agent.home.status.write_text("{}")
        signal_group(agent.trainer(job), signal.SIGKILL)
        reaper = Reaper(agent.home.path)
        await until(lambda: not is_alive(agent.trainer(job)), "the first trainer's end")
        reaper.round()
        first_s = time.monotonic()
        trainer = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
        change_state(agent, job, trainer=dataclasses.asdict(identify(trainer.pid)))
        await until(lambda: time.monotonic() > first_s + keep_s, "the time of the first one to be over")
        reaper.round()
        trainer.kill()
        await trainer.wait()
        reaper.round()
        assert not told.exists()
        ended_s = time.monotonic()
        await until(lambda: reaper.round() and told.exists(), "the power switch")
        assert time.monotonic() - ended_s > keep_s / 2


def test_reaper_that_hangs_is_replaced(tmp_path, monkeypatch):
    with running_agent(tmp_path / "home", reaper=True, reaper_check_s=1.0) as agent:
        facts = agent.home.run / "reaper.json"
        wait_until(facts.exists, "the reaper")
        first = json.loads(facts.read_text())["pid"]
        os.kill(first, signal.SIGSTOP)
        wait_until(lambda: json.loads(facts.read_text() or "{}").get("pid") not in (first, None), "another reaper")


def test_module_needs_nothing_but_the_standard_library(tmp_path: Path):
    code = (
        "import sys; import loratui_agent.reaper; "
        "print([n for n in sys.modules if n.split('.')[0] in "
        "('msgpack', 'cattrs', 'attrs', 'websockets', 'psutil', 'torch', 'loratui_protocol', 'asyncio')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
