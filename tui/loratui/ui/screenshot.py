"""Pictures of the run screen as SVG, made without a terminal: for the README and the manual."""

import asyncio
import re
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any

from textual.app import App

from loratui.domain.run import CommandKind, RunView
from loratui.ui.app import LoratuiApp
from loratui.ui.desk import SoleRun
from loratui.ui.environment import UiOptions
from loratui_protocol.messages import CommandResult


class _Still:
    """A run and a moment that stand still."""

    def __init__(self, view: RunView, now_s: float, wall: datetime) -> None:
        self.run_id = view.run_id
        self._view = view
        self._now_s = now_s
        self._wall = wall

    def view(self) -> RunView:
        return self._view

    def send(self, command_kind: CommandKind, seconds: float = 0) -> "Future[CommandResult]":
        raise AssertionError(f"a picture was asked to {command_kind} by {seconds}")

    def close(self) -> None:
        """Nothing is held."""

    def monotonic_s(self) -> float:
        return self._now_s

    def local(self) -> datetime:
        return self._wall


def save_svg(view: RunView, path: Path, size: tuple[int, int] = (120, 40), *, now_s: float, wall: datetime) -> None:
    """Write the run screen as it shows ``view`` at a moment, in ``size`` columns and rows.

    ``now_s`` is monotonic, as the times in the view; ``wall`` is the local time at that moment.
    """
    path.write_text(asyncio.run(_svg(view, size, now_s, wall)), encoding="utf-8")


async def _svg(view: RunView, size: tuple[int, int], now_s: float, wall: datetime) -> str:
    still = _Still(view, now_s, wall)
    app = LoratuiApp(SoleRun(still), options=UiOptions(), clock=still, source=still)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        return svg_of(app, f"{app.title} · {view.name}")


def svg_of(app: App[Any], title: str) -> str:
    """Return what an app shows now, without the fonts that would be fetched from elsewhere: any monospaced one does."""
    svg = app.export_screenshot(title=title, simplify=True)
    return re.sub(r"@font-face\s*\{.*?\}\s*", "", svg, flags=re.DOTALL)
