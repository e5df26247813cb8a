"""From an offer that was chosen to a run that has begun there: asks, sends the command out, and tells what it says."""

import signal
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from loratui.domain import formatting
from loratui.domain.estimate_ranking import Quote, cost_range
from loratui.domain.rental import RentalState
from loratui.sessions.model_source import server_of
from loratui.sessions.rights import Rights, answer_rights, rights_of
from loratui.settings import Settings
from loratui.ui.errands import Errand, begun_run, is_renting
from loratui.ui.frame import Frame
from loratui.ui.questions import Question
from loratui.ui.registry import Scope
from loratui.ui.rental_words import about_rights, about_terms, about_token, narration
from loratui.ui.text import Role
from loratui.ui.widgets.paper import Paragraph
from loratui.ui.widgets.prompt import Typed
from loratui.ui.widgets.renting_rows import coming
from loratui.ui.work import look_first
from loratui_protocol.errors import ModelError, UsageError

if TYPE_CHECKING:
    from loratui.sessions.market_look import Market, RentalTerms
    from loratui.ui.shell import Shell

_SAY_S = 30.0
NO_KEY = "provider.no_key"


class RentCourse:
    """One rental at a time. ``told`` is called when what is to be said of it has changed."""

    def __init__(self, shell: "Shell", told: Callable[[], None]) -> None:
        self._shell = shell
        self._told = told
        self._market: Market | None = None
        self._terms: RentalTerms | None = None
        self._errand: Errand | None = None
        self._run_id = ""
        self._trouble = ""
        """Why the cap that was typed is none, or the token opens nothing."""
        self._token = ""
        """What opens the model on its server, for this rental alone."""
        self._refusal: UsageError | None = None
        self._has_explained = False
        """Whether it was told at length what renting means, and answered."""

    @property
    def is_under_way(self) -> bool:
        """Return whether the command that rents has not ended."""
        return self._errand is not None and self._errand.status is None

    @property
    def why_no_giving_up(self) -> str:
        """Return why there is nothing that could be given up."""
        errand = self._to_give_up
        if errand is None:
            return "nothing is being rented"
        run_id = self._run_id if errand is self._errand else begun_run(errand.lines())
        begun = "a run has begun there: {go_run} shows it, {stop} stops it"
        return self._shell.actions.fill(begun) if run_id else ""

    @property
    def _to_give_up(self) -> Errand | None:
        """Return the command that rents now: the one that was sent out from here, else that of another screen."""
        if self.is_under_way:
            return self._errand
        return next((errand for errand in reversed(self._shell.errands.under_way) if is_renting(errand)), None)

    # --- asking ------------------------------------------------------------------------------------------------------

    def begin(self, market: "Market", quote: Quote) -> None:
        """Ask whether an offer is to be rented, or say why it can't be.

        Raises:
            UsageError: ``provider.no_key``: there is no key.
        """
        self.close()
        try:
            self._terms = _terms_of(market, quote, self._shell.desk.preferences)
        except UsageError as error:
            if error.code == NO_KEY:
                raise
            self._refusal = error
            self._told()
            return
        self._market = replace(market, is_first=market.is_first and not self._has_explained)
        self._run_id = self._trouble = self._token = ""
        self._ask()

    def _ask(self) -> None:
        if self._market is None or self._shell.page.place != "offers":
            return
        if self._market.rights.are_given:
            self._shell.ask(Scope.RENT_STRIP, self._ask_rent)
        else:
            self._shell.ask(Scope.RIGHTS_STRIP, self._ask_rights)
        self._told()

    def answer_rights(self, *, may_train: bool) -> None:
        """Write down what was answered, and go on if they may."""
        market, preferences = self._market, self._shell.desk.preferences
        if market is None:
            self._shell.stop_asking()
            return

        def note() -> Rights:
            answer_rights(preferences, market.rights, may_train=may_train)
            return rights_of(market.config, preferences)

        look_first(
            self._shell,
            "keeping the answer…",
            note,
            lambda rights: self._answered(market, rights),
            "the answer was not kept, nothing is rented",
        )

    def _answered(self, market: "Market", rights: Rights) -> None:
        if market is not self._market:
            return
        self._market = replace(market, rights=rights)
        if rights.are_given:
            self._ask()
        else:
            self.close()
            self._shell.say(f"{rights.sentence}; nothing is rented", _SAY_S)

    def ask_budget(self) -> None:
        """Let another cap be typed."""
        if self._terms is not None:
            value = formatting.dollars_at_least(self._terms.budget_microusd)
            self._shell.ask_text("at most, in dollars:", self._set_budget, value, Typed.MONEY)

    def _set_budget(self, text: str) -> None:
        if self._market is None or self._terms is None:
            return
        preferences, self._trouble = self._shell.desk.preferences, ""
        try:
            budget = formatting.parse_microusd(text)
            self._terms = _terms_of(self._market, self._terms.quote, preferences, budget)
        except UsageError as error:
            self._trouble = error.what
        self._ask()

    @property
    def why_no_token(self) -> str:
        """Return why none is asked for."""
        return "" if self._market is not None and self._market.owner is not None else "no model is downloaded there"

    def ask_token(self) -> None:
        """Let the token be typed, hidden, that opens the model on its server."""
        if self._market is None or self._market.owner is None:
            return
        market, owner = self._market, self._market.owner

        def try_it(text: str) -> None:
            def look() -> tuple[str, str]:
                from loratui.sessions.market_look import try_token

                try:
                    return text, text and try_token(owner, text)
                except ModelError as error:
                    return "", f"{error.what}. {error.fix}" if error.fix else error.what

            self._trouble = ""
            label = f"showing it to {server_of(owner)}…"
            look_first(self._shell, label, look, lambda found: self._took(market, *found), "the token was not tried")

        label = f"token for {server_of(owner)}, not shown:"
        self._shell.ask_text(label, lambda text: try_it(text.strip()), kind=Typed.SECRET)

    def _took(self, market: "Market", token: str, trouble: str) -> None:
        if market is self._market:
            self._token, self._trouble = token, trouble
            self._ask()

    def _explained(self) -> None:
        """Remember, for this person and for good, that it was said what renting means."""
        if self._market is None or not self._market.is_first or self._shell.strip.scope is not Scope.RENT_STRIP:
            return
        self._has_explained = True
        preferences = self._shell.desk.preferences

        def note() -> None:
            from loratui.sessions.market_look import note_explained

            note_explained(preferences)

        self._shell.work(note, "what was explained is not remembered")

    def close(self) -> None:
        """Rent nothing after all, or say no more of what was rented."""
        self._explained()
        self._shell.stop_asking()
        if not self.is_under_way:
            self._market = self._terms = self._errand = self._refusal = None
            self._token = ""
        self._told()

    # --- renting -----------------------------------------------------------------------------------------------------

    def confirm(self) -> None:
        """Rent: the command goes on whatever becomes of this screen."""
        self._explained()
        self._shell.stop_asking()
        if self._market is None or self._terms is None or self.is_under_way:
            return
        self._run_id = ""
        name = f"rent {self._terms.quote.offer.gpu_name}"
        command = self._terms.command(self._market.path, has_token=bool(self._token))
        self._errand = self._shell.send_out(name, *command, typed=self._token)
        self._told()

    def ask_give_up(self) -> None:
        """Ask whether what is being rented is to be ended."""
        self._shell.ask(Scope.GIVE_UP_STRIP, self._ask_give_up)

    def give_up(self) -> None:
        """Interrupt the command, which ends what it has rented, and says so."""
        self._shell.stop_asking()
        errand = self._to_give_up
        if errand is not None and not self.why_no_giving_up:
            errand.process.send_signal(signal.SIGINT)
            self._shell.say("interrupted: what was rented is being ended", _SAY_S)

    def new_run(self) -> str:
        """Return the id of the run that has just begun there, once."""
        if self._run_id or self._errand is None:
            return ""
        self._run_id = begun_run(self._errand.lines())
        return self._run_id

    # --- words -------------------------------------------------------------------------------------------------------

    @property
    def heading(self) -> str:
        """Return what all of it is about; empty: nothing."""
        if self._refusal is not None:
            return "this offer can't be rented"
        if self._terms is None:
            return ""
        offer = self._terms.quote.offer
        verb = "renting" if self.is_under_way else "rental of" if self._errand is not None else "rent"
        return f"{verb} {offer.gpu_name} · {offer.provider} {offer.region}".strip()

    @property
    def is_sent(self) -> bool:
        """Return whether it was agreed to, so that there are words of the command."""
        return self._errand is not None

    def paragraphs(self, frame: Frame, *, is_short: bool) -> list[Paragraph]:
        """Return what is agreed to, before it is, or why nothing can be; then what the command says."""
        if self._refusal is not None:
            what_to_do = (f"{self._refusal.fix}.", Role.TEXT)
            return [(f"! {self._refusal.what}.", Role.WARN), what_to_do]
        if self._market is None or self._terms is None:
            return []
        if self._errand is not None:
            return narration(self._errand, self._errand.argv, frame)
        if not self._market.rights.are_given:
            return about_rights(self._market.rights)
        return [
            *([(f"! {self._trouble}", Role.ALARM)] if self._trouble else []),
            *(about_token(self._market.owner) if self._token and self._market.owner is not None else []),
            *about_terms(self._market, self._terms, frame, is_short=is_short),
        ]

    def _ask_rent(self, _: Frame) -> Question:
        if self._terms is None:
            return Question(title=(), stake="")
        quote, limits = self._terms.quote, self._terms.limits
        stop = formatting.duration(limits.auto_stop_s)
        return Question(
            title=(("RENT", Role.ALARM), (f" {_of(quote)}", Role.STRONG)),
            stake=f"{cost_range(quote.estimate)} · cap {formatting.money(limits.cap_microusd)} · auto-stop {stop}",
        )

    def _ask_rights(self, _: Frame) -> Question:
        return Question(
            title=(("RIGHTS", Role.TITLE), (" before pictures leave this machine", Role.STRONG)),
            stake="Are you allowed to train on these pictures?",
        )

    def _ask_give_up(self, frame: Frame) -> Question:
        errand = self._to_give_up
        name = errand.name if errand is not None else ""
        if errand is self._errand and self._terms is not None:
            name = _of(self._terms.quote)
        return Question(
            title=(("GIVE UP", Role.ALARM), (f" {name}", Role.STRONG)),
            stake=f"Nothing was trained there yet. {self._billed_so_far(frame)}",
        )

    def _billed_so_far(self, frame: Frame) -> str:
        """Return what giving up means for money, as far as the ledger has been read."""
        rental = coming(frame)
        if not frame.overview.is_read or frame.overview.trouble:
            return "What it has cost is not known: the records can't be read. What was rented is ended, and shown gone."
        if rental is None or rental.state == RentalState.INTENT:
            return "By the records nothing bills yet; should that change meanwhile, it is ended, and shown gone."
        spent = formatting.money(rental.spent_microusd, exact=False)
        return f"It is ended, and shown gone by its provider; {spent} until now, and until that is so, is billed."


def _terms_of(market: "Market", quote: Quote, preferences: Settings, budget: int | None = None) -> "RentalTerms":
    # Loaded by who looked at the market: with the screen it would be waited for.
    from loratui.sessions.market_look import terms_of

    return terms_of(market, quote, preferences, budget)


def _of(quote: Quote) -> str:
    price = formatting.hourly_price(quote.offer.price_microusd_per_h)
    return f"{quote.offer.gpu_name} at {quote.offer.provider}, {price}"
