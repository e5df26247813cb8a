"""To which end a run goes on, what that does to its schedule, and how to go on with one that has ended."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from loratui.cli.following import say
from loratui.domain.formatting import resume_command
from loratui.domain.run import RunView
from loratui.sessions.checking import Checked
from loratui.sessions.rented import rental_label
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui_protocol.config_file import parse_config
from loratui_protocol.dataset import scan_config
from loratui_protocol.errors import ConfigError
from loratui_protocol.messages import JobState, RunEnd
from loratui_protocol.plan import Plan, plan
from loratui_protocol.run_end import end_after, replanned, with_end


def new_end(run: StoredRun, base: Path, step: int, epochs: int) -> RunEnd:
    """Return the end of a run that is at ``step`` and is to have so many epochs in all, once it is said what that is.

    ``base`` is the folder that paths of its config count from.

    Raises:
        UsageError: it is there already.
        DatasetError: its dataset is not here any more.
    """
    config = parse_config(run.config_toml, base).config
    pictures = scan_config(config).pictures
    planned = plan(config, pictures)
    end = end_after(epochs, planned, step)
    going = plan(with_end(config, end), pictures)
    say(f"goes on to {_place(going)}")
    if going.steps == planned.steps:
        say(f"the schedule stays that of {planned.steps} steps: the result is that of a run that was never stopped")
        return end
    changes = replanned(config, step, planned.steps, going.steps)
    for change in changes:
        say(change)
    if not changes:
        say(f"the result is that of a run that was planned for {going.steps} steps from the beginning")
    return end


def end_of_plan(run: StoredRun, base: Path, step: int) -> RunEnd | None:
    """Return the end of a run's plan where it is at the step that it was to stop at, or beyond; else None."""
    config = parse_config(run.config_toml, base).config
    if config.stop_at_epoch is None:
        return None
    return RunEnd() if step >= plan(config, scan_config(config).pictures).stop_step else None


def _place(going: Plan) -> str:
    where = f"step {going.stop_step}, epoch {going.epoch_of(going.stop_step)}"
    return where + (f" of {going.epochs} planned" if going.stop_step < going.steps else "")


def tell_of_stops(runs: Iterable[Checked], *, is_kept: bool) -> None:
    """Say of runs that stop for somebody to look what becomes of their rented machine meanwhile."""
    names = [run.config.output_name for run in runs if run.plan.stop_step < run.plan.steps]
    if names and not is_kept:
        say(
            f"{', '.join(names)} will stop to be looked at: the machine ends once the files are here, and waits for no "
            "state to go on from. --keep 30m keeps it for so long, and a state has time to come"
        )


def tell_how_to_go_on(preferences: Settings, view: RunView) -> None:
    """Say how a run that has ended can be trained further, and what of it would be trained again."""
    if view.step and view.state in (JobState.STOPPED, JobState.DONE):
        for sentence in _how_to_go_on(preferences, view):
            say(sentence)


def _how_to_go_on(preferences: Settings, view: RunView) -> Iterator[str]:
    is_gone = view.rental is not None and view.rental.is_over
    if view.state is JobState.STOPPED:
        epochs = _planned_epochs(preferences, view.run_id)
        yield f"to go on: {resume_command(view.name, epochs, elsewhere=is_gone)}"
    if not rental_label(view.target):
        return
    if view.kept_step == view.step:
        yield f"its state of step {view.step} is on this laptop: it can be trained further on any machine"
    elif view.kept_step:
        again = view.step - view.kept_step
        yield f"the newest state on this laptop is of step {view.kept_step}: {again} steps would be trained again"
    else:
        why = "" if preferences.downloads.which == "all" else f" (downloads.policy is {preferences.downloads.which})"
        yield f"no state of it is on this laptop{why}: only on its machine it can be trained further"


def _planned_epochs(preferences: Settings, run_id: str) -> int | None:
    """Return for how many epochs a run is planned, None where its plan counts steps."""
    with Store(preferences.database) as store:
        text = store.run(run_id).config_toml
    try:
        return parse_config(text, Path("/")).config.max_train_epochs
    except ConfigError:
        # It was found on a host, or another version wrote it.
        return None
