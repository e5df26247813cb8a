"""A measured figure beside its limit, as the benchmarks print it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure and the most, or the least, that it may be."""

    name: str
    value: float
    unit: str
    limit: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Return whether the figure keeps to its limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        """Return a row of the table."""
        word = "at least" if self.at_least else "at most"
        missed = "" if self.holds else "   MISSED"
        return f"  {self.name:<58} {self.value:>10,.3f} {self.unit:<9} {word} {self.limit:,g}{missed}"
