"""What providers say of the user's accounts: what is left on them, and what is rented there that no record here has."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from loratui.domain.overview import Overview, RentalLine

NOT_YET = "not asked yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """What was last answered, by provider; those without a key were not asked."""

    balances: Mapping[str, int] = field(default_factory=dict)
    """In micro-dollars."""
    elsewhere: tuple[RentalLine, ...] = ()
    """What bears our label there, and is not among what may bill by the records of this machine."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Why it is not known what is rented there."""
    asked: frozenset[str] | None = None
    """Who was asked, or was to be; None: it was not even looked yet whom there is a key for."""

    def asking(self, names: Iterable[str]) -> "Accounts":
        """Return what is known while these are asked: of whom nothing was heard yet, that it is so."""
        before = self.asked or frozenset()
        fresh = [name for name in names if name not in before]
        return replace(self, failures={**self.failures, **dict.fromkeys(fresh, NOT_YET)}, asked=before.union(fresh))

    def renewed(self, newer: "Accounts") -> "Accounts":
        """Return what is known now: a listing that failed does not make what was there before go away."""
        kept = tuple(line for line in self.elsewhere if line.provider in newer.failures)
        return replace(newer, elsewhere=(*newer.elsewhere, *kept))


def with_accounts(overview: Overview, accounts: Accounts) -> Overview:
    """Return the records with what the providers alone know of; what the records have by now counts once."""
    known = {(line.label, line.instance_id) for line in overview.rentals}
    more = tuple(line for line in accounts.elsewhere if (line.label, line.instance_id) not in known)
    return replace(
        overview,
        rentals=(*overview.rentals, *more),
        balances=accounts.balances,
        unheard=accounts.failures,
        is_unasked=accounts.asked is None,
    )
