"""The two rows that never leave the screen: what the run is doing, and what it costs."""

from collections.abc import Sequence

from loratui.domain import formatting
from loratui.domain.boot_steps import NUM_STEPS, step_of_run
from loratui.domain.countdown import Urgency, urgency
from loratui.domain.known_price import SSH_PRICE, is_price_known
from loratui.domain.overview import RentalLine
from loratui.domain.phases import PAUSES, title
from loratui.domain.rental import RentalState
from loratui.domain.rental_cost import RentalCost
from loratui.domain.run import LinkState, RunView
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cells, fit, row_width, spread
from loratui.ui.widgets.rental_list import month
from loratui.ui.widgets.renting_rows import badge, coming, renting, whether_it_bills
from loratui.ui.widgets.rows import Rows
from loratui_protocol.messages import JobState, Setup

STATE_WORDS: dict[JobState, tuple[str, Role]] = {
    JobState.QUEUED: ("○ QUEUED", Role.TEXT),
    JobState.PREPARING: ("◐ PREPARING", Role.TEXT),
    JobState.RUNNING: ("● TRAINING", Role.GOOD),
    JobState.PAUSED: ("‖ PAUSED", Role.WARN),
    JobState.STOPPING: ("◆ STOPPING", Role.WARN),
    JobState.INTERRUPTED: ("! INTERRUPTED", Role.ALARM),
    JobState.RESUMING: ("◐ RESUMING", Role.WARN),
    JobState.FINISHING: ("◆ FINISHING", Role.GOOD),
    JobState.DONE: ("■ DONE", Role.GOOD),
    JobState.STOPPED: ("■ STOPPED", Role.WARN),
    JobState.FAILED: ("x FAILED", Role.ALARM),
}
_COUNTDOWN = {Urgency.SOON: Role.WARN, Urgency.URGENT: Role.ALARM, Urgency.OVER: Role.ALARM}
_LONGEST_NAME = 32
_LEAST_NAME = 11
_SHORTEST_NAME = 4
"""Cells for the name, and the gaps around it."""
_NEAR_CAP = 0.8
_NO_RUN = len("  no run is open ")
_AMOUNT = 2
"""So many spans of the row of the money say what was spent; the price comes after them."""


class StatusRows(Rows):
    """The first two rows of every screen."""

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - always two rows
        """Return the row of the state and the row of the money."""
        right = _right(frame)
        if frame.ending:
            first = spread([(f" {frame.ending} ", Role.ALARM)], right, width)
            return [first, _all_money_row(frame, width) if frame.run is None else _money_row(frame, width)]
        if (errand := renting(frame)) is not None:
            money = [*whether_it_bills(frame, errand), *_other_rentals(frame)]
            hint: Row = [(frame.keys.fill("{go_offers}, then {rent_give_up} gives it up "), Role.DIM)]
            has_room = row_width([*money, *hint]) < width
            return [spread(badge(frame, errand), right, width), spread(money, hint if has_room else [], width)]
        if frame.run is None:
            return [_idle_row(frame, width), _all_money_row(frame, width)]
        return [_state_row(frame, width), _money_row(frame, width)]


def _idle_row(frame: Frame, limit: int) -> Row:
    """Return the row of the state while no run is open: what bills is said even then."""
    overview = frame.overview
    if overview.trouble:
        words: Span = ("! WHAT IS RENTED IS NOT KNOWN", Role.ALARM)
    elif overview.rentals:
        words = (f"! {len(overview.rentals)} RENTED, MAY BILL", Role.ALARM)
    elif not overview.is_read:
        words = ("○ reading…", Role.DIM)
    elif overview.is_all_known:
        words = ("○ IDLE (nothing billing)", Role.TEXT)
    else:
        # Before they are asked it is no warning yet.
        words = ("○ IDLE (nothing from here bills)", Role.TEXT if overview.is_unasked else Role.WARN)
    right, title = _right(frame), f" {frame.options.title}"
    if cells(title) + 4 + cells(words[0]) + row_width(right) > limit:
        # The clock and the program's own name go before the state does.
        return fit([(" ", Role.TEXT), words], limit)
    return spread([(title, Role.STRONG), _gap(), words], right, limit)


def _all_money_row(frame: Frame, limit: int) -> Row:
    overview = frame.overview
    if not overview.is_read or overview.trouble:
        return []
    price = formatting.hourly_price(overview.price_microusd_per_h) if overview.rentals else "$0.00/h"
    row: Row = [(f" {price}", Role.STRONG), (f" · {month(overview)}", Role.TEXT)]
    pieces: list[Row] = []
    if overview.balances:
        several = len(overview.balances) > 1
        left = [
            f"{name} {formatting.money(amount)}" if several else formatting.money(amount)
            for name, amount in overview.balances.items()
        ]
        pieces.append([(f" · balance {', '.join(left)}", Role.TEXT)])
    if overview.most_microusd:
        pieces.append([(f" · cap {formatting.money(overview.most_microusd)} a rental", Role.TEXT)])
    row = _with_room(row, pieces, limit)
    return spread(row, [("no run is open ", Role.DIM)] if row_width(row) + _NO_RUN <= limit else [], limit)


def _right(frame: Frame, link: str = "") -> Row:
    """Return the right end of the first row."""
    # Seconds show that what moves is alive; where nothing does, they would be all that is ever sent.
    is_calm = frame.options.slow or frame.run is None
    clock = f"{frame.wall:%H:%M}" if is_calm else f"{frame.wall:%H:%M:%S}"
    return [
        (f"{link}  " if link else "", Role.DIM),
        ("slow  " if frame.options.slow else "", Role.DIM),
        ("read-only  " if frame.options.readonly else "", Role.DIM),
        (f"{clock} ", Role.TEXT),
    ]


def state_words(frame: Frame) -> Span:
    """Return the state as a glyph and a word: never as a colour alone."""
    text, role = STATE_WORDS[frame.view.state]
    if frame.view.is_machine_gone:
        return f"was {text}", Role.DIM
    if frame.view.state is JobState.PAUSED and frame.view.price_microusd_per_h:
        text += " (still billing)"
    if frame.view.state is JobState.RUNNING:
        text = "● TRYING OUT" if frame.view.tries_out else _pause(frame.view.setup) or text
    rental = frame.view.rental
    if rental is not None and not rental.is_over:
        if frame.view.state.is_final:
            # The run is over, and what costs money is not.
            return f"{text}, STILL BILLING", Role.ALARM
        if frame.view.state in (JobState.QUEUED, JobState.PREPARING):
            return _boot(frame.view), role
    return text, role


def _pause(setup: Setup | None) -> str:
    """Return what learning waits for, between two steps; empty while it learns."""
    if setup is None or setup.phase not in PAUSES or setup.done >= setup.total:
        return ""
    counted = f" {setup.done + 1}/{setup.total}" if setup.total > 1 else ""
    return f"◆ {PAUSES[setup.phase]}{counted}"


def _boot(view: RunView) -> str:
    """Return which step goes on between the rental and the first one that learns, and how far that is."""
    words = f"◐ BOOT {step_of_run(view.phases)}/{NUM_STEPS}"
    if view.setup is None:
        return words
    share = f" {formatting.share(view.setup.done, view.setup.total)}" if view.setup.total else ""
    return f"{words} {title(view.setup.phase)}{share}"


def machine(frame: Frame) -> str:
    """Return where the run runs, as people name it: of what is rented the provider, and its id while it may bill."""
    view = frame.view
    gpu = view.telemetry.gpu_name if view.telemetry else None
    if view.target == "local" or view.target.startswith("ssh:"):
        place = "this machine" if view.target == "local" else view.target
    elif (rental := frame.overview.rental_of(view.target)) is not None:
        place, gpu = f"{rental.provider} {rental.instance_id}".strip(), gpu or rental.gpu
    else:
        place = view.target.partition(":")[0]
    return f"{gpu} · {place}" if gpu else place


def _state_row(frame: Frame, limit: int) -> Row:
    view = frame.view
    name: Span = (view.name, Role.STRONG)
    lost = _lost(frame)
    if lost:
        heard_at = frame.heard_at
        as_of: Row = [(f"as of {heard_at:%H:%M:%S} " if heard_at else "", Role.WARN)]
        words = state_words(frame)
        room = limit - row_width(as_of) - cells(f" {lost}") - cells(words[0]) - 2 * cells(_gap()[0]) - 1
        row: Row = [(" ", Role.TEXT), (lost, Role.ALARM), _gap()]
        if room < _SHORTEST_NAME:
            # That it can't be heard is its state, then.
            return spread([*row, name], as_of, limit)
        # The state is never cut: the name gives way first.
        return spread([*row, *fit([name], min(cells(view.name), room)), _gap(), words], as_of, limit)
    right = _right(frame, _link(frame))
    words = state_words(frame)
    if cells(words[0]) + _LEAST_NAME > limit - row_width(right):
        # The link and the clock go before the state does.
        return fit([(" ", Role.TEXT), words, _gap(), name], limit)
    place = machine(frame)
    head: Row = [(f" {frame.options.title} · ", Role.DIM)]
    # The state is never cut: the name gives way first, and the program's own name before it.
    room = limit - row_width(right) - cells(words[0]) - 6
    if room < _LONGEST_NAME or row_width(head) + cells(view.name) + cells(place) >= room:
        head = [(" ", Role.TEXT)]
    named = fit([name], max(_SHORTEST_NAME, min(_LONGEST_NAME, room - row_width(head))))
    row = [*head, *named, _gap(), words]
    row = _with_room(row, [_on_its_way(view)], limit - row_width(right) - 1)
    return spread([*row, _gap(), (place, Role.DIM)], right, limit)


def _on_its_way(view: RunView) -> Row:
    """Return how many files are not here yet, and how far the one is that comes now."""
    if view.fetching is None or (artifact := view.artifacts.get(view.fetching[0])) is None:
        return []
    settled = view.downloaded.keys() | view.download_failures.keys() | view.declined.keys()
    number = len(view.artifacts.keys() - settled)
    share = f" {formatting.share(view.fetching[1], artifact.size)}" if artifact.size else ""
    return [_gap(), (f"↓ SYNC {number} file{'' if number == 1 else 's'}{share}", Role.TEXT)]


def _gap() -> Span:
    return "   ", Role.TEXT


def _lost(frame: Frame) -> str:
    """Return the badge of a link that is silent or down; nothing while it is up, or when the run is over."""
    view = frame.view
    age = formatting.stopwatch(frame.now_s - view.link_since_s)
    if view.state.is_final:
        return ""
    if view.is_machine_gone:
        return f"! MACHINE GONE {age}"
    if view.link is LinkState.STALE:
        return f"! NO HEARTBEAT {age}"
    if view.link is LinkState.DOWN:
        retry_s = None if view.retry_at_s is None else view.retry_at_s - frame.now_s
        again = f" · retry in {formatting.duration(retry_s)}" if retry_s is not None and retry_s >= 1 else ""
        if view.given_up is not None:
            again = " · given up"
        return f"! LINK DOWN {age}{again}"
    return ""


def _link(frame: Frame) -> str:
    if frame.view.link is LinkState.UP:
        return "link up"
    if frame.view.link is LinkState.CONNECTING:
        return "connecting…"
    return "agent away"


def _money_row(frame: Frame, limit: int) -> Row:
    view = frame.view
    if not is_price_known(view):
        return _unpriced_row(frame, limit)
    spent = view.spent(frame.now_s)
    row: Row = [(f" {formatting.money(spent.value_microusd, exact=spent.exact)}", Role.STRONG), (" spent", Role.TEXT)]
    price = formatting.hourly_price(view.price_microusd_per_h)
    if view.rental is not None:
        return _rental_row(frame, view.rental, row, limit)
    if view.state.is_final:
        row += [(" in all", Role.TEXT), *_others(frame)]
        return spread(row, [(f"was {price} ", Role.DIM)], limit)
    free = view.target == "local" and not view.price_microusd_per_h
    row.append((f" · {price}{' (this machine)' if free else ''}", Role.TEXT))
    if not frame.is_current and view.is_billing and not free:
        row.append((" still billing", Role.WARN))
    return spread([*row, *_others(frame)], _countdown(frame, view.deadline_left_s(frame.now_s)), limit)


def _unpriced_row(frame: Frame, limit: int) -> Row:
    """Return that nobody has said what the machine costs: any amount would be made up."""
    view = frame.view
    row: Row = [(" price not known", Role.STRONG)]
    if not frame.is_current and view.is_billing:
        row.append((" may bill on", Role.WARN))
    end = [] if view.state.is_final else _countdown(frame, view.deadline_left_s(frame.now_s))
    setting: Row = [(f" · {SSH_PRICE} is not set", Role.DIM)] if view.target.startswith("ssh:") else []
    return spread(_with_room(row, [_others(frame), setting], limit - row_width(end) - 1), end, limit)


def _price_of_all(frame: Frame) -> Span:
    """Return how many may bill, and what all of them cost an hour."""
    overview = frame.overview
    if overview.trouble:
        return " · ! more may bill", Role.ALARM
    return f" · ! {len(overview.rentals)} at {formatting.hourly_price(overview.price_microusd_per_h)}", Role.WARN


def _others(frame: Frame) -> Row:
    """Return what else may bill than the rental of the open run: said wherever one is, or may be."""
    if frame.overview.trouble:
        return [(" · ! other rentals not known", Role.ALARM)]
    target = None if frame.run is None else frame.run.target
    return _rest([rental for rental in frame.overview.rentals if rental.target != target or rental.is_elsewhere])


def _other_rentals(frame: Frame) -> Row:
    """Return what else may bill than what is just being rented."""
    mine = coming(frame)
    return _rest([rental for rental in frame.overview.rentals if rental is not mine])


def _rest(others: Sequence[RentalLine]) -> Row:
    if not others:
        return []
    price = formatting.hourly_price(sum(rental.price_microusd_per_h for rental in others))
    unminded = " unminded" if any(rental.is_orphan for rental in others) else ""
    return [(f" · ! {len(others)} more rented{unminded} {price}", Role.ALARM if unminded else Role.WARN)]


def billing_stopped(rental: RentalCost) -> str:
    """Return that a rental bills no more, and since when: it is over once its provider has shown that."""
    if rental.ended_ts is None:
        return "the rental is gone"
    return f"billing stopped {formatting.time_of_day(rental.ended_ts)[: len('14:31')]} (provider confirmed)"


def _of_cap(rental: RentalCost, spent_microusd: int, *, in_short: bool = False) -> Row:
    """Return how much of the cap is spent: from four fifths of it on as a warning, and at all of it as an alarm."""
    if not rental.cap_microusd:
        return []
    word, role = "", Role.TEXT
    if spent_microusd >= rental.cap_microusd:
        word, role = "! CAP REACHED ", Role.ALARM
    elif spent_microusd >= _NEAR_CAP * rental.cap_microusd:
        word, role = "! " if in_short else "! near the cap: ", Role.WARN
    share = formatting.share(spent_microusd, rental.cap_microusd)
    return [(f" · {word}{share} of {formatting.money(rental.cap_microusd)}", role)]


def _with_room(row: Row, pieces: Sequence[Row], room: int) -> Row:
    """Return the row with those pieces, the most important first, that leave the end of the row whole."""
    for piece in pieces:
        if row_width([*row, *piece]) <= room:
            row = [*row, *piece]
    return row


def _without_spent(row: Row, room: int) -> Row:
    """Return the row, without the word behind the amount where there is no room for it: what comes after says more."""
    return row if row_width(row) <= room else [row[0], *row[_AMOUNT:]]


def _rental_row(frame: Frame, rental: RentalCost, row: Row, limit: int) -> Row:
    """Return what the rental costs: billing has stopped when its provider says so, not when the run is over."""
    if rental.is_over:
        end: Row = [(f"{billing_stopped(rental)} ", Role.GOOD)]
        row += [(" in all", Role.TEXT), *_others(frame)]
        return spread(_without_spent(row, limit - row_width(end) - 1), end, limit)
    row.append((f" · {formatting.hourly_price(rental.price_microusd_per_h)}", Role.TEXT))
    if rental.state is RentalState.ENDING:
        trouble = f": {rental.trouble}" if rental.trouble else ", until it is shown gone"
        return spread([*row, ("  ", Role.TEXT), (f"! STILL BILLING{trouble} ", Role.ALARM)], [], limit)
    if rental.armed != "end":
        # Then this laptop alone ends it.
        row.append((" ! NO DEAD-MAN", Role.ALARM))
    run_left_s, ends_s = frame.view.deadline_left_s(frame.now_s), rental.ends_in_s(frame.now_s)
    word, why, left_s = "AUTO-STOP", rental.stops_for, ends_s if run_left_s is None else run_left_s
    if frame.view.state.is_final:
        row.append((" still billing", Role.WARN))
        if rental.held:
            num_files = rental.held.num_files
            word, why, left_s = "KEPT", f"for {num_files} file{'' if num_files == 1 else 's'}", ends_s
        elif rental.keep_left_s:
            word, why, left_s = "KEPT", "--keep", ends_s
    projected = formatting.money(rental.projected_microusd or 0, exact=False)
    in_all: Row = [] if rental.projected_microusd is None else [(f" · {projected} in all", Role.TEXT)]
    share = _of_cap(rental, rental.spent_at(frame.now_s))
    is_near = any(role is not Role.TEXT for _, role in share)
    least = row_width(_countdown(frame, left_s, word)) + 1
    others = _others(frame)
    if others and row_width([*row, *others]) + least > limit:
        # No room for the others' price beside its own: then the price of all.
        row = [*row[:_AMOUNT], _price_of_all(frame), *row[_AMOUNT + 1 :]]
        others = []
    if is_near and row_width([*row, *others, *share]) + least > limit:
        share = _of_cap(rental, rental.spent_at(frame.now_s), in_short=True)
    row = _without_spent(row, limit - least)
    row = _with_room(row, [others, share if is_near else [], in_all], limit - least)
    if not is_near:
        row = _with_room(row, [share], limit - row_width(_countdown(frame, left_s, word, why, limit)) - 1)
    return spread(row, _countdown(frame, left_s, word, why, limit - row_width(row)), limit)


def _countdown(frame: Frame, left_s: float | None, word: str = "AUTO-STOP", why: str = "", room: int = 0) -> Row:
    """Return the time that is left, and, where there is ``room`` for it, why."""
    if left_s is None:
        return [("no auto-stop ", Role.DIM)]
    urgent = urgency(left_s)
    role = _COUNTDOWN.get(urgent, Role.STRONG)
    text = "saving now" if urgent is Urgency.OVER else formatting.duration(left_s, exact=frame.is_current)
    mark = "! " if urgent in _COUNTDOWN else ""
    end = f"{frame.at(frame.now_s + left_s):%H:%M}"
    row: Row = [(f"{mark}{word} {text}", role), (f" ({end}) ", Role.DIM)]
    with_why: Row = [row[0], (f" ({end}, {why}) ", Role.DIM)]
    return with_why if why and row_width(with_why) < room else row
