"""What a config would take on what can be rented now: weighed here, and asked of the providers with the user's keys."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from loratui.domain.base_kinds import LARGEST, KnownBase
from loratui.domain.disk_need import disk_need
from loratui.domain.estimate_limits import RunLimits, run_limits
from loratui.domain.estimate_ranking import Quote, SortBy
from loratui.domain.estimate_work import joined
from loratui.domain.offers import OfferQuery
from loratui.providers.base import Account
from loratui.sessions.base_kind import kind_told_here
from loratui.sessions.estimating import Quoted, bad_hosts, known_facts, quoted_offers, work_for
from loratui.sessions.judging import ask_for_features, feature_sources
from loratui.sessions.market import Answered, opened
from loratui.sessions.model_source import model_source
from loratui.sessions.renting import BAD_FOR_S, KIND_BAD_FOR_S
from loratui.sessions.run_space import needed_bytes
from loratui.settings import Settings
from loratui_protocol.errors import ModelError, UsageError
from loratui_protocol.findings import Finding

if TYPE_CHECKING:
    from loratui.sessions.checking import Checked

NO_ESTIMATE = "model.no_estimate"
"""Under which a base model is refused of which nobody knows what to train it takes, and accepted by name."""
LINGER_S = 600.0
"""How long the results may take to come here, at first: a laptop that sleeps fetches them when it is back."""
T = TypeVar("T")


def ask_quotes(
    preferences: Settings,
    names: tuple[str, ...],
    query: OfferQuery,
    checked: "Checked",
    base: KnownBase,
    sort_by: SortBy = SortBy.TOTAL,
    *,
    others: Sequence[tuple["Checked", KnownBase]] = (),
    may_lack_key: bool = True,
) -> Quoted:
    """Return what the run would take on the offers of these providers; the disk is large enough for it.

    ``others`` come after it on the same machine. ``may_lack_key``: offers that nobody can rent here will do.

    Raises:
        UsageError: none of them shows offers without a key.
        DatasetError, ModelError: what would have to travel is not here.
    """
    runs = ((checked, base), *others)
    works = [
        work_for(run.config, run.plan_left, preferences, known, copies=run.copies.by_original) for run, known in runs
    ]
    work = joined(works, len({run.config.pretrained_model_name_or_path for run, _ in runs}))
    on_box = sum(needed_bytes(run.config, run.plan, known.kind)[0] for run, known in runs)
    disk = disk_need(work, on_box)
    query = replace(query, disk_gb=max(query.disk_gb, disk.gb))
    facts = known_facts(preferences, [(run.config.pretrained_model_name_or_path, each.kind) for run, each in runs])
    bad = bad_hosts(preferences, time.time() - BAD_FOR_S)
    bad_kinds = bad_hosts(preferences, time.time() - KIND_BAD_FOR_S)

    async def ask() -> Quoted:
        async with opened(preferences, names, may_lack_key=may_lack_key) as providers:
            return await quoted_offers(
                providers, query, work, known=facts, bad_hosts=bad, bad_kinds=bad_kinds, sort_by=sort_by
            )

    quoted = asyncio.run(ask())
    check_any_asked(quoted.answers, names)
    return replace(quoted, work=work, disk=disk)


def check_any_asked(answers: Sequence[Answered[T]], names: Sequence[str]) -> None:
    """Return if any provider was asked.

    Raises:
        UsageError: none shows anything without a key.
    """
    if not answers:
        raise UsageError(
            f"without a key {' and '.join(names)} shows no offers",
            fix=f"loratui keys {names[0]}",
            code="provider.no_key",
        )


def limits_on(
    preferences: Settings,
    quote: Quote,
    account: Account,
    *,
    budget_microusd: int | None = None,
    keep_s: float | None = None,
    deadline_s: float | None = None,
) -> RunLimits:
    """Return cap and auto-stop of a run on an offer, as this account and these settings allow them.

    ``keep_s``: how long the machine is to be kept once the files are here; None: until they are.

    Raises:
        UsageError: it costs more than may be spent; see ``run_limits``.
    """
    return run_limits(
        quote.estimate,
        quote.offer,
        budget_microusd=budget_microusd,
        balance_microusd=account.balance_microusd,
        spend_limit_microusd_per_h=account.spend_limit_microusd_per_h,
        linger_s=LINGER_S if keep_s is None else keep_s,
        deadline_s=deadline_s,
        most_microusd=preferences.rental_max_microusd,
    )


def base_for_quotes(preferences: Settings, checked: "Checked") -> tuple[KnownBase, list[str]]:
    """Return what is known of the models, for an estimate, and in sentences what is not.

    Raises:
        ModelError: its address is none.
    """
    name = checked.config.pretrained_model_name_or_path
    model = model_source(name, preferences.remote_hub_url)
    base = KnownBase(num_bytes=None if model else 0, kind=kind_told_here(name))
    notes = []
    if model is not None:
        from loratui.remote.model_hub import look_at_model

        try:
            base = asyncio.run(look_at_model(model))
        except ModelError as error:
            notes.append(f"[{error.code}] {error.what}")
    features, findings = asyncio.run(ask_for_features(feature_sources(checked.config, preferences.remote_hub_url)))
    notes += [f"[{each.code}] {each.what}" for each in findings]
    if base.kind is None:
        notes.append(f"[{NO_ESTIMATE}] {about_estimate(name).what}")
    return replace(base, features=features), notes


def about_estimate(name: str) -> Finding:
    """Return what there is to say of a base model of whose training no price is known."""
    return Finding(
        code=NO_ESTIMATE,
        severity="error",
        what=f"of which kind the base model {name} is nobody knows here, so what training it takes is reckoned as for "
        f"{LARGEST.name}: that may be several times too much",
        fix="give a base model that can be looked at from here (a file, a hub id, an address whose server answers), or "
        f"train it on a machine of your own; to rent in spite of it: --accept {NO_ESTIMATE}",
    )
