"""The process boundary: runs a command, and turns every error into a message and an exit status."""

import importlib
import sys
import traceback
from collections.abc import Callable, Sequence

from loratui.cli.arguments import Arguments, build_parser
from loratui.cli.leaving import HungUp, as_interruptions, is_unheard, print_no_more, tell
from loratui.sessions.steady_clock import steady_ts
from loratui_protocol.errors import LoratuiError, StorageError

HUNG_UP, INTERRUPTED = 129, 130
NOTHING_BILLS = 4
"""A provider, or another machine, has failed, and nothing is billing."""
STILL_BILLING = 5
_UNREMINDED = ("rentals", "preferences")
"""Modules whose commands do not begin with what may still bill: they look at just that, or at settings alone."""
_FOLLOWING = ("attach:attach", "attach:open_interface", "train:train", "train:demo", "resume:resume")
"""Commands that leave a run going when they are cut off."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in ``argv`` (the process's own when None) and return the exit status."""
    began_ts, arguments, is_begun = steady_ts(), Arguments(), False
    with as_interruptions():
        try:
            command = _command(argv, arguments)
            is_begun = True
            return command(arguments)
        except LoratuiError as error:
            tell(f"loratui: {error}")
            if error.exit_status == STILL_BILLING:
                return STILL_BILLING
            # What is wrong with this disk, or with a machine, ends no rental that was there before.
            is_left = error.exit_status == NOTHING_BILLS or isinstance(error, StorageError)
            return _left_rented(arguments, began_ts, only_new=not is_left) or error.exit_status
        except KeyboardInterrupt as interruption:
            status = HUNG_UP if isinstance(interruption, HungUp) else INTERRUPTED
            # Modules that were cut off while they were imported can't be used any more, nor was anything rented yet.
            return (_left_rented(arguments, began_ts, only_new=True) if is_begun else 0) or status
        except PermissionError as error:
            what = f"{error.filename or 'a file'}: {error.strerror}"
            tell(f"loratui: [usage.permission] {what}\n  fix: check its permissions")
            return _left_rented(arguments, began_ts) or 2
        except Exception as error:  # noqa: BLE001  the process boundary: a bug of ours becomes a file, not a screenful
            if is_unheard(error):
                # Whoever read our output has gone (`loratui logs | head`). What is followed goes on unseen.
                status = INTERRUPTED if vars(arguments).get("handler") in _FOLLOWING else 0
            else:
                tell(_report_bug(error))
                status = 1
            return _left_rented(arguments, began_ts) or status
        finally:
            print_no_more()


def _command(argv: Sequence[str] | None, arguments: Arguments) -> Callable[[Arguments], int]:
    """Return what is to be run, with all that it needs imported."""
    build_parser().parse_args(argv, namespace=arguments)
    if arguments.handler.partition(":")[0] not in _UNREMINDED:
        from loratui.cli.reminder import remind

        remind()
    return _handler(arguments.handler)


def _left_rented(arguments: Arguments, began_ts: float, *, only_new: bool = False) -> int:
    """Say what may still bill of what the command had to do with; return the exit status for that, 0 if nothing may."""
    from loratui.cli.still_rented import tell_still_rented

    return tell_still_rented(arguments, began_ts, only_new=only_new)


def _handler(name: str) -> Callable[[Arguments], int]:
    """Return the function behind ``module:function``; nothing is imported that the command doesn't need."""
    module, _, function = name.partition(":")
    handler: Callable[[Arguments], int] = getattr(importlib.import_module(f"loratui.cli.{module}"), function)
    return handler


def _report_bug(error: Exception) -> str:
    """Write the traceback to a file in the state folder and return what to tell the user."""
    text = "".join(traceback.format_exception(error))
    summary = f"loratui: [bug] {type(error).__name__}: {error}"
    try:
        from loratui import settings

        log = settings.load().state_dir / "crash.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"loratui {' '.join(sys.argv[1:2])}\n{text}\n")
    except (OSError, LoratuiError):
        return f"{text}\n{summary}"
    return f"{summary}\n  fix: this is a fault of loratui; no run is touched by it. The traceback is in {log}"
