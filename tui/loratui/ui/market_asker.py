"""Asks the market in a thread that nothing waits for: neither leaving the interface does, nor a newer question."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loratui.providers.retries import Retry
from loratui.ui.desk import Desk
from loratui_protocol.errors import LoratuiError

if TYPE_CHECKING:
    from loratui.sessions.market_look import Market

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a question: a market, or why there is none. ``asked_s`` is monotonic."""

    path: Path
    asked_s: float
    market: "Market | None" = None
    what: str = ""
    fix: str = ""


class MarketAsker:
    """``deliver`` is called in the thread that asked, with the number of the question and its answer; see ``take``.

    Before that it is called with every ``Retry`` of it.
    """

    def __init__(self, desk: Desk, deliver: Callable[[int, Answer | Retry], object]) -> None:
        self._desk = desk
        self._deliver = deliver
        self._newest = 0
        self.is_asking = False

    def ask(self, path: Path, now_s: float) -> None:
        """Ask for the offers for a config."""
        self._newest += 1
        self.is_asking = True
        threading.Thread(target=self._ask, args=(self._newest, path, now_s), daemon=True).start()

    def is_waiting_for(self, number: int) -> bool:
        """Return whether that is the newest question, and its answer is wanted."""
        return self.is_asking and number == self._newest

    def forget(self) -> None:
        """Want no answer any more."""
        self._newest += 1
        self.is_asking = False

    def take(self, number: int) -> bool:
        """Return whether that was the newest question; an answer to an earlier one is not wanted any more."""
        if number != self._newest:
            return False
        self.is_asking = False
        return True

    def _ask(self, number: int, path: Path, now_s: float) -> None:
        # Here, in the thread: what knows the providers takes as long to load as a screen may take to come up.
        from loratui.sessions.market_look import look_at_market

        def tell(news: Answer | Retry) -> None:
            try:
                self._deliver(number, news)
            except RuntimeError:
                # The interface was left meanwhile, and its loop is closed.
                log.debug("nobody waits for the offers any more")

        try:
            answer = Answer(path=path, asked_s=now_s, market=look_at_market(path, self._desk.preferences, tell))
        except LoratuiError as error:
            answer = Answer(path=path, asked_s=now_s, what=error.what, fix=error.fix)
        except Exception as error:
            # The thread's boundary: a fault of ours is told, and the interface goes on.
            log.exception("asking for offers broke")
            answer = Answer(path=path, asked_s=now_s, what=f"asking broke: {type(error).__name__}: {error}")
        tell(answer)
