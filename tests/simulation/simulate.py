"""One seed: the world is made, runs until nothing of it may bill any more, and is held against the rules."""

import asyncio
import contextlib
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from loratui import settings
from loratui.providers.base import InstanceState, RentalOrder
from simulation import checks
from simulation.box import Box
from simulation.client import Laptop
from simulation.cloud import Cloud, Rig
from simulation.faults import Moment, Plan, plan_of
from simulation.loop import StuckError, VirtualLoop
from simulation.outside import simulated_outside
from simulation.provider import is_on_disk
from simulation.world import World

_LONGEST_S = 6 * 3600.0
"""After everything is healed, until all has to be over."""
_LOOK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a seed."""

    seed: int
    violations: tuple[str, ...]
    happened: Counter[str]
    virtual_s: float
    num_machines: int
    num_saved: int
    num_events: int
    trace: tuple[str, ...] = field(repr=False)


def simulate(seed: int, *, keeps_trace: bool = True) -> Outcome:
    """Run one seed, in a folder of its own."""
    with _folder() as own:
        outcome = Simulation(seed, plan_of(seed), own).run()
    return outcome if keeps_trace else replace(outcome, trace=())


class Simulation:
    """One seed at work."""

    def __init__(self, seed: int, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.world = World(seed, folder, VirtualLoop(), random.Random(seed + 1), plan.windows, plan.healed_s)
        self.boxes: dict[str, Box] = {}
        self.cloud = Cloud(self.world, self._created)
        self.cloud.create_faults = list(plan.create_faults)
        self.cloud.before_create = self._before_create
        self.cloud.new_rig = self._new_rig
        state_dir = folder / "state"
        state_dir.mkdir()
        preferences = replace(_preferences(), state_dir=state_dir)
        self.laptop = Laptop(self.world, self.cloud, self.boxes, preferences, plan.provider, plan.wish)

    def run(self) -> Outcome:
        """Run it, and look at what came of it."""
        world, loop = self.world, self.world.loop
        with simulated_outside(world, self.boxes, self.laptop):
            loop.set_exception_handler(lambda _, told: world.wrong("no surprises", _told(told)))
            try:
                loop.run_until_complete(self._whole())
            except StuckError as error:
                world.wrong("liveness", str(error))
            checks.check(self)
            outcome = self._outcome()
            world.is_over = True
            loop.unwind(world.actors)
        for box in self.boxes.values():
            box.close()
        self.laptop.close()
        loop.close()
        return outcome

    async def _whole(self) -> None:
        world = self.world
        self.laptop.start(lambda process: process.train())
        world.say(f"cap {self.plan.wish.limits.cap_microusd}, auto-stop in {self.plan.wish.limits.auto_stop_s} s")
        for moment in self.plan.moments:
            world.loop.after(moment.at_s - world.now_s, self._happens, moment)
        await self._until(lambda: world.now_s >= world.healed_s or self._is_over())
        await self._heal()

    async def _heal(self) -> None:
        world = self.world
        world.healed_s = min(world.healed_s, world.now_s)
        world.say("everything is healed")
        end_s = world.now_s + _LONGEST_S
        if self.laptop.machine.is_asleep:
            world.loop.wake(self.laptop.machine, world.now_s - self._asleep_since_s)
        self.laptop.start(lambda process: process.come_back(for_good=True))
        await self._until(lambda: not self.laptop.processes or world.now_s >= end_s)
        if self.laptop.processes:
            world.wrong("liveness", f"{', '.join(actor.name for actor in self.laptop.processes)} never ends")

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 - no time passes here
            await asyncio.sleep(_LOOK_EVERY_S)

    def _is_over(self) -> bool:
        return not self.laptop.processes and not self.cloud.living() and not self._to_come

    _to_come = 0
    _asleep_since_s = 0.0

    def _before_create(self, order: RentalOrder) -> None:
        if not is_on_disk(self.laptop.settings.database, order.label):
            self.world.wrong("intent", f"{order.label} is asked for, and the disk knows nothing of it")
        if self.cloud.num_creates.get(order.label):
            self.world.wrong("create", f"{order.label} is asked for twice")

    def _new_rig(self, rig: Rig) -> None:
        faults = self.plan.rigs[(int(rig.id) - 1) % len(self.plan.rigs)]
        rig.shown_from_s, rig.num_ignored, rig.clings_s = rig.born_s + faults.lag_s, faults.num_ignored, faults.clings_s
        if not self.plan.traits[(int(rig.id) - 1) % len(self.plan.traits)].has_key:
            rig.key = ""

    def _created(self, rig: Rig, order: RentalOrder) -> None:
        traits = self.plan.traits[(int(rig.id) - 1) % len(self.plan.traits)]
        box = Box(self.world, self.cloud, rig, traits, order.start_script, self.plan.work)
        self.boxes[box.machine.name] = box
        rig.stop = box.stop_container
        box.switch_on()

    # What goes wrong once.

    def _happens(self, moment: Moment) -> None:
        if self.world.now_s >= self.world.healed_s:
            return
        match moment.kind:
            case "laptop sleeps":
                self._sleeps(moment.lasts_s)
            case "client killed" | "client killed for good":
                self._kills(moment.lasts_s)
            case "interrupted" | "interrupted twice":
                self._interrupts(1 + moment.kind.endswith("twice"))
            case "second client":
                self.world.hit(moment.kind)
                self.laptop.start(lambda process: process.come_back())
            case "laptop's clock jumps":
                self.world.hit(moment.kind, f"by {moment.amount:.0f} s")
                self.laptop.machine.wall_offset_s += moment.amount
            case _:
                self._happens_there(moment)

    def _happens_there(self, moment: Moment) -> None:
        """Something happens to the newest machine that there is."""
        living = [box for box in self.boxes.values() if box.rig.gone_s is None]
        if not living:
            return
        box, world = living[-1], self.world
        match moment.kind:
            case "agent killed" | "reaper killed":
                if box.kill(moment.kind.partition(" ")[0]):
                    world.hit(moment.kind)
            case "container restarted" if box.is_up:
                world.hit(moment.kind)
                box.stop_container()
                world.loop.after(moment.lasts_s, box.start_container)
            case "host vanishes, shown gone":
                world.hit(moment.kind)
                self.cloud.take(box.rig, "its host")
            case "host vanishes, shown offline":
                world.hit(moment.kind)
                box.rig.state, box.rig.detail = InstanceState.UNKNOWN, "offline"
                box.vanish()
            case "machine's clock jumps":
                world.hit(moment.kind, f"by {moment.amount:.0f} s")
                box.machine.wall_offset_s += moment.amount
            case "price raised":
                self.cloud.raise_price(box.rig, int(moment.amount))
            case _:
                pass

    def _sleeps(self, lasts_s: float) -> None:
        machine, world = self.laptop.machine, self.world
        if machine.is_asleep:
            return
        world.hit("laptop sleeps", f"for {lasts_s:.0f} s")
        world.loop.sleep(machine)
        self._asleep_since_s = since_s = world.now_s

        def wake() -> None:
            if machine.is_asleep and self._asleep_since_s == since_s:
                world.say("the laptop wakes")
                world.loop.wake(machine, world.now_s - since_s)

        world.loop.after(lasts_s, wake)

    def _kills(self, back_in_s: float) -> None:
        for actor in list(self.laptop.processes):
            self.laptop.kill(actor)
        if back_in_s:
            self._to_come += 1
            self.world.loop.after(back_in_s, self._comes_back)

    def _comes_back(self) -> None:
        self._to_come -= 1
        if self.world.now_s < self.world.healed_s:
            self.laptop.start(lambda process: process.come_back())

    def _interrupts(self, times: int) -> None:
        for actor, task in list(self.laptop.processes.items()):
            if not self.laptop.machine.is_asleep:
                self.world.hit("interrupted" + (" twice" if times > 1 else ""), actor.name)
                for _ in range(times):
                    self.world.loop.spawn(actor, _cancel(task))

    def _outcome(self) -> Outcome:
        return Outcome(
            seed=self.world.seed,
            violations=tuple(self.world.violations),
            happened=self.world.happened,
            virtual_s=self.world.now_s - 1000,
            num_machines=len(self.cloud.rigs),
            num_saved=len(self.laptop.files),
            num_events=self.world.loop.num_events,
            trace=tuple(self.world.trace),
        )


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()


def _told(told: dict[str, object]) -> str:
    return f"{told.get('message')}: {told.get('exception')!r}"


_PREFERENCES: list[settings.Settings] = []


def _preferences() -> settings.Settings:
    if not _PREFERENCES:
        _PREFERENCES.append(settings.load(environ={"LORATUI_CONFIG_DIR": "/nonexistent"}))
    return _PREFERENCES[0]


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder in memory where there is one: a seed syncs hundreds of times."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="loratui-sim-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)
