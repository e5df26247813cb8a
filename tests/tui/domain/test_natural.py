"""Names in the order in which people count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.natural import natural


@pytest.mark.parametrize(
    "names",
    [
        ["0.png", "1.png", "2.png", "10.png"],
        ["zog", "zog-step200", "zog-step1000"],
        ["a/2.png", "a/10.png", "B/1.png"],
        ["7", "007x", "8"],
        ["1" * 5000, "2" * 5000],
    ],
)
def test_numbers_in_names_count_as_numbers(names: list[str]) -> None:
    mixed = names[::-1]
    assert sorted(mixed, key=natural) == names


@given(st.lists(st.text(max_size=8)))
def test_the_order_is_the_same_however_the_names_came(names: list[str]) -> None:
    assert sorted(names, key=natural) == sorted(sorted(names), key=natural)
