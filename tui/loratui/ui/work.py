"""What threads do for the screen: their failures end nothing else, and their questions come up under no key."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from loratui_protocol.errors import LoratuiError

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

log = logging.getLogger(__name__)
T = TypeVar("T")


def in_thread(shell: "Shell", function: Callable[[], None], what: str) -> None:
    """Do something in a thread; that it failed is said, and ends nothing else."""

    def guarded() -> None:
        try:
            function()
        except Exception as error:
            # The thread's boundary. Once the interface is being left nobody is there to be told.
            if shell.is_leaving:
                return
            if isinstance(error, LoratuiError):
                shell.app.call_from_thread(shell.say, f"! {what}: {error.what}")
                return
            # A fault of ours is told, and the interface goes on.
            log.exception("%s broke", what)
            shell.app.call_from_thread(shell.say, f"! {what} broke: {type(error).__name__}: {error}")

    shell.run_worker(guarded, thread=True, exit_on_error=False)


def look_first(
    shell: "Shell",
    label: str,
    look: Callable[[], T],
    then: Callable[[T], None],
    what: str,
    given_up: Callable[[T], None] = lambda _: None,
) -> None:
    """Call ``look`` in a thread, and ``then``, which asks, with what it returns; until then the keys mean nothing.

    Otherwise what is typed meanwhile would answer it, be it money that is asked about. Escape gives it up, and so does
    whatever else takes the keys: help, another question, another screen. ``given_up`` gets what was found too late.
    That ``look`` failed is said, with ``what``.
    """
    shell.stop_asking()
    held = shell.prompt.hold(label, shell.frame())

    def found(result: T) -> None:
        if released():
            then(result)
        else:
            given_up(result)

    def released() -> bool:
        is_awaited = shell.prompt.holds(held)
        if is_awaited:
            shell.leave_field()
        return is_awaited

    def work() -> None:
        try:
            result = look()
        except BaseException:
            shell.app.call_from_thread(released)
            raise
        shell.app.call_from_thread(found, result)

    in_thread(shell, work, what)
