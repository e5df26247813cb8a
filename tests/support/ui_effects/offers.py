"""What the keys of the offers screen must bring about, with providers on loopback."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.market_here import MarketHere, market_here
from support.scripted_source import HandClock
from support.ui_effects.effect import Check, Effect, lacks, shows, trained, until
from support.ui_effects.home import DeskOfMany
from support.ui_pilot import Shown, showing


@asynccontextmanager
async def at_market(
    folder: Path,
    *,
    keys: Sequence[str] = ("vast", "runpod"),
    size: tuple[int, int] = (80, 24),
    is_config_open: bool = True,
    hub_url: str = "http://127.0.0.1:9",
    **changes: Any,
) -> AsyncIterator[tuple[Shown, MarketHere]]:
    """Show the offers for a config whose pictures may be trained on, as it says."""
    with market_here(folder, keys, hub_url=hub_url) as here:
        here.write_config(**({"rights_statement": "All pictures are mine"} | changes))
        clock = HandClock()
        source = trained(folder, clock)
        desk = DeskOfMany(source, here.preferences)
        async with showing(source, clock, desk=desk, is_open=False, size=size) as shown:
            shown.screen.config_path = here.config if is_config_open else None
            await shown.press("4")
            if is_config_open:
                await until(shown, shows("s ago"))
            shown.clock.advance(1)
            try:
                yield shown, here
            finally:
                for errand in shown.screen.errands.all:
                    errand.process.kill()
                    errand.process.wait()


@asynccontextmanager
async def on_offers(folder: Path) -> AsyncIterator[Shown]:
    """Show the offers."""
    async with at_market(folder) as (shown, _):
        yield shown


@asynccontextmanager
async def on_offers_unsaid(folder: Path) -> AsyncIterator[Shown]:
    """Show the offers for pictures of which nobody has said that they may be trained on."""
    async with at_market(folder, rights_statement=None) as (shown, _):
        yield shown


@asynccontextmanager
async def on_offers_elsewhere(folder: Path) -> AsyncIterator[Shown]:
    """Show the offers when no config is open."""
    async with at_market(folder, is_config_open=False) as (shown, _):
        yield shown


@asynccontextmanager
async def on_offers_gated(folder: Path) -> AsyncIterator[Shown]:
    """Show the offers for a config whose base model the machine downloads."""
    async with at_market(folder, pretrained_model_name_or_path="org/name") as (shown, _):
        yield shown


def _matches(pattern: str) -> Check:
    return lambda shown: re.search(pattern, shown.text()) is not None


OFFERS = {
    "rent": Effect(
        shows("RENT RTX", "cap $", "auto-stop", "y Rent it and start", "Enter does nothing"), start=on_offers
    ),
    "sort_offers": Effect(shows("by price ↑"), start=on_offers),
    "ask_offers": Effect(_matches(r"by total ↑ · (asking…|0 s ago)"), start=on_offers),
    "provider_keys": Effect(shows("Whose key do you want to enter?", "It needs: misc, user_read"), start=on_offers),
    "offers_for": Effect(shows("config: "), start=on_offers),
    "filter_form": Effect(shows("filter of the offers", "VRAM, at least", "provider", "kind"), start=on_offers),
    "form_edit": Effect(shows("VRAM, at least (GB):"), ("f",), on_offers),
    "form_clear": Effect(
        shows("> VRAM, at least          any", "offers for job.toml  13 "), ("f", "enter", "4", "8", "enter"), on_offers
    ),
    "form_close": Effect(lacks("filter of the offers"), ("f",), on_offers),
    "rent_give_up": Effect(shows("GIVE UP RTX", "y End it"), ("enter", "y"), on_offers),
    "offers_back": Effect(shows("TOTAL≈", "space marks"), ("enter", "escape"), on_offers),
    "rights_given": Effect(shows("RENT RTX", "y Rent it and start"), ("enter",), on_offers_unsaid),
    "rights_refused": Effect(shows("may not be trained on"), ("enter",), on_offers_unsaid),
    "rights_cancel": Effect(shows("TOTAL≈", "space marks"), ("enter",), on_offers_unsaid),
    "rent_confirm": Effect(shows("renting RTX"), ("enter",), on_offers),
    "rent_token": Effect(shows("token for 127.0.0.1:9, not shown:"), ("enter",), on_offers_gated),
    "rent_budget": Effect(shows("at most, in dollars:"), ("enter",), on_offers),
    "rent_cancel": Effect(shows("TOTAL≈", "space marks"), ("enter",), on_offers),
    # The command may be gone before the screen is looked at, and then its own end is what is told.
    "give_up_confirm": Effect(
        _matches("interrupted: what was rented is being ended|interrupted before it had begun"),
        ("enter", "y", "x"),
        on_offers,
    ),
    "give_up_cancel": Effect(
        lambda shown: "End it" not in shown.text() and "renting RTX" in shown.text(), ("enter", "y", "x"), on_offers
    ),
    "key_of_vast": Effect(shows("key of vast, not shown:"), ("p",), on_offers),
    "key_of_runpod": Effect(shows("key of runpod, not shown:"), ("p",), on_offers),
    "keys_cancel": Effect(shows("TOTAL≈", "space marks"), ("p",), on_offers),
}
