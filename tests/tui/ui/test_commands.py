"""Commands are sent without waiting, and a refusal is never silent."""

from loratui.ui.commands import Commands
from loratui.ui.environment import UiOptions
from loratui_protocol.errors import AgentUnreachableError
from loratui_protocol.messages import CommandResult
from support.scripted_source import HandClock, ScriptedSource
from support.ui_pilot import showing


def result(*, ok: bool, code: str = "", message: str = "") -> CommandResult:
    return CommandResult(id="1", command="checkpoint_now", author="me", ok=ok, code=code, message=message)


async def test_a_refusal_is_shown_when_it_arrives() -> None:
    async with showing() as shown:
        await shown.press("c")
        assert "checkpoint: sent" in shown.text()
        shown.source.answers[0].set_result(result(ok=False, code="job.not_running", message="the run is over"))
        await shown.tick()

        assert "checkpoint: refused, the run is over" in shown.text()


async def test_a_notice_gives_way_to_the_key_hints_after_a_while() -> None:
    async with showing() as shown:
        await shown.press("c")
        await shown.tick(6)

        assert "p Pause c Ckpt s Sample" in shown.text()


async def test_what_may_bill_elsewhere_is_said_first_and_whole_and_then_gives_way_to_the_key_hints() -> None:
    alarm = "runpod 7h9k2m4n6pabcd may bill, $0.35/h since 11-28 08:47: loratui rentals"
    async with showing(options=UiOptions(alarm=alarm)) as shown:
        assert f" ! {alarm}" in shown.rows()
        await shown.tick(29)
        assert alarm in shown.text()
        await shown.tick(2)
        assert alarm not in shown.text()
        assert "p Pause c Ckpt s Sample" in shown.text()


def test_what_was_carried_out_needs_no_words() -> None:
    source = ScriptedSource(HandClock(), step=3)
    commands = Commands(source)
    commands.checkpoint()
    assert commands.collect() == ""
    source.answers[0].set_result(result(ok=True))

    assert commands.collect() == ""


def test_a_command_that_was_never_delivered_is_reported_once() -> None:
    source = ScriptedSource(HandClock(), step=3)
    commands = Commands(source)
    commands.sample()
    commands.stop()
    source.answers[0].set_exception(AgentUnreachableError("nothing answers"))
    source.answers[1].cancel()

    assert commands.collect() == "sample: nothing answers · stop: never reached the agent"
    assert commands.collect() == ""
