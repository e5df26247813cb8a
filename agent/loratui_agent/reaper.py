"""Outlives the agent: starts it again when it died or hangs, and ends trainers at their auto-stop when it can't.

Standard library only, a process of its own: ``python -m loratui_agent.reaper --home DIR``. It ends when the agent
ended by itself and no job is left that it might have to end, or to power the machine off for. It also ends the rental
of the machine that it is armed with, and then stays for as long as that machine runs. What it does is in
``run/reaper.log``.
"""

import argparse
import contextlib
import logging
import logging.handlers
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from loratui_agent.clock import Moment, now
from loratui_agent.deadman import (
    DEFAULT_KEEP_S,
    HUNG_AFTER_S,
    RENTAL_PAUSE_S,
    STOP_GRACE_S,
    AgentVerdict,
    JobVerdict,
    ReapedAgent,
    ReapedJob,
    agent_verdict,
    effective_keep_s,
    job_verdict,
)
from loratui_agent.deeds import note, write
from loratui_agent.facts import read_facts
from loratui_agent.meter import Meter
from loratui_agent.power_switch import PowerSwitch
from loratui_agent.process import ProcessIdentity, identify, is_alive, is_locked, signal_group, try_lock
from loratui_agent.rental import END
from loratui_agent.rental_watch import RentalWatch
from loratui_agent.sign_of_life import SignOfLife

log = logging.getLogger("loratui_agent.reaper")
ROUND_S = 2.0
_RESTART_PAUSES_S = (0.0, 2.0, 5.0, 15.0, 60.0)
_FINAL = ("done", "stopped", "failed")
_LOG_BYTES = 512 << 10
_LOCK_PATIENCE_S = 0.5
_DAMAGED = ReapedJob(is_training=False, overdue_s=None, told_s=None, has_unfetched=True)
"""A job that nobody can tell anything about; what it has made may be there all the same."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A job that the reaper may have to end."""

    folder: Path
    trainer: ProcessIdentity | None
    job: ReapedJob


class Reaper:
    """One home's reaper."""

    def __init__(
        self,
        home: Path,
        grace_s: float = STOP_GRACE_S,
        hung_after_s: float = HUNG_AFTER_S,
        pause_s: float = RENTAL_PAUSE_S,
        round_s: float = ROUND_S,
    ) -> None:
        """Watch over the agent of ``home``; a trainer gets ``grace_s`` to save and end."""
        self._round_s = round_s
        self._hung_after_s = hung_after_s
        self._run = home / "run"
        self._jobs = home / "jobs"
        self._grace_s = grace_s
        self._restarts = 0
        self._next_start_s = 0.0
        self._able_since_s: float | None = None
        self._agent: subprocess.Popen[bytes] | None = None
        self._gone_since_s: float | None = None
        self._told: dict[ProcessIdentity, Moment] = {}
        self._without_anyone: dict[Path, tuple[ProcessIdentity | None, Moment]] = {}
        """Since when nobody is seen at work on a job, and whose end that was."""
        self._power = PowerSwitch()
        self._rental = RentalWatch(home, pause_s)
        self._sign_of_life = SignOfLife(self._run / "beat", round_s)

    def watch(self) -> None:
        """Do a round every ``round_s`` seconds until there is nothing left to watch over."""
        while self._goes_on():
            time.sleep(self._round_s)

    def _goes_on(self) -> bool:
        try:
            return self.round()
        except Exception:
            # Nobody is behind the reaper: whatever went wrong, there is another round.
            log.exception("a round failed")
        try:
            self._rental.act_on_deadline()
        except Exception:
            log.exception("the rental could not be looked at")
        return True

    def round(self) -> bool:
        """Look at everything once and act; return whether there is more to watch over."""
        with contextlib.suppress(OSError):
            (self._run / "reaper.beat").touch()
        moment = now()
        rental_left_s = self._rental.read(moment)
        paths = sorted(self._jobs.glob("*/state.json"))
        found = [each for path in paths if (each := self._look_at_job(path, rental_left_s))]
        agent = self._look_at_agent([each.job for each in found])
        # First: it bills.
        self._rental.act(
            [each.job for each in found] + [_DAMAGED] * (len(paths) - len(found)),
            is_agent_lost=agent.is_lost,
            moment=moment,
        )
        verdict = agent_verdict(agent)
        for each in found:
            decided = job_verdict(each.job, is_agent_alive=agent.is_able, is_agent_lost=agent.is_lost)
            others = [other.job for other in found if other is not each]
            # One job's leave to power off is no leave to end another, or its files.
            if decided is JobVerdict.POWER_OFF and any(job.is_training or job.held_s > 0 for job in others):
                continue
            try:
                self._act(each, decided)
            except Exception:
                log.exception("job=%s could not be ended", each.folder.name)
        match verdict:
            case AgentVerdict.KILL_HUNG:
                self._kill_hung(agent.silent_s)
            case AgentVerdict.START:
                self._start()
            case _:
                pass
        return verdict is not AgentVerdict.END

    def _look_at_agent(self, jobs: list[ReapedJob]) -> ReapedAgent:
        now_s = time.monotonic()
        if self._agent is not None:
            self._agent.poll()
        status = read_facts(self._run / "agent.json")
        alive = is_locked(self._run / "lock")
        silent_s = self._sign_of_life.silent_s() if alive else self._sign_of_life.reset()
        is_able = alive and silent_s <= self._hung_after_s
        self._able_since_s = (self._able_since_s or now_s) if is_able else None
        if self._able_since_s is None:
            self._gone_since_s = self._gone_since_s or now_s
        elif now_s - self._able_since_s > _RESTART_PAUSES_S[-1]:
            # One that dies again and again has not stayed.
            self._restarts = 0
            self._gone_since_s = None
            self._without_anyone.clear()
            self._power = PowerSwitch()
        return ReapedAgent(
            is_alive=alive,
            is_wanted=(self._run / "agent.json").exists(),
            silent_s=silent_s,
            next_start_s=self._next_start_s - now_s,
            hung_after_s=self._hung_after_s,
            has_jobs=any(job.needs_reaper for job in jobs),
            is_armed=self._rental.is_armed,
            can_start=bool(status.get("argv")),
            gone_s=0.0 if self._gone_since_s is None else now_s - self._gone_since_s,
        )

    def _look_at_job(self, state: Path, rental_left_s: float | None) -> _Found | None:
        try:
            found = self._found(state.parent, read_facts(state), now())
            return replace(found, job=replace(found.job, rental_left_s=rental_left_s, save_s=self._rental.save_s))
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs no other job its end
            log.error("job=%s is damaged: %r", state.parent.name, error)  # noqa: TRY400 - the sentence says it all
            return None

    def _found(self, folder: Path, facts: dict[str, Any], moment: Moment) -> _Found:
        trainer = _identity(facts.get("trainer"))
        training = trainer is not None and is_alive(trainer)
        if training:
            self._without_anyone.pop(folder, None)
        told = self._told.get(trainer) if trainer is not None else None
        return _Found(
            folder=folder,
            trainer=trainer,
            job=ReapedJob(
                is_training=training,
                overdue_s=_meter(facts).at(moment).overdue_s(),
                told_s=None if told is None else told.seconds_until(moment),
                power_s=self._power_s(folder, facts, None if training else self._since(folder, facts, trainer, moment)),
                held_s=_held_s(folder, facts, moment),
                has_unfetched=_has_unfetched(folder, facts),
                is_open=isinstance(facts.get("state"), str) and facts["state"] not in _FINAL,
                asks_for_end=facts.get("on_done") == END and facts.get("afterwards") == "begun",
                grace_s=self._grace_s,
            ),
        )

    def _since(self, folder: Path, facts: dict[str, Any], trainer: ProcessIdentity | None, moment: Moment) -> Moment:
        """Return since when nobody has come for what is left of a job that does not train."""
        since = _since_end(facts)
        if since is not None:
            return since
        # No agent has seen its end, or will ever begin it: it counts from when we saw nobody at work on it.
        seen, since = self._without_anyone.get(folder, (trainer, moment))
        since = since if seen == trainer else moment
        self._without_anyone[folder] = trainer, since
        return since

    def _power_s(self, folder: Path, facts: dict[str, Any], since: Moment | None) -> float | None:
        """Return the seconds until this job lets the machine be powered off, None when it never does.

        ``since`` is when its time began to run; None: it trains.
        """
        moment = now()
        if facts.get("on_done") != "poweroff" or facts.get("afterwards") == "done":
            return None
        if facts.get("afterwards"):
            # Between the decision and the switch the agent was killed; a machine that came back was off since.
            begun = _moment(facts.get("begun"))
            return self._power.due_s(folder, 0.0) if begun is not None and begun.boot == moment.boot else None
        keep_s = effective_keep_s(facts.get("keep_s"), facts.get("attempt", 0))
        if keep_s is None:
            return None
        return self._power.due_s(folder, float(keep_s) - (since.seconds_until(moment) if since else 0.0))

    def _act(self, found: _Found, verdict: JobVerdict) -> None:
        match verdict:
            case JobVerdict.STOP if found.trainer is not None:
                self._told[found.trainer] = now()
                left_s = found.job.rental_left_s
                is_last = left_s is not None and left_s <= max(found.job.grace_s, found.job.save_s)
                why = f"the rental ends in {max(0.0, left_s or 0.0):.0f} s" if is_last else "no agent saw to it"
                note(found.folder, "stop", "deadline", f"{why}: the trainer was told to save")
                signal_group(found.trainer, signal.SIGTERM)
            case JobVerdict.KILL if found.trainer is not None:
                note(found.folder, "kill", "deadline", "the trainer did not stop in time; its last checkpoint is kept")
                signal_group(found.trainer, signal.SIGKILL)
            case JobVerdict.POWER_OFF:
                self._power.switch_off(found.folder)
            case _:
                pass

    def _kill_hung(self, silent_s: float) -> None:
        status = read_facts(self._run / "agent.json")
        identity = _identity(status)
        if identity is not None and is_alive(identity):
            log.warning("agent=%d killed: no sign of life for %.0f s", identity.pid, silent_s)
            with contextlib.suppress(ProcessLookupError):
                os.kill(identity.pid, signal.SIGKILL)
        self._sign_of_life.reset()

    def _start(self) -> None:
        status = read_facts(self._run / "agent.json")
        argv = [str(word) for word in status.get("argv", [])]
        if argv:
            nothing = subprocess.DEVNULL
            try:
                self._agent = subprocess.Popen(
                    argv, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
                )
                log.warning("agent pid=%s is gone: started pid=%d", status.get("pid"), self._agent.pid)
            except OSError as error:
                log.error("the agent can't be started: %s", error)  # noqa: TRY400 - the sentence says it all
        self._restarts += 1
        pause_s = _RESTART_PAUSES_S[min(self._restarts, len(_RESTART_PAUSES_S) - 1)]
        self._next_start_s = time.monotonic() + pause_s


def _identity(stored: Any) -> ProcessIdentity | None:
    """Return the process that facts name, None when they name none."""
    if not isinstance(stored, dict) or not isinstance(stored.get("pid"), int) or not stored.get("mark"):
        return None
    return ProcessIdentity(pid=stored["pid"], mark=str(stored["mark"]))


def _meter(facts: dict[str, Any]) -> Meter:
    stored = facts.get("meter") or {}
    return Meter(**{field.name: stored[field.name] for field in fields(Meter) if field.name in stored})


def _moment(stored: Any) -> Moment | None:
    return Moment(**stored) if isinstance(stored, dict) else None


def _since_end(facts: dict[str, Any]) -> Moment | None:
    """Return since when nobody has come for the files of a job that has ended, None when it has not."""
    since = _moment(facts.get("leased")) or _moment(facts.get("ended"))
    return since if facts.get("state") in _FINAL else None


def _held_s(folder: Path, facts: dict[str, Any], moment: Moment) -> float:
    """Return for how long the files of an ended job still keep the machine on, whatever is to come after others."""
    since = _since_end(facts)
    if since is None or not _unsettled(folder, facts):
        return 0.0
    keep_s = facts.get("keep_s")
    return (DEFAULT_KEEP_S if keep_s is None else float(keep_s)) - since.seconds_until(moment)


def _has_unfetched(folder: Path, facts: dict[str, Any]) -> bool:
    """Return whether something of the job is nowhere but here: of one that has not ended, its last checkpoint, too."""
    is_resumable = facts.get("state") not in _FINAL and any((folder / "ckpt").glob("*"))
    return is_resumable or _unsettled(folder, facts)


def _unsettled(folder: Path, facts: dict[str, Any]) -> bool:
    """Return whether there are files that no client has, and none has declined."""
    settled = {*facts.get("acked", []), *facts.get("declined", [])}
    return not settled.issuperset(path.name for path in (folder / "artifacts").glob("[!.]*"))


def _start_log(path: Path) -> None:
    handler: logging.Handler = logging.NullHandler()
    # Without a log there is still a reaper.
    with contextlib.suppress(OSError):
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)


def _take(path: Path) -> int | None:
    """Return the lock, None where another reaper holds it: who only asks for one does so for an instant."""
    end_s = time.monotonic() + _LOCK_PATIENCE_S
    while (lock := try_lock(path)) is None and time.monotonic() < end_s:
        time.sleep(0.02)
    return lock


def main(arguments: list[str] | None = None) -> int:
    """Run the reaper of ``--home``; the second one of a home ends at once."""
    parser = argparse.ArgumentParser(prog="loratui_agent.reaper", description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--grace-s", type=float, default=STOP_GRACE_S, help="for a trainer to save and end")
    parser.add_argument("--hung-after-s", type=float, default=HUNG_AFTER_S, help="without a sign of life of the agent")
    parser.add_argument("--pause-s", type=float, default=RENTAL_PAUSE_S, help="after the first try to end the rental")
    parser.add_argument("--round-s", type=float, default=ROUND_S, help="between two looks at everything")
    options = parser.parse_args(arguments)
    run = options.home / "run"
    if _take(run / "reaper.lock") is None:
        return 0
    os.umask(0o077)
    _start_log(run / "reaper.log")
    me = identify(os.getpid())
    log.info("watching home=%s pid=%d", options.home, os.getpid())
    try:
        write(run / "reaper.json", {"pid": os.getpid(), "mark": me.mark if me else ""}, run)
    except OSError as error:
        log.error("it can't be said who watches: %s", error)  # noqa: TRY400 - the sentence says it all
    Reaper(options.home, options.grace_s, options.hung_after_s, options.pause_s, options.round_s).watch()
    log.info("ended: nothing is left to watch over")
    return 0


if __name__ == "__main__":
    sys.exit(main())
