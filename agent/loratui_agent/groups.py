"""Errors out of task groups."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def one_error() -> Iterator[None]:
    """Raise the first error of a group by itself: the other tasks were cancelled for it."""
    try:
        yield
    except BaseExceptionGroup as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
