"""The Textual application: one run on one screen, and the ways out of it.

Import this only after ``environment.prepare``: Textual reads its environment when it is imported.
"""

import asyncio
import signal
import threading
from pathlib import Path

from loratui.domain.run_source import RunSource
from loratui.ui.clock import Clock, SystemClock
from loratui.ui.environment import UiOptions
from loratui.ui.render.diffed_app import DiffedApp
from loratui.ui.screens.run import RunScreen

TICK_S = 1.0
EXIT_HANG_UP = 129
EXIT_INTERRUPTED = 130
_ENDING_SIGNALS = {"SIGHUP": EXIT_HANG_UP, "SIGTERM": EXIT_INTERRUPTED}


class LoratuiApp(DiffedApp):
    """Shows a run. Closing it, by whatever way, never touches the run."""

    CSS_PATH = Path(__file__).with_name("loratui.tcss")
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False

    def __init__(self, source: RunSource, *, options: UiOptions, clock: Clock) -> None:
        super().__init__(frame_diff=options.frame_diff)
        self.title = options.title
        self._source = source
        self._options = options
        self._clock = clock

    def get_default_screen(self) -> RunScreen:
        """Return the run screen."""
        return RunScreen(self._source, self._options, self._clock)

    def on_mount(self) -> None:
        """Listen for signals and start looking at the run."""
        if not self.is_headless and threading.current_thread() is threading.main_thread():
            self._listen_for_signals()
        self.set_interval(TICK_S, self._tick)

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for name, status in _ENDING_SIGNALS.items():
            number = getattr(signal, name, None)
            if number is None:
                continue
            try:
                loop.add_signal_handler(number, self.exit, status)
            except NotImplementedError:
                # Windows: its event loop has no signals; a closed window ends the process, and the run goes on.
                return

    def _tick(self) -> None:
        # At the end there is a moment without any screen.
        screen = next(reversed(self.screen_stack), None)
        if isinstance(screen, RunScreen):
            screen.tick()

    def on_run_screen_redraw(self) -> None:
        """Paint everything again."""
        self.repaint()


def run_app(source: RunSource, *, options: UiOptions) -> int:
    """Show the run until the user leaves, and return the exit status.

    0: left or detached; 129: the terminal hung up; 130: interrupted; 1: the interface broke, and its traceback was
    printed. The run goes on in every case. ``source`` stays open: who made it closes it. What to print afterwards
    says ``farewell``; after 129 nobody is there to read it.
    """
    app = LoratuiApp(source, options=options, clock=SystemClock())
    status = app.run(mouse=options.mouse)
    return app.return_code or 0 if status is None else status
