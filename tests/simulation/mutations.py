"""The real code, broken on purpose: the simulation shows something only if it notices."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from loratui.providers.base import ProviderError, UnknownFateError
from loratui.sessions import (
    end_due,
    ending,
    rented_box,
    renting,
    renting_attempt,
    renting_course,
    renting_end,
    renting_fate,
    renting_orphans,
    steady_clock,
)
from loratui.sessions.quoting import LINGER_S
from loratui.sessions.renting_attempt import Attempt
from loratui.sessions.steady_clock import SteadyClock
from loratui_agent import rental_watch
from loratui_agent.clock import Moment
from simulation import client, faults, run
from simulation import simulate as simulate_module
from simulation.faults import Plan
from simulation.provider import SimulatedProvider

Broken = list[tuple[Any, str, Any]]


def _gives_up() -> Broken:
    """The reaper asks once."""
    begin = rental_watch._Tries.begin

    def once(self: Any, rental: Any, num_tries: int) -> None:
        if not num_tries:
            begin(self, rental, num_tries)

    return [(rental_watch._Tries, "begin", once)]


def _never_asks() -> Broken:
    """The reaper takes no deadline for one."""
    verdict = rental_watch.rental_verdict
    return [(rental_watch, "rental_verdict", lambda it: verdict(replace(it, left_s=1.0)))]


def _goes_by_the_wall_clock() -> Broken:
    """The machine measures by a clock that anyone can set."""
    return [(Moment, "seconds_until", lambda self, later: max(0.0, later.wall_ts - self.wall_ts))]


def _believes_one_answer() -> Broken:
    return [(ending, "PROOFS", 1), (renting_orphans, "PROOFS", 1)]


def _believes_what_was_agreed() -> Broken:
    """An end that was agreed to is taken for one that has happened."""

    async def end(provider: Any, instance_id: str, *_: Any, **__: Any) -> None:
        while True:
            try:
                await provider.end(instance_id)
            except ProviderError:
                await asyncio.sleep(5.0)
            else:
                return

    return [(renting_end, "end_for_certain", end), (renting_orphans, "end_for_certain", end)]


def _stops_asking() -> Broken:
    """The client gives up after three tries."""
    whole = ending.end_for_certain

    async def end(provider: Any, instance_id: str, *others: Any, **options: Any) -> None:
        try:
            async with asyncio.timeout(10.0):
                await whole(provider, instance_id, *others, **options)
        except TimeoutError:
            return

    return [(renting_end, "end_for_certain", end), (renting_orphans, "end_for_certain", end)]


def _creates_again() -> Broken:
    """A lost answer is taken for a request that was lost."""
    create = Attempt._create

    async def again(self: Attempt) -> None:
        asked = self._provider.create

        async def twice(order: Any) -> Any:
            try:
                return await asked(order)
            except UnknownFateError:
                return await asked(order)

        self._provider.create = twice  # type: ignore[method-assign]
        try:
            await create(self)
        finally:
            self._provider.create = asked  # type: ignore[method-assign]

    return [(Attempt, "_create", again)]


def _takes_errors_for_nothing() -> Broken:
    """A listing that can't be understood is an empty one."""
    listing = SimulatedProvider.list

    async def lenient(self: SimulatedProvider, *prefix: str) -> Any:
        try:
            return await listing(self, *prefix)
        except ProviderError:
            return []

    return [(SimulatedProvider, "list", lenient)]


def _sends_first() -> Broken:
    """The request goes out before its intent is on the disk."""
    whole = Attempt.run

    async def run_(self: Attempt, *others: Any) -> Any:
        await self._provider.create(self._order)
        return await whole(self, *others)

    return [(Attempt, "run", run_)]


def _waits_for_no_file() -> Broken:
    """The agent has the rental ended as soon as the run is over."""
    return [(run, "after_end", lambda _: "done")]


BROKEN: dict[str, Callable[[], Broken]] = {
    "the reaper asks only once": _gives_up,
    "the reaper takes no deadline for one": _never_asks,
    "the machine goes by a clock that is set": _goes_by_the_wall_clock,
    "one answer that it is gone is believed": _believes_one_answer,
    "an end that was agreed to is taken for done": _believes_what_was_agreed,
    "the client stops asking for the end": _stops_asking,
    "a create whose answer was lost is sent again": _creates_again,
    "a listing that makes no sense is an empty one": _takes_errors_for_nothing,
    "the request goes out before the intent": _sends_first,
    "the agent waits for no file": _waits_for_no_file,
}
"""Each is noticed within 200 seeds."""


# What was wrong once, as it was. The seed that found it, or one that still does, is kept with each.


def _ignores_dearer_machines() -> Broken:
    """The deadline was that of the first offer, whatever the machine costs and its forerunners have cost."""

    def agreed(agreed_ts: float | None, *_: Any) -> float | None:
        return agreed_ts

    return [(renting, "ends_ts", agreed), (renting_course, "ends_ts", agreed)]


def _counts_too_early() -> Broken:
    """What is left was counted before the agent was brought, and began to run after that."""

    async def arm(machine: Any, rental: Any, key: str, preferences: Any, deadline_ts: float) -> Any:
        left_s = deadline_ts - client.steady_ts()
        await machine.agent.ensure()
        return await rented_box.arm(machine, rental, key, preferences, client.steady_ts() + left_s)

    return [(client, "arm", arm)]


def _signs_in_for_ever() -> Broken:
    """Signing in had five minutes, whatever was left of the cap."""
    whole = Attempt._sign_in

    async def sign_in(self: Attempt, connect: Any, rental: Any) -> None:
        await whole(self, connect, replace(rental, deadline_ts=None))

    return [(Attempt, "_sign_in", sign_in)]


def _settles_too_early() -> Broken:
    """What was asked for seconds ago, and is not listed yet, was taken for gone."""
    return [
        (client, "SWEEP_PACE", replace(client.SWEEP_PACE, young_s=0.0)),
        (renting, "Pace", lambda: renting_fate.Pace(young_s=0.0)),
    ]


def _calls_the_unseen_nothing() -> Broken:
    """A machine that nobody ever saw, and that ended itself, was said never to have been rented."""
    return [(module, "UNSEEN", "nothing was rented") for module in (renting_attempt, renting_orphans)]


def _goes_back() -> Broken:
    """A laptop's clock that was set back gave its rentals more time."""
    return [(SteadyClock, "now_ts", lambda _: steady_clock.time.time())]


def _lingers() -> Broken:
    """Ten minutes after a run's end its files were given up, long before the deadline."""

    def plan_of(seed: int) -> Plan:
        plan = faults.plan_of(seed)
        return replace(plan, wish=replace(plan.wish, lingers_s=LINGER_S))

    return [(simulate_module, "plan_of", plan_of)]


def _begins_whatever_is_left() -> Broken:
    """A run began with no time left to bring its result home."""
    return [(client, "SHORTEST_RUN_S", -1e9)]


def _ends_what_it_cannot_note() -> Broken:
    """A ledger that could not be written ended a run that had begun."""
    return [(client, "noted", lambda write: write())]


def _believes_old_answers() -> Broken:
    """Two wrong answers, with minutes and errors between, were taken for two in a row."""
    return [(ending, "PROOF_LASTS_S", 1e9)]


def _believes_a_clock_that_was_set_forward() -> Broken:
    """A laptop whose clock was set forward ended healthy machines, whose time it took to be up."""
    return [(end_due, "unset_s", lambda: end_due.steady_ts())]


def _believes_the_time_of_day() -> Broken:
    """A laptop whose clock was set forward took what it had asked for seconds ago for old."""
    return [(renting, "unset_s", lambda: 1e12)]


def _looks_for_half_a_minute() -> Broken:
    """What a lost answer had asked for was looked for too briefly."""
    return [(renting, "Pace", lambda: renting_fate.Pace(num_looks=5))]


ONCE: dict[str, tuple[int, Callable[[], Broken]]] = {
    "dearer machines had the time of cheaper ones": (34, _ignores_dearer_machines),
    "the machine's time began when the agent was there": (34, _counts_too_early),
    "signing in went on past the cap": (1954, _signs_in_for_ever),
    "too young to be listed was taken for gone": (467, _settles_too_early),
    "what nobody saw was said to have cost nothing": (446, _calls_the_unseen_nothing),
    "a clock that was set back moved the deadline": (31, _goes_back),
    "files were given up before the deadline": (313, _lingers),
    "a run began with no time left for its result": (34, _begins_whatever_is_left),
    "old answers were taken for proof": (4570, _believes_old_answers),
    "a clock set forward ended what was healthy": (86, _believes_a_clock_that_was_set_forward),
    "a clock set forward made what is young old": (11082, _believes_the_time_of_day),
    "what a lost answer asked for was looked for too briefly": (7689, _looks_for_half_a_minute),
    "a full disk ended a run that had begun": (1362, _ends_what_it_cannot_note),
}


@contextmanager
def broken(how: Callable[[], Broken]) -> Iterator[None]:
    """Have the code broken, while the block runs."""
    replaced = how()
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in replaced]
    for owner, name, stand_in in replaced:
        setattr(owner, name, stand_in)
    try:
        yield
    finally:
        for owner, name, original in before:
            setattr(owner, name, original)
