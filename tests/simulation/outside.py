"""What the real code finds around it in the simulation: clocks, threads, processes, the wire to the provider.

Only what the operating system gives is replaced, for as long as a seed runs; every decision is the real code's.
"""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any

import loratui.remote.ssh  # noqa: F401 - it is loaded late, and its clock is to be ours as well
from loratui.providers.base import ProviderError
from loratui.sessions import minding
from loratui.sessions.steady_clock import SteadyClock
from loratui_agent import arm, reaper, rental_routes, rental_watch
from loratui_agent.process import ProcessIdentity
from loratui_agent.rental import Rental
from simulation.box import Box
from simulation.client import Laptop
from simulation.cloud import Attempt
from simulation.loop import ACTOR, Over, WorldTime
from simulation.provider import SimulatedProvider, WatchedLedger
from simulation.world import World

_TRY_S = 0.3


@contextmanager
def simulated_outside(world: World, boxes: dict[str, Box], laptop: Laptop) -> Iterator[None]:
    """Let the client and the agent see the world, while the block runs. ``boxes`` is by their machines' names."""
    clock = WorldTime(world.loop)

    def here() -> Box:
        actor = ACTOR.get()
        if actor is None or actor.machine.name not in boxes:
            raise AssertionError("nobody is at a rented machine")
        return boxes[actor.machine.name]

    threads = SimpleNamespace(Thread=lambda **options: _Thread(world, here(), **options), Event=threading.Event)
    processes = SimpleNamespace(DEVNULL=subprocess.DEVNULL, Popen=lambda *_, **__: here().start_agent_later())
    replaced: list[tuple[Any, str, Any]] = [
        (rental_watch, "threading", threads),
        (rental_watch, "own_key", lambda _: here().own_key()),
        (arm, "own_key", lambda *_: here().own_key()),
        (rental_routes, "_answer", lambda rental, route, _: _answer(world, here(), rental, route)),
        (reaper, "subprocess", processes),
        (reaper, "is_alive", lambda identity: here().is_alive(identity)),
        (reaper, "signal_group", lambda identity, signum: here().signal(identity, signum)),
    ]

    @asynccontextmanager
    async def opened(*_: object) -> AsyncIterator[list[SimulatedProvider]]:
        actor = ACTOR.get()
        yield [laptop.providers[actor]] if actor is not None else []

    replaced += [
        (minding, "opened", opened),
        (minding, "Rentals", lambda path: WatchedLedger(path, world, laptop.cloud)),
    ]
    clocks: dict[Any, SteadyClock] = {}

    def steady_ts() -> float:
        # Each process has its own.
        return clocks.setdefault(ACTOR.get(), SteadyClock()).now_ts()

    for name, module in sorted(sys.modules.items()):
        # A trainer is played here; a real one that other tests have in this process goes by the real time.
        is_real = name.startswith("loratui_agent.train")
        if name.partition(".")[0] in ("loratui", "loratui_agent", "loratui_protocol", "simulation") and not is_real:
            if getattr(getattr(module, "time", None), "__name__", "") == "time":
                replaced.append((module, "time", clock))
            if hasattr(module, "steady_ts"):
                replaced.append((module, "steady_ts", steady_ts))
    with ExitStack() as stack:
        for owner, name, stand_in in replaced:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, stand_in)
        stack.enter_context(_listening(world))
        yield


class _Thread:
    """Does its work a moment later; where the line is dead, when its time is up."""

    def __init__(
        self, world: World, box: Box, *, target: Callable[[], None], name: str = "", daemon: bool = True
    ) -> None:
        self._world = world
        self._box = box
        self._target = target

    def start(self) -> None:
        """Begin."""
        actor = ACTOR.get()
        if actor is None:
            raise AssertionError("a thread of nobody's")
        wait_s = rental_routes.TIMEOUT_S if self._world.is_on(self._box.provider_line) else _TRY_S

        async def work() -> None:
            self._target()

        def run() -> None:
            if not actor.is_dead:
                self._world.loop.spawn(actor, work())

        self._box.tries(actor.name)
        self._world.loop.after(wait_s, run)


def _answer(world: World, box: Box, rental: Rental, route: Any) -> tuple[int, bytes]:
    """Answer a request of the machine's as its provider would."""
    if world.is_over:
        raise Over
    if world.fails(box.provider_line):
        raise TimeoutError("timed out")
    if rental.key != box.rig.key or rental.instance_id != box.rig.id:
        return 401, b'{"success": false, "msg": "not yours"}'
    cloud, body = box.cloud, route.body or {}
    actor = ACTOR.get()
    who = actor.name if actor is not None else "?"
    try:
        if route.method == "GET":
            return 200, json.dumps({"id": rental.instance_id, "instances": {"id": rental.instance_id}}).encode()
        if "stop" in str(body):
            cloud.stop(rental.instance_id)
        else:
            box.rig.attempts.append(Attempt(world.now_s, who))
            cloud.end(rental.instance_id, f"{who}: {box.reason()}")
    except ProviderError as error:
        return 503, error.what.encode()
    return 200, b'{"success": true}'


@contextmanager
def _listening(world: World) -> Iterator[None]:
    """Take what is logged into the trace; a round that failed is a fault of ours."""

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            world.say(f"log: {record.getMessage()}")
            if record.exc_info:
                world.wrong("no surprises", f"{record.getMessage()}: {record.exc_info[1]!r}")

    listener = Listener(logging.INFO)
    loggers = [logging.getLogger("loratui_agent.reaper"), logging.getLogger("loratui")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(listener)
        logger.propagate = False
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(listener)
            logger.setLevel(level)
            logger.propagate = propagate


def identity(pid: int) -> ProcessIdentity:
    """Return a simulated process as the agent's files name it."""
    return ProcessIdentity(pid=pid, mark="simulated")
