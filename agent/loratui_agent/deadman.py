"""When to end a trainer that does not end by itself. Pure: facts and times in, a verdict out."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

STOP_GRACE_S = 120.0
"""How long a trainer may take to save and export after the auto-stop before it is killed."""
SILENCE_MIN_S = 120.0
DRAWING_SILENCE_S = 1800.0
"""While files are tried out: between two denoising steps, the decoding of a batch or the loading of a base model."""
SILENCE_STEPS = 20
HUNG_AFTER_S = 30.0
"""Without a sign of life from its event loop for so long, an agent counts as dead."""
AGENT_MARGIN_S = 60.0
"""What a living agent may take beyond the grace before the reaper does its work."""
LOST_AFTER_S = 60.0
"""An agent that could not be kept running for so long, however often it was started, counts as lost."""
RESUMES_MAX = 2
RESUMES_WINDOW_S = 1800.0
CLIENT_ENDS_S = 90.0
"""A client that is there removes the user's data and ends the rental itself, and proves it: it may take so long."""
DEFAULT_KEEP_S = 1800.0
"""How long files without a term of their own keep what comes after other jobs waiting."""
ABANDONED_AFTER_S = 6 * 3600.0
"""How long a job waits for the rest of its files while nobody brings them."""
ABANDONED_BEFORE_ON_DONE_S = 1200.0
"""The same where something is to be ended after it."""
ABANDONED_MIN_S = 60.0
"""And never less: a client may be on its way back."""
POWER_CHECK_S = 60.0
"""What a machine may take to go off before it counts as one that stays on."""
POWER_TRIES = 4
RENTAL_PAUSE_S = 5.0
RENTAL_PAUSE_MAX_S = 300.0


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
    overdue_s: float | None
    """Since auto-stop, negative before it; None: there is none."""
    stopping_s: float | None
    """Since it was told to stop; None: it was not."""
    stopping_for_deadline: bool = False
    grace_s: float = STOP_GRACE_S
    silence_min_s: float = SILENCE_MIN_S


def trainer_verdict(facts: TrainerFacts) -> TrainerVerdict:
    """Return what to do now. Time that costs money ends first: an auto-stop outranks a hang."""
    overdue_s = -math.inf if facts.overdue_s is None else facts.overdue_s
    if facts.stopping_s is not None:
        # A stop that a person asked for may take its time as long as it gets somewhere, and there is time.
        patient_s = facts.stopping_s if facts.stopping_for_deadline else min(facts.stopping_s, facts.silent_s)
        waited_s = max(patient_s, min(facts.stopping_s, overdue_s))
        return TrainerVerdict.KILL_OVERDUE if waited_s > facts.grace_s else TrainerVerdict.GO_ON
    if overdue_s >= 0:
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
    held_s: float = 0.0
    """For how long its files keep the machine from being powered off after another job."""
    has_unfetched: bool = False
    """Something of it is nowhere but here."""
    is_open: bool = False
    """It has not ended: an agent has it in hand, if there is one."""
    asks_for_end: bool = False
    """Its agent found that the rental is to end after it, now."""
    rental_left_s: float | None = None
    """Until the machine's rental is over; None: it is not ours to end."""
    save_s: float = 0.0
    """So long before that it is told to save."""
    grace_s: float = STOP_GRACE_S

    @property
    def needs_reaper(self) -> bool:
        """Return whether there may come something that the reaper has to do."""
        return (self.is_training and self.overdue_s is not None) or self.power_s is not None


def job_verdict(job: ReapedJob, *, is_agent_alive: bool, is_agent_lost: bool) -> JobVerdict:
    """Return what the reaper does. A living agent does it better, so it gets the time that it may take.

    Only when no agent can be had any more (``is_agent_lost``) the machine is powered off.
    """
    patience_s = job.grace_s + AGENT_MARGIN_S if is_agent_alive else 0.0
    if job.is_training:
        if job.rental_left_s is not None and job.rental_left_s <= max(job.grace_s, job.save_s) and job.told_s is None:
            # The rental waits for nobody. What is saved now, a client that is there may still fetch.
            return JobVerdict.STOP
        if job.overdue_s is None or job.overdue_s < patience_s:
            return JobVerdict.LEAVE
        if job.told_s is None:
            return JobVerdict.STOP
        return JobVerdict.KILL if job.told_s > job.grace_s else JobVerdict.LEAVE
    if job.power_s is not None and job.power_s <= 0 and is_agent_lost:
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
    """There is a job that may need the reaper."""
    is_armed: bool = False
    """The machine's rental is to be ended from here."""
    can_start: bool = True
    """It is known how an agent is started here."""
    gone_s: float = 0.0
    """Since there was last one that stayed and did its work."""
    hung_after_s: float = HUNG_AFTER_S

    @property
    def is_hung(self) -> bool:
        """Return whether it holds its lock and does nothing."""
        return self.is_alive and self.silent_s > self.hung_after_s

    @property
    def is_able(self) -> bool:
        """Return whether it does its work: hung, it does nothing about a deadline either."""
        return self.is_alive and not self.is_hung

    @property
    def is_lost(self) -> bool:
        """Return whether no agent can be had any more."""
        return not self.is_able and (not self.can_start or self.gone_s >= LOST_AFTER_S)


def agent_verdict(agent: ReapedAgent) -> AgentVerdict:
    """Return what to do now. An agent that holds its lock but does nothing is worse than none: it keeps others out."""
    if agent.is_alive:
        return AgentVerdict.KILL_HUNG if agent.is_hung else AgentVerdict.LEAVE
    if agent.is_wanted:
        return AgentVerdict.START if agent.next_start_s <= 0 else AgentVerdict.LEAVE
    return AgentVerdict.LEAVE if agent.has_jobs or agent.is_armed else AgentVerdict.END


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedRental:
    """The machine's rental as the reaper finds it; times in seconds."""

    left_s: float
    """Until its deadline."""
    setup_left_s: float | None
    """Until a job must have been started; None: it need not."""
    lease_left_s: float | None
    """Until nobody has been there, and nothing gone on, for too long; None: that may go on."""
    has_jobs: bool
    """A job was started here at some time."""
    is_busy: bool
    """Something trains, is prepared, waits for its turn, or is on its way here."""
    has_unfetched: bool
    """There are files that are nowhere but here."""
    is_asked_for: bool
    """A job's agent found that it is to end, and no other job is in the way."""


def rental_verdict(rental: WatchedRental) -> str:
    """Return why the rental is to end now: "deadline", "done", "setup", "lease", or nothing while it is not.

    Only the deadline ends what trains, and costs files that nobody has fetched.
    """
    if rental.left_s <= 0:
        return "deadline"
    if rental.is_busy:
        return ""
    if rental.is_asked_for:
        return "done"
    if not rental.has_jobs and rental.setup_left_s is not None and rental.setup_left_s <= 0:
        return "setup"
    is_alone = rental.lease_left_s is not None and rental.lease_left_s <= 0
    return "lease" if is_alone and not rental.has_unfetched else ""


def rental_pause_s(num_tries: int, first_s: float = RENTAL_PAUSE_S) -> float:
    """Return how long to wait after so many tries to end it: it is tried forever, and seldom in the end."""
    return min(RENTAL_PAUSE_MAX_S, first_s * 2.0 ** min(num_tries - 1, 16))


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """A job that has ended, as the agent finds it; times in seconds."""

    is_fetched: bool
    """A client has read of its end, and has every file, or wants no more of them."""
    has_client: bool
    kept_s: float
    """Since its end, or since a client last held its lease, whichever is later."""
    keep_s: float | None
    """How long it waits for one; None: forever."""
    fetched_s: float = 0.0
    """Since everything was first seen to be fetched."""
    leaves_it_s: float = 0.0
    """How long it is left to a client that is there to do what comes then."""


def after_end(job: EndedJob) -> str:
    """Return why ``on_done`` may happen now: "done", "lease", or nothing while it has to wait."""
    if job.is_fetched:
        return "" if job.has_client and job.fetched_s < job.leaves_it_s else "done"
    is_abandoned = job.keep_s is not None and not job.has_client and job.kept_s >= job.keep_s
    return "lease" if is_abandoned else ""


def effective_keep_s(keep_s: float | None, attempt: int) -> float | None:
    """Return how long a job waits for a client; one that was never trained has nothing to be waited for forever."""
    return DEFAULT_KEEP_S if keep_s is None and attempt == 0 else keep_s


def holds_others(job: EndedJob) -> bool:
    """Return whether agent and machine must stay for this job's files, whatever is to come after other jobs."""
    keep_s = DEFAULT_KEEP_S if job.keep_s is None else job.keep_s
    return not job.is_fetched and (job.has_client or job.kept_s < keep_s)


def abandoned_after_s(keep_s: float | None, *, ends_something: bool, minimum_s: float = ABANDONED_MIN_S) -> float:
    """Return for how long a job waits for the rest of its files while nobody brings them."""
    if keep_s is not None:
        return max(minimum_s, keep_s)
    return ABANDONED_BEFORE_ON_DONE_S if ends_something else ABANDONED_AFTER_S


class PowerVerdict(Enum):
    """What comes next for a machine that is to go off."""

    WAIT = auto()
    TRY = auto()
    GIVE_UP = auto()


def power_verdict(num_tries: int, since_s: float, check_s: float = POWER_CHECK_S) -> PowerVerdict:
    """Return what to do ``since_s`` after the last of so many tries: a machine may agree to go off, and stay on."""
    if num_tries and since_s < check_s * 2 ** (num_tries - 1):
        return PowerVerdict.WAIT
    return PowerVerdict.TRY if num_tries < POWER_TRIES else PowerVerdict.GIVE_UP
