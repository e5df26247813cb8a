"""What must hold once a seed is over. Bills and bounds are computed here anew, from what the provider's side knows."""

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING

from loratui.sessions.renting_fate import UNSEEN
from loratui.store.rentals import Rentals
from simulation.box import ROUND_S, Box, Life
from simulation.client import BOX_LINE, PROVIDER_LINE, SAVE_S
from simulation.cloud import Rig

if TYPE_CHECKING:
    from simulation.simulate import Simulation

SLACK_S = 5.0
"""Beyond a round of the reaper: lines are slow, and a start script counts whole seconds."""
SCRIPT_SLACK_S = 3.0
POLL_SLACK_S = 60.0
"""What a client that rents takes to look again, a provider that does not answer included."""
LONGEST_PAUSE_S = 300.0 + 20.0 + 15.0
"""Between two tries: the longest pause, a request that gets no answer, a round that comes late."""
_HINDERS = ("provider down", "provider busy", "provider key refused", "end refused", "malformed listing")
_DEAF = ("laptop sleeps", PROVIDER_LINE, "provider down", "provider busy", "provider key refused", "malformed listing")
"""Whoever is asleep, or hears nothing from the provider, may not know yet that there is something to end."""
_HARMLESS = {"offer gone", "price raised before create", "provider busy", "listing lags", "machine fails"}


def check(simulation: "Simulation") -> None:
    """Note everything that is not as it must be."""
    for box in simulation.boxes.values():
        for name, since_s in box._since.items():
            box.lives.append(Life(name, since_s, simulation.world.now_s))
    _nothing_bills(simulation)
    for box in simulation.boxes.values():
        _is_asked_for_in_time(simulation, box)
        _is_asked_for_until_it_is_gone(simulation, box)
        _loses_no_file(simulation, box)
        _lets_runs_end(simulation, box)
        _ends_not_too_early(simulation, box)
    _minds_what_it_rents(simulation)
    _costs_no_more_than_agreed(simulation)
    _ledger_is_exact(simulation)
    _serves(simulation)


def due_s(simulation: "Simulation") -> float | None:
    """Return when all has to end: as agreed, or when the cap is used up at the agreed prices; None: nothing began."""
    agreed_s, cap = simulation.laptop.agreed_s, simulation.laptop.wish.limits.cap_microusd
    if agreed_s is None:
        return None

    def is_used_up(at_s: float) -> bool:
        rigs = simulation.cloud.rigs.values()
        return sum((rig.bill(at_s, rig.offer.price_microusd_per_h) for rig in rigs), Fraction(0)) > cap

    if not is_used_up(agreed_s):
        return agreed_s
    from_s, to_s = 0.0, agreed_s
    while to_s - from_s > 0.1:
        middle_s = (from_s + to_s) / 2
        from_s, to_s = (from_s, middle_s) if is_used_up(middle_s) else (middle_s, to_s)
    return to_s


def _nothing_bills(simulation: "Simulation") -> None:
    world = simulation.world
    for rig in simulation.cloud.living():
        world.wrong("nothing bills", f"machine {rig.id} ({rig.label}) still bills")
    with Rentals(simulation.laptop.settings.database) as ledger:
        for rental in ledger.unproven():
            world.wrong("nothing bills", f"the ledger takes {rental.label} for {rental.state}")
        known = {rental.label for rental in ledger.rentals()}
        for rental in ledger.rentals():
            if any(charge.span.to_ts is None for charge in ledger.charges(rental.label)):
                world.wrong("ledger", f"a phase of {rental.label} never ends")
    for rig in simulation.cloud.rigs.values():
        if rig.label not in known:
            world.wrong("intent", f"machine {rig.id} ({rig.label}) is in no ledger")


def _is_asked_for_in_time(simulation: "Simulation", box: Box) -> None:
    """Look for the first request to end it: no later than a round after the deadline, if anyone lives to send it."""
    world, rig, agreed_s = simulation.world, box.rig, due_s(simulation)
    if agreed_s is None:
        return
    for who, late_s in (("reaper", ROUND_S + SLACK_S), ("script", SCRIPT_SLACK_S)):
        at_most_s = agreed_s + late_s
        lived = any(life.who == who and life.from_s <= agreed_s - 25 and life.to_s >= at_most_s for life in box.lives)
        if who == "reaper":
            can = box.armed_s is not None and box.armed_s < agreed_s - 25
        else:
            # It goes by the laptop's word for the time of day.
            is_told_right = not world.happened["laptop's clock jumps"]
            can = bool(box.own_key()[1]) and not box.has_lost_count and is_told_right
        is_there = rig.gone_s is None or rig.gone_s > at_most_s
        name = f"{box.machine.name}/{who}"
        asked = [attempt.at_s for attempt in rig.attempts if attempt.who == name]
        if lived and can and is_there and not any(at_s <= at_most_s for at_s in asked):
            first = min(asked, default=math.inf)
            world.wrong(
                "in time",
                f"machine {rig.id}: its {who} lived, and first asked for its end {first - agreed_s:.1f} s late",
            )


def _is_asked_for_until_it_is_gone(simulation: "Simulation", box: Box) -> None:
    world, rig, agreed_s = simulation.world, box.rig, due_s(simulation)
    if agreed_s is None:
        return
    for life in box.lives:
        can = box.armed_s is not None if life.who == "reaper" else bool(box.own_key()[1]) and not box.has_lost_count
        if life.who not in ("reaper", "script") or not can:
            continue
        from_s = max(agreed_s + ROUND_S + SLACK_S, life.from_s, box.armed_s or 0.0 if life.who == "reaper" else 0.0)
        to_s = min(life.to_s, rig.gone_s if rig.gone_s is not None else math.inf)
        name = f"{box.machine.name}/{life.who}"
        times = [
            from_s,
            *sorted(try_.at_s for try_ in rig.attempts if try_.who == name and from_s < try_.at_s < to_s),
            to_s,
        ]
        for before_s, after_s in itertools.pairwise(times):
            if after_s - before_s > LONGEST_PAUSE_S:
                world.wrong("for ever", f"machine {rig.id}: its {life.who} did not ask for {after_s - before_s:.0f} s")


def _loses_no_file(simulation: "Simulation", box: Box) -> None:
    """See that nothing but the deadline, a person or its host ended a machine that had a file nobody else had."""
    laptop, world, rig, run = simulation.laptop, simulation.world, box.rig, box.run
    if run is None or run.made_s is None or run.id in laptop.files or box.has_vanished:
        return
    ended_s = rig.end_agreed_s if rig.end_agreed_s is not None else rig.gone_s
    if rig.gone_by == "its host" or rig.label in laptop.by_hand or ended_s is None or run.made_s > ended_s:
        return
    is_time = ended_s >= _earliest_s(simulation, rig) - SLACK_S
    # After a restart a machine knows the time of day alone, which may be wrong.
    is_time = is_time or (box.has_lost_count and rig.end_agreed_by.endswith(": deadline"))
    if not is_time:
        world.wrong("no file is lost", f"machine {rig.id} was ended by {rig.gone_by}, and its file is nowhere else")


def _lets_runs_end(simulation: "Simulation", box: Box) -> None:
    """See that no client ended a run before its time, and that none began with no time left."""
    laptop, world, rig, run, end_s = simulation.laptop, simulation.world, box.rig, box.run, due_s(simulation)
    if run is None or end_s is None:
        return
    if end_s - run.asked_s < SAVE_S:
        world.wrong("runs end well", f"a run began {end_s - run.asked_s:.0f} s before machine {rig.id} was to end")
    is_dearer = world.happened["price raised in mid-rental"] > 0
    due_at_s = min(box.due_s, _earliest_s(simulation, rig)) if is_dearer else box.due_s
    if rig.end_agreed_s is not None and rig.end_agreed_s >= due_at_s - SLACK_S:
        return
    is_wanted = rig.label in laptop.by_hand or world.happened["interrupted"] or world.happened["interrupted twice"]
    if rig.end_agreed_by.startswith("client") and not is_wanted and not run.is_final:
        world.wrong("runs end well", f"machine {rig.id} was ended by {rig.end_agreed_by} with a run on it")


def _ends_not_too_early(simulation: "Simulation", box: Box) -> None:
    """See that what a machine took for its deadline was none before its time."""
    rig, ended_s = box.rig, box.rig.end_agreed_s
    if ended_s is None or not rig.end_agreed_by.endswith(": deadline") or box.has_lost_count:
        return
    early_s = _earliest_s(simulation, rig) - ended_s
    if early_s > SLACK_S:
        simulation.world.wrong("in time", f"machine {rig.id} was ended {early_s:.0f} s before its deadline")


def _minds_what_it_rents(simulation: "Simulation") -> None:
    """See that a client which was still renting at the deadline has asked for the end."""
    laptop, world, end_s = simulation.laptop, simulation.world, due_s(simulation)
    if end_s is None or laptop.renting is None or any(world.happened[fault] for fault in _DEAF):
        return
    late_s = end_s + POLL_SLACK_S
    if not laptop.renting[0] < end_s < late_s < laptop.renting[1]:
        return
    with Rentals(laptop.settings.database) as ledger:
        known = {rental.label for rental in ledger.rentals() if rental.instance_id and rental.ready_ts is None}
    for rig in simulation.cloud.rigs.values():
        is_there = rig.born_s < end_s and (rig.gone_s is None or rig.gone_s > late_s)
        if rig.label in known and is_there and not any(attempt.at_s <= late_s for attempt in rig.attempts):
            world.wrong("in time", f"machine {rig.id}: it was being rented, and nobody had asked for its end")


def _earliest_s(simulation: "Simulation", rig: Rig) -> float:
    """Return from when on a machine may be ended.

    Its price may have been raised, and the ones before it cost until they were proven gone.
    """
    laptop, world = simulation.laptop, simulation.world
    left = Fraction(laptop.wish.limits.cap_microusd) - sum(
        _ledger_total(simulation, each.label) for each in simulation.cloud.rigs.values() if each.born_s < rig.born_s
    )
    # What nobody ever saw is taken to have cost all that it may have.
    with Rentals(laptop.settings.database) as ledger:
        known = {rental.label: rental for rental in ledger.rentals()}
    before_ts = known[rig.label].created_ts if rig.label in known else -math.inf
    for rental in known.values():
        if rental.why == UNSEEN and rental.created_ts < before_ts and rental.ended_ts is not None:
            left -= _price(rental.created_ts, rental.ended_ts, rental.price_microusd_per_h)
    dearest = max(rate for _, rate in rig.rates)
    if world.happened["laptop's clock jumps"] or left <= 0:
        return rig.born_s
    return min(laptop.agreed_s or math.inf, rig.born_s + float(left * 3600 / dearest))


def _costs_no_more_than_agreed(simulation: "Simulation") -> None:
    """Compare all that was billed for the run with its cap; what is more has its reason, its bound, and is told."""
    world, laptop, agreed_s = simulation.world, simulation.laptop, due_s(simulation)
    cap, rigs = laptop.wish.limits.cap_microusd, list(simulation.cloud.rigs.values())
    billed = sum((rig.bill(world.now_s) for rig in rigs), Fraction(0))
    if agreed_s is None or billed <= cap:
        return
    for rig in rigs:
        bound_s = _ended_by(simulation, rig)
        if rig.gone_s is not None and rig.gone_s > bound_s:
            world.wrong(
                "cap",
                f"machine {rig.id} billed until {rig.gone_s - agreed_s:.0f} s after the deadline; "
                f"what stood in the way explains {bound_s - agreed_s:.0f} s",
            )
    if not world.happened["laptop's clock jumps"] and not world.happened["price raised in mid-rental"]:
        told, billed = _ledger_total(simulation), billed - _unseen(simulation)
        if told < billed and not _is_told_unknown(simulation):
            world.wrong("cap", f"{float(billed):.0f} were billed and the cap is {cap}; the ledger says {told}")


def _ended_by(simulation: "Simulation", rig: Rig) -> float:
    """Return until when it may have billed: what stands in the way one after another, and then the longest pause."""
    world, box, agreed_s = simulation.world, simulation.boxes[f"box{rig.id}"], due_s(simulation) or 0.0
    hindrances = [
        (window.from_s, min(window.to_s, world.healed_s))
        for window in world.windows
        if window.kind in (*_HINDERS, box.provider_line, PROVIDER_LINE, BOX_LINE) and window.from_s < world.healed_s
    ]
    hindrances += _unminded(box, agreed_s, world.healed_s)
    if rig.end_agreed_s is not None:
        hindrances.append((rig.end_agreed_s, rig.end_agreed_s + rig.clings_s))
    first = [attempt.at_s for attempt in rig.attempts if attempt.at_s >= agreed_s]
    if world.happened["end agreed to for nothing"] and first:
        hindrances.append((first[0], first[0] + 5 * LONGEST_PAUSE_S))
    until_s = agreed_s + ROUND_S + SLACK_S
    for from_s, to_s in sorted(hindrances):
        if from_s <= until_s + LONGEST_PAUSE_S and to_s > until_s:
            until_s = to_s
    return until_s if until_s <= agreed_s + ROUND_S + SLACK_S else until_s + LONGEST_PAUSE_S


def _unminded(box: Box, from_s: float, to_s: float) -> list[tuple[float, float]]:
    """Return the times in which nothing lived on the machine that could end it."""
    times: list[tuple[float, float]] = []
    able = sorted(
        (max(life.from_s, (box.armed_s or math.inf) if life.who == "reaper" else 0.0), life.to_s)
        for life in box.lives
        if (life.who == "reaper" and box.armed_s is not None)
        or (life.who == "script" and box.own_key()[1] and not box.has_lost_count)
    )
    at_s = from_s
    for begin_s, end_s in able:
        if end_s < at_s:
            continue
        if begin_s > at_s:
            times.append((at_s, begin_s))
        at_s = max(at_s, end_s)
    if at_s < to_s:
        times.append((at_s, to_s))
    return times


def _ledger_is_exact(simulation: "Simulation") -> None:
    world = simulation.world
    by_label = {rig.label: rig for rig in simulation.cloud.rigs.values()}
    with Rentals(simulation.laptop.settings.database) as ledger:
        for rental in ledger.rentals():
            charges = ledger.charges(rental.label)
            exact = sum(
                (_price(charge.span.from_ts, charge.span.to_ts, charge.span.microusd_per_h) for charge in charges),
                Fraction(0),
            )
            told = sum(charge.microusd or 0 for charge in charges)
            if told != math.ceil(exact):
                world.wrong("ledger", f"{rental.label}: {told} are in the ledger, its times make {float(exact):.3f}")
            rig = by_label.get(rental.label)
            hidden = ("laptop's clock jumps", "ledger can't be written", "price raised in mid-rental")
            if rig is not None and not any(world.happened[fault] for fault in hidden):
                billed = rig.bill(world.now_s)
                was_seen = bool(rental.instance_id) or rig.gone_by != "its host"
                if told < billed and was_seen and rental.why != UNSEEN:
                    world.wrong("ledger", f"{rental.label}: {told} are in the ledger, {float(billed):.0f} were billed")


def _unseen(simulation: "Simulation") -> Fraction:
    """Return what machines have cost that were gone before anyone knew of them."""
    with Rentals(simulation.laptop.settings.database) as ledger:
        unknown = {rental.label for rental in ledger.rentals() if not rental.instance_id}
    vanished = [rig for rig in simulation.cloud.rigs.values() if rig.gone_by == "its host" and rig.label in unknown]
    return sum((rig.bill(simulation.world.now_s) for rig in vanished), Fraction(0))


def _is_told_unknown(simulation: "Simulation") -> bool:
    """Return whether it is said of a rental that nobody here knows what it has cost."""
    with Rentals(simulation.laptop.settings.database) as ledger:
        return any(rental.why == UNSEEN for rental in ledger.rentals())


def _price(from_ts: float, to_ts: float | None, microusd_per_h: int) -> Fraction:
    length_us = 0 if to_ts is None else max(0, round(to_ts * 1_000_000) - round(from_ts * 1_000_000))
    return Fraction(microusd_per_h * length_us, 3_600_000_000)


def _ledger_total(simulation: "Simulation", *labels: str) -> int:
    with Rentals(simulation.laptop.settings.database) as ledger:
        chosen = labels or [rental.label for rental in ledger.rentals()]
        return sum(charge.microusd or 0 for label in chosen for charge in ledger.charges(label))


def _serves(simulation: "Simulation") -> None:
    """See that where nothing stood in the way the file is here, in time: else the simulation would show nothing."""
    world = simulation.world
    box_has_run = any(box.run for box in simulation.boxes.values())
    is_fair = simulation.plan.quiet or (set(world.happened) <= _HARMLESS and box_has_run)
    if is_fair and simulation.plan.work.ends_as == "done" and not simulation.laptop.files:
        world.wrong("it serves", "nothing stood in the way, and there is no file")
