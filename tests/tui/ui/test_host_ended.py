"""What follows runs may break: the screen then says so, shows what was last known, and still ends what bills."""

from pathlib import Path

from loratui import settings
from loratui.domain.overview import Overview
from loratui.sessions.host import SessionHost
from loratui.sessions.source import HostRunSource
from loratui.sessions.start_run import start_run
from loratui_protocol.errors import StorageError
from loratui_protocol.messages import JobState, State
from support.agent_process import wait_until
from support.fake_agent import fake_agent
from support.scripted_source import HandClock
from support.ui_effects.home import DeskOfMany
from support.ui_effects.money import rental_line
from support.ui_pilot import showing


async def test_a_screen_whose_host_has_ended_says_why_and_can_still_terminate(tmp_path: Path) -> None:
    here = settings.load({"state_dir": str(tmp_path / "state")}, {"LORATUI_CONFIG_DIR": str(tmp_path)})
    clock = HandClock()
    with fake_agent(tmp_path / "home") as agent:
        host = SessionHost(here)
        host.start()
        run_id = start_run(host, name="n", target="local", config_toml="", home=agent.home, price_microusd_per_h=7)
        agent.emit(run_id, State(state=JobState.RUNNING))
        wait_until(lambda: host.view(run_id).state is JobState.RUNNING, "the run to begin")
        source = HostRunSource(host, run_id)
        desk = DeskOfMany(source, here, Overview(rentals=(rental_line(),), is_read=True))
        async with showing(source, clock, desk=desk) as shown:  # type: ignore[arg-type]
            assert "● TRAINING" in shown.rows()[0]

            async def broken() -> None:
                raise StorageError("the disk is full")

            host._loop.call_soon_threadsafe(lambda: host._tasks.create_task(broken()))
            host._thread.join()
            await shown.tick()
            assert all(words in shown.rows()[0] for words in ("! LINK DOWN", "given up", "● TRAINING"))
            await shown.press("c")
            assert "Checkpoint now: not now, no link to the agent" in shown.text()
            await shown.press("r")
            assert "nothing is followed here any more (the disk is full)" in shown.text()
            await shown.press("ctrl+t")
            assert "TERMINATE vast 31234567" in shown.text()
            assert shown.app.is_running
