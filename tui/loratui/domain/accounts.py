"""What providers say of the user's accounts: what is left on them, and what is rented there that no record here has."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from loratui.domain.overview import Overview, RentalLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """What was last answered, by provider; those without a key were not asked."""

    balances: Mapping[str, int] = field(default_factory=dict)
    """In micro-dollars."""
    elsewhere: tuple[RentalLine, ...] = ()
    """What bears our label there, and is not among what may bill by the records of this machine."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Why it is not known what is rented there."""

    def renewed(self, newer: "Accounts") -> "Accounts":
        """Return what is known now: a listing that failed does not make what was there before go away."""
        kept = tuple(line for line in self.elsewhere if line.provider in newer.failures)
        return replace(newer, elsewhere=(*newer.elsewhere, *kept))


def with_accounts(overview: Overview, accounts: Accounts) -> Overview:
    """Return the records with what the providers alone know of; what the records have by now counts once."""
    known = {(line.label, line.instance_id) for line in overview.rentals}
    more = tuple(line for line in accounts.elsewhere if (line.label, line.instance_id) not in known)
    return replace(overview, rentals=(*overview.rentals, *more), balances=accounts.balances, unheard=accounts.failures)
