"""Which state may follow which. The drawing of this table is in docs/agent.md."""

from loratui_protocol.messages import JobState as S

TRANSITIONS: dict[S, frozenset[S]] = {
    S.QUEUED: frozenset({S.PREPARING, S.STOPPED}),
    S.PREPARING: frozenset({S.RUNNING, S.PAUSED, S.STOPPING, S.FINISHING, S.INTERRUPTED, S.DONE, S.STOPPED, S.FAILED}),
    S.RUNNING: frozenset({S.PAUSED, S.STOPPING, S.FINISHING, S.INTERRUPTED, S.DONE, S.STOPPED, S.FAILED}),
    S.PAUSED: frozenset({S.RUNNING, S.STOPPING, S.FINISHING, S.INTERRUPTED, S.DONE, S.STOPPED, S.FAILED}),
    S.STOPPING: frozenset({S.FINISHING, S.INTERRUPTED, S.DONE, S.STOPPED, S.FAILED}),
    S.FINISHING: frozenset({S.INTERRUPTED, S.DONE, S.STOPPED, S.FAILED}),
    S.INTERRUPTED: frozenset({S.RESUMING, S.STOPPED, S.FAILED}),
    S.RESUMING: frozenset(
        {S.PREPARING, S.RUNNING, S.PAUSED, S.STOPPING, S.FINISHING, S.INTERRUPTED, S.DONE, S.STOPPED, S.FAILED}
    ),
    S.DONE: frozenset({S.QUEUED}),
    S.STOPPED: frozenset({S.QUEUED}),
    S.FAILED: frozenset({S.QUEUED}),
}

OF_TRAINER = frozenset({S.PREPARING, S.RUNNING, S.PAUSED, S.FINISHING})
"""What a trainer may say of itself. Everything else is the agent's to say, from outside."""

WITH_TRAINER = frozenset(S) - {S.QUEUED, S.DONE, S.STOPPED, S.FAILED}
"""States in which the clock of the job runs and a trainer is there or is about to be."""

UNPREPARED = frozenset({S.QUEUED, S.PREPARING})
"""States in which what the trainer needs may still have to be brought."""


def is_legal(old: S, new: S) -> bool:
    """Return whether a job may go from ``old`` to ``new``."""
    return new in TRANSITIONS[old]
