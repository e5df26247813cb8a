"""A run as this machine remembers it, and nobody else is asked: its records, the files that are here, its rental."""

import contextlib
import time

from loratui.domain.past import StepNumbers, remember
from loratui.domain.run import RunView
from loratui.sessions.reckoning import Reckoning
from loratui.sessions.rented import rental_label
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui.store.record_tags import step_numbers
from loratui.store.rentals import Rentals
from loratui_protocol.codec import decode_record
from loratui_protocol.errors import StorageError


def fold_stored(view: RunView, store: Store) -> None:
    """Fold all that is stored of a run into its view, as ``apply`` does it record by record.

    Of steps that follow each other only the last is decoded: of the others nothing but their curves is left.
    """
    newest: tuple[StepNumbers, bytes] | None = None
    for stored in store.stored_records(view.run_id):
        numbers = step_numbers(stored)
        if newest is not None and numbers is not None:
            remember(view, newest[0], newest[0].ts)
        elif newest is not None:
            view.apply(decode_record(newest[1]))
        newest = None if numbers is None else (numbers, stored)
        if numbers is None:
            view.apply(decode_record(stored))
    if newest is not None:
        view.apply(decode_record(newest[1]))


def recalled(preferences: Settings, run: StoredRun) -> RunView:
    """Return the run's view.

    Raises:
        StorageError: the records can't be read.
    """
    view = RunView(run_id=run.id, name=run.name, target=run.target)
    view.price_microusd_per_h = run.price_microusd_per_h
    view.clock_offset_s = time.monotonic() - time.time()
    with Store(preferences.database) as store:
        fold_stored(view, store)
        for artifact_id, known in store.downloads(run.id).items():
            artifact = view.artifacts.get(artifact_id)
            if artifact is not None and known.sha256 == artifact.sha256 and known.path.is_file():
                view.downloaded[artifact_id] = known.path
        label = rental_label(run.target)
        if label:
            with Rentals(preferences.database) as ledger, contextlib.suppress(StorageError):
                view.rental = Reckoning(ledger, store).cost(ledger.rental(label), {run.id: view})
    return view
