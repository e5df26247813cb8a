"""What a rental costs, phase by phase, is read from the ledger; what only the open run knows is added."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain.ledger import Phase
from loratui.store.rentals import Rentals, StoredRental
from support.ui_effects.effect import on_run
from support.ui_effects.money import LABEL, on_rental, rental_cost
from support.ui_pilot import Shown
from tui.store.test_rentals import OFFER

SIZES = [(60, 16), (80, 24), (120, 40)]


def rent(folder: Path) -> None:
    """Write down a rental that booted for 6 minutes and has trained for 30 since, at $0.36 an hour."""
    began_ts = time.time() - 36 * 60
    (folder / "state").mkdir()
    with Rentals(folder / "state" / "loratui.sqlite3") as ledger:
        ledger.intend(
            StoredRental(
                label=LABEL,
                provider="vast",
                account_id="1",
                offer=replace(OFFER, disk_microusd_per_h=36_000),
                public_key="",
                price_microusd_per_h=360_000,
                created_ts=began_ts,
                cap_microusd=1_000_000,
                estimated_microusd=290_000,
                run_ids="a b",
            )
        )
        ledger.enter(LABEL, Phase.BOOTING, began_ts, 360_000)
        ledger.enter(LABEL, Phase.TRAINING, began_ts + 6 * 60, 360_000)


async def comes(shown: Shown, text: str) -> None:
    end_s = time.monotonic() + 10
    while text not in shown.text():
        assert time.monotonic() < end_s, shown.text()
        await shown.pilot.pause(0.01)


def line(shown: Shown, label: str) -> str:
    return next(row for row in shown.rows() if row.strip().startswith(label))


async def test_each_phase_is_told_with_its_time_and_its_cost(tmp_path: Path) -> None:
    rent(tmp_path)
    async with on_rental()(tmp_path) as shown:
        run = shown.source.run
        run.rental = rental_cost(shown.clock.monotonic_s(), traffic_microusd=50_000, spent_microusd=270_000)
        await shown.press("$")
        await comes(shown, "booting")
        assert "─ cost  vast 31234567 ─" in shown.text()
        assert "$0.04" in line(shown, "booting")
        assert "6 min 00 s" in line(shown, "booting")
        assert "$0.18" in line(shown, "training")
        assert "30 min" in line(shown, "training")
        assert "$0.05   counted" in line(shown, "traffic")
        assert "$0.27   $0.36/h now" in line(shown, "spent so far")
        assert "≈$0.31" in line(shown, "in all, likely")
        assert "≈$0.29" in line(shown, "estimated before")
        assert "$1.00   27 % of it is spent" in line(shown, "the most it may cost")
        assert "2 runs share this machine" in shown.text()
        assert "TRAINING" in shown.rows()[0]
        await shown.press("escape")
        assert "─ loss" in shown.text()


async def test_costs_go_on_while_they_are_shown(tmp_path: Path) -> None:
    rent(tmp_path)
    async with on_rental()(tmp_path) as shown:
        await shown.press("$")
        await comes(shown, "booting")
        with Rentals(tmp_path / "state" / "loratui.sqlite3") as ledger:
            ledger.enter(LABEL, Phase.DOWNLOADING, time.time(), 360_000)
        await shown.tick(6)
        await comes(shown, "downloading")


@pytest.mark.parametrize("size", SIZES)
async def test_the_pane_fits_every_screen(tmp_path: Path, size: tuple[int, int]) -> None:
    rent(tmp_path)
    async with on_rental()(tmp_path) as shown:
        await shown.resize(*size)
        await shown.press("$")
        await comes(shown, "the most it may cost")


async def test_without_a_rental_there_is_nothing_to_break_down(tmp_path: Path) -> None:
    async with on_run(tmp_path) as shown:
        await shown.press("$")
        assert "What it costs: nothing is rented" in shown.text()
