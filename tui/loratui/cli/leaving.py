"""Users who leave without a word: through a signal, or with a terminal or a pipe that is gone. None leaves a bill."""

import contextlib
import errno
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_ENDING = ("SIGHUP", "SIGTERM")


class HungUp(KeyboardInterrupt):
    """The terminal is gone."""


@contextlib.contextmanager
def as_interruptions() -> Iterator[None]:
    """Let a hang-up and a polite request to end interrupt what goes on inside the block, as Ctrl-C does.

    They count once, however often they come: a terminal that is closed says so more than once, and a second Ctrl-C
    leaves what is being ended. What is ignored (``nohup``) stays so.
    """
    is_asked = False

    def arrived(number: int, _: FrameType | None) -> None:
        nonlocal is_asked
        if is_asked:
            return
        is_asked = True
        raise HungUp if number == getattr(signal, "SIGHUP", None) else KeyboardInterrupt

    with kept_signals():
        for number in _known():
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, arrived)
        yield


@contextlib.contextmanager
def deaf_to_hang_ups() -> Iterator[None]:
    """Go on inside the block when the terminal is closed: what somebody wanted ended is ended without them."""
    with kept_signals():
        if hasattr(signal, "SIGHUP") and _is_main_thread():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        yield


@contextlib.contextmanager
def kept_signals() -> Iterator[None]:
    """Have after the block the handlers that there were before: an event loop leaves the system's own."""
    before = {number: signal.getsignal(number) for number in _known()}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


@contextlib.contextmanager
def interrupted_at_rest() -> Iterator[Callable[[], None]]:
    """Have Ctrl-C, a hang-up and a request to end wait, inside the block, until what it is given is called, or its end.

    What is at work on files is then nowhere in the middle of one, nor of taking back what it did.
    """
    waiting: list[tuple[int, FrameType | None]] = []
    numbers = [signal.SIGINT, *_known()] if _is_main_thread() else []
    before = {number: signal.getsignal(number) for number in numbers}

    def at_rest() -> None:
        if waiting:
            number, frame = waiting[0]
            waiting.clear()
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, lambda number, frame: waiting.append((number, frame)))
    try:
        yield at_rest
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)
    at_rest()


def tell(text: str) -> None:
    """Tell a person at the terminal, if there still is one: a terminal that is gone must keep no machine alive."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def is_unheard(error: BaseException) -> bool:
    """Return whether it came from printing to a pipe that nobody reads, or to a terminal that is gone."""
    if isinstance(error, BrokenPipeError):
        return True
    return isinstance(error, OSError) and error.errno == errno.EIO and any(map(_is_gone, (1, 2)))


def print_no_more() -> None:
    """Have what is left to print go nowhere if nobody reads it, so that the interpreter's end does not fail for it."""
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
            is_gone = _is_gone(descriptor)
        except (OSError, ValueError):
            is_gone = True
        if is_gone:
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _is_gone(descriptor: int) -> bool:
    """Return whether what is written there arrives nowhere, where the system tells that."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _known() -> list[signal.Signals]:
    return [getattr(signal, name) for name in _ENDING if hasattr(signal, name)] if _is_main_thread() else []


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
