"""When to end a trainer that does not end by itself. Pure: facts and times in, a verdict out."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

STOP_GRACE_S = 120.0
"""How long a trainer may take to save and export after the auto-stop before it is killed."""
SILENCE_MIN_S = 120.0
SILENCE_STEPS = 20
HUNG_AFTER_S = 30.0
"""Without a sign of life from its event loop for so long, an agent counts as dead."""
AGENT_MARGIN_S = 60.0
"""What a living agent may take beyond the grace before the reaper does its work."""
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


class JobVerdict(Enum):
    """What the reaper does about one job."""

    LEAVE = auto()
    STOP = auto()
    KILL = auto()
    POWER_OFF = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReapedJob:
    """A job as the reaper finds it; times in seconds."""

    is_training: bool
    """Its trainer lives."""
    overdue_s: float | None
    """Since auto-stop, negative before it; None: there is none."""
    told_s: float | None
    """Since the reaper told the trainer to stop; None: it did not."""
    power_s: float | None = None
    """Until the machine may be powered off because nobody came for the results; None: the user did not allow that."""
    grace_s: float = STOP_GRACE_S


def job_verdict(job: ReapedJob, *, is_agent_alive: bool) -> JobVerdict:
    """Return what the reaper does. A living agent does it better, so it gets the time that it may take."""
    patience_s = job.grace_s + AGENT_MARGIN_S if is_agent_alive else 0.0
    if job.is_training:
        if job.overdue_s is None or job.overdue_s < patience_s:
            return JobVerdict.LEAVE
        if job.told_s is None:
            return JobVerdict.STOP
        return JobVerdict.KILL if job.told_s > job.grace_s else JobVerdict.LEAVE
    if job.power_s is not None and job.power_s <= 0 and not is_agent_alive:
        return JobVerdict.POWER_OFF
    return JobVerdict.LEAVE


class AgentVerdict(Enum):
    """What the reaper does about the agent."""

    LEAVE = auto()
    START = auto()
    KILL_HUNG = auto()
    END = auto()
    """Nothing is left to watch over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReapedAgent:
    """The agent as the reaper finds it; times in seconds."""

    is_alive: bool
    is_wanted: bool
    """An agent that ended by itself is not."""
    silent_s: float
    """Since its event loop last gave a sign of life."""
    next_start_s: float
    """Until it may be tried again to start one."""
    has_jobs: bool
    """There is a job that the reaper will have to end."""
    hung_after_s: float = HUNG_AFTER_S


def agent_verdict(agent: ReapedAgent) -> AgentVerdict:
    """Return what to do now. An agent that holds its lock but does nothing is worse than none: it keeps others out."""
    if agent.is_alive:
        return AgentVerdict.KILL_HUNG if agent.silent_s > agent.hung_after_s else AgentVerdict.LEAVE
    if agent.is_wanted:
        return AgentVerdict.START if agent.next_start_s <= 0 else AgentVerdict.LEAVE
    return AgentVerdict.LEAVE if agent.has_jobs else AgentVerdict.END


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """A job with something to do after it, as the agent finds it; times in seconds."""

    is_fetched: bool
    """A client has read of its end, and has every file, or wants no more of them."""
    has_client: bool
    kept_s: float
    """Since its end, or since a client last held its lease, whichever is later."""
    keep_s: float | None
    """How long it waits for one; None: forever."""


def after_end(job: EndedJob) -> str:
    """Return why ``on_done`` may happen now: "done", "lease", or nothing while it has to wait."""
    if job.is_fetched:
        return "done"
    is_abandoned = job.keep_s is not None and not job.has_client and job.kept_s >= job.keep_s
    return "lease" if is_abandoned else ""
