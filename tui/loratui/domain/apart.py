"""What tells things of one name apart: a time of day, a day, or both; where there is little room, an id's end. Pure."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from datetime import datetime
from typing import NamedTuple

from loratui.domain import formatting

_ID_CHARS = 4


class Named(NamedTuple):
    """Something in a list: what stays its own, the name that is shown, when it began (epoch seconds), and an id."""

    key: Hashable
    name: str
    ts: float
    id: str


class Word(NamedTuple):
    """What is shown beside a name, and what where that is too long."""

    long: str
    short: str


def told_apart(entries: Iterable[Named], now: datetime) -> dict[Hashable, Word]:
    """Return for each entry whose name another has as well what to show beside it, in the zone of ``now``.

    All of one name are told apart by the same kind of word: a time beside an id says less than two times.
    """
    of_name = defaultdict[str, list[Named]](list)
    for entry in entries:
        of_name[entry.name].append(entry)
    words: dict[Hashable, Word] = {}
    for alike in of_name.values():
        if len(alike) > 1:
            words |= zip((entry.key for entry in alike), _words(alike, now), strict=True)
    return words


def _words(alike: list[Named], now: datetime) -> list[Word]:
    moments = [formatting.day_and_time(entry.ts, now.tzinfo).partition(" ") for entry in alike]
    today = f"{now:%Y-%m-%d}"
    tries = (
        [time if day == today else day[5:] for day, _, time in moments],
        [f"{day[5:]} {time}" for day, _, time in moments],
    )
    ids = [f"…{entry.id[-_ID_CHARS:]}" for entry in alike]
    longer = next((words for words in tries if len({*words}) == len(words) and all(map(str.strip, words))), ids)
    return [*map(Word, longer, ids)]
