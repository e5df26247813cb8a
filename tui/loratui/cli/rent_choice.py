"""Which offers a run may be rented on: asked for with the user's keys, within budget, balance and limits, and told."""

import asyncio
import shlex
import sys
import time
from collections.abc import Mapping, Sequence

from loratui.cli.arguments import Arguments
from loratui.cli.estimating import tell_failures
from loratui.cli.failed_before import tell_failed_before
from loratui.cli.following import say
from loratui.cli.market_query import query_of, sort_of, tell_untold
from loratui.cli.rent_start import WantedRun
from loratui.domain import formatting
from loratui.domain.estimate_limits import Choice, RunLimits, choose
from loratui.domain.estimate_ranking import Quote, cost_range, fit_sentence, time_range
from loratui.providers.base import Account
from loratui.sessions.market import Answered, ask_all, opened
from loratui.sessions.quoting import ask_quotes, limits_on
from loratui.settings import Settings
from loratui_protocol.errors import UsageError

_NUM_OFFERS = 5
_SAY_WAITING_S = 900.0


def choose_offers(
    preferences: Settings, names: Sequence[str], runs: list[WantedRun], arguments: Arguments
) -> tuple[Choice, float]:
    """Return what may be rented for these runs, and when its prices were asked for.

    Raises:
        UsageError: there is no key, nothing fits, or what there is costs more than may be spent.
        ProviderError: none of the providers could be understood; a wrong key is one reason.
    """
    accounts = _accounts(preferences, names)
    quotes, asked_ts = _quoted(preferences, tuple(accounts), runs, arguments)

    def limits_of(quote: Quote, cap_microusd: int | None) -> RunLimits:
        return limits_on(
            preferences,
            quote,
            accounts[quote.offer.provider],
            budget_microusd=arguments.budget if cap_microusd is None else cap_microusd,
            keep_s=arguments.keep,
            deadline_s=arguments.deadline,
        )

    return choose(quotes, limits_of, _NUM_OFFERS), asked_ts


def _accounts(preferences: Settings, names: Sequence[str]) -> Mapping[str, Account]:
    """Return what the user's keys open, by provider; one that can't be asked is said, and left out.

    Raises:
        UsageError: there is no key.
        ProviderError: none of them could be asked.
    """

    async def ask() -> list[Answered[Account]]:
        async with opened(preferences, names) as providers:
            return await ask_all(providers, lambda provider: provider.account())

    answers = asyncio.run(ask())
    if not answers:
        raise UsageError(
            f"there is no key of {' or '.join(names)}; nothing was rented",
            fix=f"loratui keys {names[0]}",
            code="provider.no_key",
        )
    accounts = {answer.provider: answer.value for answer in answers if answer.value is not None}
    if not accounts:
        raise next(answer.error for answer in answers if answer.error is not None)
    for answer in answers:
        if answer.error is not None:
            print(f"note: {answer.provider} is left out: {answer.error}", file=sys.stderr)
    for name in sorted({*names}.difference(answer.provider for answer in answers)):
        print(f"note: {name} is not asked, for there is no key: loratui keys {name}", file=sys.stderr)
    return accounts


def _quoted(
    preferences: Settings, names: tuple[str, ...], runs: list[WantedRun], arguments: Arguments
) -> tuple[list[Quote], float]:
    """Return what can be rented for these runs, and when that was asked for: the best first, as the user ranks them.

    With ``--wait-price`` it is waited for until there is something at that price or below.

    Raises:
        UsageError: nothing fits.
        ProviderError: none of them could be understood.
    """
    first, *others = ((run.checked, run.base) for run in runs)
    most, said_s = arguments.wait_price, float("-inf")
    sort_by = sort_of(arguments)
    query = query_of(arguments, preferences, sort_by)
    while True:
        asked_ts = time.time()
        quoted = ask_quotes(
            preferences,
            names,
            query,
            *first,
            sort_by,
            others=others,
            may_lack_key=False,
        )
        errors = [answer.error for answer in quoted.answers if answer.error is not None]
        if not quoted.ranked and errors and most is None:
            raise errors[0]
        tell_failures(quoted.answers)
        tell_untold(arguments, (quote.offer for quote in quoted.ranked))
        fit = [
            quote
            for quote in quoted.ranked
            if (most is None or quote.offer.price_microusd_per_h <= most) and arguments.offer in (None, quote.offer.id)
        ]
        if fit:
            tell_failed_before(preferences, quoted.offers)
            return fit, asked_ts
        if most is None and arguments.offer is not None:
            raise _gone(arguments)
        if most is None:
            raise UsageError(
                f"nothing that fits this run can be rented at {' or '.join(names)} now",
                fix=f"loratui offers --for {shlex.quote(str(arguments.config))} shows what there is; "
                "--wait-price 0.40 waits",
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


def _gone(arguments: Arguments) -> UsageError:
    at_most = "" if arguments.max_price is None else f" for {formatting.hourly_price(arguments.max_price)} or less"
    return UsageError(
        f"the offer {arguments.offer} can't be rented for this run now{at_most}. Nothing was rented",
        fix=f"loratui offers --for {shlex.quote(str(arguments.config))} shows what there is now",
        code="offers.gone",
    )


def tell_choice(choice: Choice, keep_s: float | None) -> None:
    """Say what is rented, what it costs at most, and who ends it."""
    quote, limits = choice.best, choice.limits
    offer = quote.offer
    stop = time.strftime("%H:%M", time.localtime(time.time() + limits.auto_stop_s))
    say(
        f"offer: {offer.gpu_name} {offer.vram_mib / 1024:.0f} GiB at {offer.provider}, "
        f"{formatting.hourly_price(offer.price_microusd_per_h)} with {offer.disk_gb} GB of disk, "
        f"{offer.region or 'place unknown'}"
    )
    if tight := fit_sentence(quote):
        say(f"note: as configured the run does not fit this GPU; it {tight}")
    say(f"the whole run: {cost_range(quote.estimate)}, {time_range(quote.estimate)}")
    if num_others := len(choice.quotes) - 1:
        say(
            f"should it be gone, one of {num_others} more is taken: at most "
            f"{formatting.hourly_price(choice.highest_price_microusd_per_h)}, within the same cap and auto-stop"
        )
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
