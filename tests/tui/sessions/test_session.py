"""One session by itself, with an agent over a real socket: what its way, or its files, run into."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loratui.domain.run import LinkState
from loratui.domain.supplied import Supplied
from loratui.remote.local_agent import LocalAgent
from loratui.sessions.session import RunSession
from loratui.sessions.steady_clock import steady_ts
from loratui.sessions.supplying import Supplier
from loratui.store import Store, StoredRun
from loratui_protocol.errors import HostError
from loratui_protocol.ids import new_id
from loratui_protocol.messages import JobState, StartJob, State, Stop
from support.fake_agent import FakeAgent, fake_agent


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with fake_agent(tmp_path / "home") as started:
        yield started


class Stumbling(LocalAgent):
    """A way with a fault of ours in it, which shows the first time."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, may_start=False)
        self.stumbles = 1

    async def token(self) -> str:
        if self.stumbles:
            self.stumbles -= 1
            raise ZeroDivisionError
        return await super().token()


class Followed:
    """A session that is followed, and how it went."""

    def __init__(self, session: RunSession, news: asyncio.Event, details: list[str]) -> None:
        self.session = session
        self.details = details
        self._news = news

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def followed(
    agent: FakeAgent,
    folder: Path,
    way: LocalAgent | None = None,
    supplier: Supplier | None = None,
    entered: Callable[[JobState, float], None] = lambda _state, _ts: None,
) -> AsyncIterator[Followed]:
    news = asyncio.Event()
    details: list[str] = []

    def changed() -> None:
        details.append(session.view.link_detail)
        news.set()

    run = StoredRun(id=new_id(), name="n", target="local", created_ts=1.0, config_toml="", home=agent.home)
    with Store(folder / "db") as store:
        store.add_run(run)
        session = RunSession(
            run,
            store,
            way or LocalAgent(agent.home, may_start=False),
            folder=folder,
            author="ann",
            client_id="c",
            changed=changed,
            supplier=supplier,
            entered=entered,
        )
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(session.run())
            yield Followed(session, news, details)
            session.close()
            task.cancel()


async def test_fault_of_ours_is_said_and_tried_again(
    agent: FakeAgent, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with followed(agent, tmp_path, Stumbling(agent.home)) as run:
        with pytest.raises(Exception, match="ZeroDivisionError"):
            await asyncio.wrap_future(run.session.answered)
        await run.until(lambda: run.session.view.link is LinkState.UP)
    assert any("fault of loratui" in detail for detail in run.details)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(("code", "stops"), [("ssh.refused", True), ("upload.slow", True), ("ssh.lost", False)])
async def test_run_whose_files_can_not_be_brought_is_stopped_unless_only_the_link_broke(
    agent: FakeAgent, tmp_path: Path, code: str, stops: bool
) -> None:
    attempts = 0

    async def supplier(_tell: Callable[[Supplied], None], _warn: Callable[[str], None]) -> None:
        nonlocal attempts
        attempts += 1
        raise HostError("it runs no program for us", fix="allow sessions (MaxSessions)", code=code)

    async with followed(agent, tmp_path, supplier=supplier) as run:
        if stops:
            await run.until(lambda: any(isinstance(command, Stop) for command in agent.commands))
            supply = run.session.view.supply
            assert supply is not None
            assert "MaxSessions" in str(supply.error)
            assert attempts == 1
        else:
            await run.until(lambda: attempts > 1)
            assert {type(command) for command in agent.commands} == {StartJob}


async def test_a_clock_that_is_set_back_while_a_run_is_followed_moves_no_state_to_an_earlier_time(
    agent: FakeAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    async with followed(agent, tmp_path, entered=lambda _state, ts: told.append(ts)) as it:
        await it.until(lambda: it.session.view.link is LinkState.UP)
        before_ts, right = steady_ts(), time.time
        monkeypatch.setattr(time, "time", lambda: right() - 7200.0)
        agent.emit(it.session.view.run_id, State(state=JobState.RUNNING), ts=1000.0)
        await it.until(lambda: bool(told))
    assert abs(told[0] - before_ts) < 10.0
