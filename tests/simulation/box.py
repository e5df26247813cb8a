"""A rented machine: the real reaper on a real home, beside an agent, a trainer and a start script that are played."""

import asyncio
import fcntl
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.providers.base import InstanceState, SshAddress
from loratui_agent import arm as arm_module
from loratui_agent.clock import now
from loratui_agent.deadman import RENTAL_PAUSE_MAX_S
from loratui_agent.process import ProcessIdentity
from loratui_agent.reaper import Reaper
from loratui_agent.rental import END_WANTED, FACTS, Armed, armed_as, read_rental, read_watch, write_private
from loratui_agent.rental_routes import read_back
from loratui_protocol.errors import LoratuiError
from loratui_protocol.paths import AgentHome
from simulation.cloud import Attempt, Cloud, Rig
from simulation.loop import Actor, Machine
from simulation.run import Run, Work
from simulation.world import NoAnswerError, World

CLIENT_GONE_S = 45.0
ROUND_S = 2.0
"""Of the reaper, near its deadline; far from everything it looks seldom, which saves time and makes nothing easier."""
_FAR_ROUND_S = 10.0
_AGENT_ROUND_S = 5.0
_STOP_S = 15.0
_SCRIPT = "script"


@dataclass(frozen=True, slots=True)
class Traits:
    """How a machine is."""

    boot_s: float
    has_address: bool = True
    lets_in: bool = True
    fails: str = ""
    has_key: bool = True
    key_is_in_environment: bool = True
    bytes_per_s: float = 5e6


@dataclass(frozen=True, slots=True)
class Life:
    """When a process lived that could end the rental."""

    who: str
    from_s: float
    to_s: float


class Box:
    """One machine, from the start of its container."""

    def __init__(self, world: World, cloud: Cloud, rig: Rig, traits: Traits, script: str, work: Work) -> None:
        self.world, self.cloud, self.rig, self.traits, self.work = world, cloud, rig, traits, work
        self.machine = Machine(f"box{rig.id}")
        self.home = AgentHome(world.folder / self.machine.name / "home")
        self.deadline_file = world.folder / self.machine.name / "deadman" / "deadline"
        self.provider_line = f"box{rig.id}-provider"
        [self._script_deadline] = re.findall(r"\|\| echo (\d+) >", script)
        self.actors: dict[str, Actor] = {}
        self.lives: list[Life] = []
        self.run: Run | None = None
        self.armed_s: float | None = None
        self.is_up = False
        self.client_seen_s = float("-inf")
        self.has_lost_count = False
        """Its clock was set, and its start script began anew: that goes by the clock then."""
        self.has_vanished = False
        self._since: dict[str, float] = {}
        self._locks: dict[str, int] = {}
        self._num_starts = 0
        self._is_reachable_s = 0.0
        self.due_s = float("inf")
        """When it was last told to end."""

    # The container.

    def switch_on(self) -> None:
        """Begin to start."""
        self.world.loop.after(self.traits.boot_s, self.start_container)

    def start_container(self) -> None:
        """Run the start script: the first process of every container."""
        if self.rig.gone_s is not None or self.rig.state is InstanceState.STOPPED or self.has_vanished:
            return
        if self.traits.fails:
            self.rig.state, self.rig.detail = InstanceState.FAILED, self.traits.fails
            self.world.hit("machine fails")
            return
        self.is_up = True
        self.has_lost_count = self.has_lost_count or bool(self.machine.wall_offset_s)
        self.rig.state = InstanceState.RUNNING
        if self.traits.has_address:
            self.rig.address = SshAddress(host="10.0.0.1", port=22)
        else:
            self.world.hit("never gets an address")
        self.deadline_file.parent.mkdir(parents=True, exist_ok=True)
        if not self.deadline_file.exists():
            self.deadline_file.write_text(self._script_deadline)
        self._begin(_SCRIPT, self._script)
        if self.deadline_file.with_name(arm_module.START_SCRIPT_AGAIN).exists():
            self.start_reaper()

    def stop_container(self) -> None:
        """Kill everything on it."""
        self.is_up = False
        for name in list(self.actors):
            self.kill(name)
        if self.run is not None:
            self.run.trainer_dies()

    def vanish(self) -> None:
        """Be gone for good, whatever the provider shows."""
        self.stop_container()
        self.has_vanished = True

    def kill(self, name: str) -> bool:
        """Kill a process; return whether it was there."""
        actor = self.actors.pop(name, None)
        if actor is None:
            return False
        actor.is_dead = True
        self._ended(name)
        self.world.say(f"{self.machine.name}: {name} is dead")
        return True

    def _begin(self, name: str, work: Callable[[], Any]) -> None:
        actor = self.world.actor(Actor(f"{self.machine.name}/{name}", self.machine))
        self.actors[name] = actor
        self._since[name] = self.world.now_s

        async def whole() -> None:
            await work()
            self.actors.pop(name, None)
            self._ended(name)

        self.world.loop.spawn(actor, whole())

    def _ended(self, name: str) -> None:
        self.lives.append(Life(name, self._since.pop(name), self.world.now_s))
        descriptor = self._locks.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)

    def _lock(self, name: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._locks[name] = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._locks[name], fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Let go of every lock."""
        for name in list(self._locks):
            os.close(self._locks.pop(name))

    # The start script's own dead-man, as remote/start_script.py has it.

    async def _script(self) -> None:
        wait_s, known, due_s = 5.0, "", 0
        while True:
            text = self.deadline_file.read_text().strip()
            if text != known:
                known, due_s = text, int(now().boot_s) + int(text) - int(now().wall_ts)
            left_s = due_s - int(now().boot_s)
            if left_s > 0:
                await asyncio.sleep(min(left_s, 20))
                continue
            if self.own_key()[1]:
                self.tries(f"{self.machine.name}/{_SCRIPT}")
                await self._ask_for_end()
            await asyncio.sleep(wait_s)
            wait_s = min(RENTAL_PAUSE_MAX_S, wait_s * 2)

    async def _ask_for_end(self) -> None:
        self.rig.attempts.append(Attempt(self.world.now_s, f"{self.machine.name}/{_SCRIPT}"))
        if self.world.fails(self.provider_line):
            await asyncio.sleep(20.0)
            return
        try:
            self.cloud.end(self.rig.id, f"{self.machine.name}/{_SCRIPT}: deadline")
        except LoratuiError as error:
            self.world.say(f"the provider says: {error.what}")

    # The reaper: the real one.

    def start_reaper(self) -> None:
        """Start it unless it runs."""
        if "reaper" not in self.actors:
            self._begin("reaper", self._reaper)

    async def _reaper(self) -> None:
        self.home.jobs.mkdir(parents=True, exist_ok=True)
        self._lock("reaper", self.home.reaper_lock)
        reaper = Reaper(self.home.path)
        await asyncio.sleep(self.world.dice.uniform(0.1, ROUND_S))
        while self._round(reaper):  # noqa: ASYNC110 - as the real one does
            await asyncio.sleep(self._round_s())

    def _round(self, reaper: Reaper) -> bool:
        if "agent" in self.actors:
            _touch(self.home.beat, self.world.now_s)
        if self.client_seen_s > float("-inf"):
            _touch(self.home.run / "client", self.client_seen_s)
        return reaper._goes_on()

    def _round_s(self) -> float:
        rental = read_rental(self.home.run)
        if rental is None:
            return ROUND_S
        left_s = rental.deadline_s - rental.armed.seconds_until(now())
        asks = self.run is not None and self.run.facts.get("afterwards") == "begun"
        asks = asks or (self.home.run / END_WANTED).exists()
        return ROUND_S if -60 < left_s < 2 * _FAR_ROUND_S or asks else _FAR_ROUND_S

    def reason(self) -> str:
        """Return why the reaper ends it."""
        watch = read_watch(self.home.run)
        return watch.reason if watch is not None else ""

    def tries(self, who: str) -> None:
        """Note that a try to end it begins, whether it gets through or not."""
        self.rig.attempts.append(Attempt(self.world.now_s, who))

    def own_key(self) -> tuple[str, str]:
        """Return what the container's environment says."""
        is_there = self.traits.has_key and self.traits.key_is_in_environment
        return (self.rig.id, self.rig.key) if is_there else ("", "")

    # The agent, played: it writes what the reaper reads.

    def start_agent(self) -> None:
        """Start it unless it runs."""
        if "agent" not in self.actors and self.is_up:
            self._begin("agent", self._agent)

    def start_agent_later(self) -> Any:
        """Start it as the reaper does."""
        self.world.hit("agent started again by the reaper")
        self.world.loop.after(1.0, self.start_agent)
        self._num_starts += 1
        return _Child(10_000 + self._num_starts)

    async def _agent(self) -> None:
        self.home.jobs.mkdir(parents=True, exist_ok=True)
        self._lock("agent", self.home.lock)
        self.home.status.write_text(json.dumps({"pid": 1, "mark": "agent", "argv": ["agent"]}))
        if self.run is not None:
            self.run.taken_up()
        while True:
            if "reaper" not in self.actors:
                self.start_reaper()
            if self.run is not None:
                self.run.look(has_client=self.world.now_s - self.client_seen_s < CLIENT_GONE_S)
            await asyncio.sleep(_AGENT_ROUND_S)

    def is_alive(self, identity: ProcessIdentity) -> bool:
        """Return whether a process lives, as the reaper asks."""
        return self.run is not None and self.run.trainer is not None and self.run.trainer.pid == identity.pid

    def signal(self, identity: ProcessIdentity, signum: signal.Signals) -> bool:
        """Signal a trainer, as the reaper does."""
        if not self.is_alive(identity) or self.run is None:
            return False
        self.world.say(f"the trainer gets {signum.name}")
        if signum is signal.SIGKILL:
            self.run.trainer_dies()
        else:
            self.run.told_to_stop()
        return True

    # What a client asks of it.

    def start_run(self, run_id: str, *, max_runtime_s: float, on_done: str, keep_s: float | None) -> None:
        """Take a run."""
        self._need_agent()
        folder = self.home.job(run_id)
        self.run = Run(self.world, folder, self.work, max_runtime_s=max_runtime_s, on_done=on_done, keep_s=keep_s)

    def look(self, run_id: str) -> dict[str, Any] | None:
        """Say how a run is, None where there is none."""
        self._need_agent()
        if self.run is None or self.run.id != run_id:
            return None
        self.run.is_heard |= self.run.is_final
        return {
            "state": self.run.facts["state"],
            "is_final": self.run.is_final,
            "is_made": self.run.is_made,
            "acked": self.run.facts["acked"],
            "size": self.work.file_bytes,
        }

    def serve_part(self) -> float:
        """Give out a part of a file; return how many bytes a second go through."""
        self._need_agent()
        return self.traits.bytes_per_s / (20 if self.world.fails("slow download") else 1)

    def acknowledge(self, run_id: str) -> None:
        """Hear that a client has the file."""
        self._need_agent()
        if self.run is not None and self.run.id == run_id:
            self.run.acknowledge()

    def purge(self) -> None:
        """Do what ``loratui-agent purge --data`` does."""
        self.home.status.unlink(missing_ok=True)
        self.kill("agent")
        if self.run is not None:
            self.run.is_removed = True
            self.run.trainer_dies()
        shutil.rmtree(self.home.jobs, ignore_errors=True)
        (self.home.run / END_WANTED).touch()

    def begin_arming(self, text: str, told: list[dict[str, Any]]) -> None:
        """Run ``loratui-agent arm``; what it says comes into ``told``."""

        async def work() -> None:
            told.append(await self.arm(text))

        self._begin("arm", work)

    def _need_agent(self) -> None:
        if "agent" not in self.actors:
            raise NoAnswerError
        self.client_seen_s = self.world.now_s

    async def arm(self, text: str) -> dict[str, Any]:
        """Do what ``loratui-agent arm`` does, which waits in a way that is not possible here."""
        try:
            asked = arm_module._rental(text, read_rental(self.home.run), ())
        except LoratuiError as error:
            return {"error": {"code": error.code, "what": error.what, "fix": error.fix}}
        (self.home.run / END_WANTED).unlink(missing_ok=True)
        write_private(self.home.run / FACTS, asked, is_synced=False)
        why = arm_module._tell_start_script(self.deadline_file, asked.deadline_s, self.home)
        for _ in range(40):
            if arm_module._is_watched(self.home, asked):
                break
            await asyncio.sleep(0.5)
        else:
            return {"error": {"code": "rental.reaper", "what": "no reaper takes note of it", "fix": ""}}
        rental = read_rental(self.home.run)
        armed = armed_as(rental)
        complaint = read_back(rental) if rental is not None and armed is Armed.END else "no key"
        if armed is Armed.END:
            self.armed_s = self.world.now_s
        self.due_s = self.world.now_s + asked.deadline_s
        left_s = 0.0 if rental is None else rental.deadline_s - rental.armed.seconds_until(now())
        return {
            "armed": str(armed),
            "verified": not complaint,
            "why": "; ".join(filter(None, [complaint, why])),
            "deadline_left_s": left_s,
        }


@dataclass(eq=False)
class _Child:
    """A program that was started; nobody waits for it."""

    pid: int

    def poll(self) -> None:
        """Say nothing."""


def _touch(path: Path, now_s: float) -> None:
    """Touch a file at a virtual time: in the real one everything happens at once."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    os.utime(path, ns=(int(now_s * 1e9), int(now_s * 1e9)))
