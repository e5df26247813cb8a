"""Decides when a minded rental is to end: at its deadline, once nothing keeps it, or because somebody has begun that.

The machine is kept as long as runs go on or are being started there, for files that are nowhere else, and for as long
as its user wanted it kept. The deadline ends it whatever is there.
"""

import logging
import time
from collections.abc import Mapping

from loratui.domain.holding import held
from loratui.domain.ledger import Phase, last_since
from loratui.domain.rental import RentalState
from loratui.domain.rental_cost import Held
from loratui.domain.run import RunView
from loratui.sessions.renting_end import noted
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.steady_clock import steady_ts, unset_s
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.errors import StorageError

log = logging.getLogger(__name__)
_OVERDUE_S = 20.0
"""After the deadline, until this ends what the machine should have."""
_KNOWN_S = 15.0
"""Until the agent knows that everything is here, before the rental ends all the same."""
PATIENCE_S = 60.0
"""So long whoever began to end it is left to it. They may have died, and to ask for an end twice does no harm."""


class EndDue:
    """Of one rental; ``held`` is what kept it when it was last looked at."""

    def __init__(self, label: str, ledger: Rentals, patience_s: float = PATIENCE_S) -> None:
        self.held: Held | None = None
        self._label = label
        self._ledger = ledger
        self._patience_s = patience_s
        self._settled_ts: float | None = None
        self._settled_s = 0.0
        self._deadline_ts: float | None = None
        self._due_s = 0.0
        self._was_ready = False
        self._ending_s: float | None = None

    def is_overdue(self, rental: StoredRental) -> bool:
        """Return whether the machine should have ended. A clock that was set forward since this began ends nothing."""
        if rental.deadline_ts is None:
            return False
        if rental.deadline_ts != self._deadline_ts:
            self._deadline_ts, self._due_s = rental.deadline_ts, unset_s() + rental.deadline_ts - steady_ts()
        return unset_s() > self._due_s + _OVERDUE_S

    def why(
        self, rental: StoredRental, views: Mapping[str, RunView], folder: RentalFolder, *, are_all_started: bool
    ) -> str:
        """Return why it is to end now, nothing while it is not."""
        if rental.state is RentalState.ENDING:
            return self._why_to_go_on(rental, folder)
        self._was_ready, self._ending_s = True, None
        runs = list(views.values())
        is_over = are_all_started and bool(runs) and all(view.is_settled for view in runs)
        self.held = held(runs) if is_over else None
        if not is_over or self.held:
            self._settled_ts = None
            return ""
        since_s = self._kept_s(rental)
        is_known = all(view.is_known_to_be_settled for view in runs)
        if since_s < (rental.keep_s or 0.0) or (not is_known and time.monotonic() - self._settled_s < _KNOWN_S):
            return ""
        return ", ".join(f"the run is {view.state.value}" for view in runs)

    def keep_left_s(self, rental: StoredRental) -> float | None:
        """Return for how long it is still kept because its user wanted that; None: it is not."""
        if rental.keep_s is None or self._settled_ts is None:
            return None
        return max(0.0, rental.keep_s - self._kept_s(rental))

    def _kept_s(self, rental: StoredRental) -> float:
        """Return for how long nothing but its user has kept it; by the ledger, which outlives this process."""
        now_ts = steady_ts()
        if self._settled_ts is None:
            self._settled_ts, self._settled_s = now_ts, time.monotonic()
            noted(lambda: self._ledger.enter(self._label, Phase.IDLE, now_ts, rental.price_microusd_per_h))
            try:
                since_ts = last_since(self._ledger.spans(self._label), Phase.IDLE)
            except StorageError as error:
                # A ledger that can't be read keeps no machine alive for ever: it counts from now.
                log.warning("rental=%s the ledger could not be read: %s", self._label, error.what)
            else:
                self._settled_ts = now_ts if since_ts is None else min(now_ts, since_ts)
        return now_ts - self._settled_ts

    def _why_to_go_on(self, rental: StoredRental, folder: RentalFolder) -> str:
        """Return why an end that was begun is to be gone on with from here, nothing while others may be at it."""
        now_s = unset_s()
        if self._ending_s is None:
            self._ending_s = now_s
        # It was begun before this came, and whoever did that holds the folder no more.
        is_left = not self._was_ready and folder.try_hold()
        if not is_left and now_s - self._ending_s < self._patience_s:
            return ""
        # What fails in a way that nobody thought of is tried again, too.
        self._was_ready, self._ending_s = True, now_s
        return rental.why or "its end was begun"
