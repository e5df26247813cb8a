"""The data screen: a folder with nothing wrong, one with findings, a filter, and the question before a change."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from PIL import Image

from support.captioned import write_captioned
from support.drawn_pictures import photo
from support.ui_effects.data import CAPTIONS, on_data, on_nothing, on_pictures, on_proposal
from support.ui_pilot import Shown
from support.ui_states.state import LARGE, SMALL, USUAL, state

WORDS = ("on grass", "beside a window", "at night", "in snow", "seen from above", "with a red scarf")


@asynccontextmanager
async def on_clean(folder: Path) -> AsyncIterator[Shown]:
    """Show pictures of which nothing is to be said."""
    pictures = folder / "zogs"
    pictures.mkdir()
    for number in range(6):
        size = (64, 80) if number % 3 else (80, 64)
        photo(number, size).resize((size[0] * 16, size[1] * 16), Image.Resampling.NEAREST).save(
            pictures / f"zog-{number:02}.png", compress_level=1
        )
        caption = f"a photo of zog {WORDS[number % 6]}, {WORDS[(number + 3) % 5]}\n"
        (pictures / f"zog-{number:02}.txt").write_text(caption)
    async with on_data(folder, pictures) as shown:
        yield shown


@asynccontextmanager
async def on_faulty(folder: Path) -> AsyncIterator[Shown]:
    """Show pictures with what is often wrong."""
    pictures = write_captioned(folder / "pictures", CAPTIONS)
    for number in range(3):
        photo(number).save(pictures / f"holiday in the mountains {number}.jpg", quality=80)
    (pictures / "broken.png").write_bytes(b"\x89PNG\r\n")
    (pictures / "empty.txt").write_text("")
    photo(9).save(pictures / "empty.png")
    async with on_data(folder, pictures) as shown:
        yield shown


DATA = {
    "data-nothing": state(on_nothing, "No folder is open", sizes=(USUAL,)),
    "data-clean": state(on_clean, "zog-00.png", sizes=(SMALL, USUAL, LARGE)),
    "data-faulty": state(on_faulty, "broken.png", sizes=(SMALL, USUAL, LARGE)),
    "data-findings": state(on_faulty, "─ findings", keys=("f",), sizes=(SMALL, USUAL, LARGE)),
    "data-filter": state(on_faulty, "/ caption", keys=("f", "/", *"caption")),
    "data-caption": state(on_pictures, "caption of a.png: a zog, grass", keys=("enter",), sizes=(USUAL,)),
    "data-change": state(on_proposal, "y Do it"),
}
