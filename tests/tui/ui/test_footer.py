"""The hints in the last row: of what can be done here, what matters most, in as little room as there is."""

from pathlib import Path

import pytest

from support.ui_states import STATES
from support.ui_states.state import SMALL, USUAL, Size

FOREMOST: dict[str, tuple[str, str]] = {
    "home-billing": ("^t Terminate… enter Open n New", "o Pictures…"),
    "home-first-start": ("o Pictures… n New d Demo / Filter", "q Leave"),
    "data-clean": ("e Edit f Findings n Config", "o Folder / Filter"),
    "data-findings": ("f Findings x Fix n Config", "o Folder / Filter"),
    "config-form": ("enter Edit space Next t Train…", "f Findings D Compare"),
    "config-changed": ("enter Edit space Next w Write…", "u Undo f Findings"),
    "offers-market": ("enter Rent… s Sort r Refresh", "f Form / Filter"),
    "offers-renting": ("^t Terminate… x Give up… enter Rent…", "r Refresh"),
    "run-training": ("p Pause x Stop… e +30m c Ckpt s Sample", "i Pictures q Leave"),
    "run-rented": ("^t Terminate… p Pause x Stop… e +30m", "c Ckpt s Sample"),
    "run-nothing": ("q Leave", ""),
    "queue-full": ("^t Terminate… enter Open ] Machine", "q Leave"),
    "files-full": ("w Download R Rate…", "s Sort / Filter q Leave"),
    "samples-grid": ("enter Large b Compare x Try next", "[ Earlier ] Later esc Back"),
    "samples-tried": ("enter Large b Compare x Try next", "[ Earlier ] Later esc Back"),
    "log-follow": ("/ Find l Level W Wrap G Follow", "q Leave"),
}
"""What the footer of a state has to name at 60 columns, and what at 80 as well."""


def hinted(row: str) -> list[str]:
    """Return the hints of the last row."""
    return row.split("^p Cmds")[0].split()


def names(row: str, hints: str) -> bool:
    return all(word in hinted(row) for word in hints.split())


@pytest.mark.parametrize("name", FOREMOST)
async def test_the_footer_names_what_matters_most(name: str, tmp_path: Path) -> None:
    least, usual = FOREMOST[name]
    async with STATES[name].reached(tmp_path) as shown:
        assert names(shown.rows()[-1], f"{least} {usual}"), shown.rows()[-1]
        await shown.resize(*SMALL)
        assert names(shown.rows()[-1], least), shown.rows()[-1]


@pytest.mark.parametrize(("size", "wanted"), [(SMALL, "o Open i Install… d Delete…"), (USUAL, "v Verify R Rate…")])
async def test_a_file_that_is_here_can_be_installed_and_deleted(tmp_path: Path, size: Size, wanted: str) -> None:
    async with STATES["files-full"].reached(tmp_path) as shown:
        await shown.resize(*size)
        await shown.press("down")
        assert names(shown.rows()[-1], f"o Open w Download i Install… d Delete… {wanted}"), shown.rows()[-1]


async def test_a_filter_that_was_kept_is_told_where_one_comes_back_to_it(tmp_path: Path) -> None:
    async with STATES["home-billing"].reached(tmp_path) as shown:
        await shown.press("/", *"style-v3", "enter", "5", "1")
        heading = next(row for row in shown.rows() if row.startswith("─ runs"))
        assert "/ style-v3  esc shows all" in heading
        for size in (USUAL, SMALL):
            await shown.resize(*size)
            assert names(shown.rows()[-1], "n Next esc All"), shown.rows()[-1]
        await shown.press("escape")
        assert "shows all" not in shown.text()
