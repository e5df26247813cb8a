"""The Textual application: its shell, and the ways out of it.

Import this only after ``environment.prepare``: Textual reads its environment when it is imported.
"""

import asyncio
import gc
import signal
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from textual.events import Event, Key, Paste

from loratui.domain.run_source import RunSource
from loratui.screen_settings import THEMES
from loratui.ui import themes
from loratui.ui.clock import Clock, SystemClock
from loratui.ui.desk import Desk
from loratui.ui.environment import UiOptions
from loratui.ui.errands import Errand, is_renting
from loratui.ui.questions import ask_leave, ask_stop
from loratui.ui.registry import Scope
from loratui.ui.render.diffed_app import DiffedApp
from loratui.ui.shell import Shell
from loratui.ui.widgets.rows import Rows

TICK_S = 1.0
EXIT_HANG_UP = 129
EXIT_INTERRUPTED = 130
_ENDING_SIGNALS = {"SIGHUP": EXIT_HANG_UP, "SIGTERM": EXIT_INTERRUPTED}


class LoratuiApp(DiffedApp):
    """Shows runs and what is there for them. Closing it, by whatever way, never touches a run."""

    CSS_PATH = Path(__file__).with_name("loratui.tcss")
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False

    def __init__(self, desk: Desk, *, options: UiOptions, clock: Clock, source: RunSource | None = None) -> None:
        """``source``: the run that is open at first; None: the home screen is shown."""
        super().__init__(frame_diff=options.frame_diff)
        self.title = options.title
        for name in THEMES:
            self.register_theme(themes.theme(name))
        if options.theme:
            self.theme = themes.theme(options.theme).name
        self.shell = Shell(desk, options, clock, "home" if source is None else "run")
        if source is not None:
            self.shell.take(source)

    def get_default_screen(self) -> Shell:
        """Return the shell, which holds all screens."""
        return self.shell

    async def on_event(self, event: Event) -> None:
        """Hand all keys to the shell: in one queue they keep their order, whatever has the focus when they are read."""
        if isinstance(event, (Key, Paste)) and not event.is_forwarded:
            self.app_focus = True
            self.shell._forward_event(event)
        else:
            await super().on_event(event)

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
        if self.shell in self.screen_stack:
            self.shell.tick()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return the looks of the roles, for themes that are not ours."""
        return themes.roles_of(self.current_theme)

    def on_shell_aside(self, message: Shell.Aside) -> None:
        """Send it between two frames."""
        self.send_aside(message.escapes)

    def do_theme(self) -> None:
        """Use the next theme, and keep it."""
        self.shell.preferences.choose("ui.theme", themes.following(self.shell.options.theme))

    def on_shell_changed(self, message: Shell.Changed) -> None:
        """Let an option have its effect here; the rows read theirs from each frame."""
        options = self.shell.options
        if message.name == "theme" and options.theme:
            self.theme = themes.theme(options.theme).name
        elif message.name == "mouse":
            self.switch_mouse(on=options.mouse)
        elif message.name == "frame_diff":
            self.switch_diff(on=options.frame_diff)
        elif message.name == "ascii":
            # The rows are the same, and drawn with other characters.
            for rows in self.shell.query(Rows):
                rows.refresh()
        self.repaint()

    def do_mouse(self) -> None:
        """Let the mouse work here, or leave it to the terminal."""
        wanted = not self.shell.options.mouse
        if not self.switch_mouse(on=wanted):
            self.shell.say("mouse: this terminal gives no choice")
            return
        self.shell.options = replace(self.shell.options, mouse=wanted)
        self.shell.say("mouse: it works here" if wanted else "mouse: it is the terminal's, and can select text")

    def exit(self, *args: Any, **more: Any) -> None:
        """Let go of everything, and leave."""
        self.let_go()
        super().exit(*args, **more)

    def let_go(self) -> None:
        """Send out what was confirmed, and keep where the user is: at every end, by signals and faults too."""
        self.shell.is_leaving = True
        self.shell.money.let_go()
        self.shell.reopening.close()

    def on_unmount(self) -> None:
        """Load nothing more: what the threads do is waited for."""
        self.shell.pages.leave()

    def on_shell_redraw(self) -> None:
        """Paint everything again."""
        self.repaint()

    # --- leaving -----------------------------------------------------------------------------------------------------

    def do_leave(self) -> None:
        """Leave at once when nothing goes on, nothing bills and nothing is lost; else say what does, and ask."""
        frame = self.shell.frame()
        view = frame.run
        goes_on = view is not None and not view.state.is_final and not view.is_machine_gone
        rents = any(is_renting(errand) for errand in frame.errands)
        money, kept = self.shell.money, self.shell.reopening.at_leaving()
        is_lost = any(said.startswith("!") for said in kept)
        if goes_on or rents or frame.overview.rentals or money.confirmed() or money.unasked() or is_lost:
            self.shell.ask(Scope.DETACH_STRIP, lambda now: ask_leave(now, money.confirmed(), money.unasked(), kept))
        else:
            self.exit(0)

    def do_leave_detach(self) -> None:
        """Leave; the run goes on."""
        self.exit(0)

    def do_leave_stop(self) -> None:
        """Ask how to stop instead."""
        self.shell.ask(Scope.STOP_STRIP, ask_stop)

    def do_leave_cancel(self) -> None:
        """Close the question."""
        self.shell.stop_asking()

    def do_detach(self) -> None:
        """Leave without a question."""
        self.exit(0)

    def do_interrupt(self) -> None:
        """Leave as a shell expects it after ^c."""
        self.exit(EXIT_INTERRUPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """How the interface was left, and on which run; empty: none was open."""

    status: int
    run_id: str
    errands: tuple[Errand, ...] = ()
    """Commands that were sent out and go on."""
    kept: tuple[str, ...] = ()
    """What became of changes that were not written, in sentences."""
    unended: tuple[str, ...] = ()
    """Names of rentals that were to be terminated, and are not: their providers were not asked."""


def run_app(desk: Desk, *, options: UiOptions, source: RunSource | None = None) -> Left:
    """Show a run, or the home screen, until the user leaves.

    The status is 0: left or detached; 129: the terminal hung up; 130: interrupted; 1: the interface broke, and its
    traceback was printed. Runs go on in every case. ``source`` stays open: who made it closes it. What to print
    afterwards says ``farewell``; after 129 nobody is there to read it.
    """
    app = LoratuiApp(desk, options=options, clock=SystemClock(), source=source)
    # What was imported stays: looked through again and again, it would hold up a key by 50 ms.
    gc.freeze()
    gc.enable()
    status = app.run(mouse=options.mouse)
    app.let_go()
    open_run = app.shell.source
    return Left(
        status=(app.return_code or 0) if status is None else status,
        run_id="" if open_run is None else open_run.run_id,
        errands=tuple(app.shell.errands.under_way),
        kept=tuple(app.shell.reopening.said),
        unended=tuple(each.name for each in app.shell.money.left()),
    )
