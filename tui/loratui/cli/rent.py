"""``train --on vast|runpod|cheapest``: the offer that costs least in the end, rented, used, and ended for certain."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.check import Checked, check_base_model, check_config, print_findings
from loratui.cli.disk import check_space, needed_bytes
from loratui.cli.estimating import ask_quotes, tell_failures
from loratui.cli.following import hosting, say, watch
from loratui.cli.hosts import hand_over_token, matters, stay_while_needed, token_of
from loratui.cli.limits import agrees
from loratui.cli.terms import check_upload, hashing_progress, tell_terms
from loratui.domain import formatting
from loratui.domain.estimate_limits import RunLimits, run_limits
from loratui.domain.estimate_ranking import Quote, cost_range, time_range
from loratui.domain.ledger import Phase
from loratui.domain.offers import OfferQuery
from loratui.domain.rental import RentalState
from loratui.domain.run import RunView
from loratui.headless.json_lines import to_json
from loratui.providers.base import Account
from loratui.sessions.ending import EndingView
from loratui.sessions.host import SessionHost
from loratui.sessions.market import CHEAPEST, PROVIDERS, opened
from loratui.sessions.prepare import model_source, prepare
from loratui.sessions.rented import rental_label, rental_target
from loratui.sessions.rented_box import arm, box_start, sign_in
from loratui.sessions.renting import Wanted, rent
from loratui.sessions.renting_course import Rental, RentalView
from loratui.sessions.renting_end import Receipt, finish_rental, noted, still_billing
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.start_run import start_run
from loratui.sessions.steady_clock import steady_ts
from loratui.sessions.targets import Targets
from loratui.settings import Settings
from loratui.store.rentals import Rentals
from loratui_protocol.config_file import to_toml
from loratui_protocol.errors import LoratuiError, UsageError
from loratui_protocol.inputs import ModelSource

NO_DEADMAN = "deadman.none"
"""Under which a machine that can't end its own rental is accepted."""
LINGER_S = 600.0
"""How long the results may take to come here, at first: a laptop that sleeps fetches them when it is back."""
_NUM_OFFERS = 5
T = TypeVar("T")
_SAVE_S = 120.0
"""Before the rental's own end the run saves, and what it saved is fetched."""
_SHORTEST_RUN_S = 60.0


def train_on_market(arguments: Arguments, target: str) -> int:
    """Train what a config describes on a machine that is rented for it."""
    preferences = settings.load()
    _check(arguments)
    checked = check_config(arguments.config)
    model = model_source(checked.config.pretrained_model_name_or_path, preferences.remote_hub_url)
    if model is None:
        check_base_model(checked.config)
    print_findings(finding for finding in checked.findings if matters(finding, model))
    _, handed_over = needed_bytes(checked.config, checked.plan)
    check_space([(preferences.state_dir, handed_over)])
    token = token_of(model) if arguments.ask_token else ""
    names = PROVIDERS if target == CHEAPEST else (target,)
    asked_ts = time.time()
    quotes = _quotes(preferences, names, checked, arguments.config)
    best = quotes[0]
    limits = run_limits(
        best.estimate,
        best.offer,
        budget_microusd=arguments.budget,
        balance_microusd=_account(preferences, best.offer.provider).balance_microusd,
        linger_s=arguments.keep or LINGER_S,
        deadline_s=arguments.deadline,
    )
    _tell(best, limits)
    if not arguments.yes and not agrees("Rent it and start?", otherwise="nothing was rented"):
        return 0
    wanted = Wanted(
        offers=tuple(quote.offer for quote in quotes[:_NUM_OFFERS]),
        asked_ts=asked_ts,
        max_price_microusd_per_h=max(quote.offer.price_microusd_per_h for quote in quotes[:_NUM_OFFERS]),
        cap_microusd=limits.cap_microusd,
        reserved_microusd=best.estimate.p90_traffic_microusd,
        deadline_ts=steady_ts() + limits.auto_stop_s,
    )
    with hosting(preferences) as host:
        rental = _wait(host, (lambda targets: _rent(preferences, targets, wanted)))
        try:
            run_id = _begin(host, preferences, rental, checked, model, token, arguments)
        except BaseException as error:
            # A second Ctrl-C must not leave a bill: what interrupts the end says so itself.
            why = error.what if isinstance(error, LoratuiError) else "it was interrupted before the run began"
            _print_receipt(_wait(host, (lambda _: _finish(preferences, rental.provider, rental.label, why))))
            raise
        if not arguments.detach:
            return watch(host, preferences, run_id, arguments)
        status = stay_while_needed(host, run_id, arguments)
        see_to_rental(host, preferences, host.view(run_id), is_all_here=False)
        return status


def see_to_rental(host: SessionHost, preferences: Settings, view: RunView, *, is_all_here: bool) -> None:
    """End the rental of a run that is over and whose files are here; else say that it goes on, and until when.

    Raises:
        StillBillingError: it could not be seen to end.
    """
    label = rental_label(view.target)
    with Rentals(preferences.database) as ledger:
        rental = ledger.rental(label)
    if rental.state.is_over:
        return
    if not is_all_here:
        left_s = max(0.0, (rental.deadline_ts or time.time()) - time.time())
        say(
            f"the rental goes on at {formatting.hourly_price(rental.price_microusd_per_h)}; it ends itself in "
            f"{formatting.duration(left_s)} at the latest. To end it now: loratui terminate {label}"
        )
        return
    why = f"the run is {view.state.value}"
    _print_receipt(_wait(host, lambda _: _finish(preferences, rental.provider, label, why)))


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


def _quotes(preferences: Settings, names: tuple[str, ...], checked: Checked, path: Path) -> list[Quote]:
    """Return what can be rented for this run, the cheapest in the end first.

    Raises:
        UsageError: there is no key, or nothing fits.
        ProviderError: none of them could be understood.
    """
    quoted = ask_quotes(preferences, names, OfferQuery(), checked)
    errors = [answer.error for answer in quoted.answers if answer.error is not None]
    if not quoted.ranked and errors:
        raise errors[0]
    tell_failures(quoted.answers)
    if not quoted.ranked:
        raise UsageError(
            f"nothing that fits this run can be rented at {' or '.join(names)} now",
            fix=f"loratui offers --for {path} shows what there is",
            code="offers.none",
        )
    return quoted.ranked


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


def _tell(quote: Quote, limits: RunLimits) -> None:
    """Say what is rented, what it costs at most, and who ends it."""
    offer = quote.offer
    stop = time.strftime("%H:%M", time.localtime(time.time() + limits.auto_stop_s))
    say(
        f"offer: {offer.gpu_name} {offer.vram_mib / 1024:.0f} GiB at {offer.provider}, "
        f"{formatting.hourly_price(offer.price_microusd_per_h)}, {offer.region or 'place unknown'}"
    )
    say(f"the whole run: {cost_range(quote.estimate)}, {time_range(quote.estimate)}")
    for note in limits.notes:
        say(f"note: {note}")
    say(
        f"at most {formatting.money(limits.cap_microusd)}; auto-stop in {formatting.duration(limits.auto_stop_s)} "
        f"({stop}): then the machine ends its own rental, whether this laptop is there or not"
    )
    say("it is ended as soon as every file is here, verified; whoever runs it can read the pictures that are there")


async def _rent(preferences: Settings, targets: Targets, wanted: Wanted) -> Rental:
    said = ""

    def tell(view: RentalView) -> None:
        nonlocal said
        now = f"{view.offer.provider} {view.offer.gpu_name}: {view.state}" + (f", {view.detail}" if view.detail else "")
        if now != said:
            said = now
            spent = formatting.money(view.spent_microusd, exact=False)
            say(f"{now} ({formatting.duration(view.elapsed_s)}, {spent})")

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
            )


def _begin(
    host: SessionHost,
    preferences: Settings,
    rental: Rental,
    checked: Checked,
    model: ModelSource | None,
    token: str,
    arguments: Arguments,
) -> str:
    """Have the machine armed, then bring the run there; return its id."""
    target, deadline_ts = rental_target(rental.provider, rental.label), rental.deadline_ts or steady_ts()
    on_box, _ = needed_bytes(checked.config, checked.plan)
    armed = _wait(host, (lambda targets: arm(targets.machine(target), rental, preferences, deadline_ts)))
    say(f"dead-man: {armed.sentence}")
    if armed.how != "end" and NO_DEADMAN not in arguments.accept:
        raise UsageError(
            f"this machine can't end its own rental ({armed.why}); nothing was sent there, and it is ended",
            fix=f"take another offer, or accept that a lost laptop may cost up to the cap: --accept {NO_DEADMAN}",
            code=NO_DEADMAN,
        )
    prepared = _wait(
        host,
        lambda targets: prepare(
            targets.machine(target), checked.config, preferences, on_box, token=token, progress=hashing_progress()
        ),
    )
    left_s = deadline_ts - steady_ts()
    if left_s < _SAVE_S + _SHORTEST_RUN_S:
        raise UsageError(
            f"of what was agreed to {formatting.duration(max(0.0, left_s))} are left, too little to train and to bring "
            "the results home; nothing of yours was sent there, and it is ended",
            fix="give a larger budget, or a later deadline",
            code="rental.cap",
        )
    tell_terms(prepared, rental.price_microusd_per_h, left_s)
    check_upload(prepared, rental.price_microusd_per_h, arguments.accept)
    if token and model is not None:
        hand_over_token(host, target, model, token)
    run_id = start_run(
        host,
        name=checked.config.output_name,
        target=target,
        config_toml=to_toml(checked.config),
        home=Path(prepared.home),
        price_microusd_per_h=rental.price_microusd_per_h,
        max_runtime_s=left_s - _SAVE_S,
        supply=prepared.supply,
        on_done="end" if armed.how == "end" else "",
        keep_s=arguments.keep,
        accepted=arguments.accept,
    )
    with Rentals(preferences.database) as ledger:
        # A ledger that can't be written ends no run: the run itself is stored with its target.
        noted(lambda: ledger.note_run(rental.label, run_id))
        noted(lambda: ledger.enter(rental.label, Phase.TRAINING, steady_ts(), rental.price_microusd_per_h))
    if arguments.json:
        fields = {"event": "run", "ts": time.time(), "seq": 0, "run": run_id, "name": checked.config.output_name}
        print(to_json(fields), flush=True)
    else:
        say(f"run {run_id}: {checked.config.output_name}, {checked.plan.steps} steps on {target}")
    return run_id


async def _finish(preferences: Settings, name: str, label: str, why: str) -> Receipt:
    said = ""

    def tell(view: EndingView) -> None:
        nonlocal said
        how = str(view.error.what) if view.error else "gone" if view.last is None else f"still {view.last.state}"
        if how != said:
            said = how
            say(f"ending the rental: {how}")

    with Rentals(preferences.database) as ledger:
        async with opened(preferences, (name,)) as providers:
            if not providers:
                raise still_billing(ledger.rental(label))
            receipt = await finish_rental(providers[0], ledger, label, why, tell)
    RentalFolder(preferences.state_dir, label).remove()
    return receipt


def _print_receipt(receipt: Receipt) -> None:
    """Say what it has cost, and that it is over: only what the provider has shown."""
    rental = receipt.rental
    if rental.state is not RentalState.GONE:
        return
    parts = ", ".join(f"{phase} {formatting.money(microusd)}" for phase, microusd in receipt.phases.items() if microusd)
    billed = (
        f"; {rental.provider} has billed {formatting.money(receipt.billed.total_microusd)}" if receipt.billed else ""
    )
    say(
        f"the rental is gone, as {rental.provider} shows: {formatting.duration(receipt.seconds)}, "
        f"{formatting.money(receipt.ours_microusd)} ({parts}){billed}"
    )


def _wait(host: SessionHost, work: Callable[[Targets], Coroutine[Any, Any, T]]) -> T:
    """Do it in the host. Ctrl-C cancels it, and its end is waited for: what was rented ends first."""
    future = host.perform(work)
    while True:
        try:
            return future.result()
        except CancelledError as error:
            raise KeyboardInterrupt from error
        except KeyboardInterrupt:
            say("interrupted: what was rented is ended first; once more leaves it as it is")
            host.interrupt(future)
