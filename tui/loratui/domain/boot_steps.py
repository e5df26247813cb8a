"""How far a rented machine is on the way to training: which of seven steps goes on, by what was seen to be done."""

from collections.abc import Mapping

from loratui.domain.phases import Phase
from loratui.domain.rental import RentalState

NUM_STEPS = 7
"""It is rented, starts, lets us in, has its own end read back, is set up, gets pictures and base model, loads it."""
_OF_RENTAL = {RentalState.BOOTING: 2, RentalState.CONNECTING: 3, RentalState.READY: 4}
_SET_UP = 5
_ENVIRONMENT, _DATASET = "environment", "dataset"
_OF_TRAINER = {"load_model", "fit", "encode_prompts", "cache_latents"}


def step_of_rental(state: str) -> int:
    """Return the step of a rental that has no run yet; 1: it is not known to be there."""
    return next((step for known, step in _OF_RENTAL.items() if state == known), 1)


def step_of_run(phases: Mapping[str, Phase]) -> int:
    """Return the step once a run is there, by what its agent and its trainer have said; several may go on at once."""
    dataset = phases.get(_DATASET)
    # The trainer begins when all that it needs is there; what it reads then has no size.
    if _OF_TRAINER & phases.keys() or (dataset is not None and not dataset.setup.total):
        return NUM_STEPS
    environment = phases.get(_ENVIRONMENT)
    return _SET_UP + 1 if environment is not None and environment.is_over else _SET_UP
