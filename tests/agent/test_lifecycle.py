"""Kills of agent and trainer, with real processes."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from loratui_agent.process import is_alive, is_locked, signal_group
from loratui_protocol import messages
from loratui_protocol.ids import new_id
from loratui_protocol.messages import JobState
from support.agent_process import SCRIPT, AgentProcess, Client, client_of, running_agent, wait_until


def steps_of(client: Client, job: str) -> list[int]:
    return [event.step for event in client.events(job) if isinstance(event, messages.Step)]


def test_of_twelve_agents_started_at_once_exactly_one_serves(tmp_path):
    home = tmp_path / "home"
    agents = [AgentProcess(home) for _ in range(12)]
    try:
        wait_until(lambda: sum(agent.process.poll() is None for agent in agents) == 1, "eleven to give up")
        ended = [agent for agent in agents if agent.process.poll() is not None]
        assert {agent.process.returncode for agent in ended} == {4}
        assert all("[agent.already_running]" in agent.process.stderr.read() for agent in ended)
        [alive] = [agent for agent in agents if agent.process.poll() is None]
        alive.wait_ready()
    finally:
        for agent in agents:
            agent.end()


def test_a_socket_that_another_program_holds_is_an_error_of_its_own(tmp_path):
    home = tmp_path / "home"
    (home / "run").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(home / "run" / "agent.sock"))
        other.listen()
        ended = subprocess.run([sys.executable, SCRIPT, str(home)], capture_output=True, text=True, check=False)
        assert ended.returncode == 4
        assert "[agent.socket_held]" in ended.stderr
        assert (home / "run" / "agent.sock").exists()


async def test_an_agent_killed_takes_its_living_trainer_up_again_and_no_event_is_lost_or_doubled(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 200\nstep_s = 0.01")
            await client.until_step(job, 20)
        trainer = agent.trainer(job)
        for _ in range(3):
            agent.kill()
            assert is_alive(trainer)
            agent.restart()
        async with client_of(agent) as client:
            await client.follow(job)
            await client.until_state(job, "done")
            assert agent.state(job)["attempt"] == 1
            assert steps_of(client, job) == list(range(1, 201))
            assert client.states(job) == ["queued", "preparing", "running", "finishing", "done"]
            origins = [record.origin for record in client.records[job] if record.origin]
            assert origins == sorted(set(origins))


async def test_a_trainer_that_ended_while_no_agent_was_there_is_found_done(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 60\nstep_s = 0.01")
            await client.until_step(job, 5)
        trainer = agent.trainer(job)
        agent.kill()
        wait_until(lambda: (agent.home.job(job) / "exit.json").exists(), "the trainer's end")
        assert is_alive(trainer), "it waits for an agent to tell its last events to"
        agent.restart()
        async with client_of(agent) as client:
            await client.follow(job)
            await client.until_state(job, "done")
            assert steps_of(client, job) == list(range(1, 61))
            assert any(isinstance(event, messages.Done) for event in client.events(job))


async def test_an_end_that_nobody_heard_is_told_by_another_attempt(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 30\nstep_s = 0.01")
            await client.until_step(job, 12)
        trainer = agent.trainer(job)
        agent.kill()
        wait_until(lambda: (agent.home.job(job) / "exit.json").exists(), "the trainer's end")
        signal_group(trainer, signal.SIGKILL)
        wait_until(lambda: not is_alive(trainer), "the trainer's death")
        agent.restart()
        async with client_of(agent) as client:
            await client.follow(job)
            await client.until_state(job, "done")
            assert "unheard" in {e.reason for e in client.events(job) if isinstance(e, messages.State)}
            assert "lora" in {e.id for e in client.events(job) if isinstance(e, messages.Artifact)}


async def test_a_killed_trainer_is_resumed_twice_from_its_last_checkpoint_and_no_more(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 50\ncheckpoint_every = 10\ndie_at = 25")
            await client.until_state(job, "failed")
            again = ["interrupted", "resuming", "preparing", "running"]
            assert client.states(job) == ["queued", "preparing", "running", *again, *again, "failed"]
            assert steps_of(client, job) == [*range(1, 25), *range(21, 25), *range(21, 25)]
            assert agent.state(job)["reason"] == "killed"
            assert agent.state(job)["trainer"] is None


async def test_a_trainer_that_gave_something_up_for_memory_goes_on_and_that_is_no_interruption(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 30\ncheckpoint_every = 10\nagain_at = 25")
            await client.until_state(job, "done")
            assert steps_of(client, job) == [*range(1, 25), *range(21, 31)]
            interrupted = next(e for e in client.events(job) if isinstance(e, messages.State) and e.reason)
            assert (interrupted.state, interrupted.reason) == ("interrupted", "oom_vram")
            assert "From now on with less" in interrupted.detail
            assert agent.state(job)["interruptions_ts"] == []


async def test_a_trainer_killed_from_outside_goes_on_and_ends_well(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 60\nstep_s = 0.01")
            await client.until_step(job, 15)
            signal_group(agent.trainer(job), signal.SIGKILL)
            await client.until_state(job, "done")
            assert steps_of(client, job)[-50:] == list(range(11, 61))


async def test_a_trainer_killed_while_the_agent_is_dead_is_resumed_by_the_next_agent(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 60\nstep_s = 0.01")
            await client.until_step(job, 15)
        trainer = agent.trainer(job)
        agent.kill()
        signal_group(trainer, signal.SIGKILL)
        wait_until(lambda: not is_alive(trainer), "the trainer's death")
        agent.restart()
        async with client_of(agent) as client:
            await client.follow(job)
            await client.until_state(job, "done")
            assert agent.state(job)["attempt"] == 2
            assert steps_of(client, job)[-1] == 60


async def test_a_hung_trainer_is_killed_and_resumed_once(tmp_path):
    with running_agent(tmp_path / "home", patience={"silence_min_s": 0.4}) as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 40\nhang_at = 15")
            await client.until_state(job, "failed")
            reasons = [(str(e.state), e.reason) for e in client.events(job) if isinstance(e, messages.State)]
            assert reasons.count(("interrupted", "hang")) == 1
            assert reasons[-1] == ("failed", "hang")


async def test_a_stopped_trainer_counts_as_hung_is_killed_and_the_run_goes_on_from_its_checkpoint(tmp_path):
    # Long enough for a busy machine not to take the second attempt for hung as well.
    with running_agent(tmp_path / "home", patience={"silence_min_s": 2.0}) as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 100\nstep_s = 0.01\ncheckpoint_every = 10")
            await client.until_step(job, 25)
            stopped = agent.trainer(job)
            os.kill(stopped.pid, signal.SIGSTOP)
            await client.until_state(job, "done")
            assert not is_alive(stopped)
            assert agent.state(job)["attempt"] == 2
            interrupted = [e for e in client.events(job) if isinstance(e, messages.State) and e.state == "interrupted"]
            assert [event.reason for event in interrupted] == ["hang"]
            steps = steps_of(client, job)
            assert sorted(set(steps)) == list(range(1, 101))
            assert len(steps) < 110, "more was trained again than since the checkpoint"


async def test_a_trainer_that_crashes_or_refuses_is_not_tried_again(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            for script, reason, said in (
                ("crash_at = 3", "trainer.crashed", "the stand-in crashed"),
                ("fail_code = 'dataset.empty'", "dataset.empty", "it can't be trained. Fix: change it"),
            ):
                job = await client.start(script)
                await client.until_state(job, "failed")
                last = [event for event in client.events(job) if isinstance(event, messages.State)][-1]
                assert last.reason == reason
                assert said in last.detail
                assert agent.state(job)["attempt"] == 1


def oom_score_adj(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text("ascii"))


async def test_a_trainer_gets_no_keys_leads_its_own_session_and_dies_before_the_agent_when_memory_is_short(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("LORATUI_VAST_API_KEY", "canary")
    monkeypatch.setenv("HF_TOKEN", "canary")
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 500\nstep_s = 0.01")
            await client.until_step(job, 1)
            trainer = agent.trainer(job)
            assert os.getsid(trainer.pid) == trainer.pid != os.getsid(agent.process.pid)
            assert oom_score_adj(trainer.pid) == 500
            assert "canary" not in (agent.home.job(job) / "environment.json").read_text()


async def test_jobs_run_one_after_the_other_also_across_a_kill_of_the_agent(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            jobs = [await client.start("steps = 25\nstep_s = 0.01") for _ in range(3)]
            await client.until_step(jobs[0], 5)
            assert [client.states(job)[-1] for job in jobs] == ["running", "queued", "queued"]
        agent.kill()
        agent.restart()
        async with client_of(agent) as client:
            for job in jobs:
                await client.follow(job)
            for job in jobs:
                await client.until_state(job, "done")
            starts = {job: first_ts(client, job, JobState.PREPARING) for job in jobs}
            ends = {job: first_ts(client, job, JobState.DONE) for job in jobs}
            assert ends[jobs[0]] <= starts[jobs[1]] < ends[jobs[1]] <= starts[jobs[2]]


def first_ts(client: Client, job: str, state: JobState) -> float:
    records = client.records[job]
    return next(r.ts for r in records if isinstance(r.event, messages.State) and r.event.state is state)


async def test_half_a_job_that_a_crash_left_is_swept_away_and_a_damaged_one_costs_no_other(tmp_path):
    home = tmp_path / "home"
    half, damaged = home / "jobs" / new_id(), home / "jobs" / new_id()
    for folder in (half, damaged):
        folder.mkdir(parents=True)
        (folder / "job.toml").write_text("steps = 1")
    (damaged / "state.json").write_text("{")
    with running_agent(home) as agent:
        assert not half.exists()
        assert damaged.exists()
        assert "job.damaged" in agent.home.log.read_text()


def test_the_reaper_starts_a_killed_agent_again_and_ends_with_one_that_ended_by_itself(tmp_path):
    with running_agent(tmp_path / "home", reaper=True, idle_exit_s=30) as agent:
        wait_until(lambda: is_locked(agent.home.reaper_lock), "the reaper")
        first = agent.home.status.read_text()
        agent.kill()
        wait_until(lambda: agent.home.status.read_text() != first and agent.socket_answers(), "a new agent")
        os.kill(json.loads(agent.home.status.read_text())["pid"], signal.SIGTERM)
        wait_until(lambda: not is_locked(agent.home.reaper_lock), "the reaper's end")
        assert not is_locked(agent.home.lock)


async def test_without_an_agent_the_reaper_has_an_overdue_trainer_save_and_stop(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 3000\nstep_s = 0.01", max_runtime_s=3600)
            await client.until_step(job, 5)
        trainer = agent.trainer(job)
        agent.kill()
        agent.home.status.unlink()
        path = agent.home.job(job) / "state.json"
        facts = json.loads(path.read_text())
        # Past the auto-stop, as if an hour had gone by.
        facts["meter"]["elapsed_s"] += 3600
        path.write_text(json.dumps(facts))
        argv = [sys.executable, "-m", "loratui_agent.reaper", "--home", str(agent.home.path)]
        reaper = await asyncio.create_subprocess_exec(*argv)
        exit_file = agent.home.job(job) / "exit.json"
        await asyncio.to_thread(wait_until, exit_file.exists, "the trainer to save")
        assert '"stopped"' in exit_file.read_text()
        signal_group(trainer, signal.SIGKILL)
        assert await reaper.wait() == 0
