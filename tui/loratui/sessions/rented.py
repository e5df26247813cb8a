"""Rented machines as the targets of runs: by the label of their rental, since an address may be another's tomorrow."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loratui.providers.base import LABEL_PREFIX
from loratui.sessions.market import PROVIDERS
from loratui.sessions.renting_folder import RentalFolder
from loratui.settings import Settings
from loratui.store.rentals import Rentals
from loratui_protocol.errors import HostError

if TYPE_CHECKING:
    from loratui.remote.ssh import SshTarget

OVER = "rental.over"


def rental_target(provider: str, label: str) -> str:
    """Return a rented machine as a run's target."""
    return f"{provider}:{label}"


def rental_label(target: str) -> str:
    """Return the label of the rental that a target names, empty when it names none."""
    provider, _, label = target.partition(":")
    return label if provider in PROVIDERS and label.startswith(LABEL_PREFIX) else ""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a rented machine is reached, and the folder of the keys for it."""

    ssh: "SshTarget"
    folder: Path


def address_of(label: str, settings: Settings) -> Address:
    """Return where the machine of a rental is reached.

    Raises:
        StorageError: the ledger knows no such rental.
        HostError: it is over, or has no address.
    """
    from loratui.remote.ssh import SshTarget

    with Rentals(settings.database) as ledger:
        rental = ledger.rental(label)
    if rental.state.is_over or not rental.ssh_host:
        how = "is over" if rental.state.is_over else "has no address"
        raise HostError(
            f"the rental {label} at {rental.provider} {how}: {rental.why or 'no reason is known'}",
            fix="loratui rentals",
            code=OVER,
        )
    return Address(
        SshTarget(rental.ssh_user, rental.ssh_host, rental.ssh_port), RentalFolder(settings.state_dir, label).path
    )


class NoWay:
    """The way to a machine that is no more: what was stored of its runs can be looked at all the same."""

    def __init__(self, error: HostError) -> None:
        self._error = error

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[socket.socket]:
        """Say why not."""
        raise self._error
        yield

    files = opened

    async def token(self) -> str:
        """Say why not."""
        raise self._error

    def refused_token(self) -> None:
        """Do nothing."""

    def abandon(self) -> None:
        """Do nothing."""
