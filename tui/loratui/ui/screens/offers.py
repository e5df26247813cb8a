"""The offers screen: what can be rented for the open config, why it costs what it costs, and the way to a rental."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.message import Message
from textual.widget import Widget

from loratui.domain.estimate_ranking import SortBy
from loratui.domain.offer_form import FormField, form_fields, read_form, trouble_with, write_form
from loratui.providers.retries import Retry
from loratui.sessions.market import PROVIDERS
from loratui.ui.errands import Errand
from loratui.ui.frame import Frame
from loratui.ui.key_entry import KeyEntry
from loratui.ui.market_asker import Answer, MarketAsker
from loratui.ui.page import Page
from loratui.ui.registry import Scope
from loratui.ui.renting import RentCourse
from loratui.ui.typed_path import typed_path
from loratui.ui.widgets.filter_form import FilterForm
from loratui.ui.widgets.offer_list import OfferList, nothing_there
from loratui.ui.widgets.paper import Paper
from loratui.ui.widgets.prompt import Typed
from loratui.ui.widgets.why_pane import WhyPane
from loratui_protocol.errors import UsageError

if TYPE_CHECKING:
    from loratui.sessions.market_look import Market
    from loratui.ui.shell import Shell

_OLD_S = 120.0
"""Answers older than that are asked for again when one comes here."""
_SAY_S = 30.0
_SORTS = (SortBy.TOTAL, SortBy.PRICE, SortBy.TIME, SortBy.RELIABILITY)
_OF_LIST = (Scope.LIST, Scope.MARKS)
_SHORT = 14
"""Rows below which there is room for the essential alone."""
_NO_CONFIG = (
    "No config is open.",
    "{offers_for} opens one, and asks every provider what its run would cost there.",
    "{provider_keys} enters a provider's key; without one offers can be seen and not rented.",
)


class OffersPage(Page):
    """Asks the providers when it comes into sight, and when it is told to; what they said before stays until then."""

    place = "offers"
    own_scopes = (Scope.OFFERS, Scope.OFFER_FORM)

    @dataclass
    class Answered(Message):
        """The providers have answered a question, or one has to be asked again."""

        number: int
        answer: Answer | Retry

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self.main_list = self._list = OfferList(id="offers")
        self._why = WhyPane(id="why")
        self._form = FilterForm(id="filter-form")
        self._form.fill(form_fields(PROVIDERS))
        self._paper = Paper(id="paper")
        self._asker = MarketAsker(shell.desk, lambda *answer: self.post_message(self.Answered(*answer)))
        self._asked: tuple[Path, float] | None = None
        """Of the last question: the config, and when it was written."""
        self._market: Market | None = None
        self._course = RentCourse(shell, self._told)
        self._keys = KeyEntry(shell, self._told, self._key_kept)
        self._hides_course = False

    def compose(self) -> ComposeResult:
        """Put the list over the reasons; the paper takes the place of both while a rental is spoken of."""
        yield self._list
        yield self._why
        yield self._form
        yield self._paper

    @property
    def panes(self) -> tuple[Widget, ...]:
        """Return the table, and why an offer costs what it costs."""
        return () if self._market is None or self._paper.display else (self._list, self._why)

    def refusals(self) -> Mapping[str, str]:
        """Return what can't be done without a config, an offer, or a rental that is under way."""
        refused, no_config = {}, self.shell.actions.fill("no config is open: {offers_for} opens one")
        if self._market is not None and self._market.errors and not self._course.is_under_way:
            refused["rent"] = f"the config can't be trained: {self._market.errors[0].what}"
        elif self._list.chosen is None and not self._course.is_under_way:
            none = "the providers have not answered yet" if self._asker.is_asking else "there is no offer"
            refused["rent"] = none if self.shell.config_path else no_config
        if self.shell.config_path is None:
            refused["ask_offers"] = no_config
        if why_not := self._course.why_no_giving_up:
            refused["rent_give_up"] = why_not
        if why_not := self._course.why_no_token:
            refused["rent_token"] = why_not
        return refused

    def left(self) -> None:
        """Close the form."""
        if self.main_list is self._form:
            self.do_form_close()

    def entered(self) -> None:
        """Ask if another config is open than the last time, if it was written since, or if that was long ago."""
        path = self.shell.config_path
        if path is None:
            return
        is_old = self._list.asked_s is None or self.shell.clock.monotonic_s() - self._list.asked_s > _OLD_S
        if self._asked != (path, _written(path)) or (is_old and not self._asker.is_asking):
            self._ask(path)

    def show(self, frame: Frame) -> None:
        """Show what was answered, or what there is to say of a rental."""
        if self._asked is None:
            # The config that was open in an earlier session may have been opened again meanwhile.
            self.entered()
        self._list.is_asking = self._asker.is_asking
        if self._market is None:
            self._list.instead = self._list.instead or tuple(map(self.shell.actions.fill, _NO_CONFIG))
        self._explain()
        self._write(frame)
        super().show(frame)
        # Not over a question: its answer would be another key on another screen.
        if self.shell.strip.scope is None and not self.shell.prompt.is_open and (run_id := self._course.new_run()):
            self._hides_course = True
            self.shell.open_run(run_id)

    def _write(self, frame: Frame) -> None:
        """Fill the paper, and put it in the place of the list while there is something on it."""
        paper, is_short = self._paper, self.size.height < _SHORT
        if self._keys.is_asking:
            paper.heading, paper.paragraphs, paper.is_tail = "keys of providers", self._keys.paragraphs(), False
        elif self._course.heading and not self._hides_course:
            paper.heading, paper.is_tail = self._course.heading, self._course.is_sent
            paper.paragraphs = self._course.paragraphs(frame, is_short=is_short)
        else:
            paper.heading, paper.paragraphs = "", ()
        is_written = bool(paper.heading)
        strip = self.shell.strip
        paper.reserved = max(0, strip.size.height - 1) if strip.scope is not None else 0
        is_form = self.main_list is self._form
        paper.display, self._form.display = is_written, not is_written and is_form
        # What is set here counts for more than that another pane has the whole page.
        self._list.display = not is_written and not self._list.has_class("-aside")
        self._why.display = not is_written and not is_form and not self._why.has_class("-aside")

    def _told(self) -> None:
        """Show at once what has changed of a rental or a key."""
        self.shell.refresh_view()

    def on_list_pane_moved(self) -> None:
        """Explain the offer under the cursor."""
        self._explain()
        self._why.rebuild()

    def do_mark(self) -> None:
        """Mark the chosen offer, or unmark it; two that are marked are compared."""
        super().do_mark()
        self.on_list_pane_moved()

    def _explain(self) -> None:
        marked = self._list.meant if len(self._list.marked) > 1 else []
        chosen = [] if self._list.chosen is None else [self._list.chosen]
        self._why.market, self._why.quotes = self._market, marked[:2] or chosen

    # --- the filter as a form ----------------------------------------------------------------------------------------

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Return where the keys work now: while the form is open they are its."""
        return (Scope.OFFER_FORM, Scope.LIST) if self.main_list is self._form else (Scope.OFFERS, *_OF_LIST)

    def do_filter_form(self) -> None:
        """Show the filter as a form."""
        self._form.values = read_form(self._list.query_text, self._form.entries)
        self._give_keys(self._form)

    def do_form_close(self) -> None:
        """Go back to the offers; the filter stays."""
        self._give_keys(self._list)

    def _give_keys(self, pane: "OfferList | FilterForm") -> None:
        self.main_list = pane
        self._list.has_cursor = pane is self._list
        self._list.rebuild()
        self._told()

    def do_form_edit(self) -> None:
        """Let the value of the chosen field be typed."""
        field = self._form.chosen
        if field is not None:
            value = self._form.values.get(field.name, "")
            self.shell.ask_text(f"{field.label} ({field.hint}):", lambda text: self._fill_in(field, text), value)

    def do_form_clear(self) -> None:
        """Let everything through in the chosen field."""
        if self._form.chosen is not None:
            self._fill_in(self._form.chosen, "")

    def _fill_in(self, field: FormField, text: str) -> None:
        text = text.strip().casefold()
        if trouble := trouble_with(field, text):
            self.shell.say(f"! {trouble}", _SAY_S)
            return
        self._form.values = {**self._form.values, field.name: text}
        self._list.set_query(write_form(self._form.values, self._form.entries))
        self._told()

    # --- asking ------------------------------------------------------------------------------------------------------

    def _ask(self, path: Path) -> None:
        if self._asked is not None and self._asked[0] != path:
            self._market = self._list.market = self._list.asked_s = None
            self._list.fill(())
        self._asked = path, _written(path)
        self._asker.ask(path, self.shell.clock.monotonic_s())
        self._list.retry = None
        if self._market is None:
            self._list.instead = (f"Asking {' and '.join(PROVIDERS)} what can be rented for {path.name}…",)
        self._told()

    def on_offers_page_answered(self, message: Answered) -> None:
        """Show what was answered to the newest question; of others nothing."""
        answer = message.answer
        if isinstance(answer, Retry):
            if self._asker.is_waiting_for(message.number):
                self._list.retry = answer
                self._told()
            return
        if not self._asker.take(message.number):
            return
        if answer.market is None:
            # What was answered before stays, with its age.
            if self._market is None:
                again = self.shell.actions.fill("{ask_offers} asks again, {offers_for} opens another.")
                self._list.instead = tuple(filter(None, (answer.what, answer.fix, again)))
            else:
                self.shell.say(f"! not asked: {answer.what}", _SAY_S)
        else:
            self._market = self._list.market = answer.market
            self._list.asked_s = answer.asked_s
            self._list.instead = nothing_there(answer.market, self.shell.actions)
            self._list.fill(answer.market.ordered(self._list.sort_by))
        if self.shell.page is self:
            self._told()

    def yank_text(self) -> str:
        """Return the command that trains on the chosen offer, and asks first."""
        quote = self._list.chosen
        if quote is None or self._market is None:
            return super().yank_text()
        offer = quote.offer
        return shlex.join(("loratui", "train", str(self._market.path), "--on", offer.provider, "--offer", offer.id))

    def do_ask_offers(self) -> None:
        """Ask again."""
        if self.shell.config_path is not None:
            self._ask(self.shell.config_path)

    def do_offers_for(self) -> None:
        """Let the config be named."""
        now = self.shell.config_path
        self.shell.ask_text("config:", self._open, "" if now is None else str(now), Typed.PATH)

    def _open(self, text: str) -> None:
        path = typed_path(text)
        if not text.strip() or not path.is_file():
            self.shell.say(f"! there is no file {text.strip() or 'without a name'}")
            return
        self.shell.config_path = path
        self._ask(path)

    def kept(self) -> dict[str, str]:
        """Return the order and the filter."""
        return {"sort": self._list.sort_by, "filter": self._list.query_text}

    def restore(self, kept: Mapping[str, str]) -> None:
        """Take both up."""
        if kept.get("sort") in _SORTS:
            self._list.sort_by = SortBy(kept["sort"])
        self._list.set_query(kept.get("filter", ""))

    def do_sort_offers(self) -> None:
        """Put another order on."""
        self._list.sort_by = _SORTS[(_SORTS.index(self._list.sort_by) + 1) % len(_SORTS)]
        if self._market is not None:
            self._list.fill(self._market.ordered(self._list.sort_by))
        self._told()

    def errand_ended(self, errand: Errand) -> None:  # noqa: ARG002 - any may have changed an account
        """Show its last words."""
        self._told()

    # --- renting -----------------------------------------------------------------------------------------------------

    def do_rent(self) -> None:
        """Ask whether the chosen offer is to be rented; of one that is being rented tell what is said."""
        self._hides_course = False
        if self._course.is_under_way or self._market is None or self._list.chosen is None:
            self._told()
            return
        try:
            self._course.begin(self._market, self._list.chosen)
        except UsageError as error:
            self._keys.begin(f"{error.what}: nothing can be rented there without one.")

    def do_rights_given(self) -> None:
        """Note that the pictures may be trained on, and go on."""
        self._course.answer_rights(may_train=True)

    def do_rights_refused(self) -> None:
        """Note that they may not; nothing is rented."""
        self._course.answer_rights(may_train=False)

    def do_rights_cancel(self) -> None:
        """Rent nothing."""
        self._course.close()

    def do_rent_confirm(self) -> None:
        """Rent it."""
        self._course.confirm()

    def do_rent_budget(self) -> None:
        """Let another cap be typed."""
        self._course.ask_budget()

    def do_rent_token(self) -> None:
        """Let a model's token be typed."""
        self._course.ask_token()

    def do_rent_cancel(self) -> None:
        """Rent nothing."""
        self._course.close()

    def do_rent_give_up(self) -> None:
        """Ask whether what is being rented is to be ended."""
        self._course.ask_give_up()

    def do_give_up_confirm(self) -> None:
        """End it."""
        self._course.give_up()

    def do_give_up_cancel(self) -> None:
        """Let it go on."""
        self.shell.stop_asking()

    def do_offers_back(self) -> None:
        """Show the offers again, and let a rental go on; where they are shown, wait no more for what is asked."""
        if self._asker.is_asking and not self._paper.display:
            self._asker.forget()
            again = self.shell.actions.fill("{ask_offers} asks again")
            self._list.instead = ("The providers are not waited for any more.", f"{again}.")
            self.shell.say(f"not waited for any more · {again}")
        self._hides_course = self._course.is_under_way
        self._keys.close()
        self._course.close()

    # --- keys --------------------------------------------------------------------------------------------------------

    def do_provider_keys(self) -> None:
        """Ask whose key is to be entered."""
        self._keys.begin()

    def do_key_of_vast(self) -> None:
        """Let the key of Vast.ai be typed."""
        self._keys.enter("vast")

    def do_key_of_runpod(self) -> None:
        """Let the key of RunPod be typed."""
        self._keys.enter("runpod")

    def do_keys_cancel(self) -> None:
        """Enter none."""
        self._keys.close()

    def _key_kept(self) -> None:
        if self.shell.config_path is not None:
            self._ask(self.shell.config_path)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
