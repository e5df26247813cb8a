"""A rental with a real account, or with a fake one on loopback: small, short, and ended whatever happens."""

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from loratui.domain import formatting
from loratui.domain.offers import Offer, OfferQuery
from loratui.providers.base import Instance, Provider, ProviderError
from loratui.remote.box import Box
from loratui.sessions.ending import end_for_certain
from loratui.sessions.machine import Machine
from loratui.sessions.rented import rental_target
from loratui.sessions.rented_box import Armed, arm, box_start, sign_in
from loratui.sessions.renting import Wanted, rent
from loratui.sessions.renting_course import Rental, RentalView
from loratui.sessions.renting_end import finish_rental
from loratui.sessions.renting_fate import pace_of
from loratui.sessions.targets import Targets
from loratui.settings import Settings
from loratui.store.rentals import Rentals
from loratui_protocol.framing import MARK, new_nonce

CAP_MICROUSD = 300_000
DEADLINE_S = 900.0
MOST_MICROUSD_PER_H = int(CAP_MICROUSD * 3600 / DEADLINE_S)
"""What the cap pays for until the deadline."""
_NUM_OFFERS = 3
_BILL_PATIENCE_S = 60.0
_BILL_EVERY_S = 10.0


def observed(text: str) -> None:
    """Print what nobody can know without a real account."""
    print(f"observed: {text}", flush=True)


@dataclass
class Rented:
    """A machine that somebody has signed in to."""

    rental: Rental
    instance: Instance
    machine: Machine
    deadline_ts: float
    live: "Live"

    async def arm(self, deadline_ts: float) -> Armed:
        """Have it end its own rental at another time."""
        stored = self.live.ledger.rental(self.rental.label)
        return await arm(self.machine, stored, self.rental.scoped_key, self.live.preferences, deadline_ts)


@dataclass
class Live:
    """An account; the ledger is one of its own, so that the user's is left alone."""

    provider: Provider
    preferences: Settings
    ledger: Rentals
    spent_microusd: int = 0
    ended: set[str] = field(default_factory=set)
    """Labels of what was ended, and whose cost was printed."""

    async def cheapest(self) -> list[Offer]:
        offers = await self.provider.offers(OfferQuery(max_price_microusd_per_h=MOST_MICROUSD_PER_H))
        assert offers, f"{self.provider.name} has nothing below {formatting.hourly_price(MOST_MICROUSD_PER_H)} now"
        return offers[:_NUM_OFFERS]

    @contextlib.asynccontextmanager
    async def rented(self) -> AsyncIterator[Rented]:
        """Rent the cheapest machine that works, for the block; it is shown gone when the block is left."""
        offers, deadline_ts = await self.cheapest(), time.time() + DEADLINE_S
        wanted = Wanted(
            offers=tuple(offers),
            asked_ts=time.time(),
            cap_microusd=CAP_MICROUSD,
            deadline_ts=deadline_ts,
        )
        targets = Targets(self.preferences)

        def machine(rental: Rental) -> Machine:
            return targets.machine(rental_target(rental.provider, rental.label))

        try:
            async with asyncio.timeout(DEADLINE_S):
                rental = await rent(
                    {self.provider.name: self.provider},
                    self.ledger,
                    self.preferences.state_dir,
                    wanted,
                    box_start(self.preferences),
                    self._tell,
                    connect=lambda rental: sign_in(machine(rental)),
                    pace=pace_of(self.preferences),
                )
                instance = await self.provider.get(rental.instance_id)
                assert instance is not None
                yield Rented(rental, instance, machine(rental), deadline_ts, self)
        finally:
            await targets.close()
            await self.end_all()
        # Not for whoever has interrupted it: a provider's records may take a minute.
        await self._tell_bill(rental.instance_id)

    async def end_all(self) -> None:
        """End everything of ours by the ledger, then by its label, and print what it has cost."""
        rentals = self.ledger.rentals()
        for rental in rentals:
            if rental.label in self.ended:
                continue
            receipt = await finish_rental(self.provider, self.ledger, rental.label, "the live test is over")
            self.ended.add(rental.label)
            self.spent_microusd += receipt.ours_microusd
            self._tell_cost(rental.label)
        for left in await self.ours():
            await end_for_certain(self.provider, left.id)
            observed(f"{left.id} was still there by its label, and is ended now")

    async def ours(self) -> list[Instance]:
        """Return what the provider still lists of what was rented here."""
        labels = {rental.label for rental in self.ledger.rentals()}
        return [instance for instance in await self.provider.list() if instance.label in labels]

    def _tell_cost(self, label: str) -> None:
        spans = [(span.phase, span.from_ts, span.to_ts or time.time()) for span in self.ledger.spans(label)]
        phases = ", ".join(f"{phase} {formatting.duration(to_ts - from_ts)}" for phase, from_ts, to_ts in spans)
        ours = formatting.money(self.spent_microusd)
        print(f"{self.provider.name} {label}: {phases}; {ours} by our ledger, all attempts", flush=True)

    async def _tell_bill(self, instance_id: str) -> None:
        until_s, billed = time.monotonic() + _BILL_PATIENCE_S, None
        while billed is None and time.monotonic() < until_s:
            with contextlib.suppress(ProviderError):
                billed = await self.provider.charges(instance_id)
            if billed is None:
                await asyncio.sleep(_BILL_EVERY_S)
        if billed is None:
            observed(f"{self.provider.name}'s records know nothing of {instance_id} after {_BILL_PATIENCE_S:.0f} s")
            return
        parts = {"GPU": billed.gpu_microusd, "disk": billed.disk_microusd, "traffic": billed.traffic_microusd}
        told = ", ".join(f"{name} {formatting.money(cost)}" for name, cost in parts.items() if cost is not None)
        total = formatting.money(billed.total_microusd)
        observed(f"{self.provider.name} has billed {total} ({told or 'parts not told'}) for {instance_id}")

    def _tell(self, view: RentalView) -> None:
        detail = f": {view.detail}" if view.detail else ""
        print(f"{view.offer.provider} {view.offer.gpu_name} {view.state} {view.elapsed_s:.0f} s{detail}", flush=True)


async def output_of(box: Box, script: str) -> str:
    """Return what a shell script prints on the machine, errors included."""
    nonce = new_nonce()
    frame = f'echo; echo "{MARK} $1 {{\\"b\\":\\"$out\\"}}"'
    framed = f'out=$({{ {script}\n}} 2>&1 | head -c 20000 | base64 | tr -d "\\n")\n{frame}\n'
    async with asyncio.timeout(60), box.process(["/bin/sh", "-s", nonce], nonce) as process:
        await process.write(framed.encode())
        await process.write_eof()
        return base64.b64decode((await process.frame())["b"]).decode("utf-8", "replace").strip()
