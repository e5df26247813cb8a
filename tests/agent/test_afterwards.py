"""What happens on the box after a run, with real agents: never before the files are fetched, and once."""

import asyncio
import json
import os
import signal

import pytest

from loratui_agent.afterwards import is_on_done
from loratui_agent.deadman import POWER_TRIES
from loratui_agent.process import is_locked
from loratui_protocol import messages
from support.agent_process import AgentProcess, Client, client_of, running_agent, wait_until
from support.reaper_process import fake_power_switch

SHORT = "steps = 3"


def deeds(client: Client, job: str) -> list[messages.Deadman]:
    return [event for event in client.events(job) if isinstance(event, messages.Deadman)]


async def until(condition, what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what)


async def fetched(client: Client, job: str) -> None:
    await client.command(messages.AckArtifacts, job, artifact_ids=["lora"])


def command_that_tells(tmp_path, status: int = 0) -> str:
    return f"run:echo $LORATUI_STATE >> {tmp_path}/told; echo 'all is uploaded'; exit {status}"


@pytest.mark.parametrize(
    ("text", "is_known"),
    [
        *[(text, True) for text in ("", "stop", "poweroff", "end", "run:true", "run:rclone copy . there:")],
        *[(text, False) for text in ("run:", "run: ", "reboot", "Stop", "run:a\x00b", f"run:{'x' * 5000}")],
    ],
)
def test_what_can_happen_after_a_run(text, is_known):
    assert is_on_done(text) is is_known


async def test_unknown_ending_is_refused_before_anything_starts(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            for fields in ({"on_done": "explode"}, {"keep_s": -1.0}, {"keep_s": float("nan")}):
                job = await client.start(SHORT, **fields)
                await client.receive_until(lambda: len(client.answers) == 2)
                assert {answer.code for answer in client.answers} == {"job.invalid", "job.unknown"}
                assert not agent.home.job(job).exists()
                client.answers.clear()


async def test_command_runs_once_after_the_files_are_fetched_and_its_result_is_an_event(tmp_path):
    told = tmp_path / "told"
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start(SHORT, on_done=command_that_tells(tmp_path))
            await client.until_state(job, "done")
            assert not told.exists()
            await fetched(client, job)
            await client.receive_until(lambda: deeds(client, job))
            [deed] = deeds(client, job)
            assert (deed.action, deed.reason, deed.ok) == ("run", "done", True)
            assert "all is uploaded" in deed.detail
        agent.kill()
        agent.restart()
        async with client_of(agent) as client:
            await client.follow(job)
            await client.receive_until(lambda: deeds(client, job) and client.heartbeats)
        assert told.read_text() == "done\n"


async def test_command_that_fails_is_said_to_have_failed(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start(SHORT, on_done=command_that_tells(tmp_path, status=7))
            await client.until_state(job, "done")
            await fetched(client, job)
            await client.receive_until(lambda: deeds(client, job))
            assert not deeds(client, job)[0].ok
            assert "status 7" in deeds(client, job)[0].detail


async def test_command_killed_with_its_agent_is_not_begun_again(tmp_path):
    began = tmp_path / "began"
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start(SHORT, on_done=f"run:echo x >> {began}; exec sleep 600")
            await client.until_state(job, "done")
            await fetched(client, job)
            await client.receive_until(began.exists)
        agent.kill()
        agent.restart()
        async with client_of(agent) as client:
            await client.follow(job)
            await client.receive_until(lambda: deeds(client, job) and client.heartbeats)
            assert not deeds(client, job)[0].ok
            assert "killed in the middle" in deeds(client, job)[0].detail
        assert began.read_text() == "x\n"


async def test_stop_ends_agent_and_reaper_after_the_client_has_heard_of_it(tmp_path):
    with running_agent(tmp_path / "home", reaper=True) as agent:
        async with client_of(agent) as client:
            await until(lambda: is_locked(agent.home.reaper_lock), "the reaper")
            job = await client.start(SHORT, on_done="stop")
            await client.until_state(job, "done")
            await fetched(client, job)
            await client.receive_until(lambda: deeds(client, job))
        await until(lambda: agent.process.poll() == 0, "the agent's end")
        await until(lambda: not is_locked(agent.home.reaper_lock), "the reaper's end")
        assert not agent.home.status.exists()


async def test_nothing_ends_while_another_run_needs_the_machine(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            first = await client.start(SHORT, on_done="stop")
            second = await client.start("steps = 150\nstep_s = 0.01")
            await client.until_state(first, "done")
            await fetched(client, first)
            await client.until_state(second, "done")
            heard = len(client.heartbeats)
            await client.receive_until(lambda: len(client.heartbeats) > heard)
            assert not deeds(client, first), "the files of the second are not fetched"
            await fetched(client, second)
            await client.receive_until(lambda: deeds(client, first))


async def test_agent_ends_after_one_run_only_when_the_time_of_another_is_over(tmp_path, monkeypatch):
    told = fake_power_switch(tmp_path / "bin", monkeypatch)
    with running_agent(tmp_path / "home", power_check_s=0.1) as agent:
        async with client_of(agent) as client:
            first = await client.start(SHORT, on_done="poweroff", keep_s=3.0)
            await client.until_state(first, "done")
            second = await client.start(SHORT, on_done="stop")
            await client.until_state(second, "done")
            await fetched(client, second)
            heard = len(client.heartbeats)
            await client.receive_until(lambda: len(client.heartbeats) > heard + 1)
            assert not deeds(client, second)
        await until(told.exists, "the power switch, for the run that nobody fetched")
        await until(lambda: agent.process.poll() == 0, "the agent's end")
        assert [agent.state(job)["afterwards"] for job in (first, second)] == ["done", "done"]


async def test_command_that_hangs_keeps_no_other_waiting_but_the_machine_on_until_it_is_killed(tmp_path):
    with running_agent(tmp_path / "home", command_limit_s=8.0) as agent:
        async with client_of(agent) as client:
            hanging = await client.start(SHORT, on_done="run:sleep 600")
            await client.until_state(hanging, "done")
            await fetched(client, hanging)
            ending = await client.start(SHORT, on_done="stop")
            await client.until_state(ending, "done")
            await fetched(client, ending)
            other = await client.start(SHORT, on_done=command_that_tells(tmp_path))
            await client.until_state(other, "done")
            await fetched(client, other)
            await client.receive_until(lambda: deeds(client, other))
            assert not deeds(client, hanging)
            assert not deeds(client, ending)
            await client.receive_until(lambda: deeds(client, ending))
            assert not deeds(client, hanging)[0].ok
            assert "killed after 8 s" in deeds(client, hanging)[0].detail


async def test_nobody_coming_for_the_files_ends_it_when_their_time_is_over(tmp_path, monkeypatch):
    told = fake_power_switch(tmp_path / "bin", monkeypatch)
    with running_agent(tmp_path / "home", idle_exit_s=0.2) as agent:
        async with client_of(agent) as client:
            job = await client.start(SHORT, on_done="poweroff", keep_s=1.0)
            await client.until_state(job, "done")
        await until(told.exists, "the power switch")
        await until(lambda: agent.state(job)["power_tries"] == [""], "that to be known")
        assert told.read_text() == "poweroff \n"
        agent.kill()
        agent.restart()
        async with client_of(agent) as client:
            await client.follow(job)
            await client.receive_until(lambda: deeds(client, job))
            [deed] = deeds(client, job)
            assert (deed.action, deed.reason) == ("poweroff", "lease")
        assert told.read_text() == "poweroff \n"


async def test_client_that_follows_keeps_the_machine_on_although_it_fetches_nothing(tmp_path, monkeypatch):
    told = fake_power_switch(tmp_path / "bin", monkeypatch)
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start(SHORT, on_done="poweroff", keep_s=0.2)
            await client.until_state(job, "done")
            heard = len(client.heartbeats)
            await client.receive_until(lambda: len(client.heartbeats) >= heard + 2)
            assert agent.state(job)["leased"]
            assert not told.exists()
        await until(told.exists, "the power switch")


async def test_machine_that_will_not_power_off_is_said_to_stay_on(tmp_path, monkeypatch):
    fake_power_switch(tmp_path / "bin", monkeypatch, refuses=True)
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start(SHORT, on_done="poweroff")
            await client.until_state(job, "done")
            await fetched(client, job)
            await client.receive_until(lambda: len(deeds(client, job)) == 2)
            assert [deed.ok for deed in deeds(client, job)] == [True, False]
            assert "no permission" in deeds(client, job)[1].detail


async def test_machine_that_agrees_and_stays_on_is_asked_a_few_times_and_said_to_stay_on(tmp_path, monkeypatch):
    told = fake_power_switch(tmp_path / "bin", monkeypatch)
    with running_agent(tmp_path / "home", power_check_s=0.1, idle_exit_s=0.2) as agent:
        async with client_of(agent) as client:
            job = await client.start(SHORT, on_done="poweroff")
            await client.until_state(job, "done")
            await fetched(client, job)
            await client.receive_until(lambda: len(deeds(client, job)) == 1 + POWER_TRIES)
            assert [deed.ok for deed in deeds(client, job)] == [True] + [False] * POWER_TRIES
            assert "stays on" in deeds(client, job)[-1].detail
        await until(lambda: agent.process.poll() == 0, "the agent's end")
        assert told.read_text() == "poweroff \n" * POWER_TRIES
        assert agent.state(job)["afterwards"] == "done"


async def test_machine_that_stays_on_is_not_asked_again_under_a_run_that_began_since(tmp_path, monkeypatch):
    told = fake_power_switch(tmp_path / "bin", monkeypatch)
    with running_agent(tmp_path / "home", power_check_s=0.1) as agent:
        async with client_of(agent) as client:
            job = await client.start(SHORT, on_done="poweroff")
            await client.until_state(job, "done")
            await fetched(client, job)
            await client.receive_until(told.exists)
            tries = len(agent.state(job)["power_tries"]) + 1
            later = await client.start("steps = 400\nstep_s = 0.01")
            await client.until_step(later, 390)
            assert len(agent.state(job)["power_tries"]) <= tries
            await client.until_state(later, "done")
            await fetched(client, later)
            await client.receive_until(lambda: len(deeds(client, job)) == 1 + POWER_TRIES)


async def test_agent_killed_right_before_the_switch_leaves_it_to_the_next_one(tmp_path, monkeypatch):
    told = fake_power_switch(tmp_path / "bin", monkeypatch)
    switch = tmp_path / "bin" / "poweroff"
    works = switch.read_text()
    switch.write_text(
        f"#!/bin/sh\necho $$ > {tmp_path}/pid.tmp\nmv {tmp_path}/pid.tmp {tmp_path}/pid\nexec sleep 600\n"
    )
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start(SHORT, on_done="poweroff")
            await client.until_state(job, "done")
            await fetched(client, job)
            await client.receive_until((tmp_path / "pid").exists)
        agent.kill()
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        switch.write_text(works)
        assert agent.state(job)["afterwards"] == "begun"
        agent.restart()
        await until(told.exists, "the power switch")
        async with client_of(agent) as client:
            await client.follow(job)
            await client.receive_until(lambda: deeds(client, job) and client.heartbeats)
            assert len(deeds(client, job)) == 1, "said once"


async def test_a_machine_that_came_back_is_not_switched_off_again(tmp_path, monkeypatch):
    told = fake_power_switch(tmp_path / "bin", monkeypatch)
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start(SHORT, on_done="poweroff")
            await client.until_state(job, "done")
        agent.kill()
        path = agent.home.job(job) / "state.json"
        facts = json.loads(path.read_text())
        before = {"wall_ts": 1.0, "boot_s": 1.0, "boot": "another"}
        path.write_text(json.dumps({**facts, "afterwards": "begun", "begun": before}))
        agent.restart()
        async with client_of(agent) as client:
            await client.receive_until(lambda: client.heartbeats)
        assert agent.state(job)["afterwards"] == "done"
        assert not told.exists()


async def test_what_one_client_does_not_want_another_may_still_fetch(tmp_path):
    told = tmp_path / "told"
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as one:
            job = await one.start(SHORT, on_done=command_that_tells(tmp_path))
            await one.until_state(job, "done")
            async with client_of(agent) as other:
                await other.follow(job)
                await other.until_state(job, "done")
                await other.command(messages.AckArtifacts, job, artifact_ids=[], declined_ids=["lora"])
                heard = len(other.heartbeats)
                await other.receive_until(lambda: len(other.heartbeats) > heard)
                assert agent.state(job)["declined"] == ["lora"]
                assert not told.exists()
            await one.receive_until(lambda: deeds(one, job))


async def test_files_that_nobody_wants_are_waited_for_by_nobody(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start(SHORT, on_done=command_that_tells(tmp_path))
            await client.until_state(job, "done")
            await client.command(messages.AckArtifacts, job, artifact_ids=[], declined_ids=["lora", "no such file"])
            await client.receive_until(lambda: deeds(client, job))
            assert agent.state(job)["declined"] == ["lora"]


async def test_file_that_a_resumed_run_wrote_anew_has_to_be_fetched_anew(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 2000\nstep_s = 0.01", on_done=command_that_tells(tmp_path))
            await client.until_step(job, 3)
            await client.command(messages.Stop, job)
            await client.until_state(job, "stopped")
            await fetched(client, job)
            await client.receive_until(lambda: deeds(client, job))
    # The stand-in's file never changes, so the fact that it was fetched is made into one about another version.
    with running_agent(tmp_path / "home") as agent:
        path = agent.home.job(job) / "state.json"
        assert json.loads(path.read_text())["acked"] == ["lora"]
        async with client_of(agent) as client:
            await client.follow(job)
            await client.command(messages.Resume, job)
            await client.until_step(job, 10)
            assert agent.state(job)["afterwards"] == ""
            await client.command(messages.Stop, job)
            await client.receive_until(lambda: len(deeds(client, job)) == 2)


def test_agent_whose_files_nobody_fetched_yet_is_found_again(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        job = asyncio.run(ended_without_client(agent))
        agent.kill()
        agent.restart()
        wait_until(lambda: agent.state(job)["afterwards"] == "done", "what comes after")


async def ended_without_client(agent: AgentProcess) -> str:
    async with client_of(agent) as client:
        job = await client.start("steps = 30\nstep_s = 0.01", on_done="run:true", keep_s=0.5)
        await client.until_step(job, 3)
        return job
