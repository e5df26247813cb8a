"""The offers screen over providers on loopback: the market, why a price is so, and the way to a rental."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loratui.domain.overview import Overview
from loratui.ui.errands import Errand
from support.ui_effects.money import rental_line
from support.ui_effects.offers import at_market, on_offers_elsewhere, on_offers_unsaid
from support.ui_pilot import Shown
from support.ui_states.state import LARGE, SMALL, USUAL, Start, state

SAID = (
    "checked: 4 pictures, nothing in the way",
    "offer: RTX 3090 24 GiB at vast, NO, $0.17/h",
    "renting: it exists, and bills from now on",
    "booting: pulling the image, 41 %",
)


def market(**changes: Any) -> Start:
    """Return what shows the offers."""

    @asynccontextmanager
    async def start(folder: Path) -> AsyncIterator[Shown]:
        async with at_market(folder, **changes) as (shown, _):
            yield shown

    return start


@asynccontextmanager
async def on_renting(folder: Path) -> AsyncIterator[Shown]:
    """Show a rental on its way, by a command that says always the same."""
    async with at_market(folder) as (shown, _):
        errands = shown.screen.errands

        def send(name: str, *argv: str, typed: str = "") -> Errand:
            words = folder / "words"
            words.write_text("\n".join(SAID))
            process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
            errand = Errand(name=name, argv=argv, words=words, process=process, started_s=shown.clock.monotonic_s())
            errands.all.append(errand)
            return errand

        errands.send = send  # type: ignore[method-assign]
        rental = rental_line(gpu="RTX 3090", price_microusd_per_h=170_000, spent_microusd=1_200, state="booting")
        shown.screen.desk.now = Overview(rentals=(rental,), is_read=True)  # type: ignore[attr-defined]
        try:
            yield shown
        finally:
            for errand in errands.all:
                errand.process.communicate(b"\n")


OFFERS = {
    "offers-nothing": state(on_offers_elsewhere, "No config is open.", sizes=(USUAL,)),
    "offers-market": state(market(), "TOTAL≈", sizes=(SMALL, USUAL, LARGE)),
    "offers-compare": state(market(), "against", keys=("space", "G", "space")),
    "offers-filter": state(market(), "4090 price<", keys=("/", *"4090 price<")),
    "offers-no-match": state(market(), "h100", keys=("/", *"h100"), sizes=(USUAL,)),
    "offers-no-key": state(market(keys=()), "there is no key of vast"),
    "offers-keys": state(market(keys=()), "Whose key do you want to enter?", keys=("p",)),
    "offers-rights": state(on_offers_unsaid, "Are you allowed", keys=("enter",)),
    "offers-rent": state(market(), "y Rent it and start", keys=("enter",), sizes=(SMALL, USUAL, LARGE)),
    "offers-renting": state(on_renting, "BOOT 2/7 0:01", "pulling the image, 41 %", keys=("enter", "y")),
    "offers-give-up": state(on_renting, "GIVE UP RTX", keys=("enter", "y", "x"), sizes=(USUAL,)),
}
