"""``attach``, ``logs`` and ``loratui`` alone: come to a run that exists."""

import math
import sys
from dataclasses import replace

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.following import hosting, let_agent_know, print_run, say, show, take_up, wants_interface, watch
from loratui.cli.runs import choose
from loratui.domain.run import LinkState, RunView
from loratui.headless.follow import LOGGED, PlainPrinter
from loratui.sessions.host import START_TIMEOUT_S, SessionHost
from loratui.store import Store, StoredRun

_LOGS_PATIENCE_S = 8.0
"""What is stored here need not wait longer for what a host that may have vanished would add."""
_HOW_TO_BEGIN = """\
There is no run yet.
  loratui demo                        trains a LoRA on this machine, with the built-in tiny model
  loratui train CONFIG --on local     trains yours
  loratui check CONFIG                says what is wrong with it before"""


def open_interface(arguments: Arguments) -> int:
    """Open the home screen, or the only active run; where there is no terminal to draw on, follow a run as lines."""
    preferences = settings.load()
    with Store(preferences.database) as store:
        runs = store.runs()
    if not wants_interface(arguments):
        if runs:
            return attach(arguments)
        print(_HOW_TO_BEGIN)
        return 0
    active = [run for run in runs if not run.state.is_final]
    if len(active) == 1:
        return attach(arguments)
    with hosting(preferences, minds=True) as host:
        return show(host, preferences, arguments)


def attach(arguments: Arguments) -> int:
    """Follow a run from its first record; with ``--on`` one of that host, whoever started it."""
    preferences = settings.load()
    with hosting(preferences, minds=True) as host, Store(preferences.database) as store:
        run = _chosen(host, store, arguments)
        refusal = take_up(host, run.id)
        # The interface shows what is known and goes on trying; lines would wait in silence.
        if refusal is not None and not run.state.is_final and not wants_interface(arguments):
            raise refusal
        return watch(host, preferences, [run.id], arguments)


def download(arguments: Arguments) -> int:
    """Fetch every file that a run has now, whatever the settings leave on its machine, and print where they are."""
    preferences = settings.load()
    wanted = replace(preferences, downloads=replace(preferences.downloads, which="all", max_gib=math.inf))
    with hosting(wanted) as host, Store(wanted.database) as store:
        run = _chosen(host, store, arguments)
        refusal = take_up(host, run.id)
        if refusal is not None:
            raise refusal
        view = host.view(run.id)
        while (waiting := view.artifacts.keys() - _settled(view)) and view.link is not LinkState.DOWN:
            view = host.wait(run.id, view.version, 1.0)
        # Whoever keeps a machine for these files learns it from the agent.
        if view.is_settled:
            let_agent_know(host, run.id)
    for artifact_id, artifact in view.artifacts.items():
        here = view.downloaded.get(artifact_id)
        if here is not None:
            print(view.exported.get(artifact_id, here))
        else:
            why = view.download_failures.get(artifact_id) or view.declined.get(artifact_id) or view.link_detail
            say(f"{artifact.name} is not here: {why}")
    return 1 if waiting or view.download_failures else 0


def _settled(view: RunView) -> set[str]:
    return {*view.downloaded, *view.download_failures, *view.declined}


def _chosen(host: SessionHost, store: Store, arguments: Arguments) -> StoredRun:
    """Return the run that is meant; with ``--on`` one of that host, whoever started it."""
    if arguments.on is None:
        return choose(store.runs(), arguments.run)
    from loratui.cli.hosts import find_runs

    found = find_runs(host, store, arguments.on, arguments)
    return choose([known for known in store.runs() if known.id in found], arguments.run)


def logs(arguments: Arguments) -> int:
    """Print what a run has logged; with ``-f`` also what it logs until it is over."""
    preferences = settings.load()
    printer = PlainPrinter(LOGGED)
    with Store(preferences.database) as store:
        run = choose(store.runs(), arguments.run)
        if not run.state.is_final:
            with hosting(preferences) as host:
                refusal = take_up(host, run.id, START_TIMEOUT_S if arguments.follow else _LOGS_PATIENCE_S)
                if refusal is not None:
                    print(f"only what is stored here: {refusal.what}", file=sys.stderr)
                elif arguments.follow:
                    return print_run(host, preferences, run.id, printer)
        for record in store.records(run.id):
            printer.say(record)
    return 0
