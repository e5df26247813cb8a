"""An app whose frames go through ``FrameDiff``, and which never waits for its terminal."""

from rich.console import RenderableType
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App
from textual.driver import Driver
from textual.screen import Screen

from loratui.ui.render.frame_diff import FrameDiff
from loratui.ui.render.leavable_driver import leavable

_MOST_WAITING = 2
"""Writes that may wait for the terminal before frames are left out; Textual itself blocks at 30."""
_MOST_WAITING_WHOLE = 12
"""The same where whole regions are sent, three writes each; leaving writes ten more."""
_RETRY_S = 0.1


class DiffedApp(App[int], inherit_bindings=False):
    """Base of the application; ``frame_diff`` False leaves the drawing to Textual."""

    def __init__(self, *, frame_diff: bool = True) -> None:
        super().__init__()
        self._diff = FrameDiff() if frame_diff else None
        self._retries = False
        self._aside: list[str] = []

    def get_driver_class(self) -> type[Driver]:
        """Return Textual's driver of this system, which can be left whatever the terminal does."""
        return leavable(super().get_driver_class())

    def send_aside(self, escapes: str) -> None:
        """Send what is no part of a frame, between two frames, as soon as the terminal takes it."""
        if escapes and not self.is_headless:
            self._aside.append(escapes)
            self._send_aside()

    def _send_aside(self) -> None:
        if self._driver is None or not self._aside:
            return
        if self._is_terminal_behind():
            self.set_timer(_RETRY_S, self._send_aside)
            return
        self._driver.write("".join(self._aside))
        self._driver.flush()
        self._aside = []

    def switch_mouse(self, *, on: bool) -> bool:
        """Have the terminal report the mouse, or keep it to itself; return whether that can be chosen here."""
        driver = self._driver
        switch = getattr(driver, "_enable_mouse_support" if on else "_disable_mouse_support", None)
        if driver is None or switch is None:
            return False
        # Either does nothing for a driver that has no mouse.
        driver._mouse = True
        switch()
        driver.flush()
        driver._mouse = on
        return True

    def switch_diff(self, *, on: bool) -> None:
        """Send only what has changed from now on, or whole regions."""
        self._diff = FrameDiff() if on else None

    def repaint(self) -> None:
        """Send the whole screen again, whatever the terminal is thought to show."""
        if self._diff is not None:
            self._diff.resize(*self.size)
        self.refresh(layout=True)

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        diff = self._diff
        if renderable is None or self._driver is None or self.is_headless or not self._running or self._batch_count:
            # Nothing to draw, or not here: what the terminal shows stays known.
            super()._display(screen, renderable)
            return
        if diff is None:
            if self._is_terminal_behind():
                self._send_later()
            else:
                super()._display(screen, renderable)
            return
        if not isinstance(renderable, LayoutUpdate | ChopsUpdate):
            diff.resize(0, 0)
            super()._display(screen, renderable)
            return
        if diff.size != tuple(self.size):
            diff.resize(*self.size)
        diff.take(renderable)
        self._send_frame()

    def _send_frame(self) -> None:
        self._retries = False
        if self._driver is None or not self._running:
            return
        if self._is_terminal_behind():
            self._send_later()
        elif self._diff is None:
            self.repaint()
        elif changes := self._diff.changes(self.console):
            # One write: a frame is on the screen as a whole or not at all.
            self._driver.write(f"{SYNC_START}{changes}{SYNC_END}" if self._sync_available else changes)
            self._driver.flush()
        self.post_display_hook()

    def _send_later(self) -> None:
        if not self._retries:
            self._retries = True
            self.set_timer(_RETRY_S, self._send_frame)

    def _is_terminal_behind(self) -> bool:
        writer = getattr(self._driver, "_writer_thread", None)
        most = _MOST_WAITING_WHOLE if self._diff is None else _MOST_WAITING
        return writer is not None and writer._queue.qsize() >= most
