"""What a config can be trained on now: offers, estimates, accounts, and what is said before one is taken."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from loratui.domain import formatting
from loratui.domain.estimate import STEP_S
from loratui.domain.estimate_limits import RunLimits
from loratui.domain.estimate_ranking import Quote, SortBy, rank
from loratui.domain.offers import OfferQuery
from loratui.providers.base import Account
from loratui.providers.retries import Retry, told_of_retries
from loratui.remote.model_hub import NO_ANSWER, look_at_features, look_at_model
from loratui.sessions.estimating import Quoted, bad_hosts
from loratui.sessions.judging import feature_sources
from loratui.sessions.market import PROVIDERS, Answered, ask_all, opened
from loratui.sessions.model_source import model_source, token_source
from loratui.sessions.preconditions import matters
from loratui.sessions.quoting import ask_quotes, base_for_quotes, limits_on
from loratui.sessions.renting import KIND_BAD_FOR_S
from loratui.sessions.rights import Rights, rights_of
from loratui.settings import Settings
from loratui.store.keys import Keys
from loratui.store.rentals import Rentals
from loratui.store.told import note_told, was_told
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import ModelError, UsageError
from loratui_protocol.findings import Finding
from loratui_protocol.inputs import ModelPurpose, ModelSource

_CENT = 10_000
_RENTING = "renting"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What was answered when it was asked what a config can be rented on."""

    path: Path
    config: TrainingConfig
    quoted: Quoted
    accounts: Mapping[str, Account]
    """What the user's keys open, by provider."""
    lacking: tuple[str, ...]
    """Providers without a key."""
    failures: Mapping[str, str]
    """Why a provider, or what its key opens, is not known now."""
    errors: tuple[Finding, ...]
    """Why it can't be trained as it is."""
    warnings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """What the estimates could not heed."""
    rights: Rights
    owner: ModelSource | None
    """The model whose server a token is for; None: the machine downloads none."""
    is_first: bool
    """Whether nothing was ever rented from here, and nobody was told yet what that means."""
    bad_kinds: frozenset[tuple[str, str]] = frozenset()

    def ordered(self, by: SortBy) -> list[Quote]:
        """Return all quotes, what comes first by this in front; as ``train --sort`` takes them."""
        return rank(self.quoted.ranked, by, bad_kinds=self.bad_kinds, min_reliability=0.0)

    def steps_per_s(self, quote: Quote) -> float | None:
        """Return how fast the first run is likely to be there; None: there is no figure for the GPU."""
        speed, work = quote.estimate.speeds[0], self.quoted.work
        if not speed.is_known or work is None:
            return None
        load = work.fitted(quote.offer.vram_mib)[0].loads[0]
        return min(speed.likely / load.units_per_step, 1 / STEP_S) if load.units_per_step else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RentalTerms:
    """What is agreed to before an offer is rented. ``budget_microusd`` is what may be spent, to the cent."""

    quote: Quote
    budget_microusd: int
    limits: RunLimits

    def command(self, path: Path, *, has_token: bool = False) -> tuple[str, ...]:
        """Return the arguments of ``loratui`` that rent this offer, at this price or below, and nothing else.

        ``has_token``: it is given on its standard input.
        """
        offer = self.quote.offer
        dearest = formatting.exact_dollars(offer.price_microusd_per_h)
        return (
            *("train", str(path), "--on", offer.provider, "--offer", offer.id, "--max-price", dearest),
            *("--budget", formatting.dollars_at_least(self.budget_microusd), "--yes", "--detach", "--plain"),
            *(("--ask-token",) if has_token else ()),
        )


def look_at_market(path: Path, preferences: Settings, tell: Callable[[Retry], object] | None = None) -> Market:
    """Ask every provider that can be asked what it has for a config; takes as long as the slowest of them.

    ``tell`` is told, in other threads, of every question that has to be asked again.

    Raises:
        ConfigError, DatasetError, ModelError: what is to be trained can't be told.
        UsageError: nobody can be asked without a key.
        StorageError: a key can be read by others, or the records can't be read.
    """
    from loratui.sessions.checking import check_config

    checked = check_config(path)
    keys = Keys(preferences.config_dir)
    lacking = tuple(name for name in PROVIDERS if keys.read(name) is None)
    query = OfferQuery(min_reliability=preferences.rental_min_reliability)
    base, notes = base_for_quotes(preferences, checked)
    with told_of_retries(tell):
        quoted = ask_quotes(preferences, PROVIDERS, query, checked, base)
        accounts = asyncio.run(_accounts(preferences, [name for name in PROVIDERS if name not in lacking]))
    model = model_source(checked.config.pretrained_model_name_or_path, preferences.remote_hub_url)
    return Market(
        path=path,
        config=checked.config,
        quoted=quoted,
        accounts={answer.provider: answer.value for answer in accounts if answer.value is not None},
        lacking=lacking,
        failures=_failures(quoted.answers) | _failures(accounts),
        errors=tuple(each for each in checked.findings if each.severity == "error"),
        warnings=tuple(each for each in checked.findings if matters(each, model)),
        notes=tuple(notes),
        rights=rights_of(checked.config, preferences),
        owner=token_source(model, feature_sources(checked.config, preferences.remote_hub_url)),
        is_first=not _knows_renting(preferences),
        bad_kinds=bad_hosts(preferences, time.time() - KIND_BAD_FOR_S),
    )


def terms_of(market: Market, quote: Quote, preferences: Settings, budget_microusd: int | None = None) -> RentalTerms:
    """Return under which terms an offer would be rented; without a budget what the run may cost if it goes badly.

    Raises:
        UsageError: there is no key, or it costs more than may be spent; the sentence says so, and what to do.
    """
    provider = quote.offer.provider
    account = market.accounts.get(provider)
    if account is None and provider in market.failures:
        raise UsageError(f"what is on the account is not known: {market.failures[provider]}", fix="ask again")
    if account is None:
        raise UsageError(f"there is no key of {provider}", fix=f"loratui keys {provider}", code="provider.no_key")
    limits = limits_on(preferences, quote, account, budget_microusd=budget_microusd)
    if budget_microusd is None:
        # What is shown to the cent is what is agreed to.
        budget_microusd = -(-limits.cap_microusd // _CENT) * _CENT
        limits = limits_on(preferences, quote, account, budget_microusd=budget_microusd)
    return RentalTerms(quote=quote, budget_microusd=budget_microusd, limits=limits)


def try_token(owner: ModelSource, token: str) -> str:
    """Show a token to a model's server; return why nobody could say whether it opens the model, empty: it does.

    Raises:
        ModelError: it does not.
    """
    look = look_at_model if owner.purpose is ModelPurpose.BASE else look_at_features
    try:
        asyncio.run(look(owner, token))
    except ModelError as error:
        if error.code != NO_ANSWER:
            raise
        return error.what
    return ""


async def _accounts(preferences: Settings, names: Sequence[str]) -> list[Answered[Account]]:
    async with opened(preferences, names) as providers:
        return await ask_all(providers, lambda provider: provider.account())


def _failures(answers: Iterable[Answered[T]]) -> dict[str, str]:
    return {answer.provider: answer.error.what for answer in answers if answer.error is not None}


def note_explained(preferences: Settings) -> None:
    """Write down that it was told what renting means: a person reads that once.

    Raises:
        StorageError: the records can't be written.
    """
    note_told(preferences.database, _RENTING)


def _knows_renting(preferences: Settings) -> bool:
    if not preferences.database.exists():
        return False
    with Rentals(preferences.database) as ledger:
        return bool(ledger.rentals()) or was_told(preferences.database, _RENTING)
