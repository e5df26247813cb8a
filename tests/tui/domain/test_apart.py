"""What is shown beside names that several things have."""

from datetime import UTC, datetime

import pytest

from loratui.domain.apart import Named, told_apart

NOW = datetime(2026, 11, 23, 14, 22, tzinfo=UTC)


def named(key: int, *moment: int, name: str = "anna") -> Named:
    """Return something that began on a day of November, at an hour and a minute."""
    day, hour, minute, second = (*moment, 0, 0, 0)[:4]
    ts = datetime(2026, 11, day, hour, minute, second, tzinfo=UTC).timestamp()
    return Named(key, name, ts, f"01HX000000000000000000A{key:03}")


def test_a_name_that_one_alone_has_needs_nothing() -> None:
    assert told_apart([named(1, 23, 9), named(2, 23, 10, name="ben")], NOW) == {}


@pytest.mark.parametrize(
    ("moments", "words"),
    [
        ([(23, 9, 5), (23, 10, 7)], ["09:05", "10:07"]),
        ([(23, 9, 5), (21, 9, 5)], ["09:05", "11-21"]),
        ([(21, 9, 5), (21, 10, 7)], ["11-21 09:05", "11-21 10:07"]),
        ([(23, 9, 5, 1), (23, 9, 5, 2)], ["…A000", "…A001"]),
    ],
)
def test_the_shortest_word_that_differs_tells_them_apart(moments: list[tuple[int, ...]], words: list[str]) -> None:
    entries = [named(key, *moment) for key, moment in enumerate(moments)]
    assert [word.long for word in told_apart(entries, NOW).values()] == words


def test_of_what_has_no_sane_time_the_ids_differ() -> None:
    entries = [Named(key, "anna", ts, f"id-{key}") for key, ts in enumerate((1e300, float("nan")))]
    assert told_apart(entries, NOW) == {0: ("…id-0", "…id-0"), 1: ("…id-1", "…id-1")}
