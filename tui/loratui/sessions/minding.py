"""Minds a rental while a run on it is followed: what it costs, what its provider says of it, and its end.

The machine ends its own rental at the deadline. So does this, beside it: neither needs the other. What it costs is
asked for again and again, because prices change while a machine is rented; a deadline is moved so that the cap holds.
"""

import asyncio
import logging
import shlex
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Protocol

from loratui.domain.formatting import hourly_price
from loratui.domain.ledger import Phase
from loratui.domain.rental import RentalState
from loratui.domain.rental_cost import RentalCost
from loratui.domain.run import RunView
from loratui.providers.base import Instance, InstanceState, Provider, ProviderError
from loratui.sessions.end_due import PATIENCE_S, EndDue
from loratui.sessions.ending import EndingView, Proofs, StillBillingError, check_account
from loratui.sessions.market import opened
from loratui.sessions.moving import hold_to_cap
from loratui.sessions.reckoning import Reckoning, Travelled
from loratui.sessions.rented import OVER, rental_target
from loratui.sessions.rented_box import purge_data
from loratui.sessions.renting_end import Receipt, finish_rental, noted, receipt, still_billing, tidy_up
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.steady_clock import steady_ts
from loratui.sessions.targets import Targets
from loratui.settings import Settings
from loratui.store import Store
from loratui.store.rentals import Rentals
from loratui_protocol.errors import HostError, LoratuiError
from loratui_protocol.messages import JobState

log = logging.getLogger(__name__)
_LOOK_EVERY_S = 2.0
_PROVE_AFTER_S = 3.0
"""One answer that it is gone may be a slip; the next one is not waited for as long."""
_AGAIN_S = 60.0
_NUM_NOTES = 50
_PHASES = {
    JobState.QUEUED: Phase.SETTING_UP,
    JobState.PREPARING: Phase.SETTING_UP,
    JobState.PAUSED: Phase.IDLE,
    JobState.DONE: Phase.DOWNLOADING,
    JobState.STOPPED: Phase.DOWNLOADING,
    JobState.FAILED: Phase.DOWNLOADING,
}
"""What time is spent on while a run is in a state; in all others it trains."""
_FIRST = (Phase.TRAINING, Phase.SETTING_UP, Phase.DOWNLOADING, Phase.IDLE)
"""Of several runs on one machine, what counts."""


class Runs(Protocol):
    """The runs on the rental, as whoever follows them has them; each method is given their ids."""

    def views(self, run_ids: Sequence[str], /) -> Mapping[str, RunView]:
        """Return their views, by id; those that were not followed are from now on."""
        ...

    def show(self, run_ids: Sequence[str], cost: RentalCost, /) -> None:
        """Have every view show this."""
        ...

    def lose(self, run_ids: Sequence[str], error: LoratuiError, /) -> None:
        """Wait no more for the machine: it is gone, or is about to be. Nobody is to be started there again."""
        ...

    def move_stop(self, run_ids: Sequence[str], seconds: float, /) -> None:
        """Move their auto-stop."""
        ...

    def are_all_started(self, label: str, /) -> bool:
        """Return whether no other run is about to be started on the rental: until then it is not over."""
        ...


class Minder:
    """Of one rental. ``ended`` has its receipt once it is over; None: nobody here ended it."""

    def __init__(
        self,
        label: str,
        settings: Settings,
        store: Store,
        targets: Targets,
        runs: Runs,
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """``runs`` are asked for views, and told what to show; everything happens in one event loop.

        ``patience_s``: so long whoever began to end the rental is left to it.
        """
        self.label = label
        self.ended: Future[Receipt | None] = Future()
        self._settings = settings
        self._targets = targets
        self._runs = runs
        self._ledger = Rentals(settings.database)
        self._reckoning = Reckoning(self._ledger, store)
        self._rental = self._ledger.rental(label)
        self._folder = RentalFolder(settings.state_dir, label)
        self._notes: list[str] = []
        self._trouble = ""
        self._heard_s: float | None = None
        self._next_ask_s = 0.0
        self._proofs = Proofs()
        self._due = EndDue(label, self._ledger, patience_s)
        self._may_pass_cap = False
        self._phases: dict[str, Phase] = {}
        self._run_ids: list[str] = []
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Mind it until it is over."""
        try:
            while not await self._looked():
                self._news.clear()
                try:
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._news.wait()
                except TimeoutError:
                    pass
        finally:
            self.close()

    def close(self) -> None:
        """Mind it no more."""
        self._folder.let_go()
        self._ledger.close()

    @property
    def is_over(self) -> bool:
        """Return whether nothing of it bills any more, as far as was seen."""
        return self._rental.state.is_over

    def take(self, folder: RentalFolder) -> None:
        """Hold the rental's folder from now on: whoever has rented it holds it no more, and it never was free."""
        self._folder.let_go()
        self._folder = folder

    def look_now(self) -> None:
        """Look at once: something has changed."""
        self._news.set()

    def entered(self, run_id: str, state: JobState, ts: float) -> None:
        """Write down what time was spent on from ``ts`` on: epoch seconds as ``steady_ts`` counts them.

        The machine says when that was. It can move time from one phase to another with that, and money nowhere.
        """
        self._phases[run_id] = _PHASES.get(state, Phase.TRAINING)
        self._enter(min(self._phases.values(), key=_FIRST.index), ts)

    async def _looked(self) -> bool:
        try:
            return await self._look()
        except Exception:
            # The boundary of one rental: whatever goes wrong, it is looked at again, and ended in the end.
            log.exception("rental=%s", self.label)
            self._trouble = "something went wrong here that should not have (the log has it); it is tried again"
            return False

    async def _look(self) -> bool:
        """Look at everything once; return whether it is over. What can't be written or shown keeps no machine alive."""
        try:
            self._rental = self._ledger.rental(self.label)
            self._run_ids = self._ledger.runs_on(self._rental)
            if self._rental.state is RentalState.READY:
                await self._ask_if_due()
        except LoratuiError as error:
            self._fails(error)
        if self._rental.state.is_over:
            await self._conclude()
            return True
        self._show()
        self._folder.try_hold()
        if self._due.is_overdue(self._rental):
            # Whatever is there: the machine should have gone by now.
            await self._end("its time was up")
            return True
        are_all_started = self._runs.are_all_started(self.label)
        if why := self._due.why(self._rental, self._views(), self._folder, are_all_started=are_all_started):
            await self._purge()
            await self._end(why)
            return True
        return False

    def _fails(self, error: LoratuiError) -> None:
        log.info("rental=%s %s", self.label, error)
        self._trouble = error.what

    async def _ask_if_due(self) -> None:
        """Ask the provider what the machine is, and costs, now."""
        now_s = time.monotonic()
        if now_s < self._next_ask_s:
            return
        self._next_ask_s = now_s + self._settings.rental_ask_every_s
        async with opened(self._settings, (self._rental.provider,)) as providers:
            if not providers:
                self._trouble = f"there is no key of {self._rental.provider} to ask with"
                return
            try:
                found = await providers[0].get(self._rental.instance_id)
                await (self._gone(providers[0]) if found is None else self._shown(found))
                self._trouble = ""
            except ProviderError as error:
                # What can't be understood proves nothing.
                self._trouble = f"{self._rental.provider} can't be asked: {error.what}"

    async def _shown(self, found: Instance) -> None:
        self._heard_s = time.monotonic()
        self._proofs.add(self._heard_s, is_gone=False)
        if found.state in (InstanceState.STOPPED, InstanceState.FAILED):
            self._say_once(
                f"{self._rental.provider} shows the machine {found.state}: {found.detail or 'no reason given'}"
            )
        if found.price_microusd_per_h > 0 and found.price_microusd_per_h != self._rental.price_microusd_per_h:
            self._repriced(found.price_microusd_per_h)
        if self._may_pass_cap:
            await self._hold_to_cap()

    async def _gone(self, provider: Provider) -> None:
        if not self._proofs.add(time.monotonic(), is_gone=True):
            self._next_ask_s = time.monotonic() + _PROVE_AFTER_S
            return
        if self._rental.account_id:
            await check_account(provider, self._rental.account_id)
        why = "its provider shows it gone, and this laptop did not end it"
        self._ledger.note_end(self.label, RentalState.LOST, steady_ts(), why)
        self._rental = self._ledger.rental(self.label)
        await tidy_up(provider, self._ledger, self._rental)

    def _repriced(self, price: int) -> None:
        """Count with the new price from now on."""
        before = self._rental.price_microusd_per_h
        self._ledger.price_from(self.label, steady_ts(), price)
        self._rental = self._ledger.rental(self.label)
        self._say(f"the price is {hourly_price(price)} now, it was {hourly_price(before)}")
        self._may_pass_cap = True

    async def _hold_to_cap(self) -> None:
        """Move the deadline so that the cap holds at the price that it has now."""
        # Where somebody else is at it, the next look at the price does this.
        async with self._folder.moving(_LOOK_EVERY_S):
            rental = self._ledger.rental(self.label)
            spent = self._reckoning.spent(rental, self._views()).total_microusd
            held = await hold_to_cap(self._targets, self._settings, self._ledger, rental, spent)
        self._may_pass_cap = False
        self._rental = self._ledger.rental(self.label)
        if held is not None:
            self._say(held.sentence)
            self._runs.move_stop(self._run_ids, held.seconds)

    async def _purge(self) -> None:
        """Take the user's data off the machine, as far as that can be done to a stranger's."""
        self._leave("the rental is being ended")
        if self._rental.state is RentalState.READY:
            left = await purge_data(self._targets.machine(rental_target(self._rental.provider, self.label)))
            said = f"could not be removed: {left}" if left else "were removed there"
            self._say(f"pictures, results and tokens {said}; that is all that can be done about a stranger's machine")

    async def _end(self, why: str) -> None:
        """End it for certain, however long that takes."""
        self._leave("the rental is being ended")
        while True:
            try:
                async with opened(self._settings, (self._rental.provider,)) as providers:
                    if not providers:
                        raise still_billing(self._rental)
                    told = await finish_rental(
                        providers[0], self._ledger, self.label, why, self._ending, count=self._travelled
                    )
            except LoratuiError as error:
                self._fails(error)
                noted(self._read)
                self._show()
                if not self.ended.done():
                    is_said = isinstance(error, StillBillingError)
                    self.ended.set_exception(error if is_said else still_billing(self._rental, error))
                await asyncio.sleep(_AGAIN_S)
            else:
                break
        self._rental = told.rental
        self._folder.remove()
        self._trouble = ""
        self._show()
        if not self.ended.done():
            self.ended.set_result(told)

    def _ending(self, view: EndingView) -> None:
        self._trouble = view.error.what if view.error else ""
        noted(self._read)
        self._show()

    def _read(self) -> None:
        self._rental = self._ledger.rental(self.label)

    async def _conclude(self) -> None:
        """Say that it is over, and what it has cost."""
        self._say_once(f"the rental is over: {self._rental.why or 'no reason is known'}")
        self._show()
        self._leave(f"the machine is gone: {self._rental.why or 'nobody knows why'}")
        told: Receipt | None = None
        try:
            async with opened(self._settings, (self._rental.provider,)) as providers:
                if providers:
                    told = await receipt(providers[0], self._ledger, self.label, self._travelled)
        except LoratuiError as failed:
            log.warning("rental=%s no receipt: %s", self.label, failed)
        if not self.ended.done():
            self.ended.set_result(told)

    def _leave(self, why: str) -> None:
        """Have nobody wait for the machine any more."""
        name = next((f" {shlex.quote(view.name)}" for view in self._views().values()), "")
        fix = f"loratui resume{name} --on cheapest goes on from the last state that is on this laptop"
        self._runs.lose(self._run_ids, HostError(f"{why}; what was fetched is here", fix=fix, code=OVER))

    def _enter(self, phase: Phase, ts: float) -> None:
        if self._rental.state is RentalState.READY:
            noted(lambda: self._ledger.enter_as_told(self.label, phase, ts, steady_ts()))

    def _show(self) -> None:
        """Have everyone see how it stands."""
        try:
            self._runs.show(self._run_ids, self._cost())
        except LoratuiError as error:
            self._fails(error)

    def _cost(self) -> RentalCost:
        return replace(
            self._reckoning.cost(self._rental, self._views()),
            keep_left_s=self._due.keep_left_s(self._rental),
            held=self._due.held if self._rental.state is RentalState.READY else None,
            heard_s=self._heard_s,
            trouble=self._trouble,
            notes=tuple(self._notes),
        )

    def _travelled(self) -> Travelled:
        return self._reckoning.travelled(self._rental, self._views())

    def _views(self) -> Mapping[str, RunView]:
        return self._runs.views(self._run_ids)

    def _say(self, sentence: str) -> None:
        log.info("rental=%s %s", self.label, sentence)
        self._notes.append(sentence)
        del self._notes[:-_NUM_NOTES]

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._notes:
            self._say(sentence)
