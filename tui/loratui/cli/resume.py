"""``resume``: has a run go on where it is, or as a new one elsewhere, from the newest saved state on this machine."""

import shlex
import time
from pathlib import Path

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.control import carry_out, send
from loratui.cli.first_machine import may_leave
from loratui.cli.following import hosting, say, take_up
from loratui.cli.run_ends import end_of_plan, new_end
from loratui.cli.runs import choose
from loratui.cli.train import train
from loratui.domain.run import LinkState
from loratui.domain.saved_states import newest_offered
from loratui.sessions.host import SessionHost
from loratui.sessions.resumed import Resumed
from loratui.sessions.saved_states import newest_state
from loratui.sessions.supply import Supply, changed_pictures
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui_protocol.config_file import parse_config
from loratui_protocol.errors import JobError, LoratuiError, UsageError
from loratui_protocol.messages import JobState
from loratui_protocol.run_end import toml_with_end

_GONE = ("rental.over", "agent.silent", "ssh.unreachable")
"""Errors that a machine may leave behind that is no more."""
_PATIENCE_S = 20.0
_STATE_S = 300.0
"""How long a newer state may take to come from a machine that is still there."""
_CONFIG = "resume.toml"


def resume(arguments: Arguments) -> int:
    """Have the run go on: on its own machine, or with ``--on`` on another one."""
    if arguments.on is not None:
        return _go_on_elsewhere(arguments)
    try:
        return send(arguments) if arguments.epochs is None else _go_on_to(arguments, arguments.epochs)
    except LoratuiError as error:
        if error.code in _GONE:
            run = f" {shlex.quote(arguments.run)}" if arguments.run else ""
            epochs = f" --epochs {arguments.epochs}" if arguments.epochs else ""
            error.fix = f"if that machine is gone: loratui resume{run}{epochs} --on TARGET; else {error.fix}"
        raise


def _ours(preferences: Settings, arguments: Arguments) -> StoredRun:
    with Store(preferences.database) as store:
        run = choose(store.runs(), arguments.run)
    if not run.is_ours:
        raise UsageError(
            f"{run.name} was started from another machine, which has its config and dataset",
            fix="resume it there",
            code="resume.not_ours",
        )
    return run


def _go_on_to(arguments: Arguments, epochs: int) -> int:
    """Have a run that is over go on where it is, to another end."""
    preferences = settings.load()
    run = _ours(preferences, arguments)
    base = preferences.run_folder(run.id)
    with hosting(preferences) as host:
        refusal = take_up(host, run.id)
        if refusal is not None:
            raise refusal
        view = host.view(run.id)
        if not view.state.is_final:
            raise JobError(
                f"{run.name} is {view.state}: where it ends can be changed once it is over",
                fix=f"loratui stop {run.name} first",
                code="resume.running",
            )
        _check_dataset(run, base)
        end = new_end(run, base, view.step, epochs)
        with Store(preferences.database) as store:
            # Before it is asked for: whoever is killed in between, or gets no answer, knows where it may be going.
            store.set_config(run.id, toml_with_end(run.config_toml, base, end))
        try:
            carry_out(host, run, "resume", end=end)
        except JobError:
            with Store(preferences.database) as store:
                store.set_config(run.id, run.config_toml)
            raise
    return 0


def _go_on_elsewhere(arguments: Arguments) -> int:
    preferences = settings.load()
    run = _ours(preferences, arguments)
    with hosting(preferences) as host:
        step = _look_there(host, run, arguments.epochs)
    state = newest_state(preferences.run_folder(run.id))
    with Store(preferences.database) as store:
        run = store.run(run.id)
    step = max(step, run.step)
    config = preferences.run_folder(run.id) / _CONFIG
    config.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    config.write_text(run.config_toml, "utf-8")
    if state is None:
        raise _nothing_kept(run, step, preferences, config)
    _check_dataset(run, config.parent)
    if arguments.epochs is None:
        end = end_of_plan(run, config.parent, state.step)
    else:
        end = new_end(run, config.parent, step, arguments.epochs)
    if end is not None:
        config.write_text(toml_with_end(run.config_toml, config.parent, end), "utf-8")
    if not may_leave(preferences, run, arguments):
        return 0
    saved = time.strftime("%H:%M", time.localtime(state.saved_ts))
    again = max(0, step - state.step)
    say(f"goes on from step {state.step} of {run.total} (saved {saved}, {_trained_again(again)})")
    arguments.configs, arguments.config = [config], config
    arguments.resumed = Resumed(run_id=run.id, state=state, evaluate_concept=run.evaluate_concept)
    return train(arguments)


def _look_there(host: SessionHost, run: StoredRun, epochs: int | None) -> int:
    """Return the run's last step, once its newest state is here, if its machine still has it.

    Raises:
        JobError: the run still goes on there, or is done and no other end was given.
    """
    refusal = take_up(host, run.id, _PATIENCE_S)
    view = host.view(run.id)
    if view.state is JobState.DONE and epochs is None:
        raise JobError(
            f"{run.name} is done: there is nothing left to go on with",
            fix="to train it further, give --epochs: how many it is to have in all",
            code="resume.done",
        )
    if refusal is not None:
        if not view.state.is_final:
            say(
                f"{run.target} is not heard: {refusal.what}. When last heard of, the run was {view.state}; should it "
                "still go on there, this does not end it"
            )
        return view.step
    if not view.state.is_final:
        name = shlex.quote(run.name)
        raise JobError(
            f"{run.name} is {view.state} on {run.target}, which still has it; nothing was started",
            fix=f"loratui stop {name} first; or let it go on there: loratui resume {name}",
            code="resume.running",
        )
    end_s = time.monotonic() + _STATE_S
    while (
        (newest := newest_offered(view.offered)) is not None
        and newest[0] != view.kept_step
        and view.link is not LinkState.DOWN
        and time.monotonic() < end_s
    ):
        view = host.wait(run.id, view.version, 1.0)
    return view.step


def _trained_again(num_steps: int) -> str:
    return f"{num_steps} steps are trained again" if num_steps else "no step is trained again"


def _check_dataset(run: StoredRun, base: Path) -> None:
    """Return if the dataset is still what the run's machine was sent: elsewhere this would only show once it is paid.

    Raises:
        JobError: pictures or captions have changed since.
    """
    if not run.supply:
        return
    loaded = parse_config(run.config_toml, base).config
    changed = changed_pictures(loaded, Supply.from_json(run.supply))
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise JobError(
            f"the dataset is another one than the run began with ({', '.join(changed[:3])}{more}); nothing was started",
            fix="undo the change, or start a new run",
            code="resume.changed",
        )


def _tries_out(run: StoredRun, base: Path) -> bool:
    try:
        return bool(parse_config(run.config_toml, base).config.evaluate_loras)
    except LoratuiError:
        # Another version wrote it, or it was found on a host.
        return False


def _nothing_kept(run: StoredRun, step: int, preferences: Settings, config: Path) -> JobError:
    again = f"loratui train {shlex.quote(str(config))} --on TARGET"
    if _tries_out(run, config.parent):
        return JobError(
            f"{run.name} tries files out: what it drew stays on its machine, and another one begins anew. Nothing was "
            "started",
            fix=f"try them out from the beginning: {again}",
            code="resume.no_state",
        )
    which = preferences.downloads.which
    why = "" if which == "all" else f" (downloads.policy is {which})"
    done = f"its last known step is {step} of {run.total}" if step else "it had not begun to train"
    return JobError(
        f"no saved state of {run.name} is on this machine{why}; {done}. Nothing was started",
        fix=f"start it anew, with all of its steps: {again}",
        code="resume.no_state",
    )
