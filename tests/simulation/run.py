"""A run on a rented machine, played: its trainer, and the ``state.json`` that the reaper and the client go by."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loratui_agent.clock import Moment, now
from loratui_agent.deadman import EndedJob, after_end, effective_keep_s
from loratui_agent.meter import Meter
from loratui_agent.process import ProcessIdentity
from loratui_agent.rental import END
from simulation.world import World

FINAL = ("done", "stopped", "failed")
_LEASE_EVERY_S = 15.0
_SAVE_S = 8.0
"""What a trainer takes to save and export when it is told to stop."""
_CHECKPOINT_S = 60.0


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be trained."""

    train_s: float
    file_bytes: int
    ends_as: str = "done"
    """"done" or "failed"."""
    dies_after_s: float | None = None
    """The trainer is killed then, once."""


@dataclass(eq=False)
class Trainer:
    """A process."""

    pid: int
    ends_s: float
    is_stopping: bool = False


class Run:
    """One job. Its agent, if there is one, writes its state; its trainer goes on without."""

    def __init__(
        self, world: World, folder: Path, work: Work, *, max_runtime_s: float, on_done: str, keep_s: float | None
    ) -> None:
        self.id = folder.name
        self.world, self.folder, self.work = world, folder, work
        self.trainer: Trainer | None = None
        self.done_s = 0.0
        """How much of the training is done and saved."""
        self.made_s: float | None = None
        """Since when the result is there."""
        self.is_removed = False
        """A client has taken everything off the machine."""
        self.is_heard = False
        """A client has read of its end."""
        self.asked_s = world.now_s
        self._began_s = 0.0
        self._num_trainers = 0
        self._was_killed = False
        self.facts: dict[str, Any] = {
            "state": "preparing",
            "attempt": 0,
            "on_done": on_done,
            "keep_s": keep_s,
            "acked": [],
            "declined": [],
            "meter": asdict(Meter(limit_s=max_runtime_s)),
        }
        (folder / "artifacts").mkdir(parents=True)
        (folder / "ckpt").mkdir()
        self.start_trainer()

    @property
    def is_final(self) -> bool:
        """Return whether its agent has written down its end."""
        return self.facts["state"] in FINAL

    @property
    def is_made(self) -> bool:
        """Return whether its result is there."""
        return self.made_s is not None

    def start_trainer(self) -> None:
        """Start or resume it."""
        self._num_trainers += 1
        self._began_s = self.world.now_s
        self.trainer = Trainer(500_000 + self._num_trainers, self.world.now_s + self.work.train_s - self.done_s)
        self.facts["attempt"] += 1
        self._write(
            state="running",
            trainer=asdict(ProcessIdentity(pid=self.trainer.pid, mark="simulated")),
            meter=asdict(Meter(**self.facts["meter"]).started(now())),
        )
        self.world.loop.after(self.trainer.ends_s - self.world.now_s, self._comes_to_its_end, self.trainer)
        if self.work.dies_after_s is not None and not self._was_killed:
            self.world.loop.after(self.work.dies_after_s, self._is_killed, self.trainer)

    def told_to_stop(self) -> None:
        """Have the trainer save and end."""
        if self.trainer is not None and not self.trainer.is_stopping:
            self.trainer.is_stopping = True
            self.world.loop.after(_SAVE_S, self._makes_its_file, self.trainer)

    def trainer_dies(self) -> None:
        """Kill it; what its last checkpoint holds is kept."""
        if self.trainer is not None:
            self.done_s = min(
                self.work.train_s, self.done_s + max(0.0, self.world.now_s - self._began_s - _CHECKPOINT_S)
            )
            self.trainer = None

    def taken_up(self) -> None:
        """Be found by an agent that has just started."""

    def look(self, *, has_client: bool) -> None:
        """Do what an agent does about it, every few seconds."""
        if self.is_final:
            self._after_end(has_client)
            return
        meter = Meter(**self.facts["meter"])
        overdue_s = meter.at(now()).overdue_s()
        if self.is_made or (
            self.trainer is None and self.work.ends_as == "failed" and self.done_s >= self.work.train_s
        ):
            how = "stopped" if self.is_made and self.done_s < self.work.train_s else self.work.ends_as
            self._end(how, meter)
        elif self.trainer is None and self.facts["attempt"] > 3:
            self._end("failed", meter)
        elif self.trainer is None:
            self.start_trainer()
        elif overdue_s is not None and overdue_s >= 0:
            self.told_to_stop()

    def acknowledge(self) -> None:
        """Hear that a client has the file."""
        self._write(acked=["lora.safetensors"])

    def _after_end(self, has_client: bool) -> None:
        moment = now()
        is_fetched = (not self.is_made or bool(self.facts["acked"])) and self.is_heard
        leased = self.facts.get("leased")
        since = Moment(**(leased or self.facts["ended"]))
        if has_client and not is_fetched and (leased is None or since.seconds_until(moment) > _LEASE_EVERY_S):
            self._write(leased=asdict(moment))
            since = moment
        if self.facts["on_done"] != END or self.facts.get("afterwards"):
            return
        reason = after_end(
            EndedJob(
                is_fetched=is_fetched,
                has_client=has_client,
                kept_s=since.seconds_until(moment),
                keep_s=effective_keep_s(self.facts["keep_s"], self.facts["attempt"]),
            )
        )
        if reason:
            self.world.say(f"the agent asks for the end of the rental: {reason}")
            self._write(afterwards="begun", begun=asdict(moment))

    def _end(self, state: str, meter: Meter) -> None:
        self.world.say(f"the run is {state}")
        self._write(state=state, ended=asdict(now()), trainer=None, meter=asdict(meter.at(now()).stopped()))

    def _comes_to_its_end(self, trainer: Trainer) -> None:
        if self.trainer is trainer and not trainer.is_stopping:
            self.done_s = self.work.train_s
            if self.work.ends_as == "done":
                self._makes_its_file(trainer)
            else:
                self.world.hit("trainer fails")
                self.trainer = None

    def _makes_its_file(self, trainer: Trainer) -> None:
        if self.trainer is trainer:
            (self.folder / "artifacts" / "lora.safetensors").write_text("weights")
            self.made_s, self.trainer = self.world.now_s, None
            self.world.say("the file is made")

    def _is_killed(self, trainer: Trainer) -> None:
        if self.trainer is trainer:
            self._was_killed = True
            self.world.hit("trainer killed")
            self.trainer_dies()

    def _write(self, **changes: Any) -> None:
        self.facts.update(changes)
        if self.is_removed:
            return
        temporary = self.folder / ".state.json.tmp"
        temporary.write_text(json.dumps(self.facts))
        temporary.replace(self.folder / "state.json")
