"""When to end a trainer that does not end by itself. Pure: facts and times in, a verdict out."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

STOP_GRACE_S = 120.0
"""How long a trainer may take to save and export after the auto-stop before it is killed."""
SILENCE_MIN_S = 120.0
SILENCE_STEPS = 20
RESUMES_MAX = 2
RESUMES_WINDOW_S = 1800.0


class TrainerVerdict(Enum):
    """What the agent does with a living trainer."""

    GO_ON = auto()
    STOP = auto()
    KILL_HUNG = auto()
    KILL_OVERDUE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerFacts:
    """A living trainer as the agent sees it; times in seconds."""

    is_stepping: bool
    """The job is RUNNING: steps are due."""
    silent_s: float
    """Since the trainer last said anything."""
    step_times_s: Sequence[float]
    left_s: float | None
    """Until auto-stop; None: there is none."""
    stopping_s: float | None
    """Since it was told to stop; None: it was not."""
    stopping_for_deadline: bool = False
    grace_s: float = STOP_GRACE_S
    silence_min_s: float = SILENCE_MIN_S


def trainer_verdict(facts: TrainerFacts) -> TrainerVerdict:
    """Return what to do now. Time that costs money ends first: an auto-stop outranks a hang."""
    if facts.stopping_s is not None:
        # A stop that a person asked for may take its time as long as it gets somewhere.
        waited_s = facts.stopping_s if facts.stopping_for_deadline else min(facts.stopping_s, facts.silent_s)
        return TrainerVerdict.KILL_OVERDUE if waited_s > facts.grace_s else TrainerVerdict.GO_ON
    if facts.left_s is not None and facts.left_s <= 0:
        return TrainerVerdict.STOP
    if facts.is_stepping and facts.silent_s > silence_limit_s(facts.step_times_s, facts.silence_min_s):
        return TrainerVerdict.KILL_HUNG
    return TrainerVerdict.GO_ON


def silence_limit_s(step_times_s: Sequence[float], minimum_s: float = SILENCE_MIN_S) -> float:
    """Return how long a running trainer may be silent before it counts as hung."""
    usual_s = statistics.median(step_times_s) if step_times_s else 0.0
    return max(minimum_s, SILENCE_STEPS * usual_s)


def may_resume(interruptions_ts: Sequence[float], now_ts: float) -> bool:
    """Return whether a killed run is taken up once more; ``interruptions_ts`` are the earlier ones, in wall time."""
    return sum(now_ts - ts < RESUMES_WINDOW_S for ts in interruptions_ts) < RESUMES_MAX


class ReaperVerdict(Enum):
    """What the reaper does in one round."""

    WAIT = auto()
    RESTART_AGENT = auto()
    STOP_TRAINERS = auto()
    END = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaperFacts:
    """The agent's home as the reaper finds it; times in seconds."""

    is_agent_alive: bool
    is_agent_wanted: bool
    """An agent that ended by itself is not."""
    next_restart_s: float
    """Until another restart may be tried."""
    trainers_left_s: Sequence[float]
    """Of each living trainer with an auto-stop, the time until its hard end: auto-stop and grace."""


def reaper_verdict(facts: ReaperFacts) -> ReaperVerdict:
    """Return what to do now. A living agent does all this better: then the reaper only watches."""
    if facts.is_agent_alive:
        return ReaperVerdict.WAIT
    if any(left_s <= 0 for left_s in facts.trainers_left_s):
        return ReaperVerdict.STOP_TRAINERS
    if facts.is_agent_wanted and facts.next_restart_s <= 0:
        return ReaperVerdict.RESTART_AGENT
    if facts.is_agent_wanted or facts.trainers_left_s:
        return ReaperVerdict.WAIT
    return ReaperVerdict.END
