"""Following a run to its end, in the interface or as lines, and what is said and written when it is over."""

import gc
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from loratui.cli.arguments import Arguments
from loratui.cli.leaving import HungUp, kept_signals
from loratui.cli.reminder import alarm_of
from loratui.domain.formatting import attach_command
from loratui.domain.holding import held, results
from loratui.domain.run import LinkState, RunView
from loratui.headless.follow import JsonPrinter, PlainPrinter, Printer, catch_up, follow
from loratui.headless.json_lines import print_line, to_json
from loratui.headless.rental_narration import RentalNarrator
from loratui.sessions.desk import HostDesk
from loratui.sessions.host import START_TIMEOUT_S, SessionHost
from loratui.sessions.rented import rental_label
from loratui.sessions.source import HostRunSource
from loratui.settings import Settings
from loratui.store import Store
from loratui.store.rentals import Rentals
from loratui_protocol.errors import AgentUnreachableError, JobError, LoratuiError, StorageError
from loratui_protocol.findings import plural
from loratui_protocol.messages import ArtifactKind, JobState
from loratui_protocol.paths import AgentHome

if TYPE_CHECKING:
    from loratui.sessions.checking import Checked

HUNG_UP, INTERRUPTED, STILL_BILLING = 129, 130, 5
_LOOK_S = 0.5
_LOST_S = 8.0
_KNOWN_S = 15.0


@contextmanager
def hosting(preferences: Settings, *, minds: bool = False) -> Iterator[SessionHost]:
    """Run a session host inside the block; one that ``minds`` looks after the rentals that runs are on."""
    host = SessionHost(preferences, say, minds=minds)
    host.start()
    try:
        yield host
    finally:
        host.close()


def announce(run_id: str, checked: "Checked", place: str, arguments: Arguments) -> None:
    """Say that a run has begun, in the form that was asked for."""
    name = checked.config.output_name
    if arguments.json:
        print_line(to_json({"event": "run", "ts": time.time(), "seq": 0, "run": run_id, "name": name}))
    else:
        planned = checked.plan_left
        much = plural(planned.steps, "step") if planned.steps else plural(planned.num_judged_pictures, "picture")
        say(f"run {run_id}: {name}, {much} on {place}")


def say(text: str) -> None:
    """Tell a person at the terminal."""
    print(text, file=sys.stderr, flush=True)


def take_up(host: SessionHost, run_id: str, patience_s: float = START_TIMEOUT_S) -> LoratuiError | None:
    """Follow a known run and wait until everything that its agent has is here; return why it can't be had, if so.

    An agent that was not reached within ``patience_s`` counts as one that can't be.
    """
    answered = host.follow(run_id)
    end_s = time.monotonic() + patience_s
    while True:
        try:
            answered.result(_LOOK_S)
        except TimeoutError:
            view = host.view(run_id)
            # Trying goes on; whoever waits for it gets to know what is wrong, not only that something is.
            is_lost = view.link is LinkState.DOWN and time.monotonic() - view.link_since_s > _LOST_S
            if is_lost or time.monotonic() > end_s:
                return AgentUnreachableError(
                    f"the agent does not answer: {view.link_detail or 'nobody knows why'}. A run that is there goes on",
                    fix="try again",
                    code="agent.silent",
                )
            continue
        except LoratuiError as error:
            return error
        catch_up(host, run_id)
        return None


def wants_interface(arguments: Arguments) -> bool:
    """Return whether the interface is to be opened: nobody asked for lines, and there is a terminal to draw on."""
    lines = arguments.plain or arguments.json
    return not lines and sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def watch(host: SessionHost, preferences: Settings, run_ids: Sequence[str], arguments: Arguments) -> int:
    """Show followed runs, one after the other, until they are over or the user leaves; return the exit status."""
    narrator = RentalNarrator(as_json=arguments.json)
    try:
        return _watch(host, preferences, run_ids, arguments, narrator)
    except KeyboardInterrupt as asked:
        # Between the end of a run and that of its rental: it is left as it would be a moment later.
        _leave_rental(host, preferences, host.view(run_ids[-1]), narrator)
        return HUNG_UP if isinstance(asked, HungUp) else INTERRUPTED


def _watch(
    host: SessionHost, preferences: Settings, run_ids: Sequence[str], arguments: Arguments, narrator: RentalNarrator
) -> int:
    worst = 0
    missing: LoratuiError | None = None
    for run_id in run_ids:
        if wants_interface(arguments):
            status = _show(host, preferences, run_id, arguments)
        else:
            status = print_run(host, preferences, run_id, JsonPrinter() if arguments.json else PlainPrinter(), narrator)
        view = host.view(run_id)
        if status or not view.is_settled:
            _leave_rental(host, preferences, view, narrator)
            return status
        _conclude(view, preferences, arguments)
        let_agent_know(host, run_id)
        missing = missing or _missing_lora(view, preferences)
        worst = worst or (1 if view.state is JobState.FAILED else 0)
    left = _see_to_rental(host, preferences, run_ids, narrator)
    from loratui.cli.run_ends import tell_how_to_go_on

    for run_id in run_ids:
        tell_how_to_go_on(preferences, host.view(run_id))
    if missing is not None:
        raise missing
    return left or worst


def let_agent_know(host: SessionHost, run_id: str) -> None:
    """Stay until the agent has heard that everything is here: what it is to do after the run waits for that."""
    end_s = time.monotonic() + _KNOWN_S
    view = host.view(run_id)
    while not view.is_known_to_be_settled and view.link is LinkState.UP and time.monotonic() < end_s:
        view = host.wait(run_id, view.version, 0.5)


def _see_to_rental(host: SessionHost, preferences: Settings, run_ids: Sequence[str], narrator: RentalNarrator) -> int:
    """Wait for the end of the rental that runs were on once everything of all of them is here; else say what is not.

    Returns the exit status: 5 where it goes on, and bills, because of files that are not here.
    """
    views = [host.view(run_id) for run_id in run_ids]
    if not rental_label(views[-1].target):
        return 0
    from loratui.cli.rental_end import see_to_rental

    kept_for, rental = held(views), views[-1].rental
    if kept_for is not None and rental is not None:
        narrator.tell_held(rental, kept_for)
    status = see_to_rental(host, preferences, views[-1], narrator, is_all_here=kept_for is None)
    with Rentals(preferences.database) as ledger:
        is_over = ledger.rental(rental_label(views[-1].target)).state.is_over
    return status or (0 if is_over else STILL_BILLING)


def _leave_rental(host: SessionHost, preferences: Settings, view: RunView, narrator: RentalNarrator) -> None:
    """Say that the rental that a run is on goes on, and until when."""
    if rental_label(view.target):
        from loratui.cli.rental_end import see_to_rental

        see_to_rental(host, preferences, view, narrator, is_all_here=False)


def _show(host: SessionHost, preferences: Settings, run_id: str, arguments: Arguments) -> int:
    """Show a run in the interface until the user leaves; return the exit status."""
    status = show(host, preferences, arguments, run_id)
    view = host.view(run_id)
    if not status and view.given_up is not None and not view.is_settled:
        raise view.given_up
    return status


def show(host: SessionHost, preferences: Settings, arguments: Arguments, run_id: str = "") -> int:
    """Open the interface on a run, or on its home screen, until the user leaves; return the exit status."""
    # Textual reads its environment when it is imported, so that has to be settled first.
    from loratui.ui.environment import UiOptions, prepare

    options = prepare(
        UiOptions(
            slow=arguments.slow,
            ascii=arguments.ascii,
            mouse=not arguments.no_mouse,
            readonly=arguments.readonly,
            # What was printed before is covered by the picture.
            alarm=alarm_of(preferences),
            frame_diff=not arguments.no_diff,
            theme=preferences.screen.theme,
            notify=preferences.screen.notify,
            keeps_session=True,
            # Who names a run wants to see that one.
            reopen=arguments.handler == "attach:open_interface",
        ),
        os.environ,
        sys.stdout.encoding,
        preferences.screen,
    )
    # Whatever is loaded now stays; to look through it for garbage meanwhile takes a tenth of the start.
    gc.disable()
    from loratui.ui.app import run_app
    from loratui.ui.farewell import farewell

    # What is said of the way to a machine would land in the picture.
    host.hush()
    with kept_signals(), HostDesk(host, preferences) as desk:
        left = run_app(desk, options=options, source=HostRunSource(host, run_id) if run_id else None)
    if left.run_id and left.status != HUNG_UP and not (view := HostRunSource(host, left.run_id).view()).is_settled:
        print(farewell(view, time.monotonic()))
    for sentence in left.kept if left.status != HUNG_UP else ():
        print(sentence)
    for name in left.unended if left.status != HUNG_UP else ():
        print(f"{name} was not terminated, and bills on: loratui terminate ends it, loratui rentals lists all")
    for errand in left.errands if left.status != HUNG_UP else ():
        print(f"{errand.name} goes on by itself (loratui {shlex.join(errand.argv)}). What it says: {errand.words}")
    return left.status


def print_run(
    host: SessionHost, preferences: Settings, run_id: str, printer: Printer, rental: RentalNarrator | None = None
) -> int:
    """Print a followed run until it is over (0), or until someone lets go of it (129, 130)."""
    try:
        with Store(preferences.database) as store:
            follow(host, store, run_id, printer, rental)
    except HungUp:
        return HUNG_UP
    except KeyboardInterrupt:
        view = host.view(run_id)
        how = "goes on" if view.link is LinkState.UP else f"is not heard of now ({view.link_detail or 'no answer yet'})"
        print(f"detached: {view.name} {how}. Back to it: {attach_command(view.name)}", file=sys.stderr)
        return INTERRUPTED
    return 0


def _conclude(view: RunView, preferences: Settings, arguments: Arguments) -> None:
    """Write the report of a run that is over, and say where its files are."""
    # What draws takes a while to load, and no start waits for it.
    from loratui.cli.report_file import sheets_folder

    path = _write_report(view, preferences) if view.step or view.scores else None
    if arguments.json:
        if path is not None:
            print_line(to_json({"event": "report", "ts": time.time(), "seq": view.last_seq, "path": path}))
        return
    told = {"LoRA": ArtifactKind.LORA, "contact sheet": ArtifactKind.CONTACT_SHEET, "pictures": ArtifactKind.JUDGEMENT}
    for title, kind in told.items():
        for artifact_id, artifact in view.artifacts.items():
            here = view.exported.get(artifact_id, view.downloaded.get(artifact_id))
            if artifact.kind is kind and here is not None:
                print(f"{title}: {here}")
    if path is not None:
        print(f"report: {path}")
        if (sheets := sheets_folder(path)).is_dir():
            print(f"contact sheets of the files tried out: {sheets}")
    if view.evaluation is not None:
        print(view.evaluation.verdict)


def _missing_lora(view: RunView, preferences: Settings) -> LoratuiError | None:
    """Return what is wrong where a run is done and its result is not here, though nobody wanted it to be left there."""
    loras = results(view)
    is_here = any(artifact.id in view.downloaded for artifact in loras)
    if view.state is not JobState.DONE or is_here or preferences.downloads.which == "none":
        return None
    again = attach_command(view.name)
    if not loras:
        why, place = "its agent never said that it has one", ""
    else:
        with Store(preferences.database) as store:
            home = AgentHome(store.run(view.run_id).home)
        why = view.download_failures.get(loras[-1].id) or view.declined.get(loras[-1].id, "")
        if loras[-1].id in view.declined:
            again = f"loratui download {shlex.quote(view.name)}"
        place = f". It may still be on {view.target}, in {home.jobs / view.run_id / 'artifacts'}"
    return JobError(
        f"the run is done, but its result is not on this machine: {why}{place}",
        fix=f"to try again: {again}",
        code="lora.missing",
    )


def _write_report(view: RunView, preferences: Settings) -> Path | None:
    """Write the report of a run that is over, and return where it is."""
    # What draws takes a while to load, and no start waits for it.
    from loratui.cli.report_file import report_path, write_report

    path = report_path(preferences, view.run_id, view.name)
    # One that was written when the run ended knows more than a later one: what the machine was. One that was written
    # before all files were here knows less.
    here = [file.stat().st_mtime for file in view.downloaded.values() if file.exists()]
    if path.exists() and path.stat().st_mtime >= max([view.ended_ts or 0.0, *here]):
        return path

    try:
        write_report(view, preferences, path)
    except StorageError as error:
        print(f"loratui: {error}", file=sys.stderr)
        return None
    return path
