"""Who is told that a provider has to be asked again: an answer may take the time of several attempts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A question that was not answered, and is asked again after ``wait_s``: the attempt ``attempt`` of ``of``."""

    why: str
    attempt: int
    of: int
    wait_s: float


_tell: ContextVar[Callable[[Retry], object] | None] = ContextVar("tell", default=None)


@contextmanager
def told_of_retries(tell: Callable[[Retry], object] | None) -> Iterator[None]:
    """Have ``tell`` called, in whatever thread asks, for every question of this context that is asked again."""
    before = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(before)


def note_retry(retry: Retry) -> None:
    """Tell whoever wants to know."""
    if (tell := _tell.get()) is not None:
        tell(retry)
