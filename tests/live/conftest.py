"""Accounts: whoever runs this has said so, and has a key. Nothing here is ever run by default."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loratui import settings
from loratui.sessions.market import PROVIDERS, open_provider
from loratui.store.keys import Keys
from loratui.store.rentals import Rentals
from support.live import Live

VARIABLE = "LORATUI_LIVE"


@pytest.fixture(params=PROVIDERS)
async def live(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Live]:
    if os.environ.get(VARIABLE) != "1":
        pytest.skip(f"it costs money: set {VARIABLE}=1")
    name = request.param
    preferences = settings.load({"state_dir": str(tmp_path / "state")})
    key = Keys(preferences.config_dir).read(name)
    if key is None:
        pytest.skip(f"there is no key of {name}: loratui keys {name}")
    provider = open_provider(name, key.text, preferences)
    with Rentals(preferences.database) as ledger:
        lent = Live(provider, preferences, ledger)
        try:
            yield lent
        finally:
            # Once more: a test that was interrupted may have got no further.
            await lent.end_all()
            await provider.close()
