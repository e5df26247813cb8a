"""A rented machine between its address and its first job: what it starts with, who gets in, what it can end itself."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from loratui.remote.address import agent_argv
from loratui.remote.bootstrap import raise_if_error
from loratui.remote.start_script import start_script
from loratui.sessions.machine import Machine
from loratui.sessions.renting import BoxStart
from loratui.sessions.steady_clock import steady_ts
from loratui.settings import Settings
from loratui.store.rentals import StoredRental
from loratui_protocol.codec import clean
from loratui_protocol.errors import HostError, LoratuiError
from loratui_protocol.framing import new_nonce

IMAGES = {
    "vast": "pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime",
    "runpod": "runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404",
}
"""With a torch that is in the range that we train over. RunPod starts only what has an SSH server of its own."""
_SHORTEST_LEASE_S = 120.0
SETUP_S = 1800.0
"""A machine on which no job was started by then was forgotten."""
_AGAIN_S = 2.0
_FINAL = ("ssh.host_key", "ssh.host_key_changed", "ssh.forwarding", "ssh.noise")
_ARM_TIMEOUT_S = 90.0
_PURGE_LIMIT_S = 30.0
"""It costs money, and is no more than best effort: whoever owns the machine could have copied all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """What a machine has been read back to be able to do to its own rental."""

    how: str
    """"end" (the rental), "stop" (the training alone) or "none"."""
    is_verified: bool
    """Its key was tried with a request that changes nothing."""
    why: str
    deadline_left_s: float

    @property
    def sentence(self) -> str:
        """Return it for people."""
        what = {"end": "the machine ends its own rental", "stop": "the machine can only stop the training"}
        tried = "its key was tried" if self.is_verified else f"its key could not be tried ({self.why})"
        return f"{what.get(self.how, 'the machine can end nothing')}; {tried}"


def api_url(provider: str, preferences: Settings) -> str:
    """Return where the provider is asked, by us and by the machine."""
    return preferences.vast_url if provider == "vast" else preferences.runpod_url


def box_start(preferences: Settings) -> Callable[[StoredRental], BoxStart]:
    """Return how machines begin: armed with a shell before anything else is there."""

    def start(rental: StoredRental) -> BoxStart:
        # Nobody has said when it has to end: then it may not even begin.
        deadline_ts = steady_ts() if rental.deadline_ts is None else rental.deadline_ts
        script = start_script(rental.provider, api_url(rental.provider, preferences), int(deadline_ts))
        return BoxStart(image=IMAGES[rental.provider], start_script=script)

    return start


async def sign_in(machine: Machine) -> None:
    """Return once the machine lets us in and says what it is; whoever waits sets the limit.

    Raises:
        HostError: it never will: another key than at first, or none of the ways in.
    """
    while True:
        try:
            await machine.agent.probe()
        except HostError as error:
            # Its server comes up before the key is there, or behind an address that leads nowhere yet.
            if error.code in _FINAL:
                raise
            await asyncio.sleep(_AGAIN_S)
        else:
            return


async def arm(
    machine: Machine, rental: StoredRental, scoped_key: str, preferences: Settings, deadline_ts: float
) -> Armed:
    """Have the machine end its own rental at the deadline, or when it was left alone, and read back that it will.

    ``scoped_key`` opens that machine alone; where it is empty the machine looks for the one that it was given.

    Raises:
        HostError: it can't be reached, or holds none of it.
    """
    question = {
        "provider": rental.provider,
        "url": api_url(rental.provider, preferences),
        "graphql_url": preferences.runpod_graphql_url if rental.provider == "runpod" else "",
        "instance_id": rental.instance_id,
        "key": scoped_key,
        # One that is kept is not left alone by whoever closes the laptop in between.
        "lease_s": preferences.rental_lease_s if rental.keep_s is None else max(_SHORTEST_LEASE_S, rental.keep_s),
        "setup_s": SETUP_S,
        "save_s": rental.save_s,
    }
    nonce = new_nonce()
    argv = agent_argv(await machine.agent.ensure(), "arm", "--nonce", nonce)
    try:
        async with asyncio.timeout(_ARM_TIMEOUT_S), machine.box.process(argv, nonce) as process:
            # Only now: bringing the agent takes its time, and this laptop may have slept.
            asked = question | {"deadline_s": deadline_ts - steady_ts()}
            await process.write(json.dumps(asked).encode("ascii") + b"\n")
            await process.write_eof()
            told = await process.frame()
    except TimeoutError as error:
        raise HostError(
            f"{machine.box.name} did not say within {_ARM_TIMEOUT_S:.0f} s whether it can end its rental",
            fix="the next machine is tried",
            code="host.arm",
        ) from error
    raise_if_error(machine.box, told)
    left_s = told.get("deadline_left_s")
    return Armed(
        how=told["armed"] if told.get("armed") in ("end", "stop") else "none",
        is_verified=told.get("verified") is True,
        why=clean(str(told.get("why", "")), 200),
        deadline_left_s=float(left_s) if isinstance(left_s, int | float) else 0.0,
    )


async def purge_data(machine: Machine) -> str:
    """Have what was brought to the machine and made there removed, tokens included; return why not, if so.

    Its reaper stays, and ends the rental should nobody else do.
    """
    try:
        async with asyncio.timeout(_PURGE_LIMIT_S):
            nonce = new_nonce()
            argv = agent_argv(await machine.agent.address(), "purge", "--data", "--nonce", nonce)
            async with machine.box.process(argv, nonce) as process:
                told = await process.frame()
            raise_if_error(machine.box, told)
    except TimeoutError:
        return f"it took more than {_PURGE_LIMIT_S:.0f} s"
    except LoratuiError as error:
        return error.what
    return "" if told.get("exists") is False else "something of it is still there"
