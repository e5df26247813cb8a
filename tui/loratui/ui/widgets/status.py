"""The two rows that never leave the screen: what the run is doing, and what it costs."""

from loratui.domain import formatting
from loratui.domain.countdown import Urgency, urgency
from loratui.domain.rental import RentalState
from loratui.domain.rental_cost import RentalCost
from loratui.domain.run import LinkState
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cells, fit, row_width, spread
from loratui.ui.widgets.rows import Rows
from loratui_protocol.messages import JobState

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


class StatusRows(Rows):
    """The first two rows of every screen."""

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - always two rows
        """Return the row of the state and the row of the money."""
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
    elif overview.is_read:
        words = ("○ IDLE (nothing billing)", Role.TEXT)
    else:
        words = ("○ reading…", Role.DIM)
    return spread([(f" {frame.options.title}", Role.STRONG), _gap(), words], _right(frame), limit)


def _all_money_row(frame: Frame, limit: int) -> Row:
    overview = frame.overview
    if not overview.is_read or overview.trouble:
        return []
    price = formatting.hourly_price(overview.price_microusd_per_h) if overview.rentals else "$0.00/h"
    return spread(
        [(f" {price}", Role.STRONG), (f" · this month {formatting.money(overview.month_microusd)}", Role.TEXT)],
        [("no run is open ", Role.DIM)],
        limit,
    )


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
    return text, role


def machine(frame: Frame) -> str:
    """Return where the run runs, as people name it."""
    view = frame.view
    place = "this machine" if view.target == "local" else view.target
    gpu = view.telemetry.gpu_name if view.telemetry else None
    return f"{gpu} · {place}" if gpu else place


def _state_row(frame: Frame, limit: int) -> Row:
    view = frame.view
    name: Span = (view.name, Role.STRONG)
    lost = _lost(frame)
    if lost:
        heard_at = frame.heard_at
        as_of = f"as of {heard_at:%H:%M:%S} " if heard_at else ""
        return spread(
            [(" ", Role.TEXT), (lost, Role.ALARM), ("   ", Role.TEXT), name, _gap(), state_words(frame)],
            [(as_of, Role.WARN)],
            limit,
        )
    right = _right(frame, _link(frame))
    words = state_words(frame)
    place = machine(frame)
    head: Row = [(f" {frame.options.title} · ", Role.DIM)]
    # The state is never cut: the name gives way first, and the program's own name before it.
    room = limit - row_width(right) - cells(words[0]) - 6
    if room < _LONGEST_NAME:
        head = [(" ", Role.TEXT)]
    title = fit([name], max(4, min(_LONGEST_NAME, room - row_width(head))))
    return spread([*head, *title, _gap(), words, _gap(), (place, Role.DIM)], right, limit)


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
    spent = view.spent(frame.now_s)
    row: Row = [(f" {formatting.money(spent.value_microusd, exact=spent.exact)}", Role.STRONG), (" spent", Role.TEXT)]
    price = formatting.hourly_price(view.price_microusd_per_h)
    if view.rental is not None:
        return _rental_row(frame, view.rental, row, limit)
    if view.state.is_final:
        return spread([*row, (" in all", Role.TEXT)], [(f"was {price} ", Role.DIM)], limit)
    free = view.target == "local" and not view.price_microusd_per_h
    row.append((f" · {price}{' (this machine)' if free else ''}", Role.TEXT))
    if not frame.is_current and view.is_billing and not free:
        row.append((" still billing", Role.WARN))
    return spread(row, _countdown(frame, view.deadline_left_s(frame.now_s)), limit)


def _rental_row(frame: Frame, rental: RentalCost, row: Row, limit: int) -> Row:
    """Return what the rental costs: billing has stopped when its provider says so, not when the run is over."""
    if rental.is_over:
        return spread([*row, (" in all", Role.TEXT)], [("the rental is gone ", Role.GOOD)], limit)
    row.append((f" · {formatting.hourly_price(rental.price_microusd_per_h)}", Role.TEXT))
    if rental.projected_microusd is not None:
        row.append((f" · {formatting.money(rental.projected_microusd, exact=False)} in all", Role.TEXT))
    if rental.state is RentalState.ENDING:
        trouble = f": {rental.trouble}" if rental.trouble else ", until it is shown gone"
        return spread([*row, ("  ", Role.TEXT), (f"! STILL BILLING{trouble} ", Role.ALARM)], [], limit)
    if rental.armed != "end":
        # Then this laptop alone ends it.
        row.append((" ! NO DEAD-MAN", Role.ALARM))
    run_left_s, ends_s = frame.view.deadline_left_s(frame.now_s), rental.ends_in_s(frame.now_s)
    if frame.view.state.is_final:
        row.append((" still billing", Role.WARN))
        if rental.held:
            num_files = rental.held.num_files
            why = f"for {num_files} file{'' if num_files == 1 else 's'}"
            return spread(row, _countdown(frame, ends_s, "KEPT", why, limit - row_width(row)), limit)
        if rental.keep_left_s:
            return spread(row, _countdown(frame, ends_s, "KEPT", "--keep", limit - row_width(row)), limit)
    left_s = ends_s if run_left_s is None else run_left_s
    return spread(row, _countdown(frame, left_s, "AUTO-STOP", rental.stops_for, limit - row_width(row)), limit)


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
