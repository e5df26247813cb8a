"""A client in a process of its own, which rents from a provider on loopback and is killed somewhere on the way.

    python renting_client.py STATE_DIR URL KEY STATE [CONNECTS]

Prints each state that it gets to and stands still once it is in STATE. With CONNECTS it signs in, or believes so.
"""

import asyncio
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loratui.domain.offers import OfferQuery
from loratui.domain.rental import RentalState
from loratui.providers.vast import Vast
from loratui.sessions.renting import Rental, Wanted, rent
from loratui.sessions.renting_course import RentalView
from loratui.sessions.renting_end import finish_rental
from loratui.store.rentals import Rentals
from loratui_protocol.errors import LoratuiError
from support.renting import PACE, TINY_S, begins


async def main(state_dir: Path, url: str, key: str, stop_in: str) -> None:
    provider = Vast(key, url=url, retry_first_s=TINY_S)

    def tell(view: RentalView) -> None:
        print(view.state, flush=True)
        if view.state == stop_in:
            print("here", flush=True)
            threading.Event().wait()

    async def connect(rental: Rental) -> None:
        pass

    try:
        with Rentals(state_dir / "loratui.sqlite3") as ledger:
            wanted = Wanted(
                offers=tuple(await provider.offers(OfferQuery())),
                asked_ts=time.time(),
            )
            if stop_in == "forever":
                print("here", flush=True)
            rental = await rent({"vast": provider}, ledger, state_dir, wanted, begins, tell, connect=connect, pace=PACE)
            if stop_in == RentalState.ENDING:
                await finish_rental(
                    provider,
                    ledger,
                    rental.label,
                    "done",
                    lambda _: tell_ending(),
                    first_wait_s=PACE.first_end_s,
                )
    finally:
        await provider.close()


def tell_ending() -> None:
    print("ending\nhere", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    folder, *others = sys.argv[1:]
    try:
        asyncio.run(main(Path(folder), *others))
    except LoratuiError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(130)
