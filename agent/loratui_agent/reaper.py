"""Outlives the agent: starts it again when it died, and ends trainers at their hard end when it can't be started.

Standard library only, a process of its own: ``python -m loratui_agent.reaper --home DIR``. It ends when the agent
ended by itself and no trainer is left that has an auto-stop.
"""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from loratui_agent.deadman import STOP_GRACE_S, ReaperFacts, ReaperVerdict, reaper_verdict
from loratui_agent.facts import read_facts
from loratui_agent.process import ProcessIdentity, is_alive, is_locked, signal_group, try_lock

ROUND_S = 2.0
_RESTART_PAUSES_S = (0.0, 2.0, 5.0, 15.0, 60.0)


class Reaper:
    """One home's reaper."""

    def __init__(self, home: Path) -> None:
        """Watch over the agent of ``home``."""
        self._run = home / "run"
        self._jobs = home / "jobs"
        self._restarts = 0
        self._next_restart_s = 0.0
        self._alive_since_s: float | None = None
        self._agent: subprocess.Popen[bytes] | None = None
        self._told: set[ProcessIdentity] = set()

    def watch(self) -> None:
        """Do a round every ``ROUND_S`` until there is nothing left to watch over."""
        while True:
            facts, left_s = self._look()
            match reaper_verdict(facts):
                case ReaperVerdict.RESTART_AGENT:
                    self._restart()
                case ReaperVerdict.STOP_TRAINERS:
                    for trainer, seconds in left_s:
                        self._stop(trainer, seconds)
                case ReaperVerdict.END:
                    return
                case ReaperVerdict.WAIT:
                    pass
            time.sleep(ROUND_S)

    def _look(self) -> tuple[ReaperFacts, list[tuple[ProcessIdentity, float]]]:
        now_s = time.monotonic()
        if self._agent is not None:
            self._agent.poll()
        alive = is_locked(self._run / "lock")
        self._alive_since_s = (self._alive_since_s or now_s) if alive else None
        if self._alive_since_s is not None and now_s - self._alive_since_s > _RESTART_PAUSES_S[-1]:
            self._restarts = 0
        left_s = [] if alive else list(trainers_left_s(self._jobs, time.time()))
        facts = ReaperFacts(
            is_agent_alive=alive,
            is_agent_wanted=(self._run / "agent.json").exists(),
            next_restart_s=self._next_restart_s - now_s,
            trainers_left_s=[seconds for _, seconds in left_s],
        )
        return facts, left_s

    def _stop(self, trainer: ProcessIdentity, left_s: float) -> None:
        """Have an overdue trainer save and end; one that still lives a grace period later is killed."""
        if left_s < -STOP_GRACE_S:
            signal_group(trainer, signal.SIGKILL)
        elif left_s <= 0 and trainer not in self._told:
            signal_group(trainer, signal.SIGTERM)
            self._told.add(trainer)

    def _restart(self) -> None:
        status = read_facts(self._run / "agent.json")
        argv = [str(word) for word in status.get("argv", [])]
        if argv:
            nothing = subprocess.DEVNULL
            self._agent = subprocess.Popen(argv, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
        self._restarts += 1
        pause_s = _RESTART_PAUSES_S[min(self._restarts, len(_RESTART_PAUSES_S) - 1)]
        self._next_restart_s = time.monotonic() + pause_s


def trainers_left_s(jobs: Path, now_ts: float) -> Iterator[tuple[ProcessIdentity, float]]:
    """Yield the living trainers that have an auto-stop, and the seconds until their hard end (auto-stop and grace)."""
    for path in sorted(jobs.glob("*/state.json")):
        facts = read_facts(path)
        meter, trainer = facts.get("meter") or {}, facts.get("trainer")
        limit_s, since_ts = meter.get("limit_s"), meter.get("running_since_ts")
        if not trainer or limit_s is None or since_ts is None:
            continue
        identity = ProcessIdentity(pid=trainer["pid"], mark=trainer["mark"])
        if is_alive(identity):
            elapsed_s = meter["elapsed_s"] + max(0.0, now_ts - since_ts)
            yield identity, limit_s + STOP_GRACE_S - elapsed_s


def main(arguments: list[str] | None = None) -> int:
    """Run the reaper of ``--home``; the second one of a home ends at once."""
    parser = argparse.ArgumentParser(prog="loratui_agent.reaper", description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path, required=True)
    home = parser.parse_args(arguments).home
    lock = try_lock(home / "run" / "reaper.lock")
    if lock is not None:
        Reaper(home).watch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
