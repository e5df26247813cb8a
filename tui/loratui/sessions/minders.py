"""The rentals that one process minds, and the runs on them, which it follows."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from loratui.domain.rental_cost import RentalCost
from loratui.domain.run import RunView
from loratui.sessions.commands import command
from loratui.sessions.followed import Followed
from loratui.sessions.rented import rental_label
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.targets import Targets
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui_protocol.errors import LoratuiError, StorageError
from loratui_protocol.messages import JobState

if TYPE_CHECKING:
    from loratui.sessions.minding import Minder


class Minders:
    """Begins to mind a rental with the first run on it that is followed. Used within one event loop."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        targets: Targets,
        tasks: asyncio.TaskGroup,
        followed: Mapping[str, Followed],
        follow: Callable[[StoredRun], object],
    ) -> None:
        """``followed`` are the runs that are followed, by id; ``follow`` begins with another one."""
        self._settings = settings
        self._store = store
        self._targets = targets
        self._tasks = tasks
        self._followed = followed
        self._follow = follow
        self._minders: dict[str, Minder] = {}
        self._starting: set[str] = set()
        self._running: list[asyncio.Task[None]] = []

    def mind(self, run: StoredRun) -> "Minder | None":
        """Mind the rental that the run is on; None where it is on none, or that is over, or nobody knows it."""
        label = rental_label(run.target)
        if not label:
            return None
        if label not in self._minders:
            # The SSH library takes a quarter of a second to load; runs on this machine never need it.
            from loratui.sessions.minding import Minder

            try:
                minder = Minder(label, self._settings, self._store, self._targets, self)
            except StorageError as error:
                if error.code != "store.unknown_rental":
                    raise
                return None
            if minder.is_over:
                minder.close()
                return None
            self._minders[label] = minder
            self._running.append(self._tasks.create_task(minder.run(), name=f"mind {label}"))
        return self._minders[label]

    def expect(self, label: str) -> None:
        """Know that runs are being started on a rental: until ``take`` it does not end because they are over."""
        self._starting.add(label)

    def take(self, label: str, folder: RentalFolder) -> None:
        """Know that every run was started; who minds the rental holds its folder from now on."""
        self._starting.discard(label)
        minder = self._minders.get(label)
        if minder is not None:
            minder.take(folder)
            minder.look_now()

    def are_all_started(self, label: str, /) -> bool:
        """Return whether no other run is about to be started on the rental."""
        return label not in self._starting

    def minder(self, target: str) -> "Minder | None":
        """Return who minds the rental that a target names, if anybody does."""
        return self._minders.get(rental_label(target))

    def entered(self, run: StoredRun, state: JobState, ts: float) -> None:
        """Take note that a run has come into a state at ``ts``, epoch seconds by this machine's clock."""
        minder = self.minder(run.target)
        if minder is not None:
            minder.entered(run.id, state, ts)
            minder.look_now()

    def close(self) -> None:
        """Mind nothing any more; what is rented goes on."""
        for task in self._running:
            task.cancel()

    def views(self, run_ids: Sequence[str], /) -> Mapping[str, RunView]:
        """Return their views, by id; those that were not followed are from now on."""
        for run_id in run_ids:
            if run_id not in self._followed:
                # One that was forgotten meanwhile has nothing to be waited for.
                with contextlib.suppress(StorageError):
                    self._follow(self._store.run(run_id))
        return {run_id: self._followed[run_id].session.view for run_id in run_ids if run_id in self._followed}

    def show(self, run_ids: Sequence[str], cost: RentalCost, /) -> None:
        """Have every view show this."""
        for followed in self._of(run_ids):
            followed.session.view.rental = cost
            followed.changed()

    def lose(self, run_ids: Sequence[str], error: LoratuiError, /) -> None:
        """Wait no more for the machine: it is gone, or is about to be. Nobody is to be started there again."""
        for followed in self._of(run_ids):
            session = followed.session
            if not session.view.is_settled or not session.answered.done():
                session.give_up(error)
            followed.end()

    def move_stop(self, run_ids: Sequence[str], seconds: float, /) -> None:
        """Move their auto-stop."""
        for followed in self._of(run_ids):
            if not followed.session.view.state.is_final:
                message = command("extend", followed.session.view.run_id, self._settings.author, seconds)
                followed.session.send(message, Future())

    def _of(self, run_ids: Sequence[str]) -> list[Followed]:
        return [self._followed[run_id] for run_id in run_ids if run_id in self._followed]
