"""A laptop and the processes on it. They play what ``cli/rent.py`` and ``cli/rentals.py`` do around the real code."""

import asyncio
import contextlib
import math
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from loratui.cli.rent import SHORTEST_SAVE_S as SAVE_S
from loratui.cli.rent_start import SHORTEST_RUN_S
from loratui.domain.estimate_limits import RunLimits
from loratui.domain.ledger import Phase
from loratui.domain.offers import Offer
from loratui.domain.rental import RentalState
from loratui.domain.rental_cost import RentalCost
from loratui.domain.run import RunView
from loratui.providers.base import ProviderError
from loratui.remote.address import AgentAddress
from loratui.sessions.minding import Minder
from loratui.sessions.rented_box import arm, box_start, sign_in
from loratui.sessions.renting import Wanted, rent
from loratui.sessions.renting_course import Rental, RentalView
from loratui.sessions.renting_end import finish_rental, noted
from loratui.sessions.renting_fate import Pace
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.renting_orphans import Found, Standing, end_found, reconcile, tidy_all
from loratui.sessions.steady_clock import steady_ts
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui.store.rentals import StoredRental
from loratui_protocol.errors import HostError, LoratuiError, UsageError
from loratui_protocol.ids import new_id
from loratui_protocol.messages import Artifact, ArtifactKind, JobState
from simulation.box import Box
from simulation.cloud import Cloud
from simulation.loop import Actor, Machine
from simulation.provider import SimulatedProvider, WatchedLedger
from simulation.world import NoAnswerError, NotSentError, World

T = TypeVar("T")
SWEEP_PACE = Pace(num_looks=3, first_look_s=1.0)
PROVIDER_LINE = "laptop-provider"
BOX_LINE = "laptop-box"
_LOOK_EVERY_S = 10.0
_PATIENCE_S = 180.0
"""After so long without a word from a machine whose time is over a person ends it by hand."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person at the laptop wants."""

    offers: tuple[Offer, ...]
    limits: RunLimits
    keep_s: float | None
    """For how long the machine is to be kept once everything is here; None: not at all."""
    setup_s: float
    upload_s: float
    accepts_no_deadman: bool = False
    lingers_s: float | None = None
    """How long files wait for somebody; None: until the deadline."""


class Laptop:
    """One laptop; what lies on its disk outlives its processes."""

    def __init__(
        self, world: World, cloud: Cloud, boxes: dict[str, Box], settings: Settings, name: str, wish: Wish
    ) -> None:
        self.world, self.cloud, self.boxes, self.settings, self.wish = world, cloud, boxes, settings, wish
        self.provider_name = name
        self.machine = Machine("laptop")
        self.files: set[str] = set()
        """Runs whose result is here, verified."""
        self.agreed_s: float | None = None
        """The true time at which everything is to end, as it was agreed to."""
        self.words: list[str] = []
        """What a person was told that is no good news."""
        self.by_hand: set[str] = set()
        """Labels whose end a person has asked for."""
        self.processes: dict[Actor, asyncio.Task[None]] = {}
        self.renting: tuple[float, float] | None = None
        """From when until when somebody rented here."""
        self.minded: dict[str, Actor] = {}
        """Which process holds a rental's lock."""
        self.providers: dict[Actor, SimulatedProvider] = {}
        """What each process has to ask with."""
        self._dead = world.folder / "dead"
        self._dead.touch()
        self._num_processes = 0

    def start(self, work: Callable[["Process"], Any]) -> Actor:
        """Start a process."""
        self._num_processes += 1
        actor = self.world.actor(Actor(f"client{self._num_processes}", self.machine))
        process = Process(self, actor)

        async def whole() -> None:
            try:
                await work(process)
            except LoratuiError as error:
                self.words.append(f"{error.code}: {error.what}")
                self.world.say(f"ends: {error.code}: {error.what}")
            except asyncio.CancelledError:
                self.world.say("ends: interrupted")
            except Exception as error:  # noqa: BLE001 - it is a fault of ours, whatever it is
                self.world.wrong("no surprises", f"{actor.name} ends with {error!r}")
            else:
                self.world.say("ends")
            self._rents_no_more()
            self.processes.pop(actor, None)
            self._lets_go(actor)

        self.processes[actor] = self.world.loop.spawn(actor, whole())
        return actor

    def kill(self, actor: Actor) -> None:
        """SIGKILL: nothing of it runs on, and its locks are gone."""
        if actor in self.processes:
            self.world.hit("client killed", actor.name)
            actor.is_dead = True
            self._rents_no_more()
            self.processes.pop(actor)
            self._lets_go(actor)

    def _rents_no_more(self) -> None:
        if self.renting is not None:
            self.renting = self.renting[0], min(self.renting[1], self.world.now_s)

    def _lets_go(self, actor: Actor) -> None:
        """Have the files that a process holds closed, as its end does; their numbers stay taken until ``close``."""
        labels = [label for label, owner in self.minded.items() if owner is actor]
        if not labels:
            return
        paths = tuple(str(self.settings.state_dir / "rentals" / label) for label in labels)
        for descriptor, path in _open_files():
            if path.startswith(paths):
                with self._dead.open("rb") as file:
                    os.dup2(file.fileno(), descriptor)

    def close(self) -> None:
        """Close what dead processes have left open."""
        rentals = str(self.settings.state_dir / "rentals")
        for descriptor, path in _open_files():
            if path == str(self._dead) or path.startswith(rentals):
                os.close(descriptor)


class Process:
    """What runs in one process of loratui."""

    def __init__(self, laptop: Laptop, actor: Actor) -> None:
        self.laptop, self.actor, self.world = laptop, actor, laptop.world
        self.provider = SimulatedProvider(laptop.world, laptop.cloud, laptop.provider_name, actor.name, PROVIDER_LINE)
        laptop.providers[actor] = self.provider

    @contextlib.contextmanager
    def ledger(self) -> Any:
        """Open the ledger."""
        ledger = WatchedLedger(self.laptop.settings.database, self.world, self.laptop.cloud)
        ledger.on_intent = lambda label: self.laptop.minded.__setitem__(label, self.actor)
        with ledger:
            yield ledger

    async def train(self) -> None:
        """Do what ``train --on`` does."""
        wish, settings = self.laptop.wish, self.laptop.settings
        deadline_ts = steady_ts() + wish.limits.auto_stop_s
        self.laptop.agreed_s = self.world.now_s + wish.limits.auto_stop_s
        wanted = Wanted(
            offers=wish.offers,
            asked_ts=steady_ts(),
            cap_microusd=wish.limits.cap_microusd,
            deadline_ts=deadline_ts,
            save_s=SAVE_S,
            keep_s=wish.keep_s,
        )
        self.laptop.renting = self.world.now_s, math.inf
        with self.ledger() as ledger:
            rental = await rent(
                {self.provider.name: self.provider},
                ledger,
                settings.state_dir,
                wanted,
                box_start(settings),
                self._tell,
                connect=lambda rental: sign_in(_Way(self, rental.instance_id)),  # type: ignore[arg-type]
            )
            self.laptop.renting = self.laptop.renting[0], self.world.now_s
            try:
                run_id = await self._begin(ledger, rental, rental.deadline_ts or steady_ts())
            except BaseException as error:
                why = error.what if isinstance(error, LoratuiError) else "it was interrupted before the run began"
                await self._finish(ledger, rental.label, why)
                raise
            await self._follow(ledger, ledger.rental(rental.label), run_id, rental.folder)

    def _tell(self, view: RentalView) -> None:
        self.world.say(f"{view.label}: {view.state} {view.detail}")

    async def _begin(self, ledger: WatchedLedger, rental: Rental, deadline_ts: float) -> str:
        wish, way = self.laptop.wish, _Way(self, rental.instance_id)
        stored, key = ledger.rental(rental.label), rental.scoped_key
        armed = await arm(way, stored, key, self.laptop.settings, deadline_ts)  # type: ignore[arg-type]
        self.world.say(f"{rental.label}: {armed.sentence}")
        if armed.how != "end" and not wish.accepts_no_deadman:
            self.world.hit("machine can't be armed")
            raise UsageError("this machine can't end its own rental", fix="", code="deadman.none")
        await asyncio.sleep(wish.upload_s)
        left_s, run_id = deadline_ts - steady_ts(), new_id()
        if left_s < SAVE_S + SHORTEST_RUN_S:
            self.world.hit("too little time is left for a run")
            raise UsageError("too little is left", fix="", code="rental.cap")
        self.world.names[run_id] = f"run{rental.instance_id}"
        target = f"{rental.provider}:{rental.label}"
        with Store(self.laptop.settings.database) as store:
            store.add_run(
                StoredRun(
                    id=run_id, name="x", target=target, created_ts=steady_ts(), config_toml="", home=Path("/home")
                )
            )
        on_done = "end" if armed.how == "end" and wish.keep_s is None else ""
        terms = {"max_runtime_s": left_s - SAVE_S, "on_done": on_done, "keep_s": wish.lingers_s}
        try:
            await self.on_box(rental.instance_id, lambda box: box.start_run(run_id, **terms))
        except HostError as error:
            if error.code != "no answer":
                raise
        noted(lambda: ledger.note_run(rental.label, run_id))
        noted(lambda: ledger.enter(rental.label, Phase.TRAINING, steady_ts(), rental.price_microusd_per_h))
        return run_id

    async def _follow(
        self, ledger: WatchedLedger, rental: StoredRental, run_id: str, folder: RentalFolder | None = None
    ) -> None:
        """Follow a run and mind its rental, until that is over; or until there is no way.

        ``folder`` is the rental's where this process has rented it.
        """
        self.laptop.minded[rental.label] = self.actor
        runs = FollowedRun(run_id, f"{rental.provider}:{rental.label}")
        ways = _Ways(self, rental.instance_id)
        with Store(self.laptop.settings.database) as store:
            minder = Minder(rental.label, self.laptop.settings, store, ways, runs)  # type: ignore[arg-type]
            if folder is not None:
                minder.take(folder)
            is_hopeless = False
            async with asyncio.TaskGroup() as tasks:
                minding = tasks.create_task(minder.run())
                following = tasks.create_task(self._look_on(rental, runs, minder))
                done, _ = await asyncio.wait((minding, following), return_when=asyncio.FIRST_COMPLETED)
                is_hopeless = following in done and following.result()
                if is_hopeless or minding in done:
                    following.cancel()
                    minding.cancel()
        if is_hopeless:
            await self._ended_by_hand(ledger, rental)

    async def _look_on(self, rental: StoredRental, runs: "FollowedRun", minder: Minder) -> bool:
        """Look at the run until nobody wants that any more; return whether there is nothing to hope for."""
        view, heard_s = runs.view, self.world.now_s
        while not runs.is_lost:
            try:
                told = await self.on_box(rental.instance_id, lambda box: box.look(view.run_id))
                if told is None:
                    self.world.say("nobody there knows that run")
                    return True
                heard_s = self.world.now_s
                if view.state != told["state"]:
                    view.state = JobState(told["state"])
                    minder.entered(view.run_id, view.state, steady_ts())
                if told["is_made"]:
                    view.artifacts["lora"] = LORA
                    if view.run_id not in self.laptop.files:
                        await self._fetch(rental.instance_id, view.run_id, told["size"])
                    view.downloaded["lora"] = Path("lora.safetensors")
                    if not told["acked"]:
                        await self.on_box(rental.instance_id, lambda box: box.acknowledge(view.run_id))
                    view.acknowledged.add("lora")
            except HostError as error:
                self.world.say(f"no way to the machine: {error.what}")
                if self.world.now_s - heard_s > _PATIENCE_S:
                    return True
            await asyncio.sleep(_LOOK_EVERY_S)
        return False

    async def _ended_by_hand(self, ledger: WatchedLedger, rental: StoredRental) -> None:
        """End it by hand where there is nothing more to hope for; else leave it, and look again another time."""
        is_late = self.laptop.agreed_s is None or self.world.now_s > self.laptop.agreed_s
        if is_late or self.world.now_s > self.world.healed_s:
            self.laptop.by_hand.add(rental.label)
            await self._finish(ledger, rental.label, "ended by hand")

    async def _fetch(self, instance_id: str, run_id: str, size: int) -> None:
        num_parts = 4
        for _ in range(num_parts):
            speed = await self.on_box(instance_id, lambda box: box.serve_part())
            await asyncio.sleep(size / num_parts / speed)
        await self.on_box(instance_id, lambda box: box.serve_part())
        if self.world.fails("corrupt download"):
            raise HostError("the file is not what it should be", fix="", code="corrupt")
        self.laptop.files.add(run_id)
        self.world.say("the file is here")

    async def _finish(self, ledger: WatchedLedger, label: str, why: str) -> None:
        receipt = await finish_rental(self.provider, ledger, label, why)
        RentalFolder(self.laptop.settings.state_dir, label).remove()
        self.world.say(f"receipt of {label}: {receipt.ours_microusd}")

    async def come_back(self, *, for_good: bool = False) -> None:
        """Do what a person does who comes back: ``rentals sweep``, then ``attach`` to what goes on."""
        while True:
            try:
                with self.ledger() as ledger:
                    is_clean = await self._sweep(ledger)
            except LoratuiError as error:
                self.world.say(f"it did not work: {error.what}")
                is_clean = False
            if is_clean or not for_good:
                return
            await asyncio.sleep(30.0)

    async def _sweep(self, ledger: WatchedLedger) -> bool:
        now = await reconcile([self.provider], ledger, self.laptop.settings.state_dir, pace=SWEEP_PACE)
        for found in now.found:
            what = found.instance.id if found.instance else "?"
            self.world.say(f"found machine {what}: {found.standing}, {found.why}")
        for provider_error in now.errors.values():
            self.laptop.words.append(f"unknown: {provider_error.what}")
        for found in now.found:
            if found.standing is Standing.ORPHAN:
                await self._end_orphan(ledger, found)
            elif found.standing is Standing.YOURS:
                await self._attach(ledger, found)
        await tidy_all(self.provider, ledger)
        return not now.found and not now.errors

    async def _end_orphan(self, ledger: WatchedLedger, found: Found) -> None:
        try:
            await end_found(self.provider, ledger, found)
        except ProviderError as error:
            self.laptop.words.append(f"still billing: {error.what}")

    async def _attach(self, ledger: WatchedLedger, found: Found) -> None:
        rental = found.rental
        if rental is None or RentalFolder(self.laptop.settings.state_dir, rental.label).is_minded():
            return
        if rental.state is RentalState.READY and (runs := ledger.runs_on(rental)):
            await self._follow(ledger, rental, runs[-1])

    async def on_box(self, instance_id: str, serve: Callable[[Box], T]) -> T:
        """Ask a machine.

        Raises:
            HostError: there is no way to it.
        """
        box = self.laptop.boxes[f"box{instance_id}"]

        def answered() -> T:
            if not box.is_up or not box.traits.lets_in:
                raise NoAnswerError
            return serve(box)

        try:
            return await self.world.request(BOX_LINE, answered)
        except NotSentError as error:
            raise HostError("no way", fix="", code="no way") from error
        except NoAnswerError as error:
            raise HostError("no answer", fix="", code="no answer") from error


LORA = Artifact(id="lora", kind=ArtifactKind.LORA, name="x.safetensors", size=1, sha256="0" * 64)


class FollowedRun:
    """One run as the minder of its rental sees it: stands in for ``sessions.minders.Minders``."""

    def __init__(self, run_id: str, target: str) -> None:
        self.view = RunView(run_id=run_id, name="x", target=target)
        self.is_lost = False

    def views(self, _: Sequence[str], /) -> Mapping[str, RunView]:
        """Return its view."""
        return {self.view.run_id: self.view}

    def show(self, _: Sequence[str], cost: RentalCost, /) -> None:
        """Show it."""
        self.view.rental = cost

    def lose(self, _: Sequence[str], __: LoratuiError, /) -> None:
        """Follow it no more."""
        self.is_lost = True

    def move_stop(self, _: Sequence[str], __: float, /) -> None:
        """Leave its auto-stop: the reaper's word counts."""

    def are_all_started(self, _: str, /) -> bool:
        """Return whether no other run is about to be started."""
        return True


@dataclass(frozen=True)
class _Ways:
    """The ways to machines: stands in for ``sessions.targets.Targets``."""

    process: Process
    instance_id: str

    def machine(self, _: str) -> "_Way":
        """Return the way to the machine."""
        return _Way(self.process, self.instance_id)


class _Way:
    """A machine as ``sign_in`` and ``arm`` see it: stands in for ``sessions.machine.Machine``."""

    def __init__(self, process: Process, instance_id: str) -> None:
        self._process = process
        self._id = instance_id
        self.agent = self.box = self
        self.name = f"machine {instance_id}"

    async def probe(self) -> None:
        """Sign in."""
        await self._process.on_box(self._id, lambda _: None)

    async def ensure(self) -> AgentAddress:
        """Bring the agent, and have it run."""
        await asyncio.sleep(self._process.laptop.wish.setup_s)
        await self._process.on_box(self._id, lambda box: box.start_agent())
        return await self.address()

    async def address(self) -> AgentAddress:
        """Return where the agent is."""
        return AgentAddress(home="/h", python="/p", bundle="/b", socket="/s", token="t")

    @asynccontextmanager
    async def process(self, argv: Sequence[str], _nonce: str) -> AsyncIterator["_Arming | _Purging"]:
        """Run ``loratui-agent arm``, or ``purge``, there."""
        yield (_Purging if "purge" in argv else _Arming)(self._process, self._id)


class _Arming:
    def __init__(self, process: Process, instance_id: str) -> None:
        self._process = process
        self._id = instance_id
        self._text = ""

    async def write(self, content: bytes) -> None:
        self._text += content.decode()

    async def write_eof(self) -> None:
        pass

    async def frame(self) -> dict[str, Any]:
        told: list[dict[str, Any]] = []
        await self._process.on_box(self._id, lambda box: box.begin_arming(self._text, told))
        while not told:
            await asyncio.sleep(1.0)
            await self._process.on_box(self._id, lambda _: None)
        return told[0]


class _Purging:
    def __init__(self, process: Process, instance_id: str) -> None:
        self._process = process
        self._id = instance_id

    async def frame(self) -> dict[str, Any]:
        await self._process.on_box(self._id, lambda box: box.purge())
        return {"exists": False}


def _open_files() -> list[tuple[int, str]]:
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names alone are wanted
        with contextlib.suppress(OSError):
            found.append((int(name), os.readlink(f"/proc/self/fd/{name}")))  # noqa: PTH115 - as above
    return found
