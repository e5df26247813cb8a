"""``train --on vast|runpod|cheapest``: the offer that costs least in the end, rented, used, and ended for certain."""

import asyncio
import time
from dataclasses import replace

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.before_renting import before_renting, question
from loratui.cli.check import check_all, check_base_model
from loratui.cli.disk import check_space, needed_bytes
from loratui.cli.estimating import ask_quotes, tell_failures
from loratui.cli.failed_before import tell_failed_before
from loratui.cli.following import hosting, say, watch
from loratui.cli.hosts import stay_while_needed, token_of
from loratui.cli.limits import agrees, check_somebody_asked
from loratui.cli.market_query import query_of, sort_of, tell_untold
from loratui.cli.rent_start import LINGER_S, Line, WantedRun, start_on
from loratui.cli.rental_end import finish, print_receipt, see_to_rental, wait
from loratui.cli.rentals import orphan_sentence
from loratui.domain import formatting
from loratui.domain.estimate import RESULTS, Estimate
from loratui.domain.estimate_limits import RunLimits, run_limits
from loratui.domain.estimate_ranking import Quote, cost_range, time_range
from loratui.headless.rental_narration import RentalNarrator
from loratui.providers.base import Account
from loratui.sessions.host import SessionHost
from loratui.sessions.market import CHEAPEST, PROVIDERS, opened
from loratui.sessions.prepare import model_source
from loratui.sessions.rented import rental_target
from loratui.sessions.rented_box import box_start, sign_in
from loratui.sessions.renting import NothingRentedError, Wanted, rent
from loratui.sessions.renting_course import Rental, RentalView
from loratui.sessions.renting_end import noted
from loratui.sessions.renting_fate import pace_of
from loratui.sessions.renting_orphans import Found
from loratui.sessions.steady_clock import steady_ts
from loratui.sessions.supply import SLOW_CODE
from loratui.sessions.targets import Targets
from loratui.settings import Settings
from loratui.store.rentals import Rentals
from loratui_protocol.errors import HostError, LoratuiError, UsageError

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
    models = [run.model for run in runs if run.model is not None]
    token = token_of(models[0] if models else None) if arguments.ask_token else ""
    ready = [before_renting(preferences, run.checked, run.model, token, arguments.accept) for run in runs]
    runs = [replace(run, base_model_bytes=each.base_model_bytes) for run, each in zip(runs, ready, strict=True)]
    quotes, asked_ts = _quotes(preferences, PROVIDERS if target == CHEAPEST else (target,), runs, arguments)
    best = quotes[0]
    limits = run_limits(
        best.estimate,
        best.offer,
        budget_microusd=arguments.budget,
        balance_microusd=_account(preferences, best.offer.provider).balance_microusd,
        linger_s=LINGER_S if arguments.keep is None else arguments.keep,
        deadline_s=arguments.deadline,
        most_microusd=preferences.rental_max_microusd,
    )
    _tell(best, limits, arguments.keep)
    check_somebody_asked(arguments)
    if not arguments.yes and not agrees(question(ready), otherwise="nothing was rented"):
        return 0
    offers = tuple(quote.offer for quote in quotes[:_NUM_OFFERS])
    highest = max(offer.price_microusd_per_h for offer in offers)
    results_s = next((part.p90.seconds for part in best.estimate.parts if part.name == RESULTS), 0)
    wanted = Wanted(
        offers=offers,
        asked_ts=asked_ts,
        max_price_microusd_per_h=highest if arguments.wait_price is None else min(highest, arguments.wait_price),
        cap_microusd=limits.cap_microusd,
        reserved_microusd=best.estimate.p90_traffic_microusd,
        deadline_ts=steady_ts() + limits.auto_stop_s,
        stops_for=limits.stops_for,
        save_s=min(max(SHORTEST_SAVE_S, results_s), _LONGEST_SAVE * limits.auto_stop_s),
        keep_s=arguments.keep,
        estimated_microusd=best.estimate.p50_microusd,
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


def _quotes(
    preferences: Settings, names: tuple[str, ...], runs: list[WantedRun], arguments: Arguments
) -> tuple[list[Quote], float]:
    """Return what can be rented for these runs, and when that was asked for: the best first, as the user ranks them.

    With ``--wait-price`` it is waited for until there is something at that price or below.

    Raises:
        UsageError: there is no key, or nothing fits.
        ProviderError: none of them could be understood.
    """
    first, *others = ((run.checked, run.base_model_bytes) for run in runs)
    most, said_s = arguments.wait_price, float("-inf")
    sort_by = sort_of(arguments)
    query = query_of(arguments, preferences, sort_by)
    while True:
        asked_ts = time.time()
        quoted = ask_quotes(preferences, names, query, first[0], sort_by, base_model_bytes=first[1], others=others)
        errors = [answer.error for answer in quoted.answers if answer.error is not None]
        if not quoted.ranked and errors and most is None:
            raise errors[0]
        tell_failures(quoted.answers)
        tell_untold(arguments, (quote.offer for quote in quoted.ranked))
        fit = [quote for quote in quoted.ranked if most is None or quote.offer.price_microusd_per_h <= most]
        if fit:
            tell_failed_before(preferences, quoted.offers)
            return fit, asked_ts
        if most is None:
            raise UsageError(
                f"nothing that fits this run can be rented at {' or '.join(names)} now",
                fix=f"loratui offers --for {arguments.config} shows what there is; --wait-price 0.40 waits",
                code="offers.none",
            )
        if time.monotonic() - said_s >= _SAY_WAITING_S:
            said_s = time.monotonic()
            prices = [quote.offer.price_microusd_per_h for quote in quoted.ranked]
            now = f"the lowest price is {formatting.hourly_price(min(prices))}" if prices else "nothing is to be had"
            say(
                f"waiting for an offer at {formatting.hourly_price(most)} or less: {now}. Nothing is rented so far; "
                "Ctrl-C ends it"
            )
        time.sleep(preferences.rental_look_every_s)


def _account(preferences: Settings, name: str) -> Account:
    """Return what the key of the provider opens.

    Raises:
        UsageError: there is no key.
        ProviderRefusedError: it is wrong.
    """

    async def ask() -> Account:
        async with opened(preferences, (name,)) as providers:
            if not providers:
                raise UsageError(
                    f"there is no key of {name}; nothing was rented", fix=f"loratui keys {name}", code="provider.no_key"
                )
            return await providers[0].account()

    return asyncio.run(ask())


def _tell(quote: Quote, limits: RunLimits, keep_s: float | None) -> None:
    """Say what is rented, what it costs at most, and who ends it."""
    offer = quote.offer
    stop = time.strftime("%H:%M", time.localtime(time.time() + limits.auto_stop_s))
    say(
        f"offer: {offer.gpu_name} {offer.vram_mib / 1024:.0f} GiB at {offer.provider}, "
        f"{formatting.hourly_price(offer.price_microusd_per_h)} with {offer.disk_gb} GB of disk, "
        f"{offer.region or 'place unknown'}"
    )
    say(f"the whole run: {cost_range(quote.estimate)}, {time_range(quote.estimate)}")
    for note in limits.notes:
        say(f"note: {note}")
    say(
        f"at most {formatting.money(limits.cap_microusd)}; auto-stop in {formatting.duration(limits.auto_stop_s)} "
        f"({stop}, {limits.stops_for}): then the machine ends its own rental, whether this laptop is there or not"
    )
    kept = "" if keep_s is None else f" and {formatting.duration(keep_s)} have passed"
    say(
        f"it is ended as soon as every file is here, verified{kept}; whoever runs it can read the pictures that are "
        "there"
    )


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
        rental = wait(host, lambda targets, now=wanted: _rent(preferences, targets, now, told))  # type: ignore[misc]
        try:
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
            # A second Ctrl-C must not leave a bill: what interrupts the end says so itself.
            why = error.what if isinstance(error, LoratuiError) else "it was interrupted before the run began"
            receipt = wait(host, finish(preferences, rental.provider, rental.label, why))
            print_receipt(receipt, as_json=arguments.json)
            if isinstance(error, HostError):
                _blame(preferences, rental, error)
            if not isinstance(error, HostError) or not rental.left:
                raise
            say(f"{error}\n  the next offer is tried")
        cap = None if wanted.cap_microusd is None else wanted.cap_microusd - receipt.ours_microusd
        if cap is not None and cap <= 0:
            raise NothingRentedError("what was tried has used up the budget", fix="give a larger one")
        wanted = replace(wanted, offers=rental.left, cap_microusd=cap)


def _blame(preferences: Settings, rental: Rental, error: HostError) -> None:
    """Remember a machine, or its kind, that did not serve; a slow line may be this end's."""
    if error.code == SLOW_CODE:
        return
    with Rentals(preferences.database) as ledger:
        blamed = ledger.rental(rental.label).blamed
        noted(lambda: ledger.note_bad_host(rental.provider, blamed, error.what, time.time()))


async def _rent(preferences: Settings, targets: Targets, wanted: Wanted, told: set[str]) -> Rental:
    """Rent one of the offers; ``told`` are the orphans that were spoken of."""
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
            return await rent(
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
