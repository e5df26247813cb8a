"""What is done in a thread can fail without ending the interface."""

import time
from collections.abc import Callable
from pathlib import Path

from loratui_protocol.errors import StorageError
from support.ui_effects.home import on_home
from support.ui_pilot import Shown


async def comes(text: str, shown: Shown) -> bool:
    end_s = time.monotonic() + 5
    while text not in shown.text() and time.monotonic() < end_s:
        await shown.pilot.pause(0.01)
    return text in shown.text()


def failing(error: Exception) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


async def test_a_failure_that_we_know_is_told_in_its_own_words(tmp_path: Path) -> None:
    async with on_home(tmp_path) as shown:
        shown.screen.work(failing(StorageError("the disk is full", fix="make room")), "reading the log")

        assert await comes("! reading the log: the disk is full", shown)


async def test_a_fault_of_ours_is_told_and_the_interface_goes_on(tmp_path: Path) -> None:
    async with on_home(tmp_path) as shown:
        shown.screen.work(failing(ZeroDivisionError("division by zero")), "reading the log")

        assert await comes("! reading the log broke: ZeroDivisionError", shown)
        await shown.press("5")
        assert "▌5Run▐" in shown.text()
        assert shown.app.return_value is None
