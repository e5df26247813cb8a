"""Plans a config in a thread after every change: the newest comes next, and answers that come too late are dropped."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from loratui.sessions.config_plan import ConfigPlan, ConfigPlanner
from loratui_protocol.config_file import Loaded

if TYPE_CHECKING:
    from loratui.ui.shell import Shell


class Planning:
    """One plan at a time; ``done`` gets it in the interface's own thread."""

    def __init__(self, shell: "Shell", done: Callable[[ConfigPlan], None]) -> None:
        self._shell = shell
        self._done = done
        self._planner = ConfigPlanner(shell.desk.preferences)
        self._lock = threading.Lock()
        self._wanted: tuple[int, Loaded, Path] | None = None
        self._number = 0
        self._is_at_work = False

    def forget(self) -> None:
        """Want no plan: what is under way is of a config that is no more."""
        with self._lock:
            self._number += 1
            self._wanted = None

    def plan(self, loaded: Loaded, path: Path) -> None:
        """Want a plan of this config instead of all before."""
        with self._lock:
            self._number += 1
            self._wanted = self._number, loaded, path
            is_at_work, self._is_at_work = self._is_at_work, True
        if not is_at_work:
            self._shell.work(self._work, "the plan")

    def _work(self) -> None:
        try:
            while (wanted := self._next()) is not None:
                number, loaded, path = wanted
                plan = self._planner.plan(loaded, path)
                self._shell.app.call_from_thread(self._take, number, plan)
        except BaseException:
            with self._lock:
                self._is_at_work = False
            raise

    def _next(self) -> tuple[int, Loaded, Path] | None:
        with self._lock:
            wanted, self._wanted = self._wanted, None
            self._is_at_work = wanted is not None
            return wanted

    def _take(self, number: int, plan: ConfigPlan) -> None:
        if number == self._number:
            self._done(plan)
