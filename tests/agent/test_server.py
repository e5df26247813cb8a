import asyncio
import os
import shutil
import stat
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from loratui_protocol import messages
from loratui_protocol.codec import decode, encode
from loratui_protocol.ids import new_id
from loratui_protocol.paths import socket_path
from support.agent_process import AgentProcess, client_of, connect, running_agent, wait_until


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    with running_agent(tmp_path_factory.mktemp("agent") / "home") as agent:
        yield agent


async def status_of(agent: AgentProcess, **options) -> int:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(agent, **options):
            pass
    return refused.value.response.status_code


async def test_a_wrong_or_missing_token_is_refused_before_the_upgrade(agent):
    assert await status_of(agent, additional_headers={"Authorization": "Bearer " + "0" * 64}) == 401
    assert await status_of(agent, additional_headers={}) == 401


async def test_a_browser_is_refused(agent):
    token = agent.home.token.read_text("ascii")
    headers = {"Authorization": f"Bearer {token}", "Origin": "https://evil.example"}
    assert await status_of(agent, additional_headers=headers) == 403


async def test_a_client_of_another_protocol_is_refused(agent):
    assert await status_of(agent, subprotocols=["loratui.v9"]) == 400
    assert await status_of(agent, subprotocols=None) == 400


def test_nobody_else_can_reach_the_sockets_or_the_token(agent):
    for path in (agent.home.token, *(socket_path(agent.home.path, name) for name in ("agent.sock", "trainer.sock"))):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (agent.home.path, agent.home.run, agent.home.jobs):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "frame", [b"", b"\xff", b"\xc1garbage", b"\x81\xa1t\xa4nope", b"\x81\xa1t\xa6follow", os.urandom(300)]
)
async def test_a_garbage_frame_is_answered_with_its_code_and_the_connection_is_closed(agent, frame):
    async with connect(agent) as connection:
        await connection.send(frame)
        refused = decode(await connection.recv())
        assert isinstance(refused, messages.Refused)
        assert refused.code.startswith("protocol.")
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd.code == 1002
    async with client_of(agent) as client:
        assert client.welcome.agent_version


async def test_a_text_frame_closes_the_connection(agent):
    async with connect(agent) as connection:
        await connection.send("text")
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd.code == 1003


async def test_a_frame_that_claims_to_be_too_large_is_refused_before_it_is_read(agent):
    async with connect(agent) as connection:
        connection.transport.write(b"\x82\xff" + ((1 << 20) + 1).to_bytes(8, "big") + b"mask")
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd.code == 1009


async def test_a_message_before_the_greeting_is_refused(agent):
    async with connect(agent) as connection:
        await connection.send(encode(messages.Follow(job=new_id())))
        assert decode(await connection.recv()).code == "protocol.order"


async def test_a_run_is_followed_live_and_replayed_without_gap_or_repetition(agent):
    async with client_of(agent) as client:
        job = await client.start("steps = 40")
        await client.until_step(job, 10)
        epoch = client.started[0].epoch
        held = len(client.records[job])
        earlier = client.records[job][:held]
    async with client_of(agent) as client:
        client.records[job] = earlier
        await client.follow(job, epoch, after_seq=held)
        await client.until_state(job, "done")
        records = client.records[job]
        assert not client.started[0].reset
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert [event.step for event in (r.event for r in records) if isinstance(event, messages.Step)] == [*range(1, 41)]


async def test_a_copy_of_another_history_is_replaced_from_the_start(agent):
    async with client_of(agent) as client:
        job = await client.start("steps = 3")
        await client.until_state(job, "done")
    for epoch, after_seq in (("0123456789abcdef", 4), (client.started[0].epoch, 10_000)):
        async with client_of(agent) as again:
            await again.follow(job, epoch, after_seq)
            await again.until_state(job, "done")
            assert again.started[0].reset
            assert again.records[job] == client.records[job]


async def test_two_clients_see_the_same(agent):
    async with client_of(agent) as one, client_of(agent) as other:
        job = await one.start("steps = 20")
        await one.receive_until(lambda: one.started)
        await other.follow(job)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(one.until_state(job, "done"))
            tasks.create_task(other.until_state(job, "done"))
        assert one.events(job) == other.events(job)


async def test_a_heartbeat_says_how_the_machine_is_and_what_runs(agent):
    async with client_of(agent) as client:
        job = await client.start("steps = 2000", price_microusd_per_h=360_000_000)
        await client.receive_until(lambda: any(beat.active and beat.active.step for beat in client.heartbeats))
        beat = client.heartbeats[-1]
        assert beat.active.job == job
        assert beat.active.spent_microusd > 0
        assert beat.last_step_age_s < 2
        assert beat.telemetry.source in ("proc", "psutil", "nvml")
        assert 0 < beat.telemetry.ram_used_gib < beat.telemetry.ram_total_gib
        await client.command(messages.Stop, job)
        await client.until_state(job, "stopped")


async def test_artifacts_are_given_out_in_pieces_and_nothing_else_is(agent):
    async with client_of(agent) as client:
        job = await client.start("steps = 2")
        await client.until_state(job, "done")
        [artifact] = [event for event in client.events(job) if isinstance(event, messages.Artifact)]

        async def ask(artifact_id: str, offset: int = 0, length: int = 1 << 18, of: str = job):
            client.answers.clear()
            request = messages.GetArtifact(id="q", job=of, artifact_id=artifact_id, offset=offset, length=length)
            await client.send(request)
            await client.receive_until(lambda: client.answers)
            return client.answers[0]

        first, rest = await ask(artifact.id, 0, 10), await ask(artifact.id, 10)
        assert len(first.content + rest.content) == first.total == artifact.size
        assert (await ask(artifact.id, 10_000)).content == b""
        for evil in ("../state.json", "../../../run/token", "/etc/passwd", "..", "", "state.json", "a" * 200):
            assert (await ask(evil)).code == "artifact.unknown"
        assert (await ask("lora", of=new_id())).code == "job.unknown"
        assert (await ask(artifact.id, length=1 << 20)).code == "artifact.range"
        path = agent.home.job(job) / "artifacts" / "lora"
        path.unlink()
        path.symlink_to(agent.home.token)
        assert (await ask(artifact.id)).code == "artifact.missing"


async def test_a_client_that_reads_nothing_costs_the_agent_no_memory_and_nobody_any_time(agent):
    async with client_of(agent) as client:
        # 24 MB of records: far more than what a queue could hide in.
        job = await client.start("steps = 3000\nstep_s = 0.0001\ncheckpoint_every = 100000\nlog_chars = 8000")
        # One message in flight is all that this client's own library takes in before it stops reading.
        async with connect(agent, max_queue=1) as slow:
            await slow.send(encode(messages.Hello(client_id="slow", client_version="0")))
            await slow.send(encode(messages.Follow(job=job)))
            await client.until_step(job, 200)
            before_kib = agent.resident_kib()
            await client.until_state(job, "done")
            assert agent.resident_kib() - before_kib < 4 << 10
            slow.transport.abort()
        assert len([e for e in client.events(job) if isinstance(e, messages.Step)]) == 3000


async def read_to_the_end(connection) -> None:
    while True:
        await connection.recv()


async def test_a_stuck_client_is_closed_with_try_again_later(tmp_path):
    with running_agent(tmp_path / "home", send_timeout_s=0.3) as agent:
        async with client_of(agent) as client:
            job = await client.start("steps = 5000\nstep_s = 0\ncheckpoint_every = 100000")
            await client.until_state(job, "done")
            async with connect(agent, max_queue=1) as stuck:
                await stuck.send(encode(messages.Hello(client_id="stuck", client_version="0")))
                await stuck.send(encode(messages.Follow(job=job)))
                log = agent.home.log
                await asyncio.to_thread(wait_until, lambda: "client=stuck given up" in log.read_text(), "the verdict")
                with pytest.raises(ConnectionClosed) as closed:
                    await read_to_the_end(stuck)
            assert closed.value.rcvd.code == 1013


async def test_an_unknown_run_can_not_be_followed(agent):
    async with client_of(agent) as client:
        await client.follow(new_id())
        await client.receive_until(lambda: client.answers)
        assert client.answers[0].code == "job.unknown"


async def test_the_agent_ends_by_itself_once_nobody_needs_it(tmp_path):
    with running_agent(tmp_path / "home", idle_exit_s=0.5) as agent:
        async with client_of(agent) as client:
            started_s = time.monotonic()
            job = await client.start("steps = 60\nstep_s = 0.01")
            await client.until_state(job, "done")
            assert time.monotonic() - started_s > 0.5
            assert agent.process.poll() is None
        wait_until(lambda: agent.process.poll() is not None, "the idle agent's end")
        assert agent.process.returncode == 0
        assert not agent.home.status.exists()


async def test_a_home_too_deep_for_socket_addresses_works(tmp_path):
    home = tmp_path / ("deep" * 20) / ("er" * 30)
    with running_agent(home) as agent:
        path = socket_path(home, "agent.sock")
        assert len(os.fsencode(path)) < 100
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        async with client_of(agent) as client:
            job = await client.start("steps = 3")
            await client.until_state(job, "done")
    # The agent was killed: what it left there is nobody's.
    shutil.rmtree(path.parent)
