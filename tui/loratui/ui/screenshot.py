"""Pictures of the screens as SVG, made without a terminal: for the README and the manual."""

import asyncio
import html
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from textual.app import App

from loratui.ui.app import LoratuiApp
from loratui.ui.text import cells

Step = tuple[Callable[[str], bool], Sequence[str]]
"""What has to be so of the screen's text, and the keys that are pressed then."""
_LOOK_S = 0.05
_BRAILLE = re.compile("[\u2800-\u28ff]")
_TEXT = re.compile(
    r'<text(?P<before>[^>]*?)x="(?P<x>[\d.]+)"(?P<between>[^>]*?) textLength="(?P<length>[\d.]+)"(?P<after>[^>]*)>'
    r"(?P<text>[^<]+)</text>"
)


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
        return svg_of(app, app.title)


def svg_of(app: App[Any], title: str) -> str:
    """Return what an app shows now, drawable anywhere."""
    return drawable(app.export_screenshot(title=title, simplify=True))


def drawable(svg: str) -> str:
    """Return a picture that looks the same everywhere: it fetches no font, and places what fonts disagree about."""
    svg = re.sub(r"@font-face\s*\{.*?\}\s*", "", svg, flags=re.DOTALL)
    return _TEXT.sub(_placed, svg)


def _placed(found: re.Match[str]) -> str:
    """Return a text with Braille with a place for each character: in most fonts it is wider than a cell."""
    text = html.unescape(found["text"])
    if not _BRAILLE.search(text):
        return found[0]
    width = float(found["length"]) / cells(text)
    places = [f"{float(found['x']) + width * cells(text[:at]):.1f}" for at in range(len(text))]
    return f'<text{found["before"]}x="{" ".join(places)}"{found["between"]}{found["after"]}>{found["text"]}</text>'


def _text(app: LoratuiApp) -> str:
    rows = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in rows)
