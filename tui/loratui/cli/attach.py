"""``attach``, ``logs`` and ``loratui`` alone: come to a run that exists."""

import sys

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.following import hosting, print_run, take_up, wants_interface, watch
from loratui.cli.runs import choose
from loratui.headless.follow import LOGGED, PlainPrinter
from loratui.store import Store

_HOW_TO_BEGIN = """\
There is no run yet.
  loratui demo                        trains a LoRA on this machine, with the built-in tiny model
  loratui train CONFIG --on local     trains yours
  loratui check CONFIG                says what is wrong with it before"""


def open_interface(arguments: Arguments) -> int:
    """Open the only active run, else the newest; say how to begin when there is none."""
    with Store(settings.load().database) as store:
        has_runs = bool(store.runs())
    if has_runs:
        return attach(arguments)
    print(_HOW_TO_BEGIN)
    return 0


def attach(arguments: Arguments) -> int:
    """Follow a run from its first record; with ``--on`` one of that host, whoever started it."""
    preferences = settings.load()
    with hosting(preferences) as host, Store(preferences.database) as store:
        if arguments.on is None:
            run = choose(store.runs(), arguments.run)
        else:
            from loratui.cli.hosts import find_runs

            found = find_runs(host, store, arguments.on, arguments)
            run = choose([known for known in store.runs() if known.id in found], arguments.run)
        refusal = take_up(host, run.id)
        # The interface shows what is known and goes on trying; lines would wait in silence.
        if refusal is not None and not run.state.is_final and not wants_interface(arguments):
            raise refusal
        return watch(host, preferences, run.id, arguments)


def logs(arguments: Arguments) -> int:
    """Print what a run has logged; with ``-f`` also what it logs until it is over."""
    preferences = settings.load()
    printer = PlainPrinter(LOGGED)
    with Store(preferences.database) as store:
        run = choose(store.runs(), arguments.run)
        if not run.state.is_final:
            with hosting(preferences) as host:
                refusal = take_up(host, run.id)
                if refusal is not None:
                    print(f"only what is stored here: {refusal.what}", file=sys.stderr)
                elif arguments.follow:
                    return print_run(host, preferences, run.id, printer)
        for record in store.records(run.id):
            printer.say(record)
    return 0
