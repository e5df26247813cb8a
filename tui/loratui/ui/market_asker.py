"""Asks the market in a thread that nothing waits for: neither leaving the interface does, nor a newer question."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from textual.app import App

from loratui.sessions.market_look import Market, look_at_market
from loratui.settings import Settings
from loratui_protocol.errors import LoratuiError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a question: a market, or why there is none. ``asked_s`` is monotonic."""

    path: Path
    asked_s: float
    market: Market | None = None
    what: str = ""
    fix: str = ""


class MarketAsker:
    """``answered`` is called in the interface's own thread, with the answer to the newest question alone."""

    def __init__(self, preferences: Settings, answered: Callable[[Answer], None]) -> None:
        self._preferences = preferences
        self._answered = answered
        self._newest = 0
        self.is_asking = False

    def ask(self, path: Path, app: App[int], now_s: float) -> None:
        """Ask for the offers for a config; an answer to an earlier question is dropped from now on."""
        self._newest += 1
        self.is_asking = True
        threading.Thread(target=self._ask, args=(self._newest, path, app, now_s), daemon=True).start()

    def _ask(self, number: int, path: Path, app: App[int], now_s: float) -> None:
        try:
            answer = Answer(path=path, asked_s=now_s, market=look_at_market(path, self._preferences))
        except LoratuiError as error:
            answer = Answer(path=path, asked_s=now_s, what=error.what, fix=error.fix)
        except Exception as error:
            # The thread's boundary: a fault of ours is told, and the interface goes on.
            log.exception("asking for offers broke")
            answer = Answer(path=path, asked_s=now_s, what=f"asking broke: {type(error).__name__}: {error}")
        try:
            app.call_from_thread(self._take, number, answer)
        except RuntimeError:
            # The interface was left meanwhile.
            log.debug("nobody waits for the offers any more")

    def _take(self, number: int, answer: Answer) -> None:
        if number == self._newest:
            self.is_asking = False
            self._answered(answer)
