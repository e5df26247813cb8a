"""How a run can be trained further itself: from which saved state, to which end, and what that does to its schedule."""

from dataclasses import dataclass
from math import ceil
from pathlib import Path

from loratui.domain.formatting import resume_command
from loratui.domain.remedies import CONTINUE, MORE, Remedy
from loratui.domain.run import RunView
from loratui.sessions.saved_states import STATES
from loratui.sessions.supply import Supply, changed_pictures
from loratui.sessions.targets import LOCAL
from loratui.settings import Settings
from loratui.store import StoredRun
from loratui_protocol.config_file import Loaded
from loratui_protocol.config_write import toml_value
from loratui_protocol.dataset import scan_config
from loratui_protocol.errors import LoratuiError
from loratui_protocol.plan import plan
from loratui_protocol.run_end import end_after, replanned, with_end
from loratui_protocol.state_files import states_in, step_of_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class GoingOn:
    """A run that goes on from a saved state until it has ``epochs`` in all."""

    step: int
    """Of the state."""
    epochs: int
    remedy: Remedy
    command: str
    state_bytes: int
    """Of the state, where it is on this machine; else 0."""


def going_on(preferences: Settings, run: StoredRun, view: RunView, loaded: Loaded, *, is_kept: bool) -> GoingOn | None:
    """Return how it goes on: a run that was stopped to the end of its plan, one that is done by half as much again.

    ``is_kept``: its machine may still have it. None: it can't go on, since it is not over, has no state to go on from,
    was started elsewhere, or its dataset is another one by now. Takes a thread's time.
    """
    if not run.is_ours or (is_kept and not view.state.is_final):
        return None
    state = _state(preferences, run, view, is_kept=is_kept)
    if state is None:
        return None
    step, folder = state
    try:
        pictures = scan_config(loaded.config).pictures
        if run.supply and changed_pictures(loaded.config, Supply.from_json(run.supply)):
            return None
        planned = plan(loaded.config, pictures)
        last = max(step, view.step)
        epochs = planned.epochs if last < planned.steps else ceil(planned.steps * (1 + MORE) / planned.steps_per_epoch)
        end = end_after(epochs, planned, last)
        going = plan(with_end(loaded.config, end), pictures)
    except LoratuiError:
        return None
    more = going.stop_step - step
    told = [f"weights and optimizer go on as they are, to step {going.stop_step}, epoch {going.epochs}"]
    if last > step:
        told.append(f"{last - step} of the steps are trained again")
    if going.steps != planned.steps:
        told += replanned(loaded.config, last, planned.steps, going.steps)
    changes = {} if end.max_train_epochs is None else {"max_train_epochs": toml_value(end.max_train_epochs)}
    return GoingOn(
        step=step,
        epochs=epochs,
        remedy=Remedy(
            code=CONTINUE,
            what=f"the run itself can go on from its saved state of step {step}, with {more} steps more",
            fix="; ".join(told),
            changes=changes,
        ),
        command=resume_command(run.name, epochs, elsewhere=not is_kept),
        state_bytes=0 if folder is None else _size(folder),
    )


def _state(preferences: Settings, run: StoredRun, view: RunView, *, is_kept: bool) -> tuple[int, Path | None] | None:
    """Return the step of the newest state that it can go on from, and its folder where that is on this machine."""
    if is_kept and run.target != LOCAL:
        # Its machine has what it has saved last, as far as that was heard here.
        return (view.checkpoints[-1].step, None) if view.checkpoints else None
    folder = run.home / "jobs" / run.id / "ckpt" if is_kept else preferences.run_folder(run.id) / STATES
    newest = next(states_in(folder), None)
    step = None if newest is None else step_of_folder(newest.name)
    return None if step is None else (step, newest)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
