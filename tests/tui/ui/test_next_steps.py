"""What to try after a run, in the interface: findings, the change of each, and a config made of the chosen one."""

from pathlib import Path

import pytest

from loratui_protocol.config_file import read_config
from loratui_protocol.paths import AgentHome
from support.local_cli import end_agent_of
from support.ui_effects.effect import lacks, shows, until
from support.ui_effects.samples import on_next_steps
from support.ui_pilot import showing


async def test_a_finding_is_shown_with_its_evidence_its_change_and_its_price(tmp_path: Path) -> None:
    async with on_next_steps(tmp_path) as shown:
        said = shown.text()
        assert "it was not trained for long enough" in said
        assert "   -max_train_steps = 200" in said
        assert "   +max_train_steps = 300" in said
        assert "300 steps: ≈3 to 4 min and ≈$0.03 to $0.05 on this machine, at the $0.69/h" in said
        assert "reckoned as every plan, from 0.433 s a step as measured in this run" in said


async def test_the_chosen_change_becomes_a_config_which_is_opened_and_nothing_is_started(tmp_path: Path) -> None:
    async with on_next_steps(tmp_path) as shown:
        await shown.press("enter")
        await shown.press(*["backspace"] * len(str(Path.cwd() / "zorbix.undertrained.toml")))
        await shown.type(str(tmp_path / "next.toml"))
        await shown.press("enter")
        await until(shown, shows("▌3Config▐", "next.toml", "steps     300 in 75 epochs"))
        assert read_config(tmp_path / "next.toml").config.max_train_steps == 300
        assert shown.source.sent == []
        assert not shown.screen.errands.all


async def test_nothing_is_written_over_a_file_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "zorbix.undertrained.toml"
    mine.write_text("mine", "utf-8")
    async with on_next_steps(tmp_path) as shown:
        await shown.press("enter", "enter")
        await until(shown, shows("! not written: zorbix.undertrained.toml"))
        assert mine.read_text("utf-8") == "mine"
        assert "▌8Samples▐" in shown.text()


async def test_a_filter_that_stands_there_means_nothing_on_the_pictures(tmp_path: Path) -> None:
    async with on_next_steps(tmp_path) as shown:
        await shown.press("/")
        await shown.type("nothing like it")
        await until(shown, lacks("> undertrained"))
        await shown.press("enter", "escape", "escape")
        await until(shown, lacks("what to try next"))
        await shown.press("x")
        await until(shown, shows("> undertrained"))


async def test_of_a_run_that_is_not_known_here_it_is_said_why_nothing_can_be_said() -> None:
    async with showing() as shown:
        await shown.press("8", "x")
        await until(shown, shows("what to try next", "is not known here"))
        assert "reading" not in shown.text()


async def test_a_run_that_can_go_on_itself_is_priced_and_led_to_where_it_is_agreed_to(tmp_path: Path) -> None:
    async with on_next_steps(tmp_path, is_over=True) as shown:
        await shown.press("down")
        await until(shown, shows("> continue", "has the run go on"))
        said = " ".join(shown.text().split())
        assert "the run itself can go on from its saved state of step 200, with 100 steps more" in said
        assert "100 steps: ≈2 to 3 min and ≈$0.01 to $0.02 on this machine, at the $0.69/h" in said
        assert "reckoned as every plan, from 0.433 s a step as measured in this run" in said
        assert "loratui resume zorbix --epochs 75" in said
        await shown.press("enter")
        await until(shown, shows("▌1Home▐", "RESUME zorbix (local)", "100 steps: ≈2 to 3 min and ≈$0.01 to $0.02"))
        assert "Its machine costs $0.69/h while it trains." in " ".join(shown.text().split())
        assert not shown.screen.errands.all
        shown.clock.advance(1)
        await shown.press("y")
        await until(shown, lambda shown: bool(shown.screen.errands.all))
        [errand] = shown.screen.errands.all
        try:
            assert errand.argv == ("resume", shown.source.run_id, "--yes", "--detach", "--epochs", "75")
        finally:
            errand.process.wait(60)
            end_agent_of(AgentHome(tmp_path / "home"))


async def test_it_is_left_as_it_is_where_nobody_agrees(tmp_path: Path) -> None:
    async with on_next_steps(tmp_path, is_over=True) as shown:
        await shown.press("down")
        await until(shown, shows("> continue"))
        await shown.press("enter")
        await until(shown, shows("RESUME zorbix"))
        shown.clock.advance(1)
        await shown.press("escape")
        await until(shown, lacks("RESUME zorbix"))
        assert not shown.screen.errands.all
