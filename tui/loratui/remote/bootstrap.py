"""Brings the agent to a box and has it run: one command when it must be sent, one when it is there already."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loratui.domain.box import BoxFacts, BoxPython
from loratui.remote.address import AgentAddress, agent_argv, is_sayable
from loratui.remote.box import Box
from loratui.remote.bundle import Bundle, bundle
from loratui.remote.told import told_error
from loratui_protocol.codec import clean
from loratui_protocol.errors import HostError, ModelError
from loratui_protocol.framing import new_nonce

Say = Callable[[str, str, float], None]
"""Hears of a phase, what happened in it, and how many seconds it took."""

OLDEST_PYTHON = (3, 11)
START_TIMEOUT_S = 120.0
ANSWER_TIMEOUT_S = 120.0
REMOVE_TIMEOUT_S = 1800.0
"""Tens of gigabytes in a hundred thousand files, on a slow disk."""
_BOOT = "import sys; exec(compile(sys.stdin.buffer.read({}), {}, {}))"
_PROGRAM = Path(__file__).with_name("unpack_program.py")


async def ensure_agent(
    box: Box, facts: BoxFacts, home: str, say: Say, *, python: str = "", upgrade: bool = True
) -> AgentAddress:
    """Have an agent answer at ``home``, and return where; its reaper watches over it by then.

    ``python`` is an interpreter of the box to use; by default the probe's first that is new enough. With ``upgrade``
    an idle agent of another version is replaced by ours.

    Raises:
        HostError: ``host.python`` (none is new enough), ``host.disk``, ``host.agent``, or the link's.
    """
    address, packed = await _addressed(box, facts, home, python)
    words = ("start",) if upgrade else ("start", "--keep")
    is_there = any(found.path == home and packed.name in found.bundles for found in facts.homes)
    started_s = time.monotonic()
    if is_there:
        try:
            fields = await _ask(box, lambda nonce: agent_argv(address, *words, "--nonce", nonce), b"", _NOT_STARTED)
        except HostError as error:
            if error.code not in ("host.agent", "ssh.command"):
                raise
            # Someone has removed some of its files, perhaps: our copy is whole.
            fields = await _push_and_run(box, address, packed, words, _NOT_STARTED, mode="replace")
            is_there = False
    else:
        fields = await _push_and_run(box, address, packed, words, _NOT_STARTED, mode="keep")
    done = _read_answer(box, address, fields)
    how = "started" if fields.get("started") else "was running"
    sent = "" if is_there else f", {len(packed.content) >> 10} KiB sent"
    say("agent", f"{how}{sent}", time.monotonic() - started_s)
    return done


def agent_python(facts: BoxFacts) -> str:
    """Return the interpreter that the agent runs on: one of no environment that may go away, if there is a choice."""
    fit = [python for python in facts.pythons if python.version >= OLDEST_PYTHON]
    return min(fit, key=_rank).path if fit else ""


def _rank(python: BoxPython) -> bool:
    return python.is_virtual


async def run_program(
    box: Box,
    facts: BoxFacts,
    home: str,
    *words: str,
    python: str = "",
    typed: bytes = b"",
    timeout_s: float = ANSWER_TIMEOUT_S,
) -> dict[str, Any]:
    """Return the first frame of a program of ours on the box: ``run_program(box, facts, home, "purge")``.

    The bundle is sent to ``home`` first where it is missing; on a full disk an earlier one that is there serves too.
    ``typed`` is all of the program's standard input; it has ``timeout_s`` to answer.

    Raises:
        HostError: as in ``ensure_agent``.
    """
    address, packed = await _addressed(box, facts, home, python)
    late = _Late(timeout_s, f"loratui's program {words[0]!r} did not answer", "try again; what it has done stays done")
    bundles = [name for found in facts.homes if found.path == home for name in found.bundles]
    if typed and packed.name not in bundles:
        # What comes behind the bundle may be read with it, and lost: by itself it goes to the second program.
        await _push_and_run(box, address, packed, ("purge",), late, mode="keep")
        bundles = [packed.name]
    if packed.name in bundles:
        return await _ask(box, lambda nonce: agent_argv(address, *words, "--nonce", nonce), typed, late)
    try:
        return await _push_and_run(box, address, packed, words, late, mode="keep")
    except HostError as error:
        if error.code != "host.disk" or not bundles:
            raise
        earlier = replace(address, bundle=f"{home}/agent/{bundles[-1]}")
        return await _ask(box, lambda nonce: agent_argv(earlier, *words, "--nonce", nonce), b"", late)


async def _addressed(box: Box, facts: BoxFacts, home: str, python: str) -> tuple[AgentAddress, Bundle]:
    """Return where the agent would be, and the bundle that it is made of."""
    chosen = python or agent_python(facts)
    if not chosen:
        raise HostError(
            f"{box.name} has no Python 3.11 or later; nothing was started", fix="install one there", code="host.python"
        )
    if not is_sayable({"home": home, "python": chosen}):
        raise HostError(
            f"{clean(home, 200)!r} or {clean(chosen, 200)!r} on {box.name} has characters that shells read differently",
            fix="choose a folder with a plain name",
            code="host.disk",
        )
    packed = await asyncio.to_thread(bundle)
    address = AgentAddress(home=home, python=chosen, bundle=f"{home}/agent/{packed.name}", socket="", token="")
    return address, packed


async def _push_and_run(
    box: Box, address: AgentAddress, packed: Bundle, words: Sequence[str], late: "_Late", *, mode: str
) -> dict[str, Any]:
    program = await asyncio.to_thread(_PROGRAM.read_bytes)
    boot = _BOOT.format(len(program), '"unpack"', '"exec"')
    sha256 = hashlib.sha256(packed.content).hexdigest()

    def argv(nonce: str) -> Sequence[str]:
        unpack = [address.python, "-I", "-c", boot, address.home, packed.name, str(len(packed.content)), sha256]
        return [*unpack, nonce, mode, "--", *agent_argv(address, *words, "--nonce", nonce)]

    return await _ask(box, argv, program + packed.content, late)


@dataclass(frozen=True, slots=True)
class _Late:
    """How long a program may take to answer, and what is said of one that takes longer."""

    limit_s: float
    what: str
    fix: str


_NOT_STARTED = _Late(
    START_TIMEOUT_S, "the agent did not start", "look at run/agent.log in its home there, then try again"
)


async def _ask(box: Box, argv: Callable[[str], Sequence[str]], content: bytes, late: _Late) -> dict[str, Any]:
    """Run a program that answers with one frame; return it.

    Raises:
        HostError: the answer is an error, or there is none.
    """
    nonce = new_nonce()
    try:
        async with asyncio.timeout(late.limit_s), box.process(argv(nonce), nonce) as process:
            # It may end before it took everything in: then what it says counts, and without a word that is an error.
            with contextlib.suppress(HostError):
                await process.write(content)
                await process.write_eof()
            fields = await process.frame()
    except TimeoutError as error:
        raise HostError(
            f"{box.name}: {late.what} within {late.limit_s:.0f} s", fix=late.fix, code="host.agent"
        ) from error
    raise_if_error(box, fields)
    return fields


def raise_if_error(box: Box, fields: dict[str, Any]) -> None:
    """Return if a frame is no ``{"error": {"code", "what", "fix"}}``.

    Raises:
        HostError: with what the box says, cleaned.
        ModelError: the same, of a base model.
    """
    told = told_error(fields, "host.", "model.")
    if told is None:
        return
    kind = ModelError if told.code.startswith("model.") else HostError
    raise kind(f"{box.name}: {told.what}", fix=told.fix, code=told.code or "host.agent")


def _read_answer(box: Box, address: AgentAddress, fields: dict[str, Any]) -> AgentAddress:
    whole = {**address.to_dict(), "agent_bundle": fields.get("bundle", "")}
    whole |= {name: fields.get(name) for name in ("socket", "token")}
    read = AgentAddress.from_dict(whole)
    if read is None or not read.socket.startswith("/") or not read.token.isalnum():
        raise HostError(
            f"{box.name} says that its agent runs, but not where",
            fix="is that program loratui's own?",
            code="host.agent",
        )
    return read
