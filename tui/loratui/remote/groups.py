"""Errors of tasks that belong together: the first one is what happened, the others follow from it."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def one_error() -> Iterator[None]:
    """Raise the first error of a group by itself."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
