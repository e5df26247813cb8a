import asyncio
import math
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest

from loratui import settings
from loratui.domain.run import LinkState, RunView
from loratui.remote import local_agent
from loratui.sessions.followed import PUBLISH_EVERY_S
from loratui.sessions.host import SessionHost
from loratui.sessions.retrying import FIRST_RETRY_S, LAST_RETRY_S, retry_after_s
from loratui.sessions.source import HostRunSource
from loratui.sessions.start_run import start_run
from loratui.sessions.tail import tail
from loratui.sessions.targets import Targets
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui_protocol.errors import AgentRefusedError, AgentUnreachableError, JobError, StorageError, UsageError
from loratui_protocol.ids import new_id
from loratui_protocol.messages import (
    Event,
    Extend,
    JobState,
    Log,
    Pause,
    Record,
    Resume,
    Setup,
    StartJob,
    State,
    Step,
)
from support.agent_process import wait_until
from support.fake_agent import FakeAgent, fake_agent


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return settings.load({"state_dir": str(tmp_path / "state"), "author": "ann"}, {"LORATUI_CONFIG_DIR": str(tmp_path)})


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with fake_agent(tmp_path / "home") as started:
        yield started
    # Where it vanished for long, a real one was started in its place.
    for another in local_agent._STARTED:
        another.terminate()
        another.wait()


@pytest.fixture
def host(here: Settings, agent: FakeAgent) -> Iterator[SessionHost]:
    """Ends before the agent does, lest it starts a real one."""
    started = SessionHost(here)
    started.start()
    yield started
    started.close()


def start(host: SessionHost, agent: FakeAgent) -> str:
    return start_run(host, name="n", target="local", config_toml="", home=agent.home, price_microusd_per_h=7)


def lines(first: int, last: int) -> list[Event]:
    return [Log(level="INFO", line=str(number)) for number in range(first, last + 1)]


def stored(here: Settings, run_id: str) -> list[Record]:
    with Store(here.database) as store:
        return list(store.records(run_id))


def wait_for_records(here: Settings, agent: FakeAgent, run_id: str) -> None:
    wait_until(lambda: stored(here, run_id) == agent.jobs[run_id].records, "the whole history, once and in order")


def test_run_is_written_down_started_once_and_followed(host: SessionHost, agent: FakeAgent, here: Settings) -> None:
    run_id = start(host, agent)
    agent.emit(run_id, State(state=JobState.RUNNING), *lines(1, 5))
    wait_for_records(here, agent, run_id)
    wait_until(lambda: host.view(run_id).last_seq == 7, "the view")
    view = host.view(run_id)
    assert (view.state, view.link, view.name) == (JobState.RUNNING, LinkState.UP, "n")
    [started] = [command for command in agent.commands if isinstance(command, StartJob)]
    assert (started.job, started.id, started.author, started.price_microusd_per_h) == (run_id, run_id, "ann", 7)


def test_connection_cut_anywhere_leaves_a_history_without_gap_or_double(
    host: SessionHost, agent: FakeAgent, here: Settings
) -> None:
    run_id = start(host, agent)
    chance = random.Random(1)
    sent = 0

    def cut_sometimes(frame: bytes) -> bytes:
        if chance.random() < 0.3:
            agent._loop.call_soon(lambda: [each.transport.abort() for each in list(agent._connections)])
        return frame

    agent.spoil = cut_sometimes
    for number in range(12):
        count = chance.randrange(1, 700)
        agent.emit(run_id, *lines(sent + 1, sent + count))
        sent += count
        host.retry_now(run_id)
        if number == 6:
            # Once for certain: a quick machine may send so few frames that none is cut by chance.
            agent.cut()
            wait_until(lambda: len(agent.follows) >= 2, "the client to be back")
    agent.spoil = lambda frame: frame
    agent.cut()
    host.retry_now(run_id)
    wait_for_records(here, agent, run_id)
    wait_until(lambda: host.view(run_id).last_seq == len(agent.jobs[run_id].records), "the view")
    assert len(agent.follows) > 2


def test_agent_that_vanishes_is_shown_as_down_and_found_again(
    host: SessionHost, agent: FakeAgent, here: Settings
) -> None:
    run_id = start(host, agent)
    token = agent.home / "run" / "token"
    token.rename(token.with_name("hidden"))
    (agent.home / "run" / "token").write_text("wrong")
    agent.cut()
    wait_until(lambda: host.view(run_id).link is LinkState.DOWN, "the link to be down")
    down = host.view(run_id)
    assert down.retry_at_s is not None
    assert "token" in down.link_detail or "connection" in down.link_detail
    since_s = down.link_since_s
    agent.emit(run_id, *lines(1, 1000))
    token.with_name("hidden").replace(token)
    host.retry_now(run_id)
    wait_for_records(here, agent, run_id)
    wait_until(lambda: host.view(run_id).link is LinkState.UP, "the link to be up")
    assert host.view(run_id).link_since_s > since_s


def test_nothing_is_acknowledged_that_is_not_stored(host: SessionHost, agent: FakeAgent, here: Settings) -> None:
    run_id = start(host, agent)
    agent.emit(run_id, *lines(1, 2000))
    agent.beat()
    wait_until(lambda: agent.acked(run_id), "an acknowledgement")
    assert agent.acked(run_id) <= len(stored(here, run_id))
    wait_for_records(here, agent, run_id)
    agent.beat()
    wait_until(lambda: agent.acked(run_id) == 2001, "the last acknowledgement")


def test_client_that_starts_again_has_the_history_at_once_and_asks_for_the_rest(
    agent: FakeAgent, here: Settings
) -> None:
    first = SessionHost(here)
    first.start()
    run_id = start(first, agent)
    agent.emit(run_id, *lines(1, 50))
    wait_for_records(here, agent, run_id)
    first.close()
    agent.emit(run_id, *lines(51, 80))
    second = SessionHost(here)
    second.start()
    second.follow(run_id)
    assert second.view(run_id).last_seq >= 51
    wait_for_records(here, agent, run_id)
    second.close()
    assert agent.follows[-1].after_seq == 51


def test_history_of_a_new_journal_replaces_the_old_one(host: SessionHost, agent: FakeAgent, here: Settings) -> None:
    run_id = start(host, agent)
    agent.emit(run_id, Step(step=5, total=9, epoch=1, loss=0.1, lr=0.1, it_s=1.0, eta_s=1.0), *lines(1, 20))
    wait_for_records(here, agent, run_id)
    version = host.view(run_id).version
    agent.jobs[run_id].epoch = "epoch-2"
    agent.jobs[run_id].records = agent.jobs[run_id].records[:1]
    agent.cut()
    host.retry_now(run_id)
    wait_for_records(here, agent, run_id)
    wait_until(lambda: host.view(run_id).last_seq == 1, "the view of the new journal")
    view = host.view(run_id)
    assert (view.series.steps, view.journal) == ([], "epoch-2")
    assert view.version > version


def test_history_that_another_process_replaced_is_taken_up_anew(
    host: SessionHost, agent: FakeAgent, here: Settings
) -> None:
    run_id = start(host, agent)
    agent.emit(run_id, *lines(1, 20))
    wait_for_records(here, agent, run_id)
    with Store(here.database) as store:
        store.begin_history(run_id, "another journal", reset=False)
    agent.emit(run_id, *lines(21, 30))
    host.retry_now(run_id)
    wait_for_records(here, agent, run_id)
    wait_until(lambda: host.view(run_id).last_seq == 31, "the view")


def test_silent_agent_is_shown_as_late_until_it_is_heard_again(host: SessionHost, agent: FakeAgent) -> None:
    run_id = start(host, agent)
    wait_until(lambda: host.view(run_id).link is LinkState.STALE, "the link to be stale")
    agent.beat()
    wait_until(lambda: host.view(run_id).link is LinkState.UP, "the link to be up")


def test_two_clients_keep_one_history(agent: FakeAgent, here: Settings) -> None:
    hosts = [SessionHost(here), SessionHost(here)]
    for host in hosts:
        host.start()
    run_id = start(hosts[0], agent)
    hosts[1].follow(run_id)
    for first in range(1, 2000, 100):
        agent.emit(run_id, *lines(first, first + 99))
    wait_for_records(here, agent, run_id)
    for host in hosts:
        wait_until(lambda host=host: host.view(run_id).last_seq == 2001, "both views")  # type: ignore[misc]
        host.close()


def test_command_comes_back_with_its_result(host: SessionHost, agent: FakeAgent) -> None:
    run_id = start(host, agent)
    source = HostRunSource(host, run_id)
    result = source.send("pause").result(10)
    assert (result.ok, result.command, result.author) == (True, "pause", "ann")
    assert source.send("extend", 1800).result(10).ok
    extended = agent.commands[-1]
    assert isinstance(extended, Extend)
    assert extended.seconds == 1800
    wait_until(lambda: source.view().log, "the line in the log")
    assert source.view().log[0].text == "pause by ann: done"
    source.close()
    assert source.view().link is LinkState.DOWN
    with pytest.raises(JobError, match="nothing is followed here any more"):
        host.view(run_id)


def test_command_given_while_the_agent_is_away_is_carried_out_later_and_once(
    host: SessionHost, agent: FakeAgent
) -> None:
    run_id = start(host, agent)
    agent.silent_commands = {"pause"}
    pending = host.send(run_id, "pause")
    wait_until(lambda: any(isinstance(command, Pause) for command in agent.commands), "the first try")
    agent.cut()
    wait_until(lambda: sum(isinstance(command, Pause) for command in agent.commands) == 2, "the second try")
    pauses = [command for command in agent.commands if isinstance(command, Pause)]
    assert pauses[0].id == pauses[1].id
    assert not pending.done()
    assert host.send(run_id, "resume").result(10).ok
    host.close()
    assert pending.cancelled()


def test_command_that_nobody_waits_for_any_more_is_not_sent_again(host: SessionHost, agent: FakeAgent) -> None:
    run_id = start(host, agent)
    agent.silent_commands = {"pause"}
    given_up = host.send(run_id, "pause")
    wait_until(lambda: any(isinstance(command, Pause) for command in agent.commands), "the first try")
    given_up.cancel()
    agent.cut()
    assert host.send(run_id, "resume").result(10).ok
    assert [command.tag for command in agent.commands if isinstance(command, Pause | Resume)] == ["pause", "resume"]


def test_start_that_is_refused_leaves_no_run_behind(host: SessionHost, agent: FakeAgent, here: Settings) -> None:
    agent.refuse_start = "config.value"
    with pytest.raises(JobError, match=r"config\.value"):
        start(host, agent)
    with Store(here.database) as store:
        assert store.runs() == []


def test_start_with_a_wrong_token_leaves_no_run_behind(host: SessionHost, agent: FakeAgent, here: Settings) -> None:
    (agent.home / "run" / "token").write_text("wrong")
    with pytest.raises(AgentRefusedError, match=r"agent\.token"):
        start(host, agent)
    with Store(here.database) as store:
        assert store.runs() == []


def test_start_whose_answer_is_lost_is_taken_up_again(host: SessionHost, agent: FakeAgent, here: Settings) -> None:
    frames: list[bytes] = []

    def cut_after_the_greeting(frame: bytes) -> bytes:
        frames.append(frame)
        if len(frames) == 2:
            agent._loop.call_soon(lambda: [each.transport.abort() for each in list(agent._connections)])
            return b"\xc1"
        return frame

    agent.spoil = cut_after_the_greeting
    run_id = start(host, agent)
    assert len({command.job for command in agent.commands}) == 1
    wait_for_records(here, agent, run_id)


def test_client_killed_before_it_asked_for_the_run_starts_it_when_it_is_back(
    host: SessionHost, agent: FakeAgent, here: Settings
) -> None:
    run_id = new_id()
    with Store(here.database) as store:
        store.add_run(StoredRun(id=run_id, name="n", target="local", created_ts=1.0, config_toml="", home=agent.home))
    host.follow(run_id).result(10)
    assert [command.tag for command in agent.commands] == ["start_job"]


def test_run_that_its_agent_forgot_is_not_started_again(host: SessionHost, agent: FakeAgent, here: Settings) -> None:
    run_id = start(host, agent)
    wait_for_records(here, agent, run_id)
    del agent.jobs[run_id]
    agent.cut()
    wait_until(lambda: "job.unknown" in host.view(run_id).link_detail, "the link to say why")
    assert sum(isinstance(command, StartJob) for command in agent.commands) == 1
    assert len(stored(here, run_id)) == 1


def test_unknown_run_and_unknown_target_are_refused(host: SessionHost, here: Settings, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"store\.unknown_run"):
        host.follow("nobody")
    with pytest.raises(UsageError, match=r"target\.unknown"):
        start_run(host, name="n", target="moon", config_toml="", home=tmp_path)


def test_damaged_store_is_said_at_the_start(here: Settings) -> None:
    here.state_dir.mkdir()
    here.database.write_bytes(b"x" * 5000)
    with pytest.raises(StorageError, match=r"store\.damaged"):
        SessionHost(here).start()


def test_host_without_an_agent_keeps_the_history_readable(here: Settings, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the home belongs")
    with Store(here.database) as store:
        store.add_run(
            StoredRun(id="r", name="n", target="local", created_ts=1.0, config_toml="", home=tmp_path / "home")
        )
        store.begin_history("r", "e", reset=False)
        store.append("r", "e", [Record(seq=1, ts=1.0, event=State(state=JobState.RUNNING))])
    host = SessionHost(here)
    host.start()
    answered = host.follow("r")
    assert host.view("r").state is JobState.RUNNING
    wait_until(lambda: host.view("r").link is LinkState.DOWN, "the link to be down")
    assert not answered.done() or isinstance(answered.exception(), AgentUnreachableError)
    host.close()


def test_stalled_screen_delays_neither_records_nor_commands(
    host: SessionHost, agent: FakeAgent, here: Settings
) -> None:
    run_id = start(host, agent)
    stalled, release = threading.Event(), threading.Event()

    def screen() -> None:
        stalled.set()
        release.wait(20)

    host.subscribe(screen)
    agent.emit(run_id, *lines(1, 10))
    assert stalled.wait(10)
    agent.emit(run_id, *lines(11, 3000))
    wait_for_records(here, agent, run_id)
    assert host.send(run_id, "pause").result(10).ok
    release.set()


def test_news_of_many_records_come_together(host: SessionHost, agent: FakeAgent, here: Settings) -> None:
    run_id = start(host, agent)
    calls: list[float] = []
    host.subscribe(lambda: calls.append(time.monotonic()))
    began_s, version = time.monotonic(), host.view(run_id).version
    for first in range(1, 3000, 10):
        agent.emit(run_id, *lines(first, first + 9))
    wait_until(lambda: host.view(run_id).last_seq == 3001, "the view")
    took_s = time.monotonic() - began_s
    most = took_s / PUBLISH_EVERY_S + 2
    assert host.view(run_id).version - version <= most
    assert 1 <= len(calls) <= most


def test_snapshot_in_hand_never_changes(host: SessionHost, agent: FakeAgent) -> None:
    run_id = start(host, agent)
    before = host.view(run_id)
    seen = before.last_seq
    agent.emit(run_id, *lines(1, 20))
    after = host.wait(run_id, before.version, 10)
    assert (before.last_seq, len(before.log)) == (seen, 0)
    assert after.version > before.version


def test_tail_yields_every_record_once_and_ends_with_the_run(
    host: SessionHost, agent: FakeAgent, here: Settings
) -> None:
    run_id = start(host, agent)
    seqs: Future[list[int]] = Future()

    def read() -> None:
        with Store(here.database) as store:
            seqs.set_result([record.seq for record in tail(host, store, run_id)])

    reader = threading.Thread(target=read)
    reader.start()
    for first in range(1, 500, 50):
        agent.emit(run_id, *lines(first, first + 49))
    agent.cut()
    agent.emit(run_id, State(state=JobState.DONE))
    assert seqs.result(15) == list(range(1, 503))
    reader.join()


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_retries_grow_from_a_quarter_of_a_second_to_half_a_minute(chance: float) -> None:
    waits = [retry_after_s(failures, chance) for failures in range(1, 100)]
    assert FIRST_RETRY_S / 2 <= waits[0] <= FIRST_RETRY_S
    assert waits == sorted(waits)
    assert LAST_RETRY_S / 2 <= waits[-1] <= LAST_RETRY_S


def test_agent_that_says_what_can_not_be_takes_no_other_run_with_it_and_is_taken_up_again(
    host: SessionHost, agent: FakeAgent, here: Settings
) -> None:
    lies, works = start(host, agent), start(host, agent)
    agent.emit(lies, Setup(phase="p", done=0, total=1))
    # With the price of this run it costs more than any number can say.
    agent.emit(lies, Setup(phase="p", done=1, total=1), ts=math.inf)
    wait_until(lambda: "malformed" in host.view(lies).link_detail, "the link to say why")
    agent.emit(works, *lines(1, 300))
    wait_for_records(here, agent, works)
    agent.jobs[lies].records.pop()
    agent.emit(lies, *lines(1, 3))
    host.retry_now(lies)
    wait_for_records(here, agent, lies)


def test_what_is_performed_ends_when_the_host_is_closed(host: SessionHost) -> None:
    async def forever(_: Targets) -> None:
        await asyncio.Event().wait()

    result = host.perform(forever)
    host.close()
    assert result.cancelled()
    assert "sessions" not in [thread.name for thread in threading.enumerate()]


def test_what_is_interrupted_before_its_first_step_takes_that_and_comes_to_its_end(host: SessionHost) -> None:
    is_busy, may_go_on, heard = threading.Event(), threading.Event(), []

    async def hold_up(_: Targets) -> None:
        is_busy.set()
        may_go_on.wait(30)

    async def work(_: Targets) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    host.perform(hold_up)
    assert is_busy.wait(30)
    result = host.perform(work)
    interrupting = threading.Thread(target=host.interrupt, args=[result])
    interrupting.start()
    # Both lie before the host's loop now, which takes them up at once.
    wait_until(lambda: len(host._unanswered) >= 3, "the interruption to be asked for")
    may_go_on.set()

    with pytest.raises(CancelledError):
        result.result(30)
    interrupting.join(30)
    assert heard == ["cancelled"]


def die_of(host: SessionHost, error: Exception) -> None:
    """Let something break that ends the whole host."""

    async def broken() -> None:
        raise error

    host._loop.call_soon_threadsafe(lambda: host._tasks.create_task(broken()))
    host._thread.join()


def test_whoever_waits_when_the_host_breaks_hears_why_and_so_does_the_log(
    host: SessionHost, agent: FakeAgent, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = start(host, agent)
    agent.vanish()
    wait_until(lambda: host.view(run_id).link is LinkState.DOWN, "the link to be down")
    result = host.send(run_id, "stop")
    die_of(host, StorageError("the disk is full"))

    assert "the session host ended" in caplog.text
    assert "the disk is full" in caplog.text
    with pytest.raises((JobError, CancelledError)):
        result.result(5)
    for later in (host.send(run_id, "stop"), host.send(run_id, "extend", 1800)):
        with pytest.raises(JobError, match=r"nothing is followed here any more \(the disk is full\)"):
            later.result(5)


def test_a_run_of_a_host_that_has_ended_is_shown_as_it_was_with_a_link_that_is_down(
    host: SessionHost, agent: FakeAgent
) -> None:
    run_id = start(host, agent)
    agent.emit(run_id, State(state=JobState.RUNNING), *lines(1, 3))
    wait_until(lambda: host.view(run_id).state is JobState.RUNNING, "the run to begin")
    source = HostRunSource(host, run_id)
    die_of(host, OSError("no more of it"))
    view = source.view()

    assert (view.state, view.link) == (JobState.RUNNING, LinkState.DOWN)
    assert view.given_up is not None
    assert "(OSError: no more of it)" in view.given_up.what
    assert view.log[-1].text == str(view.given_up)
    assert source.view() is view, "it is said once"
    source.retry_now()


def test_an_extension_that_breaks_is_told_to_whoever_asked(host: SessionHost, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("loratui.sessions.moving.extend_rental", broken)
    host._publish(RunView(run_id="r", name="n", target="vast:loratui-x"))

    with pytest.raises(OSError, match="No space left"):
        host.send("r", "extend", 1800).result(5)


def test_a_host_that_is_busy_makes_nobody_wait_who_sends(host: SessionHost, agent: FakeAgent) -> None:
    run_id = start(host, agent)
    is_free = threading.Event()
    host._loop.call_soon_threadsafe(is_free.wait)
    try:
        source = HostRunSource(host, run_id)
        sent = source.send("checkpoint")
        host._publish(RunView(run_id="r", name="n", target="vast:loratui-x"))
        host.send("r", "extend", 1800)
        source.retry_now()
        assert not sent.done()
    finally:
        is_free.set()


def test_a_command_for_a_run_that_is_not_followed_is_an_error_of_its_result(host: SessionHost) -> None:
    with pytest.raises(KeyError):
        host.send("unknown", "stop").result(5)
