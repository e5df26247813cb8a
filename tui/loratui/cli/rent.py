"""``train --on vast|runpod|cheapest``: the offer that costs least in the end, rented, used, and ended for certain."""

import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.before_renting import before_renting, question
from loratui.cli.check import check_all
from loratui.cli.copying import with_copies
from loratui.cli.disk import check_space
from loratui.cli.following import hosting, say, watch
from loratui.cli.hosts import stay_while_needed, token_of
from loratui.cli.limits import agrees, check_somebody_asked
from loratui.cli.rent_choice import choose_offers, tell_choice
from loratui.cli.rent_start import Line, WantedRun, model_bytes, start_on
from loratui.cli.rental_end import finish, print_receipt, see_to_rental, wait
from loratui.cli.rentals import orphan_sentence
from loratui.cli.rights import agreed_rights
from loratui.cli.run_ends import tell_of_stops
from loratui.cli.tried_out import tell_tried
from loratui.domain import formatting
from loratui.domain.estimate import RESULTS, Estimate
from loratui.domain.rental import RentalState
from loratui.headless.rental_narration import RentalNarrator
from loratui.sessions.checking import check_base_model
from loratui.sessions.host import SessionHost
from loratui.sessions.judging import feature_sources
from loratui.sessions.market import CHEAPEST, PROVIDERS, opened
from loratui.sessions.model_source import model_source, token_source
from loratui.sessions.rented import OVER, rental_target
from loratui.sessions.rented_box import box_start, sign_in
from loratui.sessions.renting import Wanted, rent
from loratui.sessions.renting_course import Rental, RentalView
from loratui.sessions.renting_end import Receipt, noted
from loratui.sessions.renting_fate import pace_of
from loratui.sessions.renting_orphans import Found
from loratui.sessions.run_space import needed_bytes
from loratui.sessions.steady_clock import steady_ts
from loratui.sessions.supply import SLOW_CODE
from loratui.sessions.targets import Targets
from loratui.settings import Settings
from loratui.store.rentals import Rentals
from loratui_protocol.errors import HostError, LoratuiError, StorageError, UsageError

_NUM_OFFERS = 5
SHORTEST_SAVE_S = 120.0
_LONGEST_SAVE = 0.25
"""Of the time that there is: whoever saves for longer trains too little."""
_SAY_WAITING_S = 900.0


def train_on_market(arguments: Arguments, target: str) -> int:
    """Train what configs describe on a machine that is rented for it, one after the other."""
    preferences = settings.load()
    _check(arguments)
    runs = _runs(arguments, preferences)
    owners = (token_source(run.model, feature_sources(run.checked.config, preferences.remote_hub_url)) for run in runs)
    token = token_of(next(filter(None, owners), None)) if arguments.ask_token else ""
    ready = [
        before_renting(preferences, run.checked, run.model, token, arguments.accept, is_first=run is runs[0])
        for run in runs
    ]
    runs = [
        replace(run, base=each.base, checked=with_copies(run.checked, preferences))
        for run, each in zip(runs, ready, strict=True)
    ]
    choice, asked_ts = choose_offers(preferences, PROVIDERS if target == CHEAPEST else (target,), runs, arguments)
    best, limits = choice.best, choice.limits
    tell_tried(run.checked for run in runs)
    tell_choice(choice, arguments.keep)
    tell_of_stops((run.checked for run in runs), is_kept=arguments.keep is not None)
    check_somebody_asked(arguments)
    configs = [run.checked.config for run in runs]
    rights = agreed_rights(preferences, configs, asks=not arguments.yes, otherwise="nothing was rented")
    if rights is None:
        return 0
    runs = [replace(run, rights=said) for run, said in zip(runs, rights, strict=True)]
    if not arguments.yes and not agrees(question(ready), otherwise="nothing was rented"):
        return 0
    estimates = [quote.estimate for quote in choice.quotes]
    results_s = max(part.p90.seconds for estimate in estimates for part in estimate.parts if part.name == RESULTS)
    wanted = Wanted(
        offers=tuple(quote.offer for quote in choice.quotes),
        asked_ts=asked_ts,
        cap_microusd=limits.cap_microusd,
        reserved_microusd=max(estimate.p90_traffic_microusd for estimate in estimates),
        deadline_ts=steady_ts() + limits.auto_stop_s,
        stops_for=limits.stops_for,
        save_s=min(max(SHORTEST_SAVE_S, results_s), _LONGEST_SAVE * limits.auto_stop_s),
        keep_s=arguments.keep,
        estimated_microusd={quote.offer.id: quote.estimate.p50_microusd for quote in choice.quotes},
        model_bytes=model_bytes(runs),
    )
    with hosting(preferences, minds=True) as host:
        run_ids = _started(host, preferences, wanted, runs, arguments, token, best.estimate)
        if not arguments.detach:
            return watch(host, preferences, run_ids, arguments)
        status = max(stay_while_needed(host, run_id, arguments) for run_id in run_ids)
        see_to_rental(host, preferences, host.view(run_ids[0]), RentalNarrator(), is_all_here=False)
        return status


def _check(arguments: Arguments) -> None:
    if arguments.yes and arguments.budget is None:
        raise UsageError(
            "with --yes nobody is asked before money is spent: say how much it may be",
            fix="--budget 5",
            code="usage.budget",
        )
    if arguments.on_done:
        raise UsageError(
            "a rented machine is ended once the files are here, so --on-done has nothing to do",
            fix="leave it out; --keep 30m keeps the machine for a while",
        )


def _runs(arguments: Arguments, preferences: Settings) -> list[WantedRun]:
    """Return what is to be trained, checked; nothing is asked of a provider for what can't be."""
    runs, handed_over = [], 0
    for checked in check_all(arguments):
        model = model_source(checked.config.pretrained_model_name_or_path, preferences.remote_hub_url)
        if model is None:
            check_base_model(checked.config)
        handed_over += needed_bytes(checked.config, checked.plan)[1]
        runs.append(WantedRun(checked=checked, model=model))
    check_space([(preferences.state_dir, handed_over)])
    return runs


def _started(
    host: SessionHost,
    preferences: Settings,
    wanted: Wanted,
    runs: list[WantedRun],
    arguments: Arguments,
    token: str,
    estimated: Estimate,
) -> list[str]:
    """Rent one offer after the other until the runs have begun on one; return their ids.

    Whatever goes wrong, what was rented is ended for certain before this raises.
    """
    line, told = Line(planned_bytes_per_s=estimated.upload_bytes_per_s), set[str]()
    while True:
        # What was rented is known here, whatever interrupts this meanwhile.
        rented: list[Rental] = []
        try:
            rental = wait(host, lambda targets, now=wanted, to=rented: _rent(preferences, targets, now, told, to))  # type: ignore[misc]
            return start_on(
                host,
                preferences,
                rental,
                runs,
                arguments,
                token=token,
                line=line,
                may_move=bool(rental.left),
            )
        except BaseException as error:
            if not rented:
                raise
            [rental] = rented
            # A second Ctrl-C must not leave a bill: what interrupts the end says so itself.
            is_by_us, receipt = wait(host, _ending(preferences, rental, error), is_end=True)
            print_receipt(receipt, as_json=arguments.json)
            if isinstance(error, HostError) and is_by_us:
                # Somebody wanted it ended, or its time was up: no machine is to blame, and no other one is wanted.
                raise HostError(
                    f"the rental was ended before every run had begun there: {is_by_us}", code=OVER
                ) from error
            if isinstance(error, HostError):
                _blame(preferences, rental, error)
            if not isinstance(error, HostError) or not rental.left:
                raise
            say(f"{error}\n  the next offer is tried")
        wanted = wanted.without(receipt.rental, receipt.ours_microusd, rental.left)


def _ending(
    preferences: Settings, rental: Rental, error: BaseException
) -> Callable[[Targets], Coroutine[Any, Any, tuple[str, Receipt]]]:
    """Return what ends a rental on which not every run has begun: why it had been ended by then, and the receipt."""
    why = error.what if isinstance(error, LoratuiError) else "it was interrupted before the run began"

    async def end(targets: Targets) -> tuple[str, Receipt]:
        is_by_us = _has_been_ended(preferences, rental)
        return is_by_us, await finish(preferences, rental.provider, rental.label, why)(targets)

    return end


def _has_been_ended(preferences: Settings, rental: Rental) -> str:
    """Return why somebody at this end has begun to end a rental, nothing where nobody has."""
    try:
        with Rentals(preferences.database) as ledger:
            stored = ledger.rental(rental.label)
    except StorageError:
        # It is ended next; a ledger that can't be read must not stand in the way of that.
        return ""
    is_ours = stored.state in (RentalState.ENDING, RentalState.GONE)
    return (stored.why or "nobody knows why") if is_ours else ""


def _blame(preferences: Settings, rental: Rental, error: HostError) -> None:
    """Remember a machine, or its kind, that did not serve; a slow line may be this end's."""
    if error.code == SLOW_CODE:
        return
    with Rentals(preferences.database) as ledger:
        blamed = ledger.rental(rental.label).blamed
        noted(lambda: ledger.note_bad_host(rental.provider, blamed, error.what, time.time()))


async def _rent(
    preferences: Settings, targets: Targets, wanted: Wanted, told: set[str], rented: list[Rental]
) -> Rental:
    """Rent one of the offers, which is added to ``rented`` too; ``told`` are the orphans that were spoken of."""
    said = ""

    def tell(view: RentalView) -> None:
        nonlocal said
        now = f"{view.offer.provider} {view.offer.gpu_name}: {view.state}" + (f", {view.detail}" if view.detail else "")
        if now != said:
            said = now
            spent = formatting.money(view.spent_microusd, exact=False)
            say(f"{now} ({formatting.duration(view.elapsed_s)}, {spent})")

    def tell_orphan(found: Found) -> None:
        if (sentence := orphan_sentence(found)) not in told:
            told.add(sentence)
            say(sentence)

    names = tuple(dict.fromkeys(offer.provider for offer in wanted.offers))
    with Rentals(preferences.database) as ledger:
        async with opened(preferences, names) as providers:
            rental = await rent(
                {provider.name: provider for provider in providers},
                ledger,
                preferences.state_dir,
                replace(
                    wanted,
                    offers=tuple(offer for offer in wanted.offers if offer.provider in {p.name for p in providers}),
                ),
                box_start(preferences),
                tell,
                connect=lambda rental: sign_in(targets.machine(rental_target(rental.provider, rental.label))),
                pace=pace_of(preferences),
                tell_orphan=tell_orphan,
            )
            rented.append(rental)
            return rental
