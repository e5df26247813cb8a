"""Pictures of the screens as SVG, made without a terminal: for the README and the manual."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from loratui.ui.app import LoratuiApp

Step = tuple[Callable[[str], bool], Sequence[str]]
"""What has to be so of the screen's text, and the keys that are pressed then."""
_LOOK_S = 0.05


def save_svg(
    app: LoratuiApp, path: Path, steps: Sequence[Step], size: tuple[int, int] = (120, 40), patience_s: float = 60
) -> None:
    """Write what the interface shows after the steps, in ``size`` columns and rows.

    Raises:
        TimeoutError: a step did not come within ``patience_s``.
    """
    path.write_text(asyncio.run(_svg(app, steps, size, patience_s)), encoding="utf-8")


async def _svg(app: LoratuiApp, steps: Sequence[Step], size: tuple[int, int], patience_s: float) -> str:
    async with app.run_test(size=size) as pilot:
        for is_reached, keys in steps:
            end_s = time.monotonic() + patience_s
            while not is_reached(text := _text(app)):
                if time.monotonic() > end_s:
                    raise TimeoutError(f"the screen is now:\n{text}")
                await pilot.pause(_LOOK_S)
            await pilot.press(*keys)
        await pilot.pause()
        svg = app.export_screenshot(title=app.title, simplify=True)
    # Without the fonts that would be fetched from elsewhere: any monospaced one does.
    return re.sub(r"@font-face\s*\{.*?\}\s*", "", svg, flags=re.DOTALL)


def _text(app: LoratuiApp) -> str:
    rows = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in rows)
