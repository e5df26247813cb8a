"""Commands are sent without waiting, a refusal is never silent, and what an action changes a shell can change, too."""

import re
import shlex
from collections.abc import Iterator

import pytest

from loratui.cli.arguments import Arguments, build_parser
from loratui.ui.actions import ACTIONS
from loratui.ui.commands import Commands
from loratui.ui.environment import UiOptions
from loratui.ui.registry import Danger, Scope
from loratui_protocol.errors import AgentUnreachableError
from loratui_protocol.messages import CommandResult
from support.scripted_source import HandClock, ScriptedSource
from support.ui_pilot import showing

STANDS_FOR = {
    "RUN": "cat",
    "RENTAL": "7h9k2m4n6pabcd",
    "PROVIDER": "vast",
    "TARGET": "local",
    "ID": "31234567",
    "USD": "5",
    "FOLDER": "pictures",
    "CONFIG": "cat.toml",
    "FILE": "cat.safetensors",
    "PICTURE": "1_cat/a.png",
    "KEY": "seed",
    "VALUE": "3",
    "NAME": "dog.toml",
    "OLD": "cat",
    "NEW": "dog",
    "TEXT": "a cat",
    "WORD": "zorb",
    "TAG": "cat",
    "N": "4",
}
"""Words of commands in the registry, and what a person could type for each."""
SHOWING = frozenset(
    (
        Scope.CHART, Scope.LOG, Scope.LOG_PAGE, Scope.SAMPLES, Scope.COMPARE, Scope.LIST, Scope.MARKS,
        Scope.CONFIG_CHOICE, Scope.OFFER_FORM,
    )
)  # fmt: skip
"""Scopes of what is looked at, with nothing in them to change."""
VIEW_ONLY = frozenset(
    (
        "other_list", "data_back", "config_open", "config_compare", "offers_back", "pictures", "queue_before",
        "queue_after", "file_open", "leave", "leave_detach", "detach", "interrupt", "yank", "maximise", "palette",
        "help", "theme", "mouse", "redraw", "jump", "found_next", "found_before", "filter_form",
        "help_further", "help_before", "install_other", "next_close",
    )
)  # fmt: skip
NEVER_THERE = {
    "config_undo": "what it takes back was never written",
    "terminate_undo": "what it takes back was not asked for yet",
}
"""Actions that change what only an open interface has, and why no command could."""


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield each command that the registry names, with the words of it that a person would type behind ``loratui``."""
    for named in sorted({command for action in ACTIONS for command in filter(None, action.command.split("; "))}):
        typed = re.sub(r"\b[A-Z]+\b", lambda word: shlex.quote(STANDS_FOR[word[0]]), named)
        program, *words = shlex.split(typed)
        assert program == "loratui"
        yield named, words


@pytest.mark.parametrize(("named", "words"), [pytest.param(*each, id=each[0]) for each in commands()])
def test_a_command_that_an_action_names_can_be_typed(named: str, words: list[str]) -> None:
    typed = Arguments()
    build_parser().parse_args(words, namespace=typed)
    assert typed.handler != build_parser().get_default("handler"), f"{named} only opens the interface"


def test_every_action_that_changes_something_names_a_command() -> None:
    without = {action.id for action in ACTIONS if not action.command}
    closing = {action.id for action in ACTIONS if action.keys[0] == "escape"}
    showing_only = {action.id for action in ACTIONS if action.scope in SHOWING}
    pages = {action.id for action in ACTIONS.within(Scope.PAGES) if action.id.startswith("go_")}
    assert without - closing - showing_only - pages - VIEW_ONLY - NEVER_THERE.keys() == set()
    assert all(ACTIONS[action_id].danger is Danger.SAFE for action_id in without), "what is dangerous changes something"
    assert VIEW_ONLY | NEVER_THERE.keys() <= without, "these have a command by now"


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

        assert "p Pause x Stop… e +30m c Ckpt" in shown.text()


async def test_what_may_bill_elsewhere_is_said_first_and_whole_and_then_gives_way_to_the_key_hints() -> None:
    alarm = "runpod 7h9k2m4n6pabcd may bill, $0.35/h since 11-28 08:47: loratui rentals"
    async with showing(options=UiOptions(alarm=alarm)) as shown:
        assert f" ! {alarm}" in shown.rows()
        await shown.tick(29)
        assert alarm in shown.text()
        await shown.tick(2)
        assert alarm not in shown.text()
        assert "p Pause x Stop… e +30m c Ckpt" in shown.text()


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
