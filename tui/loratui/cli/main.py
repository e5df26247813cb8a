"""The process boundary: runs a command, and turns every error into a message and an exit status."""

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from loratui.cli.arguments import Arguments, build_parser
from loratui_protocol.errors import LoratuiError

INTERRUPTED = 130
_UNREMINDED = ("rentals", "preferences")
"""Modules whose commands do not begin with what may still bill: they look at just that, or at settings alone."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in ``argv`` (the process's own when None) and return the exit status."""
    try:
        arguments = build_parser().parse_args(argv, namespace=Arguments())
        if arguments.handler.partition(":")[0] not in _UNREMINDED:
            from loratui.cli.reminder import remind

            remind()
        return _handler(arguments.handler)(arguments)
    except LoratuiError as error:
        print(f"loratui: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`loratui logs | head`). The interpreter must not try to flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  the process boundary: a bug of ours becomes a file, not a screenful
        print(_report_bug(error), file=sys.stderr)
        return 1


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
