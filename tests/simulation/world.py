"""The simulated world: its clock, its dice, what goes wrong in it and when, the lines between its machines."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from simulation.loop import ACTOR, Actor, VirtualLoop

T = TypeVar("T")
REQUEST_TIMEOUT_S = 20.0


class NotSentError(Exception):
    """No connection was made: nothing has happened."""


class NoAnswerError(Exception):
    """It was sent, and no answer came."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time in which something goes wrong."""

    kind: str
    from_s: float
    to_s: float


@dataclass
class World:
    """``folder`` is for everything that lies on disks."""

    seed: int
    folder: Path
    loop: VirtualLoop
    dice: random.Random
    windows: list[Window] = field(default_factory=list)
    healed_s: float = float("inf")
    """From then on nothing goes wrong any more."""
    is_over: bool = False
    trace: list[str] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    """Faults that had an effect."""
    violations: list[str] = field(default_factory=list)
    actors: list[Actor] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """Short names of labels, which are drawn anew each time."""

    @property
    def now_s(self) -> float:
        """Return the true time."""
        return self.loop.now_s

    def say(self, text: str) -> None:
        """Add a line to the trace."""
        actor = ACTOR.get()
        who = actor.name if actor is not None else "world"
        for label, name in self.names.items():
            text = text.replace(label, name)
        self.trace.append(f"{self.now_s - 1000:9.2f}  {who:<14} {text}")

    def wrong(self, rule: str, text: str) -> None:
        """Note that something is not as it must be."""
        for label, name in self.names.items():
            text = text.replace(label, name)
        self.say(f"WRONG ({rule}): {text}")
        self.violations.append(f"{rule}: {text}")

    def hit(self, fault: str, text: str = "") -> None:
        """Count a fault that had an effect."""
        self.happened[fault] += 1
        self.say(f"fault: {fault}{' ' + text if text else ''}")

    def is_on(self, kind: str) -> bool:
        """Return whether this goes wrong now."""
        if self.now_s >= self.healed_s:
            return False
        return any(window.kind == kind and window.from_s <= self.now_s < window.to_s for window in self.windows)

    def fails(self, kind: str) -> bool:
        """Return the same, and count it if it does."""
        if self.is_on(kind):
            self.hit(kind)
            return True
        return False

    def actor(self, actor: Actor) -> Actor:
        """Know a process."""
        self.actors.append(actor)
        return actor

    async def request(self, line: str, serve: Callable[[], T], *, timeout_s: float = REQUEST_TIMEOUT_S) -> T:
        """Send something along a line, and return the answer; what is sent arrives whatever becomes of the sender.

        Raises:
            NotSentError, NoAnswerError: the line is cut.
        """
        if self.is_over:
            raise asyncio.CancelledError
        if self.fails(line):
            await asyncio.sleep(timeout_s / 4)
            raise NotSentError(line)
        future: asyncio.Future[T] = self.loop.create_future()
        sender = ACTOR.get()
        there_s, back_s = self.dice.uniform(0.02, 0.4), self.dice.uniform(0.02, 0.4)

        def arrive() -> None:
            try:
                answer = serve()
            except Exception as error:  # noqa: BLE001 - it travels back
                self.loop.after(back_s, reply, None, error)
            else:
                self.loop.after(back_s, reply, answer, None)

        def reply(answer: T, error: Exception | None) -> None:
            if future.done():
                return
            is_away = sender is not None and sender.machine.is_asleep
            if isinstance(error, NoAnswerError) or is_away or self.is_on(line):
                self.say(f"an answer is lost on the line {line}")
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(answer)

        self.loop.after(there_s, arrive)
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError as error:
            raise NoAnswerError(line) from error
