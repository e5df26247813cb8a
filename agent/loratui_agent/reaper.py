"""Outlives the agent: starts it again when it died or hangs, and ends trainers at their auto-stop when it can't.

Standard library only, a process of its own: ``python -m loratui_agent.reaper --home DIR``. It ends when the agent
ended by itself and no trainer is left that has an auto-stop. What it does is in ``run/reaper.log``.
"""

import argparse
import contextlib
import json
import logging
import logging.handlers
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from loratui_agent.clock import Moment, now
from loratui_agent.deadman import (
    HUNG_AFTER_S,
    STOP_GRACE_S,
    AgentVerdict,
    JobVerdict,
    ReapedAgent,
    ReapedJob,
    agent_verdict,
    job_verdict,
)
from loratui_agent.facts import read_facts
from loratui_agent.meter import Meter
from loratui_agent.power import power_off
from loratui_agent.process import ProcessIdentity, identify, is_alive, is_locked, signal_group, try_lock
from loratui_agent.sign_of_life import SignOfLife

log = logging.getLogger("loratui_agent.reaper")
ROUND_S = 2.0
DEEDS = "reaped.json"
"""In a job's folder: what the reaper did to it, for the next agent to write into the journal."""
_MAX_DEEDS = 20
_RESTART_PAUSES_S = (0.0, 2.0, 5.0, 15.0, 60.0)
_FINAL = ("done", "stopped", "failed")
_LOG_BYTES = 512 << 10


@dataclass(frozen=True, slots=True)
class _Found:
    """A job that the reaper may have to end."""

    folder: Path
    trainer: ProcessIdentity | None
    job: ReapedJob


class Reaper:
    """One home's reaper."""

    def __init__(self, home: Path, grace_s: float = STOP_GRACE_S, hung_after_s: float = HUNG_AFTER_S) -> None:
        """Watch over the agent of ``home``; a trainer gets ``grace_s`` to save and end."""
        self._hung_after_s = hung_after_s
        self._run = home / "run"
        self._jobs = home / "jobs"
        self._grace_s = grace_s
        self._restarts = 0
        self._next_start_s = 0.0
        self._alive_since_s: float | None = None
        self._agent: subprocess.Popen[bytes] | None = None
        self._told: dict[ProcessIdentity, Moment] = {}
        self._without_anyone: dict[Path, Moment] = {}
        self._sign_of_life = SignOfLife(self._run / "beat", ROUND_S)

    def watch(self) -> None:
        """Do a round every ``ROUND_S`` until there is nothing left to watch over."""
        while self.round():
            time.sleep(ROUND_S)

    def round(self) -> bool:
        """Look at everything once and act; return whether there is more to watch over."""
        with contextlib.suppress(OSError):
            (self._run / "reaper.beat").touch()
        found = [each for path in sorted(self._jobs.glob("*/state.json")) if (each := self._look_at_job(path))]
        agent = self._look_at_agent([each.job for each in found])
        verdict = agent_verdict(agent)
        # Hung, it does nothing about a deadline either.
        is_able = agent.is_alive and verdict is not AgentVerdict.KILL_HUNG
        is_training = any(each.job.is_training for each in found)
        for each in found:
            decided = job_verdict(each.job, is_agent_alive=is_able)
            # One job's leave to power off is no leave to end another.
            if not (decided is JobVerdict.POWER_OFF and is_training):
                self._act(each, decided)
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
        alive = is_locked(self._run / "lock")
        self._alive_since_s = (self._alive_since_s or now_s) if alive else None
        if self._alive_since_s is not None and now_s - self._alive_since_s > _RESTART_PAUSES_S[-1]:
            self._restarts = 0
            self._without_anyone.clear()
        return ReapedAgent(
            is_alive=alive,
            is_wanted=(self._run / "agent.json").exists(),
            silent_s=self._sign_of_life.silent_s() if alive else self._sign_of_life.reset(),
            next_start_s=self._next_start_s - now_s,
            hung_after_s=self._hung_after_s,
            has_jobs=any(job.is_training and job.overdue_s is not None for job in jobs),
        )

    def _look_at_job(self, state: Path) -> _Found | None:
        try:
            return self._found(state.parent, read_facts(state), now())
        except (ValueError, TypeError, KeyError) as error:
            # It costs no other job its end.
            log.error("job=%s is damaged: %r", state.parent.name, error)  # noqa: TRY400 - the sentence says it all
            return None

    def _found(self, folder: Path, facts: dict[str, Any], moment: Moment) -> _Found:
        trainer = _identity(facts.get("trainer"))
        training = trainer is not None and is_alive(trainer)
        told = self._told.get(trainer) if trainer is not None else None
        return _Found(
            folder=folder,
            trainer=trainer,
            job=ReapedJob(
                is_training=training,
                overdue_s=_meter(facts).at(moment).overdue_s(),
                told_s=None if told is None else told.seconds_until(moment),
                power_s=None if training else self._power_s(folder, facts, moment),
                grace_s=self._grace_s,
            ),
        )

    def _power_s(self, folder: Path, facts: dict[str, Any], moment: Moment) -> float | None:
        """Return the seconds until this job lets the machine be powered off, None when it never does."""
        if facts.get("on_done") != "poweroff":
            return None
        if facts.get("afterwards"):
            # Between the decision and the switch the agent was killed; a machine that came back was off since.
            begun = _moment(facts.get("begun")) if facts["afterwards"] == "begun" else None
            return 0.0 if begun is not None and begun.boot == moment.boot else None
        keep_s = facts.get("keep_s")
        if keep_s is None:
            return None
        since = _moment(facts.get("leased")) or _moment(facts.get("ended"))
        if facts.get("state") not in _FINAL or since is None:
            # No agent has seen its end, or will ever begin it: it counts from when we saw nobody at work on it.
            since = self._without_anyone.setdefault(folder, moment)
        return float(keep_s) - since.seconds_until(moment)

    def _act(self, found: _Found, verdict: JobVerdict) -> None:
        match verdict:
            case JobVerdict.STOP if found.trainer is not None:
                self._told[found.trainer] = now()
                _note(found.folder, "stop", "deadline", "no agent saw to it: the trainer was told to save")
                signal_group(found.trainer, signal.SIGTERM)
            case JobVerdict.KILL if found.trainer is not None:
                _note(found.folder, "kill", "deadline", "the trainer did not stop in time; its last checkpoint is kept")
                signal_group(found.trainer, signal.SIGKILL)
            case JobVerdict.POWER_OFF:
                self._power_off(found.folder)
            case _:
                pass

    def _power_off(self, folder: Path) -> None:
        # Once: a machine that comes back shall not go off again before anyone can look.
        if any(deed.get("action") == "poweroff" for deed in deeds_of(folder)):
            return
        _note(folder, "poweroff", "lease", "nobody came for the results, and no agent could be started")
        os.sync()
        complaint = power_off()
        if complaint:
            log.error("job=%s the machine stays on: %s", folder.name, complaint)
            _note(folder, "poweroff", "lease", complaint, ok=False)

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


def deeds_of(folder: Path) -> list[dict[str, Any]]:
    """Return what the reaper did to the job in ``folder``, oldest first."""
    deeds = read_facts(folder / DEEDS).get("deeds")
    return [deed for deed in deeds if isinstance(deed, dict)] if isinstance(deeds, list) else []


def _note(folder: Path, action: str, reason: str, detail: str, *, ok: bool = True) -> None:
    """Leave word of a deed in the log and for the next agent. A full disk keeps nobody from acting."""
    log.warning("job=%s %s: %s", folder.name, action, detail)
    deeds = deeds_of(folder)
    deeds.append({"action": action, "reason": reason, "detail": detail, "ok": ok, "ts": time.time()})
    temporary = folder / f".{DEEDS}.tmp"
    try:
        temporary.write_text(json.dumps({"deeds": deeds[-_MAX_DEEDS:]}), "utf-8")
        temporary.replace(folder / DEEDS)
    except OSError as error:
        log.error("job=%s no word left for the agent: %s", folder.name, error)  # noqa: TRY400 - as above


def _start_log(path: Path) -> None:
    handler: logging.Handler = logging.NullHandler()
    # Without a log there is still a reaper.
    with contextlib.suppress(OSError):
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)


def main(arguments: list[str] | None = None) -> int:
    """Run the reaper of ``--home``; the second one of a home ends at once."""
    parser = argparse.ArgumentParser(prog="loratui_agent.reaper", description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--grace-s", type=float, default=STOP_GRACE_S, help="for a trainer to save and end")
    parser.add_argument("--hung-after-s", type=float, default=HUNG_AFTER_S, help="without a sign of life of the agent")
    options = parser.parse_args(arguments)
    run = options.home / "run"
    lock = try_lock(run / "reaper.lock")
    if lock is None:
        return 0
    os.umask(0o077)
    _start_log(run / "reaper.log")
    me = identify(os.getpid())
    log.info("watching home=%s pid=%d", options.home, os.getpid())
    (run / "reaper.json").write_text(json.dumps({"pid": os.getpid(), "mark": me.mark if me else ""}), "utf-8")
    Reaper(options.home, options.grace_s, options.hung_after_s).watch()
    log.info("ended: nothing is left to watch over")
    return 0


if __name__ == "__main__":
    sys.exit(main())
