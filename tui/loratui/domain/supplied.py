"""How far this machine is with sending what a run on another one needs."""

from dataclasses import dataclass

from loratui.domain import formatting
from loratui_protocol.errors import LoratuiError


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplied:
    """How far this machine is with sending what the run needs; bytes, as the box counts them."""

    done: int = 0
    total: int = 0
    bytes_per_s: float | None = None
    message: str = ""
    """Why nothing moves, if that is so."""
    is_complete: bool = False
    warning: str = ""
    error: LoratuiError | None = None
    """Why it was given up, which stopped the run."""

    @property
    def speed(self) -> str:
        """Return how fast it goes and how long it will: "2.1 MB/s, ≈3 min left"; empty where nobody knows yet."""
        if self.message:
            return self.message
        if not self.bytes_per_s or self.done >= self.total:
            return ""
        left = formatting.duration((self.total - self.done) / self.bytes_per_s, exact=False)
        return f"{formatting.size(round(self.bytes_per_s))}/s, {left} left"
