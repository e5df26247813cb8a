"""The life of a rental as a state machine: what happened goes in, the new state and what to do next come out. Pure.

    INTENT ─ CREATING ─ BOOTING ─ CONNECTING ─ READY ─ ENDING ─ GONE
                └─ UNKNOWN: nobody knows whether the request was carried out, so it is looked for by its label
    any of them ─ LOST: the provider shows it gone, and nobody here asked for that

There is no way from ENDING to GONE but the provider's own answers: time passes, and it stays ENDING.
"""

from dataclasses import dataclass
from enum import StrEnum


class RentalState(StrEnum):
    """How far a rental is. All but INTENT, GONE and LOST have to be taken for billing."""

    INTENT = "intent"
    """It is written down that it will be asked for; nothing was sent."""
    CREATING = "creating"
    UNKNOWN = "unknown"
    BOOTING = "booting"
    CONNECTING = "connecting"
    """It has an address of its own; nobody has signed in yet."""
    READY = "ready"
    ENDING = "ending"
    GONE = "gone"
    """The provider has shown it gone, or has said, or shown, that nothing was rented."""
    LOST = "lost"

    @property
    def is_over(self) -> bool:
        """Return whether nothing can bill any more."""
        return self in (RentalState.GONE, RentalState.LOST)


class Happened(StrEnum):
    """What a driver has seen, or decided."""

    SENT = "sent"
    """The request to rent is about to be sent."""
    CREATED = "created"
    REFUSED = "refused"
    """Nothing was rented, and that is certain."""
    REPLY_LOST = "reply_lost"
    FOUND = "found"
    """The provider lists an instance that bears the label."""
    NOT_FOUND = "not_found"
    """Several well-formed listings in a row show none."""
    HAS_ADDRESS = "has_address"
    CONNECTED = "connected"
    FAILED = "failed"
    """It will never serve."""
    TIMED_OUT = "timed_out"
    END_WANTED = "end_wanted"
    SHOWN_GONE = "shown_gone"
    """The provider has shown, in ``PROOFS`` well-formed answers in a row, that there is no such instance."""


class Action(StrEnum):
    """What is to be done next."""

    CREATE = "create"
    LOOK_BY_LABEL = "look_by_label"
    POLL = "poll"
    CONNECT = "connect"
    USE = "use"
    END = "end"
    """Ask for its end until it is shown gone."""
    NEXT_OFFER = "next_offer"
    CLOSE = "close"
    """Take off what was left on the account, close the ledger."""


class IllegalTransitionError(ValueError):
    """Something was said to have happened that can't happen in that state: a fault of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a rental may stay in a state. What has no limit here has none."""

    create_s: float = 60.0
    boot_s: float = 12 * 60.0
    connect_s: float = 5 * 60.0

    def of(self, state: RentalState) -> float | None:
        """Return the limit of a state, None where waiting is all that there is."""
        return {
            RentalState.CREATING: self.create_s,
            RentalState.BOOTING: self.boot_s,
            RentalState.CONNECTING: self.connect_s,
        }.get(state)


_S, _H, _A = RentalState, Happened, Action
_ENDS = dict.fromkeys((_H.FAILED, _H.TIMED_OUT, _H.END_WANTED), (_S.ENDING, _A.END))
_LOST = {_H.SHOWN_GONE: (_S.LOST, _A.CLOSE)}
_LOOKED = {_H.FOUND: (_S.BOOTING, _A.POLL), _H.NOT_FOUND: (_S.GONE, _A.NEXT_OFFER)}
_AGAIN = {_H.FOUND: (_S.ENDING, _A.END)}
"""What was over is shown again: it was never over, or the provider's answers were wrong."""
_TRANSITIONS: dict[RentalState, dict[Happened, tuple[RentalState, Action]]] = {
    _S.INTENT: {
        _H.SENT: (_S.CREATING, _A.CREATE),
        _H.REFUSED: (_S.GONE, _A.NEXT_OFFER),
        _H.END_WANTED: (_S.GONE, _A.CLOSE),
        **_LOOKED,
    },
    _S.CREATING: {
        _H.CREATED: (_S.BOOTING, _A.POLL),
        _H.REFUSED: (_S.GONE, _A.NEXT_OFFER),
        _H.REPLY_LOST: (_S.UNKNOWN, _A.LOOK_BY_LABEL),
        _H.TIMED_OUT: (_S.UNKNOWN, _A.LOOK_BY_LABEL),
        _H.END_WANTED: (_S.UNKNOWN, _A.LOOK_BY_LABEL),
        **_LOOKED,
    },
    _S.UNKNOWN: {
        _H.TIMED_OUT: (_S.UNKNOWN, _A.LOOK_BY_LABEL),
        _H.END_WANTED: (_S.UNKNOWN, _A.LOOK_BY_LABEL),
        **_LOOKED,
    },
    _S.BOOTING: {_H.HAS_ADDRESS: (_S.CONNECTING, _A.CONNECT), **_ENDS, **_LOST},
    _S.CONNECTING: {_H.CONNECTED: (_S.READY, _A.USE), **_ENDS, **_LOST},
    _S.READY: {**_ENDS, **_LOST},
    _S.ENDING: {**_ENDS, _H.SHOWN_GONE: (_S.GONE, _A.CLOSE)},
    _S.GONE: _AGAIN,
    _S.LOST: _AGAIN,
}


def after(state: RentalState, happened: Happened) -> tuple[RentalState, Action]:
    """Return the new state, and what to do then.

    Raises:
        IllegalTransitionError: that can't happen in this state.
    """
    try:
        return _TRANSITIONS[state][happened]
    except KeyError as error:
        raise IllegalTransitionError(f"{happened} in state {state}") from error


_NOT_THE_HOST = ("manifest", "toomanyrequests", "pull access denied", "unauthorized")


def blames_host(detail: str) -> bool:
    """Return whether a failed start speaks against its machine: an image that is nowhere is no machine's fault."""
    return not any(words in detail.casefold() for words in _NOT_THE_HOST)
