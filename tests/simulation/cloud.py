"""The provider's side: machines, their bills, its answers and its faults. Nothing of the client's code is used here."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from loratui.domain.offers import Offer
from loratui.providers.base import (
    Instance,
    InstanceState,
    OfferGoneError,
    ProviderBusyError,
    ProviderError,
    ProviderRefusedError,
    RentalOrder,
    Rented,
    SshAddress,
    UnknownFateError,
)
from simulation.world import NoAnswerError, World

_SLIPS_EVERY_S = 90.0
"""A provider shows once in a while that a machine is gone which is there, never twice in a row."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try to end a machine, as whoever made it knows of it."""

    at_s: float
    who: str


@dataclass(eq=False)
class Rig:
    """A machine that was rented."""

    id: str
    label: str
    offer: Offer
    key: str
    born_s: float
    shown_from_s: float
    """Before that listings lag behind."""
    slipped_s: float = float("-inf")
    """When an answer was last wrong about it."""
    state: InstanceState = InstanceState.STARTING
    address: SshAddress | None = None
    detail: str = ""
    rates: list[tuple[float, int]] = field(default_factory=list)
    """From when on an hour costs so much."""
    gone_s: float | None = None
    gone_by: str = ""
    num_ignored: int = 0
    """So many requests to end it are agreed to for nothing."""
    clings_s: float = 0.0
    """So long it is still there, and bills, after its end was agreed to."""
    end_agreed_s: float | None = None
    end_agreed_by: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    rise_microusd: Fraction = Fraction(0)
    stop: Callable[[], None] = lambda: None
    """Takes its container away."""

    def bill(self, until_s: float, most: int | None = None) -> Fraction:
        """Return what was billed until then, at a price of ``most`` at most; micro-dollars."""
        end_s = until_s if self.gone_s is None else min(until_s, self.gone_s)
        total = Fraction(0)
        for number, (from_s, rate) in enumerate(self.rates):
            to_s = self.rates[number + 1][0] if number + 1 < len(self.rates) else end_s
            length_us = max(0, round((min(to_s, end_s) - from_s) * 1e6))
            total += Fraction(length_us * min(rate, most if most is not None else rate), 3_600_000_000)
        return total


class Cloud:
    """``on_created`` is told of every machine."""

    def __init__(self, world: World, on_created: Callable[[Rig, RentalOrder], None]) -> None:
        self.world = world
        self.rigs: dict[str, Rig] = {}
        self.num_creates: dict[str, int] = {}
        self.before_create: Callable[[RentalOrder], None] = lambda _: None
        self.create_faults: list[str] = []
        """One for each request to rent; empty: none."""
        self.new_rig: Callable[[Rig], None] = lambda _: None
        self._on_created = on_created

    def living(self) -> list[Rig]:
        """Return what bills now."""
        return [rig for rig in self.rigs.values() if rig.gone_s is None]

    def _trouble(self) -> None:
        if self.world.fails("provider down"):
            raise ProviderBusyError("it answers 503", code="provider.unreachable")
        if self.world.fails("provider busy"):
            raise ProviderBusyError("too many requests", retry_after_s=5.0)
        if self.world.fails("provider key refused"):
            raise ProviderRefusedError("HTTP 401", code="provider.key")

    def account(self) -> str:
        """Return whose key it is."""
        self._trouble()
        return "me"

    def price_now(self, offer: Offer) -> int:
        """Return what it costs now."""
        self._trouble()
        if self.world.fails("offer gone"):
            raise OfferGoneError("somebody else has it")
        raised = self.world.fails("price raised before create")
        return offer.price_microusd_per_h * (2 if raised else 1)

    def create(self, order: RentalOrder) -> Rented:
        """Rent a machine, or do what its fault says."""
        self.before_create(order)
        self.num_creates[order.label] = self.num_creates.get(order.label, 0) + 1
        fault = self.create_faults.pop(0) if self.create_faults and self.world.now_s < self.world.healed_s else ""
        if fault:
            self.world.hit(f"create: {fault}")
        match fault:
            case "offer gone":
                raise OfferGoneError("somebody else has it")
            case "refused":
                raise ProviderRefusedError("no money", code="provider.balance")
            case "busy":
                raise ProviderBusyError("too many requests")
            case "error, not created":
                raise UnknownFateError("it answers 500")
            case _:
                pass
        if self.world.is_on("provider down"):
            raise UnknownFateError("it answers 503")
        if self.world.is_on("provider busy"):
            raise ProviderBusyError("too many requests")
        rig = self._rig(order)
        match fault:
            case "error, created":
                raise UnknownFateError("it answers 500")
            case "error with id, created":
                raise UnknownFateError("it answers 500", instance_id=rig.id)
            case "timeout, created":
                raise NoAnswerError
            case _:
                return Rented(instance_id=rig.id, scoped_key=rig.key)

    def _rig(self, order: RentalOrder) -> Rig:
        number, now_s = len(self.rigs) + 1, self.world.now_s
        rig = Rig(f"{number}", order.label, order.offer, f"key-{number}", now_s, now_s)
        rig.rates.append((now_s, order.offer.price_microusd_per_h))
        self.new_rig(rig)
        self.rigs[rig.id] = rig
        self.world.say(f"machine {rig.id} is rented as {order.label}, {order.offer.price_microusd_per_h} an hour")
        self._on_created(rig, order)
        return rig

    def get(self, rig_id: str) -> Instance | None:
        """Return what is shown of it."""
        self._trouble()
        rig = self.rigs.get(rig_id)
        return self._shown(rig) if rig is not None and self._is_shown(rig) else None

    def list(self) -> list[Instance]:
        """Return everything that is rented."""
        self._trouble()
        if self.world.fails("malformed listing"):
            raise ProviderError("its listing makes no sense")
        return [self._shown(rig) for rig in self.rigs.values() if self._is_shown(rig)]

    def _is_shown(self, rig: Rig) -> bool:
        if rig.gone_s is not None:
            return False
        lags = self.world.now_s < rig.shown_from_s and self.world.now_s < self.world.healed_s
        if lags and rig.end_agreed_s is None:
            self.world.hit("listing lags")
            return False
        if self.world.now_s - rig.slipped_s > _SLIPS_EVERY_S and self.world.fails("one wrong answer"):
            rig.slipped_s = self.world.now_s
            return False
        return True

    def _shown(self, rig: Rig) -> Instance:
        return Instance(
            id=rig.id,
            label=rig.label,
            state=rig.state,
            detail=rig.detail,
            ssh=rig.address,
            price_microusd_per_h=rig.rates[-1][1],
            machine=rig.offer.machine,
        )

    def end(self, rig_id: str, who: str) -> None:
        """Be asked for its end."""
        self._trouble()
        rig = self.rigs.get(rig_id)
        if rig is None or rig.gone_s is not None:
            return
        if self.world.fails("end refused"):
            raise ProviderBusyError("it can't be ended now (HTTP 409)")
        if rig.num_ignored > 0 and self.world.now_s < self.world.healed_s:
            rig.num_ignored -= 1
            self.world.hit("end agreed to for nothing")
            return
        if rig.end_agreed_s is None:
            rig.end_agreed_s, rig.end_agreed_by = self.world.now_s, who
            if rig.clings_s:
                self.world.hit("end agreed to, still there")
            self.world.say(f"the end of machine {rig.id} is agreed to ({who})")
            self.world.loop.after(rig.clings_s, self.take, rig, who)

    def stop(self, rig_id: str) -> None:
        """Be asked to stop it: its disk bills on."""
        self._trouble()
        rig = self.rigs.get(rig_id)
        if rig is not None and rig.gone_s is None and rig.state is not InstanceState.STOPPED:
            rig.state = InstanceState.STOPPED
            rig.rates.append((self.world.now_s, rig.rates[-1][1] // 10))
            self.world.say(f"machine {rig.id} is stopped")
            rig.stop()

    def take(self, rig: Rig, who: str) -> None:
        """It is no more, and bills no more."""
        if rig.gone_s is None:
            rig.gone_s, rig.gone_by = self.world.now_s, who
            self.world.say(f"machine {rig.id} is gone ({who}); it has cost {float(rig.bill(self.world.now_s)):.0f}")
            rig.stop()

    def raise_price(self, rig: Rig, percent: int) -> None:
        """Have it cost more from now on."""
        if rig.gone_s is None:
            rig.rates.append((self.world.now_s, rig.rates[-1][1] * percent // 100))
            self.world.hit("price raised in mid-rental")
