"""What the interface sends, in bytes, under the limits of ``scripts/bench_terminal.py``: the times are measured there.

The seconds are the program's own, so that a machine under load counts the same.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.terminal_bytes import Amount, Pace, Paced, changes, quiet_screens, run_screen

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")
MINUTE = 60
"""Once in it the clock moves on a screen on which nothing goes on."""


@pytest.mark.parametrize(("measured", "seconds"), [(run_screen, 20), (quiet_screens, MINUTE), (changes, 1)])
def test_no_more_is_sent_than_a_thin_line_takes(
    tmp_path: Path, measured: Callable[[Pace], Iterator[Amount]], seconds: int
) -> None:
    amounts = [*measured(Paced(tmp_path / "told", seconds))]

    assert [amount for amount in amounts if not amount.holds] == []
    assert any(amount.value for amount in amounts), "that nothing is sent at all proves nothing"
