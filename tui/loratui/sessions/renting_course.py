"""The course of one rental: its state, each step of it in the ledger before it counts, and what people are shown."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from loratui.domain.ledger import Phase, Rates, ends_ts, spent
from loratui.domain.offers import Offer
from loratui.domain.rental import Happened, Limits, RentalState, after
from loratui.providers.base import SshAddress
from loratui.sessions.renting_end import noted
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.steady_clock import steady_ts
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.errors import LoratuiError, StorageError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RentalView:
    """How a rental is doing."""

    label: str
    offer: Offer
    instance_id: str
    state: RentalState
    state_s: float
    """How long it has been in this state."""
    limit_s: float | None
    """How long it may be."""
    elapsed_s: float
    """Since it may have begun to bill."""
    spent_microusd: int
    price_microusd_per_h: int
    detail: str = ""
    """The provider's words about it, or what stands in the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rental:
    """A machine that is rented and says where its SSH server is. It bills until ``finish_rental``."""

    label: str
    provider: str
    instance_id: str
    offer: Offer
    ssh: SshAddress
    price_microusd_per_h: int
    created_ts: float
    deadline_ts: float | None = None
    """When it has to end: what may be spent is used up then, or it was agreed so."""
    folder: RentalFolder
    """Held: as long as this process minds the rental, nobody here takes it for an orphan."""
    scoped_key: str = field(default="", repr=False)
    left: tuple[Offer, ...] = ()
    """The offers that come after this one."""

    @property
    def target(self) -> str:
        """Return it as ``--on`` would have it."""
        host = f"[{self.ssh.host}]" if ":" in self.ssh.host else self.ssh.host
        return f"ssh://{self.ssh.user}@{host}:{self.ssh.port}"


class Course:
    """``rental`` is as it is known now. Once it ``is_ending`` a ledger that can't be written stops nothing."""

    def __init__(
        self, ledger: Rentals, rental: StoredRental, tell: Callable[[RentalView], None], limits: Limits
    ) -> None:
        self.rental = rental
        self.address: SshAddress | None = None
        self.is_ending = False
        self.sent_ts = steady_ts()
        self._ledger = ledger
        self._tell = tell
        self._limits = limits
        self._since_s = self._sent_s = time.monotonic()
        self._since_ts = self.sent_ts
        self._spent_microusd = 0

    def move(self, happened: Happened, why: str = "") -> None:
        """Go on to the next state: it is written down first."""
        state, _ = after(self.rental.state, happened)
        now_s, now_ts = time.monotonic(), steady_ts()
        if happened is Happened.SENT:
            self._sent_s, self.sent_ts = now_s, now_ts
        self._write(lambda: self._note(state, why, now_ts))
        self.rental = replace(self.rental, state=state, why=why or self.rental.why)
        self._since_s, self._since_ts = now_s, now_ts
        self.show(why)

    def take(self, instance_id: str) -> None:
        """Know the instance, in memory before anything can fail: it is to be ended, whatever happens."""
        self.rental = replace(self.rental, instance_id=instance_id)

    def note_machine(self, machine: str) -> None:
        """Know which machine it is, where the offer did not say."""
        if machine and machine != self.rental.machine:
            self._write(lambda: self._ledger.note(self.rental.label, machine=machine))
            self.rental = replace(self.rental, machine=machine)

    def reprice(self, microusd_per_h: int) -> None:
        """Know what it costs by its provider's own word, since it began."""
        if microusd_per_h != self.rental.price_microusd_per_h:
            self._write(lambda: self._ledger.reprice(self.rental.label, microusd_per_h))
            self.rental = replace(self.rental, price_microusd_per_h=microusd_per_h)

    def end_by(self, reserved_microusd: int) -> None:
        """Know when it has to end, at the price that it has now."""
        rental, now_ts = self.rental, steady_ts()
        left = None if rental.cap_microusd is None else rental.cap_microusd - self.spent_microusd()
        deadline_ts = ends_ts(rental.deadline_ts, now_ts, left, rental.price_microusd_per_h, reserved_microusd)
        if deadline_ts != rental.deadline_ts:
            self._write(lambda: self._ledger.note(rental.label, deadline_ts=deadline_ts))
            self.rental = replace(rental, deadline_ts=deadline_ts)

    def blame(self, why: str) -> None:
        """Remember that this machine, or its kind, did not serve."""
        noted(lambda: self._ledger.note_bad_host(self.rental.provider, self.rental.blamed, why, time.time()))

    def show(self, detail: str = "") -> None:
        """Tell how it is doing."""
        rental = self.rental
        view = RentalView(
            label=rental.label,
            offer=rental.offer,
            instance_id=rental.instance_id,
            state=rental.state,
            state_s=self.in_state_s(),
            limit_s=self._limits.of(rental.state),
            elapsed_s=max(time.monotonic() - self._sent_s, steady_ts() - self.sent_ts),
            spent_microusd=self.spent_microusd(),
            price_microusd_per_h=rental.price_microusd_per_h,
            detail=detail,
        )
        try:
            self._tell(view)
        except (OSError, ValueError, LoratuiError) as error:
            # A terminal that is gone must not keep a machine alive.
            if not self.is_ending:
                raise
            log.warning("nobody could be told how an ending goes: %s", error)

    def in_state_s(self) -> float:
        """Return for how long, a time in which this machine slept included: the other one did not."""
        return max(time.monotonic() - self._since_s, steady_ts() - self._since_ts)

    def since_sent_s(self) -> float:
        """Return for how long it has been asked for, at least."""
        return time.monotonic() - self._sent_s

    def spent_microusd(self) -> int:
        """Return what it has cost so far; where the ledger can't be read, what that was when it last could be."""
        rates = Rates.of(self.rental.offer, self.rental.price_microusd_per_h)
        try:
            spans = self._ledger.spans(self.rental.label)
            self._spent_microusd = spent(spans, steady_ts(), rates).total_microusd
        except StorageError:
            if not self.is_ending:
                raise
        return self._spent_microusd

    def _write(self, write: Callable[[], None]) -> None:
        if self.is_ending:
            noted(write)
        else:
            write()

    def _note(self, state: RentalState, why: str, now_ts: float) -> None:
        label, price = self.rental.label, self.rental.price_microusd_per_h
        if state.is_over:
            self._ledger.note_end(label, state, now_ts, why or None)
            return
        self._ledger.note(
            label,
            state=state,
            why=why or None,
            instance_id=self.rental.instance_id or None,
            ready_ts=now_ts if state is RentalState.READY else None,
        )
        match state:
            case RentalState.BOOTING:
                self._ledger.enter(label, Phase.BOOTING, self.sent_ts, price)
            case RentalState.CONNECTING if self.address is not None:
                self._ledger.note_address(label, self.address.user, self.address.host, self.address.port)
                self._ledger.enter(label, Phase.CONNECTING, now_ts, price)
            case RentalState.READY:
                self._ledger.enter(label, Phase.SETTING_UP, now_ts, price)
            case _:
                pass
