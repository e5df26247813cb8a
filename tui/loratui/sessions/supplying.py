"""Bringing what a run needs of this machine while it is followed, and what is said of that on the way."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from loratui.domain.run import RunView
from loratui.domain.supplied import Supplied
from loratui_protocol.errors import AgentUnreachableError, LoratuiError

Supplier = Callable[[Callable[[Supplied], None], Callable[[str], None]], Awaitable[None]]
"""Brings what a run needs of this machine to its box. Told to: how far it is, warnings."""


async def supply(supplier: Supplier, view: RunView, changed: Callable[[], None]) -> bool:
    """Bring everything; return False where that can't be done. ``changed`` is told when the view has news.

    Raises:
        LoratuiError: the link broke; the next connection goes on from there.
    """
    view.supply = Supplied()

    def tell(supplied: Supplied) -> None:
        view.supply = replace(supplied, warning=view.supply.warning if view.supply else "")
        changed()

    def warn(sentence: str) -> None:
        view.note(time.time(), "WARNING", sentence)
        view.supply = replace(view.supply or Supplied(), warning=sentence)
        changed()

    try:
        await supplier(tell, warn)
    except LoratuiError as error:
        if _may_pass(error):
            raise
        view.note(time.time(), "ERROR", f"{error.what}; the run is stopped")
        view.supply = replace(view.supply or Supplied(), error=error)
        changed()
        return False
    view.supply = replace(view.supply or Supplied(), is_complete=True)
    changed()
    return True


def _may_pass(error: LoratuiError) -> bool:
    # A host that refuses another session beside the agent's (MaxSessions 1) does so next time, while the meter runs.
    is_of_the_link = error.code.startswith("ssh.") and error.code != "ssh.refused"
    return isinstance(error, AgentUnreachableError) or is_of_the_link
