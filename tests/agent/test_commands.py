"""Commands act once, on whatever state the run is in; time and money end it."""

import pytest

from loratui_protocol import messages
from loratui_protocol.ids import new_id
from loratui_protocol.messages import RunEnd
from support.agent_process import client_of, running_agent

LONG = "steps = 3000\nstep_s = 0.01"


@pytest.fixture
def agent(tmp_path):
    with running_agent(tmp_path / "home", patience={"stop_grace_s": 0.5, "cost_every_s": 0.2}) as agent:
        yield agent


async def test_the_same_start_sent_again_by_anyone_is_the_same_run(agent):
    async with client_of(agent) as client, client_of(agent) as other:
        job = await client.start("steps = 20\nstep_s = 0.01")
        start = messages.StartJob(id=new_id(), author="other", job=job, name="x", config_toml="steps = 999")
        await other.send(start)
        await other.send(start)
        await client.until_state(job, "done")
        assert sum(result.command == "start_job" for result in client.results(job).values()) == 2
        assert len([e for e in client.events(job) if isinstance(e, messages.Step)]) == 20
        assert client.states(job).count("preparing") == 1


async def test_pause_and_resume_act_once_however_often_they_are_sent(agent):
    async with client_of(agent) as client:
        job = await client.start(LONG)
        await client.until_step(job, 3)
        pause = messages.Pause(id=new_id(), author="me", job=job)
        for _ in range(3):
            await client.send(pause)
        await client.until_state(job, "paused")
        resumed = await client.command(messages.Resume, job)
        await client.until_state(job, "running")
        await client.send(pause)
        # The late copy must not pause again: the run answers the next command while running.
        saved = await client.command(messages.CheckpointNow, job)
        await client.receive_until(lambda: {resumed, saved} <= set(client.results(job)))
        assert client.states(job)[-3:] == ["running", "paused", "running"]
        results = [e for e in client.events(job) if isinstance(e, messages.CommandResult)]
        assert len([result for result in results if result.id == pause.id]) == 1
        assert client.results(job)[pause.id].ok
        assert client.results(job)[pause.id].author == "me"
        assert any(isinstance(event, messages.Checkpoint) for event in client.events(job))


async def test_results_survive_a_kill_of_the_agent_so_a_repeated_command_still_acts_once(agent):
    async with client_of(agent) as client:
        job = await client.start(LONG)
        await client.until_step(job, 3)
        save = messages.CheckpointNow(id=new_id(), author="me", job=job)
        await client.send(save)
        await client.receive_until(lambda: save.id in client.results(job))
    agent.kill()
    agent.restart()
    async with client_of(agent) as client:
        await client.follow(job)
        await client.send(save)
        stopped = await client.command(messages.Stop, job)
        await client.until_state(job, "stopped")
        results = [e.id for e in client.events(job) if isinstance(e, messages.CommandResult)]
        assert results.count(save.id) == results.count(stopped) == 1


async def test_a_command_given_while_the_trainer_is_dead_reaches_the_next_one(agent):
    async with client_of(agent) as client:
        # Dies at once in every attempt: the stop comes when no trainer is connected, or to one about to die.
        job = await client.start(LONG)
        stop = await client.command(messages.Stop, job)
        await client.until_state(job, "stopped")
        assert client.results(job)[stop].ok


async def test_stop_saves_exports_and_ends_and_resume_goes_on_from_there(agent):
    async with client_of(agent) as client:
        job = await client.start("steps = 60\nstep_s = 0.01\ncheckpoint_every = 5")
        await client.until_step(job, 10)
        await client.command(messages.Stop, job)
        await client.until_state(job, "stopped")
        assert client.states(job)[-2:] == ["stopping", "stopped"]
        last = [event for event in client.events(job) if isinstance(event, messages.State)][-1]
        assert last.reason == "user"
        assert any(isinstance(event, messages.Artifact) for event in client.events(job))
        await client.command(messages.Resume, job)
        await client.until_state(job, "done")
        assert agent.state(job)["attempt"] == 2


async def test_a_waiting_run_is_stopped_on_the_spot_and_may_be_queued_again(agent):
    async with client_of(agent) as client:
        running = await client.start(LONG)
        waiting = await client.start("steps = 3")
        await client.until_step(running, 2)
        stop = await client.command(messages.Stop, waiting)
        await client.until_state(waiting, "stopped")
        await client.receive_until(lambda: stop in client.results(waiting))
        assert agent.state(waiting)["attempt"] == 0
        await client.command(messages.Resume, waiting)
        await client.until_state(waiting, "queued")
        await client.command(messages.Stop, running)
        await client.until_state(waiting, "done")


async def test_where_a_run_ends_is_not_changed_while_it_goes_on_nor_to_what_can_not_be(agent):
    async with client_of(agent) as client:
        running, done = await client.start(LONG), await client.start("steps = 1")
        await client.until_step(running, 2)
        for job, end, code in (
            (running, RunEnd(max_train_epochs=3), "job.running"),
            (done, None, "job.not_running"),
            # Of a stand-in's config nothing can be made.
            (done, RunEnd(max_train_epochs=3), "config.unknown_key"),
        ):
            if job is done and agent.state(done)["state"] != "done":
                await client.command(messages.Stop, running)
                await client.until_state(done, "done")
            resume = messages.Resume(id=new_id(), author="me", job=job, end=end)
            await client.send(resume)
            await client.receive_until(lambda resume=resume, job=job: resume.id in client.results(job))
            assert (client.results(job)[resume.id].ok, client.results(job)[resume.id].code) == (False, code)
        assert agent.state(done)["state"] == "done"


@pytest.mark.parametrize("kind", [messages.Pause, messages.SampleNow, messages.CheckpointNow, messages.Stop])
async def test_a_run_that_has_ended_refuses_with_a_code(agent, kind):
    async with client_of(agent) as client:
        job = await client.start("steps = 1")
        await client.until_state(job, "done")
        asked = await client.command(kind, job)
        await client.receive_until(lambda: asked in client.results(job))
        assert client.results(job)[asked].code == "job.not_running"
        assert not client.results(job)[asked].ok


async def test_commands_that_reach_no_run_are_refused_to_the_sender(agent):
    async with client_of(agent) as client:
        bad = {"author": "me", "name": "x", "config_toml": "steps = 1"}
        for command, code in (
            (messages.Pause(id=new_id(), author="me", job=new_id()), "job.unknown"),
            (messages.Pause(id="../x", author="me", job=new_id()), "command.id"),
            (messages.StartJob(id=new_id(), job="../evil", **bad), "job.invalid"),
            (messages.StartJob(id=new_id(), job=new_id(), price_microusd_per_h=-1, **bad), "job.invalid"),
            (messages.StartJob(id=new_id(), job=new_id(), max_runtime_s=float("nan"), **bad), "job.invalid"),
        ):
            client.answers.clear()
            await client.send(command)
            await client.receive_until(lambda: client.answers)
            assert client.answers[0].code == code
            assert client.answers[0].id == command.id
        assert list(agent.home.jobs.iterdir()) == []


async def test_acknowledged_artifacts_are_remembered_and_unknown_ones_are_not(agent):
    async with client_of(agent) as client:
        job = await client.start("steps = 1")
        await client.until_state(job, "done")
        asked = await client.command(messages.AckArtifacts, job, artifact_ids=["lora", "nonsense"])
        await client.receive_until(lambda: asked in client.results(job))
        assert agent.state(job)["acked"] == ["lora"]


async def test_at_the_auto_stop_the_run_saves_and_stops(agent):
    async with client_of(agent) as client:
        job = await client.start(LONG, max_runtime_s=0.8)
        await client.until_state(job, "stopped")
        states = [event for event in client.events(job) if isinstance(event, messages.State)]
        assert [state.state for state in states[-2:]] == ["stopping", "stopped"]
        assert {state.reason for state in states[-2:]} == {"deadline"}
        assert any(isinstance(event, messages.Artifact) for event in client.events(job))
        resume = await client.command(messages.Resume, job)
        await client.receive_until(lambda: resume in client.results(job))
        assert client.results(job)[resume].code == "job.deadline"
        await client.command(messages.Extend, job, seconds=60)
        await client.command(messages.Resume, job)
        await client.until_step(job, agent.state(job)["attempt"])


async def test_a_trainer_that_does_not_stop_at_the_auto_stop_is_killed(agent):
    async with client_of(agent) as client:
        job = await client.start(LONG + "\nignore_stop = true", max_runtime_s=0.5)
        await client.until_state(job, "stopped")
        last = [event for event in client.events(job) if isinstance(event, messages.State)][-1]
        assert last.reason == "deadline"
        assert "was killed" in last.detail


async def test_extend_moves_the_auto_stop_both_ways_and_survives_a_kill_of_the_agent(agent):
    async with client_of(agent) as client:
        job = await client.start(LONG, max_runtime_s=1.5)
        await client.until_step(job, 1)
        asked = await client.command(messages.Extend, job, seconds=3600)
        await client.receive_until(lambda: asked in client.results(job))
        cost = next(e for e in client.events(job)[client_index(client, job, asked) :] if isinstance(e, messages.Cost))
        assert 3590 < cost.deadline_s <= 3602
    agent.kill()
    agent.restart()
    async with client_of(agent) as client:
        [status] = client.welcome.jobs
        assert 3580 < status.deadline_s < 3602
        await client.follow(job)
        await client.command(messages.Extend, job, seconds=-3600)
        await client.until_state(job, "stopped")
        assert agent.state(job)["reason"] == "deadline"


def client_index(client, job, command_id) -> int:
    events = client.events(job)
    return next(i for i, e in enumerate(events) if isinstance(e, messages.CommandResult) and e.id == command_id)


async def test_extend_is_refused_where_there_is_no_auto_stop(agent):
    async with client_of(agent) as client:
        job = await client.start("steps = 1")
        for expected in ("job.no_deadline", "job.not_running"):
            asked = await client.command(messages.Extend, job, seconds=60)
            await client.receive_until(lambda asked=asked: asked in client.results(job))
            assert client.results(job)[asked].code == expected
            await client.until_state(job, "done")


async def test_cost_is_the_price_of_the_time_and_goes_on_counting_across_a_kill_of_the_agent(agent):
    price = 3_600_000_000
    async with client_of(agent) as client:
        job = await client.start(LONG, price_microusd_per_h=price)
        await client.receive_until(lambda: len(costs(client, job)) > 4)
        before = costs(client, job)
    agent.kill()
    agent.restart()
    async with client_of(agent) as client:
        await client.follow(job)
        await client.until_step(job, 100)
        await client.command(messages.Stop, job)
        await client.until_state(job, "stopped")
        await client.receive_until(lambda: isinstance(client.events(job)[-1], messages.Cost))
        spent = costs(client, job)
        records = [r for r in client.records[job] if isinstance(r.event, messages.State)]
        started_ts = next(r.ts for r in records if r.event.state == "preparing")
        elapsed_s = records[-1].ts - started_ts
    assert spent[: len(before)] == before
    assert spent == sorted(spent)
    assert spent[-1] == pytest.approx(elapsed_s * price / 3600, abs=300_000)


def costs(client, job) -> list[int]:
    return [event.spent_microusd for event in client.events(job) if isinstance(event, messages.Cost)]
