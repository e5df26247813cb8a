"""Virtual time: a loop that never waits, and who of the simulated world a callback belongs to.

Every callback bears its actor, a process on some machine. A process that was killed runs nothing any more, not even
its ``finally``; on a laptop that sleeps everything waits, and its monotonic clock stands still.
"""

import asyncio
import contextvars
import time as real_time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

EPOCH_TS = 1_800_000_000.0
_MAX_EVENTS = 400_000


class StuckError(Exception):
    """Nothing is left that could happen, or it never ends."""


class Over(BaseException):
    """The seed is over: what is left of killed processes is unwound, and has no effect any more."""


@dataclass(eq=False)
class Machine:
    """A computer with clocks of its own."""

    name: str
    wall_offset_s: float = 0.0
    slept_s: float = 0.0
    is_asleep: bool = False
    deferred: list["_Guard"] = field(default_factory=list)


@dataclass(eq=False)
class Actor:
    """A process on a machine."""

    name: str
    machine: Machine
    is_dead: bool = False
    tasks: list["asyncio.Task[Any]"] = field(default_factory=list)


ACTOR: contextvars.ContextVar[Actor | None] = contextvars.ContextVar("actor", default=None)
WORLD = contextvars.Context()
"""Of what happens by itself: networks, providers, faults."""


class _Guard:
    """A callback of an actor; asks before it runs whether that lives, is awake, and has come so far in time."""

    __slots__ = ("actor", "args", "callback", "context", "due_s", "handle", "loop")

    def __init__(
        self,
        loop: "VirtualLoop",
        actor: Actor,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context,
        due_s: float | None,
    ) -> None:
        self.loop, self.actor, self.callback, self.args, self.context = loop, actor, callback, args, context
        self.due_s = due_s
        """By the monotonic clock of its machine."""
        self.handle: asyncio.Handle | None = None

    def __call__(self) -> None:
        machine = self.actor.machine
        if self.actor.is_dead or (self.handle is not None and self.handle.cancelled()):
            return
        if machine.is_asleep:
            machine.deferred.append(self)
            return
        if self.due_s is not None and self.due_s + machine.slept_s - self.loop.now_s > 1e-6:
            asyncio.BaseEventLoop.call_at(self.loop, self.due_s + machine.slept_s, self, context=self.context)
            return
        self.callback(*self.args)


class VirtualLoop(asyncio.BaseEventLoop):
    """Goes from one event to the next without waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0
        self.num_events = 0
        self._selector = self
        self._clock_resolution = 1e-6
        self.set_task_factory(_new_task)

    def select(self, timeout: float | None) -> list[Any]:
        """Let the time pass until the next event; the loop asks this in place of a selector."""
        self.num_events += 1
        if timeout is None or self.num_events > _MAX_EVENTS:
            raise StuckError("nothing can happen any more" if timeout is None else "it never ends")
        self.now_s += max(0.0, timeout)
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def time(self) -> float:
        """Return the monotonic time of whoever asks."""
        actor = ACTOR.get()
        return self.now_s - (actor.machine.slept_s if actor is not None else 0.0)

    def call_soon(self, callback: Any, *args: Any, context: contextvars.Context | None = None) -> asyncio.Handle:
        """Call it in this context: it is its actor's."""
        context = contextvars.copy_context() if context is None else context
        actor = context.get(ACTOR)
        if actor is None:
            return super().call_soon(callback, *args, context=context)
        guard = _Guard(self, actor, callback, args, context, None)
        guard.handle = super().call_soon(guard, context=context)
        return guard.handle

    def call_at(
        self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Call it then, by the clock of the context's actor."""
        context = contextvars.copy_context() if context is None else context
        actor = context.get(ACTOR)
        if actor is None:
            return super().call_at(when, callback, *args, context=context)
        guard = _Guard(self, actor, callback, args, context, when)
        handle = super().call_at(when + actor.machine.slept_s, guard, context=context)
        guard.handle = handle
        return handle

    def after(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        """Call it in so many seconds: something that happens by itself, whoever has begun it."""
        super().call_at(self.now_s + max(0.0, delay_s), callback, *args, context=WORLD)

    def spawn(self, actor: Actor, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Have an actor do it."""
        context = contextvars.Context()
        context.run(ACTOR.set, actor)
        return self.create_task(work, name=actor.name, context=context)

    def sleep(self, machine: Machine) -> None:
        """Let a machine fall asleep."""
        machine.is_asleep = True

    def wake(self, machine: Machine, slept_s: float) -> None:
        """Wake it; its monotonic clock has stood still for so long."""
        machine.is_asleep = False
        machine.slept_s += slept_s
        waiting, machine.deferred = machine.deferred, []
        for guard in waiting:
            asyncio.BaseEventLoop.call_soon(self, guard, context=guard.context)

    def unwind(self, actors: list[Actor]) -> None:
        """Take apart what is left of actors when everything was looked at; none of it runs on."""
        for actor in actors:
            actor.is_dead = True
            for task in reversed(actor.tasks):
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    _unwind(task.get_coro())


def _new_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
    context = options.get("context")
    actor = ACTOR.get() if context is None else context.get(ACTOR)
    if actor is not None:
        actor.tasks = [each for each in actor.tasks if not each.done()]
        actor.tasks.append(task)
    return task


def _unwind(coroutine: Any) -> None:
    for _ in range(20):
        try:
            coroutine.throw(Over())
        except BaseException:  # noqa: BLE001 - whatever it says, nobody is there to hear it
            return


class WorldTime:
    """Stands in for the module ``time``: each actor reads the clocks of its machine."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def time(self) -> float:
        """Return epoch seconds."""
        actor = ACTOR.get()
        return EPOCH_TS + self._loop.now_s + (actor.machine.wall_offset_s if actor is not None else 0.0)

    def time_ns(self) -> int:
        """Return epoch nanoseconds."""
        return int(self.time() * 1e9)

    def monotonic(self) -> float:
        """Return seconds, without those in which the machine slept."""
        return self._loop.time()

    def clock_gettime(self, _clock: int) -> float:
        """Return the seconds since the boot; rented machines never sleep."""
        return self._loop.now_s

    def sleep(self, _seconds: float) -> None:
        """Nobody may block here."""
        raise AssertionError("a simulated process can't block")

    def __getattr__(self, name: str) -> Any:
        return getattr(real_time, name)
