"""The port: what is asked of everyone who rents machines out, and what an answer means for the bill.

The contract is held by ``tests/tui/providers/contract.py``, which every adapter passes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from loratui.domain.offers import Offer, OfferQuery
from loratui_protocol.errors import LoratuiError

LABEL_PREFIX = "loratui-"
"""Of everything that we rent: what bears it and is in no ledger of ours is an orphan."""


class ProviderError(LoratuiError):
    """A provider refused, or could not be understood. The subclass says what that means for the next step.

    ProviderError
     ├── ProviderBusyError        nothing happened: the same request may be made again
     ├── OfferGoneError           nothing was rented: another offer may be
     ├── ProviderRefusedError     nothing was rented, and nothing will be: a key, the balance, a limit, a broken request
     └── UnknownFateError         it may have happened: look by label before anything else
    """

    default_code = "provider.error"
    exit_status = 4


class ProviderBusyError(ProviderError):
    """It can't answer now, and did nothing. ``retry_after_s`` is what it asks for, 0 when it does not say."""

    default_code = "provider.busy"

    def __init__(self, what: str, *, fix: str = "", code: str | None = None, retry_after_s: float = 0.0) -> None:
        super().__init__(what, fix=fix or "try again in a minute", code=code)
        self.retry_after_s = retry_after_s


class OfferGoneError(ProviderError):
    """What was to be rented is not to be had any more, or only at another price."""

    default_code = "provider.offer_gone"


class ProviderRefusedError(ProviderError):
    """It will say the same again.

    Codes: ``provider.key``, ``provider.scope``, ``provider.balance``, ``provider.limit``, ``provider.request``.
    """

    default_code = "provider.request"


class UnknownFateError(ProviderError):
    """Nobody knows whether a request that costs money was carried out. ``instance_id`` where the answer names one."""

    default_code = "provider.unknown_fate"
    exit_status = 5

    def __init__(self, what: str, *, fix: str = "", code: str | None = None, instance_id: str = "") -> None:
        super().__init__(what, fix=fix or "loratui rentals sweep", code=code)
        self.instance_id = instance_id


class InstanceState(StrEnum):
    """How a rented machine is, as far as its bill is concerned. There is no state for gone: that is no instance."""

    STARTING = "starting"
    """It is being made ready; it may bill already."""
    RUNNING = "running"
    STOPPED = "stopped"
    """It does not run, and its disk bills on."""
    FAILED = "failed"
    """It will never run by itself; whether it bills is for the provider to know, so it has to be ended."""
    UNKNOWN = "unknown"
    """The provider uses a word that we don't know. It counts as billing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAddress:
    """Where a machine's own SSH server is reached. Addresses of a provider's proxy are none."""

    host: str
    port: int
    user: str = "root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A rented machine, as its provider says now."""

    id: str
    label: str
    state: InstanceState
    detail: str = ""
    """The provider's own words about it, cleaned, for people."""
    ssh: SshAddress | None = None
    """None until there is one, and on machines that are reached through a proxy alone."""
    price_microusd_per_h: int
    """What it costs an hour now, its disk included where the provider says that."""
    created_ts: float | None = None
    machine: str = ""
    gpu_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RentalOrder:
    """What is rented, and how it starts."""

    offer: Offer
    label: str
    """Unique: after a lost answer the instance is found by it. Begins with ``LABEL_PREFIX``."""
    image: str
    disk_gb: int
    public_key: str
    """In OpenSSH's form, of the only key that gets in."""
    start_script: str
    """A POSIX shell script, run as root at every start of the machine, before anything else is installed there.

    The machine's own start may wait for its end, so what is to stay it leaves in the background.
    """
    environment: Mapping[str, str] = field(default_factory=dict)
    """Public: the host can read it."""
    max_price_microusd_per_h: int
    """Above it nothing is rented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rented:
    """What a successful create says."""

    instance_id: str
    scoped_key: str = ""
    """A key that can end this instance and touch nothing else, where the provider hands one out here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a key opens. Amounts in micro-dollars."""

    id: str
    """Whose it is: that an instance is not to be found under another account proves nothing. Empty: it is not told."""
    balance_microusd: int
    spend_limit_microusd_per_h: int | None = None
    missing_scopes: Sequence[str] = ()
    """What the key may not do and we need, in the provider's words; as far as it can be told without doing it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """What a provider has billed for an instance so far; its records may be minutes behind."""

    total_microusd: int
    gpu_microusd: int | None = None
    disk_microusd: int | None = None
    traffic_microusd: int | None = None


class Provider(Protocol):
    """Someone who rents machines out. Every call may raise ``ProviderError``; each says which ones mean what.

    An answer that can't be understood is an error, never an empty one. Nothing here waits for a machine to get ready.
    """

    @property
    def name(self) -> str:
        """Return the word that it is called by on the command line."""
        ...

    async def account(self) -> Account:
        """Return what the key opens.

        Raises:
            ProviderRefusedError: the key is wrong (``provider.key``).
        """
        ...

    async def offers(self, query: OfferQuery) -> list[Offer]:
        """Return what can be rented now and fits, the cheapest first; without a key where the provider allows that."""
        ...

    async def price_now(self, offer: Offer) -> Offer:
        """Return the offer as it is now: right before it is rented its price counts, not the one that was shown.

        Raises:
            OfferGoneError: it can't be had any more.
        """
        ...

    async def create(self, order: RentalOrder) -> Rented:
        """Rent a machine. Never to be called twice for one label: after an error the caller looks by label first.

        Raises:
            OfferGoneError: nothing was rented; the next offer may be tried.
            ProviderRefusedError, ProviderBusyError: nothing was rented.
            UnknownFateError: the answer was lost, or makes no sense.
        """
        ...

    async def get(self, instance_id: str) -> Instance | None:
        """Return the instance, None when the provider says, in a well-formed answer, that there is none."""
        ...

    async def list(self, label_prefix: str = LABEL_PREFIX) -> list[Instance]:
        """Return every instance of the account whose label begins so, all pages of the listing."""
        ...

    async def end(self, instance_id: str) -> None:
        """Ask for the instance's end, for good, its disk included. Asked again it does no harm; gone already is fine.

        That it returns proves nothing: only ``get`` does.
        """
        ...

    async def charges(self, instance_id: str) -> Charges | None:
        """Return what was billed for it, None while the provider's records know nothing of it."""
        ...

    async def tidy(self, label: str, public_key: str) -> None:
        """Take away what a rental has left on the account, our public key above all. Called once it is gone."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
