"""What following a run teaches later estimates: the speed of this line, and the GPU that the run is on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from loratui import settings
from loratui.domain.download_policy import DownloadPolicy
from loratui.domain.estimate import RESULTS, estimate
from loratui.remote.local_agent import LocalAgent
from loratui.sessions.estimating import known_facts
from loratui.sessions.session import RunSession
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui_protocol.ids import new_id
from loratui_protocol.messages import Heartbeat, Telemetry
from support.agent_process import running_agent
from support.estimates import A_WORK, an_offer
from support.fake_agent import fake_agent

RENTED = "vast:loratui-one"
LARGE = "steps = 5\nstep_s = 0.001\nlora_bytes = 8000000"
ASSUMED, MEASURED = "assumed: a downlink of 20 Mbit/s", "measured: this line's downlink"


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return settings.load({"state_dir": str(tmp_path / "state")}, {"LORATUI_CONFIG_DIR": str(tmp_path)})


@asynccontextmanager
async def followed(
    here: Settings, run: StoredRun, policy: DownloadPolicy
) -> AsyncIterator[tuple[RunSession, Callable[[Callable[[], bool]], object]]]:
    """Follow a run whose agent is on this machine, wherever its target says that it is."""
    news = asyncio.Event()

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                news.clear()
                await news.wait()

    with Store(here.database) as store:
        store.add_run(run)
        session = RunSession(
            run,
            store,
            LocalAgent(run.home, may_start=False),
            folder=here.run_folder(run.id),
            author="ann",
            client_id="c",
            changed=news.set,
            policy=policy,
        )
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(session.run())
            yield session, until
            session.close()
            task.cancel()


def a_run(home: Path, target: str, config_toml: str = "") -> StoredRun:
    return StoredRun(id=new_id(), name="n", target=target, created_ts=1.0, config_toml=config_toml, home=home)


def source_of_results(here: Settings) -> str:
    known = known_facts(here, [])
    return next(part.source for part in estimate(A_WORK, an_offer(), known).parts if part.name == RESULTS)


@pytest.mark.parametrize(
    ("target", "max_mbit_s", "source"),
    [
        pytest.param(RENTED, 0, MEASURED, id="rented"),
        pytest.param(RENTED, 800, ASSUMED, id="a-cap-says-nothing-of-the-line"),
        pytest.param("local", 0, ASSUMED, id="a-machine-that-is-no-way-off"),
    ],
)
async def test_files_that_come_from_a_rented_machine_measure_the_line_for_later_estimates(
    here: Settings, tmp_path: Path, target: str, max_mbit_s: float, source: str
) -> None:
    with running_agent(tmp_path / "home") as agent:
        run = a_run(agent.home.path, target, LARGE)
        async with followed(here, run, DownloadPolicy(max_mbit_s=max_mbit_s)) as (session, until):
            await until(lambda: session.view.is_settled)
            assert session.view.downloaded["lora"].stat().st_size == 8_000_000
    assert source_of_results(here) == source


async def test_small_files_measure_nothing(here: Settings, tmp_path: Path) -> None:
    with running_agent(tmp_path / "home") as agent:
        run = a_run(agent.home.path, RENTED, LARGE.replace("8000000", "100000"))
        async with followed(here, run, DownloadPolicy()) as (session, until):
            await until(lambda: session.view.is_settled)
    assert source_of_results(here) == ASSUMED


@pytest.mark.parametrize(("offered", "remembered"), [("", "NVIDIA GeForce RTX 4090"), ("RTX 4090", "RTX 4090")])
async def test_the_gpu_that_a_run_is_on_is_remembered_as_the_offer_names_it_or_else_its_driver(
    here: Settings, tmp_path: Path, offered: str, remembered: str
) -> None:
    with fake_agent(tmp_path / "home") as agent:
        run = replace(a_run(agent.home, "ssh://ann@box:22"), gpu=offered)
        async with followed(here, run, DownloadPolicy()) as (session, until):
            await asyncio.wrap_future(session.answered)
            said = Telemetry(source="nvml", gpu_name="NVIDIA GeForce RTX 4090")
            agent.beat(Heartbeat(now_ts=1000.0, telemetry=said))
            await until(lambda: session.view.telemetry is not None)
    with Store(here.database) as store:
        assert store.run(run.id).gpu == remembered
