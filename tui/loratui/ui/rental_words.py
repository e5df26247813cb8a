"""What is said of a rental: before it is agreed to, the first time in more words, and while it is brought about."""

import shlex
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from loratui.domain import formatting
from loratui.domain.estimate_ranking import cost_range, fit_sentence, time_range
from loratui.sessions.model_source import server_of
from loratui.sessions.rights import Rights
from loratui.ui.errands import Errand
from loratui.ui.frame import Frame
from loratui.ui.text import Role
from loratui.ui.widgets.paper import Paragraph
from loratui_protocol.inputs import ModelSource

if TYPE_CHECKING:
    from loratui.sessions.market_look import Market, RentalTerms

_FIRST_TIME = (
    "Billed by the second from the moment the machine exists, its start and what is loaded there included; traffic "
    "comes on top where the provider bills it.",
    "loratui ends it as soon as every file is here, verified. If it can't, the machine ends itself at the auto-stop.",
    "While this laptop sleeps, or this screen is closed, the run goes on and bills on: until the auto-stop at most, "
    "and never above the cap.",
    "Whoever runs the machine can read the pictures that are there.",
)
_FIRST_TIME_IN_SHORT = (
    "Billed by the second from when the machine exists.",
    "Ended once every file is here, else at the auto-stop.",
    "Laptop asleep: it goes on and bills, to the auto-stop.",
)


def about_terms(market: "Market", terms: "RentalTerms", frame: Frame, *, is_short: bool) -> list[Paragraph]:
    """Return what is agreed to; with ``is_short`` what has room on a small screen comes first."""
    quote, limits = terms.quote, terms.limits
    offer = quote.offer
    stop = f"{frame.wall + timedelta(seconds=limits.auto_stop_s):%H:%M}"
    said: list[Paragraph] = [
        (f"TOTAL {cost_range(quote.estimate)}, {time_range(quote.estimate)}", Role.STRONG),
        (f"Cap {formatting.money(limits.cap_microusd)}: no more is spent, traffic included.", Role.TEXT),
        (f"Auto-stop in {formatting.duration(limits.auto_stop_s)}: {stop} if it starts now.", Role.TEXT),
    ]
    machine = (
        f"{formatting.hourly_price(offer.price_microusd_per_h)} with {offer.disk_gb} GB of disk, "
        f"{offer.vram_mib / 1024:.0f} GB on the GPU, {f'region {offer.region}' if offer.region else 'place unknown'}"
    )
    notes: list[Paragraph] = [(f"! {note}", Role.WARN) for note in limits.notes]
    if tight := fit_sentence(quote):
        notes.append((f"! as configured the run does not fit this GPU; it {tight}", Role.WARN))
    explained = _explained(market, is_short=is_short)
    if is_short:
        return [*said, *explained, *notes, (machine, Role.TEXT)]
    return [said[0], (machine, Role.TEXT), *said[1:], *notes, *explained]


def _explained(market: "Market", *, is_short: bool) -> list[Paragraph]:
    said: list[Paragraph] = []
    if market.is_first:
        said += [(text, Role.TEXT) for text in (_FIRST_TIME_IN_SHORT if is_short else _FIRST_TIME)]
    if market.warnings:
        number = "a warning" if len(market.warnings) == 1 else f"{len(market.warnings)} warnings"
        said.append((f"! in spite of {number}: loratui check {market.path.name}", Role.WARN))
    said.append((f"Pictures: {market.rights.sentence}; {market.rights.license_sentence}.", Role.DIM))
    if not market.is_first:
        said += [(f"! {each.what}", Role.WARN) for each in market.warnings]
    return said


def about_token(owner: ModelSource) -> list[Paragraph]:
    """Return where the token goes that was typed."""
    server = server_of(owner)
    return [
        (
            f"The machine gets your token for {server}, shows it to {server} alone, and forgets it. It is not kept "
            "here; whoever runs the machine could read it.",
            Role.TEXT,
        )
    ]


def about_rights(rights: Rights) -> list[Paragraph]:
    """Return what somebody has to know who is asked whether the pictures may be trained on."""
    said: list[Paragraph] = [
        (f"The pictures in {rights.folders} go to the machine that is rented.", Role.TEXT),
        (f"{rights.license_sentence[:1].upper()}{rights.license_sentence[1:]}.", Role.TEXT),
    ]
    if rights.answer is not None:
        said.append((f"Answered before: {rights.sentence}.", Role.WARN))
    return said


def narration(errand: Errand, command: Sequence[str], frame: Frame) -> list[Paragraph]:
    """Return what the command that rents has said, and how to go on."""
    said: list[Paragraph] = [(line, Role.TEXT) for line in errand.lines() if line.strip()]
    if errand.never_began:
        said = [("It was interrupted before it had begun: nothing was rented.", Role.TEXT)]
    if errand.status is None:
        if not said:
            said.append(("looking at everything that has to hold before money is spent…", Role.DIM))
        up = f"{frame.keys.name_of('rent_give_up')} gives the rental up."
        said.append((f"{up} It goes on by itself when this screen is closed.", Role.DIM))
    if errand.status:
        if not said:
            text = f"It ended with {errand.status} and without a word. Whether something was rented: loratui rentals."
            said.append((text, Role.ALARM))
        else:
            said.append(("", Role.TEXT))
            said.append(("It has ended; what it says above is all there is to it.", Role.STRONG))
        said.append((f"The same in a shell: {shlex.join(('loratui', *command))}", Role.DIM))
    return said
