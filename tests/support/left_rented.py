"""What clients leave behind that are killed: a rental at a provider on loopback, and what their ledger knows of it."""

import asyncio
import time
from pathlib import Path

from loratui.domain.offers import OfferQuery
from loratui.domain.rental import RentalState
from loratui.providers.vast import Vast
from loratui.store import Store, StoredRun
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.messages import JobState, Record, State
from support.fake_vast import FakeVast
from support.local_cli import LocalCli
from tui.providers.contract import order


def rented(cli: LocalCli, vast: FakeVast, label: str, state: RentalState, run_ids: str = "") -> str:
    """Rent something, as a client does that is killed then; return its id."""

    async def go() -> str:
        provider = Vast(vast.key, url=vast.url, retry_first_s=1e-4)
        [offer, *_] = await provider.offers(OfferQuery())
        wanted = order(offer, label)
        stored = StoredRental(
            label=label,
            provider="vast",
            account_id=str(vast.account_id),
            offer=offer,
            public_key=wanted.public_key,
            run_ids=run_ids,
            price_microusd_per_h=offer.price_microusd_per_h,
            created_ts=time.time(),
        )
        with Rentals(cli.folder / "state" / "loratui.sqlite3") as ledger:
            ledger.intend(stored)
            made = await provider.create(wanted)
            ledger.note(label, state=state, instance_id=made.instance_id)
        await provider.close()
        return made.instance_id

    return asyncio.run(go())


def ledger_of(cli: LocalCli) -> list[StoredRental]:
    with Rentals(cli.folder / "state" / "loratui.sqlite3") as ledger:
        return ledger.rentals()


def stored_run(cli: LocalCli, run_id: str, label: str, state: JobState = JobState.RUNNING, **facts: object) -> None:
    """Store a run, as a client knows it that was killed while it trained on the rental."""
    usual = {
        "name": "cat",
        "target": f"vast:{label}",
        "created_ts": time.time(),
        "config_toml": "",
        "home": Path("/root/.loratui"),
    }
    with Store(cli.folder / "state" / "loratui.sqlite3") as store:
        store.add_run(StoredRun(id=run_id, **{**usual, **facts}))  # type: ignore[arg-type]
        store.begin_history(run_id, "epoch", reset=False)
        store.append(run_id, "epoch", [Record(seq=1, ts=time.time(), event=State(state=state))])
