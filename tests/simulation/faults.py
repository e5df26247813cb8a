"""What a seed makes of the world: offers, machines, a run, and what goes wrong when."""

import math
import random
from dataclasses import dataclass, field

from loratui.domain.estimate import Estimate, EstimatePart, Take
from loratui.domain.estimate_limits import RunLimits, run_limits
from loratui.domain.estimate_speeds import Speed
from loratui.domain.offers import Offer
from loratui.sessions.quoting import LINGER_S
from simulation.box import Traits
from simulation.client import BOX_LINE, PROVIDER_LINE, Wish
from simulation.run import Work
from simulation.world import Window

BEGIN_S = 1000.0
CREATE_FAULTS = (
    "offer gone",
    "offer gone",
    "refused",
    "busy",
    "busy",
    "error, not created",
    "error, not created",
    "error, created",
    "error, created",
    "error with id, created",
    "error with id, created",
    "timeout, created",
    "timeout, created",
)
_WINDOWS = {
    "provider down": 0.25,
    "provider busy": 0.2,
    "provider key refused": 0.06,
    "malformed listing": 0.2,
    "one wrong answer": 0.4,
    "offer gone": 0.1,
    "price raised before create": 0.1,
    "end refused": 0.25,
    "slow download": 0.2,
    "corrupt download": 0.15,
    "ledger can't be written": 0.12,
    PROVIDER_LINE: 0.25,
    BOX_LINE: 0.25,
}
_LAG_MOST_S = 20.0
"""So long after a machine was made a provider's listing may not have it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happens once. ``lasts_s`` where it lasts."""

    kind: str
    at_s: float
    lasts_s: float = 0.0
    amount: float = 0.0


@dataclass(frozen=True, slots=True)
class RigFaults:
    """What is wrong with a machine at its provider."""

    lag_s: float
    num_ignored: int
    clings_s: float


@dataclass
class Plan:
    """All that a seed decides beforehand."""

    provider: str
    wish: Wish
    work: Work
    traits: list[Traits]
    rigs: list[RigFaults]
    windows: list[Window]
    moments: list[Moment]
    create_faults: list[str]
    healed_s: float
    quiet: bool
    """Nothing goes wrong in this seed."""
    names: list[str] = field(default_factory=list)


def plan_of(seed: int) -> Plan:
    """Return what a seed decides."""
    dice = random.Random(seed)
    quiet = seed % 25 == 0
    provider = dice.choice(("vast", "runpod"))
    work = Work(
        train_s=dice.uniform(40, 500),
        file_bytes=int(dice.uniform(5e6, 2e8)),
        ends_as="failed" if not quiet and dice.random() < 0.07 else "done",
        dies_after_s=dice.uniform(5, 300) if not quiet and dice.random() < 0.1 else None,
    )
    offers = _offers(dice, provider)
    setup_s, upload_s = dice.uniform(5, 60), dice.uniform(2, 90)
    limits = _limits(dice, offers[0], work, setup_s + upload_s, is_budget_tight=not quiet)
    end_s = BEGIN_S + limits.auto_stop_s
    wish = Wish(
        offers=offers,
        limits=limits,
        keep_s=dice.choice((60.0, 300.0)) if dice.random() < 0.1 else None,
        setup_s=setup_s,
        upload_s=upload_s,
        accepts_no_deadman=dice.random() < 0.2,
    )
    return Plan(
        provider=provider,
        wish=wish,
        work=work,
        traits=[_traits(dice, quiet) for _ in range(12)],
        rigs=[_rig_faults(dice, quiet) for _ in range(12)],
        windows=[] if quiet else _windows(dice, end_s),
        moments=[] if quiet else _moments(dice, end_s),
        create_faults=[] if quiet else [_create_fault(dice) for _ in range(12)],
        healed_s=end_s + dice.uniform(300, 1500),
        quiet=quiet,
    )


def _offers(dice: random.Random, provider: str) -> tuple[Offer, ...]:
    prices = sorted(dice.randrange(150_000, 900_000) for _ in range(dice.randint(1, 4)))
    if dice.random() < 0.3:
        dice.shuffle(prices)
    return tuple(
        Offer(
            provider=provider,
            id=str(100 + number),
            gpu_name="RTX 4090",
            vram_mib=24_564,
            price_microusd_per_h=price,
            disk_gb=40,
            machine=f"m{number}",
            billing_floor_s=0.0,
        )
        for number, price in enumerate(prices)
    )


def _limits(dice: random.Random, offer: Offer, work: Work, before_s: float, *, is_budget_tight: bool) -> RunLimits:
    p50_s = 90 + before_s + work.train_s + 40
    p90_s = p50_s * dice.uniform(1.1, 1.6)

    def take(seconds: float) -> Take:
        return Take(seconds=math.ceil(seconds), time_microusd=math.ceil(offer.price_microusd_per_h * seconds / 3600))

    estimate = Estimate(
        parts=(EstimatePart(name="all", p50=take(p50_s), p90=take(p90_s), source="assumed"),),
        speeds=(Speed(likely=1.0, slow=1.0, source="assumed"),),
    )
    budget = (
        math.ceil(estimate.p50_microusd * dice.uniform(1.02, 2.5)) if is_budget_tight and dice.random() < 0.6 else None
    )
    return run_limits(
        estimate, offer, budget_microusd=budget, balance_microusd=50_000_000, linger_s=LINGER_S, deadline_s=None
    )


def _traits(dice: random.Random, quiet: bool) -> Traits:
    def one_in(number: int) -> bool:
        return not quiet and dice.random() < 1 / number

    boot_s = dice.uniform(15, 120)
    return Traits(
        boot_s=boot_s * (12 if one_in(20) else 1),
        has_address=not one_in(20),
        lets_in=not one_in(20),
        fails=dice.choice(("CUDA is broken", "pull access denied")) if one_in(15) else "",
        has_key=not one_in(15),
        key_is_in_environment=not one_in(4),
        bytes_per_s=dice.uniform(3e6, 6e7),
    )


def _rig_faults(dice: random.Random, quiet: bool) -> RigFaults:
    if quiet:
        return RigFaults(0.0, 0, 0.0)
    return RigFaults(
        lag_s=dice.uniform(0.5, _LAG_MOST_S) if dice.random() < 0.25 else 0.0,
        num_ignored=dice.randint(1, 4) if dice.random() < 0.12 else 0,
        clings_s=_long(dice, 1, 300) if dice.random() < 0.25 else 0.0,
    )


def _create_fault(dice: random.Random) -> str:
    return dice.choice(CREATE_FAULTS) if dice.random() < 0.3 else ""


def _windows(dice: random.Random, end_s: float) -> list[Window]:
    found = []
    kinds = [*_WINDOWS.items(), *((f"box{number}-provider", 0.25) for number in range(1, 4))]
    for kind, chance in kinds:
        while dice.random() < chance:
            longest_s = 60.0 if kind.startswith("ledger") else 900.0
            from_s = _when(dice, end_s)
            found.append(Window(kind, from_s, from_s + _long(dice, 1, longest_s)))
    return found


def _moments(dice: random.Random, end_s: float) -> list[Moment]:
    found = []

    def maybe(kind: str, chance: float, shortest_s: float = 0.0, longest_s: float = 0.0, amount: float = 0.0) -> None:
        while dice.random() < chance:
            lasts_s = _long(dice, shortest_s, longest_s) if longest_s else 0.0
            found.append(Moment(kind, _when(dice, end_s), lasts_s, amount))

    maybe("laptop sleeps", 0.25, 5, 2400)
    maybe("client killed", 0.3, 1, 1800)
    maybe("client killed for good", 0.2)
    maybe("interrupted", 0.12)
    maybe("interrupted twice", 0.04)
    maybe("second client", 0.15)
    maybe("agent killed", 0.2)
    maybe("reaper killed", 0.2)
    maybe("container restarted", 0.15, 3, 120)
    maybe("host vanishes, shown gone", 0.06)
    maybe("host vanishes, shown offline", 0.06)
    maybe("laptop's clock jumps", 0.2, amount=dice.choice((-1, 1)) * _long(dice, 1, 7200))
    maybe("machine's clock jumps", 0.25, amount=dice.choice((-1, 1)) * _long(dice, 1, 7200))
    maybe("price raised", 0.1, amount=dice.choice((110, 150, 300)))
    return found


def _when(dice: random.Random, end_s: float) -> float:
    """Return a time: around the beginning and the end of a rental more can go wrong than between."""
    first_s, last_s = dice.choices(
        [(BEGIN_S, BEGIN_S + 12), (BEGIN_S, BEGIN_S + 240), (BEGIN_S, end_s), (end_s - 90, end_s + 60)], [2, 3, 4, 1]
    )[0]
    return dice.uniform(first_s, last_s)


def _long(dice: random.Random, shortest_s: float, longest_s: float) -> float:
    """Return a length: short ones as often as long ones."""
    return math.exp(dice.uniform(math.log(shortest_s), math.log(longest_s)))
