"""``clean``: take off a host everything that loratui left there."""

import asyncio
import sys

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.following import say
from loratui.cli.hosts import host_options
from loratui.cli.limits import agrees
from loratui.domain.formatting import size
from loratui.sessions.cleaning import Remains, clean, look
from loratui.sessions.machine import Machine
from loratui.sessions.targets import Targets
from loratui_protocol.errors import UsageError


def clean_host(arguments: Arguments) -> int:
    """Say what is on the host, ask, remove it, and look whether it is gone."""
    return asyncio.run(_clean(arguments))


async def _clean(arguments: Arguments) -> int:
    preferences = settings.load()
    targets = Targets(preferences, say=say)
    try:
        machine = targets.machine(arguments.on or "", host_options(arguments))
        extra = {home for home in (preferences.ssh_home, machine.agent.remembered_home()) if home}
        facts, found = await look(machine.box, sorted(extra))
        machine.remember_options()
        if not found:
            print(f"{machine.box.name}: nothing of loratui is there")
            return 0
        for remains in found:
            for sentence in remains.sentences():
                say(sentence)
        if not arguments.yes and not await asyncio.to_thread(_agrees, found):
            return 0
        for remains in found:
            num_ended = await clean(machine.box, facts, remains.home)
            print(
                f"{machine.box.name}: {remains.home} is gone, {size(remains.num_bytes)} are free again, "
                f"{num_ended} processes were ended"
            )
        _forget(machine)
        return 0
    finally:
        await targets.close()


def _agrees(found: list[Remains]) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "there is nobody to ask whether all this may go: nothing was removed",
            fix="give --yes",
            code="clean.unasked",
        )
    loses = any(remains.loses_results for remains in found)
    question = "Remove it all, results that are nowhere else included?" if loses else "Remove it all?"
    return agrees(question, otherwise="nothing was removed")


def _forget(machine: Machine) -> None:
    machine.agent.refused_token()
    machine.instance.remember({"agent": None})
