"""What has travelled to and from a rented machine, as far as this laptop can count it.

Counted: what was sent from here, the base model that the machine downloaded, and the files that were fetched. The image
and the packages of the environment are not: nobody tells how large they were.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from loratui.domain.run import RunView
from loratui.sessions.supply import Supply
from loratui.store import Store
from loratui_protocol.errors import StorageError

_BASE_MODEL = "base_model"


@dataclass(frozen=True, slots=True)
class Travelled:
    """Bytes from the machine, and to it."""

    sent: int = 0
    received: int = 0


class Traffic:
    """Of the runs on one machine."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._supplies: dict[str, Mapping[str, int]] = {}
        """What each run is sent: sizes by hash. One that several need travels once."""

    def of(self, views: Mapping[str, RunView]) -> Travelled:
        """Return what has travelled for these runs so far."""
        needed: dict[str, int] = {}
        model = on_its_way = sent = 0
        for run_id, view in views.items():
            if view.supply is not None and not view.supply.is_complete:
                on_its_way += view.supply.done
            else:
                needed |= self._supply(run_id)
            phase = view.phases.get(_BASE_MODEL)
            if phase is not None and phase.setup.unit == "bytes":
                model = max(model, phase.setup.done)
            sent += sum(file.num_bytes for file in self._store.files(run_id).values())
        return Travelled(sent=sent, received=sum(needed.values()) + on_its_way + model)

    def _supply(self, run_id: str) -> Mapping[str, int]:
        if run_id not in self._supplies:
            text = self._store.run(run_id).supply
            try:
                blobs = Supply.from_json(text).blobs if text else {}
            except StorageError:
                blobs = {}
            self._supplies[run_id] = {sha256: blob.size for sha256, blob in blobs.items()}
        return self._supplies[run_id]
