"""Prices what may come after a run: with the machine that it was on, what it paid for that, and the pace it had."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from loratui.domain.estimate import Known
from loratui.domain.estimate_speeds import MeasuredSpeed
from loratui.domain.next_cost import Machine, NextCost, Place, cost_on
from loratui.domain.offers import Offer
from loratui.domain.run import RunView
from loratui.sessions.estimating import measured_picture
from loratui.sessions.plan_here import known_for, work_told_here
from loratui.sessions.rented import rental_label
from loratui.sessions.steady_clock import steady_ts
from loratui.sessions.targets import LOCAL
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.config_file import parse_config
from loratui_protocol.errors import LoratuiError, StorageError

if TYPE_CHECKING:
    from loratui.sessions.checking import Checked

_NUM_STEPS = 1000
"""The newest steps that tell the pace: the first ones are slower."""
_FEW_STEPS = 5
"""Fewer say nothing of a pace."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """What the run has shown of itself."""

    pace_s: float
    known: Known


class Pricing:
    """Prices configs that may come after one run. Takes a thread's time: pictures and records are read."""

    def __init__(self, preferences: Settings, run: StoredRun, view: RunView) -> None:
        self._preferences = preferences
        self._run = run
        self._view = view
        self._folder = preferences.run_folder(run.id)
        self._rental = _rental(preferences, run)
        self._measured: _Measured | str | None = None

    @property
    def is_kept(self) -> bool:
        """Return whether the run's own machine can be asked to go on, for all that is known here."""
        return not rental_label(self._run.target) or (self._rental is not None and not self._rental.state.is_over)

    def of_new_run(self, text: str) -> NextCost | str:
        """Return what a run of its own with this config takes and costs; else why that is not known."""
        return self._of(text, Place.ANEW)

    def of_going_on(self, text: str, step: int, state_bytes: int = 0) -> NextCost | str:
        """Return what is left of this config after ``step``; ``state_bytes`` travel where a machine is rented anew."""
        return self._of(text, Place.KEPT if self.is_kept else Place.ANEW, step, state_bytes)

    def _of(self, text: str, place: Place, step: int | None = None, state_bytes: int = 0) -> NextCost | str:
        machine = self._machine(place)
        if machine is None:
            return "what its machine was, and cost, is not known here"
        if self._measured is None:
            self._measured = self._measure(machine)
        if isinstance(self._measured, str):
            return self._measured
        checked = self._checked(text)
        if isinstance(checked, str):
            return checked
        work = work_told_here(checked, self._preferences, after=step, model_bytes=self._model_bytes)
        if work is None:
            return "what would have to travel is not here any more"
        if machine.place is Place.ANEW:
            work = replace(work, upload_bytes=work.upload_bytes + state_bytes)
        return cost_on(work, machine, self._measured.known, self._measured.pace_s)

    def _machine(self, place: Place) -> Machine | None:
        target, rental = self._run.target, self._rental
        if rental_label(target):
            if rental is None:
                return None
            offer = replace(rental.offer, price_microusd_per_h=rental.price_microusd_per_h)
            left_s = None if rental.deadline_ts is None else max(0.0, rental.deadline_ts - steady_ts())
            return Machine(
                place=place, offer=offer, name=offer.gpu_name, left_s=left_s if place is Place.KEPT else None
            )
        price = self._view.price_microusd_per_h or self._run.price_microusd_per_h
        here = target == LOCAL
        offer = Offer(
            provider=target,
            id=target,
            # Its pace is known by that name, whatever it has.
            gpu_name=self._run.gpu or target,
            vram_mib=0,
            disk_gb=0,
            price_microusd_per_h=price,
        )
        return Machine(place=Place.HERE if here else Place.HOST, offer=offer, name=target)

    def _checked(self, text: str) -> "Checked | str":
        # It decodes pictures, and takes longer to load than the first frame may.
        from loratui.sessions.checking import check_loaded

        try:
            return check_loaded(parse_config(text, self._folder), self._folder / "config.toml", is_quick=True)
        except LoratuiError as error:
            return error.what.partition("\n")[0]

    def _measure(self, machine: Machine) -> _Measured | str:
        """Return what this run has shown of its pace, and earlier ones of all else."""
        seen = list(_seen(self._view))
        if len(seen) < _FEW_STEPS:
            return "its pace was not measured"
        checked = self._checked(self._run.config_toml)
        if isinstance(checked, str):
            return checked
        work = work_told_here(checked, self._preferences)
        if work is None:
            return "what would have to travel is not here any more"
        load, it_s, gpu = work.loads[0], median(seen), machine.offer.gpu_name
        speed = MeasuredSpeed(
            gpu=gpu,
            kind=load.kind,
            units_per_s=it_s * load.units_per_step,
            units_per_step=load.units_per_step,
            run=self._run.name,
        )
        with Store(self._preferences.database) as store:
            picture = measured_picture(store, self._run, load.kind, gpu)
        known = known_for(checked, self._preferences)
        pictures = [picture] if picture is not None else []
        return _Measured(1 / it_s, replace(known, speeds=[speed], pictures=pictures))

    @property
    def _model_bytes(self) -> int | None:
        return None if self._rental is None else self._rental.model_bytes


def _rental(preferences: Settings, run: StoredRun) -> StoredRental | None:
    label = rental_label(run.target)
    if not label:
        return None
    try:
        with Rentals(preferences.database) as ledger:
            return ledger.rental(label)
    except StorageError:
        # It was found on another computer's rental, or the records are gone.
        return None


def _seen(view: RunView) -> Iterator[float]:
    it_s = view.past.it_s
    for _, each in it_s.since(max(0, len(it_s) - _NUM_STEPS)):
        if 0 < each < float("inf"):
            yield each
