"""The queue screen: what one machine has done, does now and will do, until when, and what it costs."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from loratui.domain import formatting
from loratui.domain.overview import RentalLine
from loratui.domain.queue import Queue, QueueLine, queues
from loratui.domain.run_source import RunSource
from loratui.ui.commands import refusal
from loratui.ui.frame import Frame
from loratui.ui.page import Page
from loratui.ui.registry import Scope
from loratui.ui.terminating import rental_name
from loratui.ui.text import Role, Row, Span, spread
from loratui.ui.widgets.list_pane import ListPane
from loratui.ui.widgets.run_list import named_run
from loratui.ui.widgets.same_names import SameNames
from loratui.ui.widgets.status import STATE_WORDS
from loratui_protocol.messages import CommandResult

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_LONGEST_NAME = 40
_STATE = 15
_STEPS = 13
_SHARE = 6
_ENDS = 8
_NUMBER = 3
_COST = 9
_NARROW = 70
"""Below so many cells only a share of the steps is told."""


class QueueList(ListPane[QueueLine]):
    """The runs of one machine in the order in which it takes them up."""

    queue: Queue | None = None
    place = ""
    """Which of the machines it is, where there are several."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._names = SameNames[QueueLine](lambda entry: named_run(entry.run))

    def name_of(self, entry: QueueLine) -> str:
        """Return the run's id."""
        return entry.run.id

    def yanked(self, entry: QueueLine) -> str:
        """Return what opens the run."""
        return formatting.attach_command(entry.run.name)

    def matches(self, entry: QueueLine, query: str) -> bool:
        """Look in name, state and id."""
        words = f"{entry.run.name} {entry.run.state} {entry.run.id}".lower()
        return all(word in words for word in query.lower().split())

    def heading(self, _: Frame) -> list[Span]:
        """Return whose queue it is."""
        if self.queue is None:
            return [("queue", Role.TITLE)]
        rental = self.queue.rental
        where = f"{rental_name(rental)} {rental.gpu}" if rental else self.queue.target
        return [("queue", Role.TITLE), (f"  {'this machine' if where == 'local' else where}", Role.STRONG)]

    def remark(self, _: Frame) -> str:
        """Return that there are other machines."""
        return self.place

    def nothing(self, frame: Frame) -> list[Row]:
        """Return how a queue comes to be."""
        if not frame.overview.is_read:
            return [[(" reading…", Role.DIM)]]
        if self.queue is not None:
            return [_total(self.queue, frame), [(" no run is known on it", Role.DIM)]]
        return [
            [(" Nothing trains, and nothing waits.", Role.STRONG)],
            [],
            [(f"   {'loratui train A B C --on TARGET':<34}", Role.KEY), ("trains one after the other", Role.TEXT)],
        ]

    def head(self, frame: Frame, width: int) -> list[Row]:
        """Return what all of it comes to, and the names of the columns."""
        name, steps = _columns(width - 2)
        left = f"  {'':<{_NUMBER}}{'run':<{name}} {'state':<{_STATE}}{'steps' if steps == _STEPS else 'done':>{steps}}"
        total = [] if self.queue is None else [_total(self.queue, frame)]
        return [*total, spread([(left, Role.DIM)], [(f"{'ends':<{_ENDS}}    cost ", Role.DIM)], width)]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the rows; of what has one name, what tells it apart stands beside it."""
        self._names.look(self.entries, frame)
        return super().lines(frame, width, height)

    def entry_row(self, entry: QueueLine, width: int) -> Row:
        """Return number, name, state, steps, end and cost."""
        words, role = STATE_WORDS[entry.run.state]
        if entry.run.is_machine_gone:
            words, role = f"was {words}", Role.DIM
        longest, column = _columns(width)
        steps = f"{entry.step}/{entry.total}" if column == _STEPS else formatting.share(entry.step, entry.total)
        end = self._end(entry)
        left: Row = [
            (f"{entry.number:<{_NUMBER}}", Role.DIM),
            *self._names.row(entry.run.id, entry.run.name, longest + 1),
            (f"{words:<{_STATE}}", role),
            (f"{steps if entry.total else '':>{column}}", Role.TEXT),
        ]
        cost = formatting.UNKNOWN
        if entry.is_cost_known:
            cost = formatting.money(entry.spent_microusd, exact=entry.is_exact)
        right: Row = [(f"{end:<{_ENDS}}", Role.TEXT), (f"{cost:>{_COST - 1}} ", Role.TEXT)]
        return spread(left, right, width)

    def _end(self, entry: QueueLine) -> str:
        if entry.run.is_over or self.frame is None:
            return ""
        if entry.ends_in_s is None:
            return formatting.UNKNOWN
        return f"{formatting.APPROXIMATELY}{self.frame.at(self.frame.now_s + entry.ends_in_s):%H:%M}"


def _columns(width: int) -> tuple[int, int]:
    """Return the cells of the name and of the steps."""
    steps = _SHARE if width < _NARROW else _STEPS
    return min(_LONGEST_NAME, width - _NUMBER - 1 - _STATE - steps - 1 - _ENDS - _COST), steps


def _total(queue: Queue, frame: Frame) -> Row:
    """Return what the machine has cost so far, costs now, and how long it goes on."""
    waiting = sum(line.is_waiting for line in queue.lines)
    said = [f"{len(queue.lines)} run{'' if len(queue.lines) == 1 else 's'}", f"{waiting} waiting"]
    spent = f"{formatting.money(queue.spent_microusd, exact=queue.is_exact)} so far"
    said.append(spent if queue.is_cost_known else "price not known")
    if queue.rental is not None:
        said.append(formatting.hourly_price(queue.rental.price_microusd_per_h))
    cost = frame.run.rental if frame.run is not None and frame.run.target == queue.target else None
    if cost is not None and cost.projected_microusd is not None:
        said.append(f"{formatting.money(cost.projected_microusd, exact=False)} in all")
    if queue.ends_in_s is not None:
        said.append(f"all done {formatting.APPROXIMATELY}{frame.at(frame.now_s + queue.ends_in_s):%H:%M}")
    return [(f" {' · '.join(said)}", Role.STRONG)]


@dataclass
class _Removed:
    run_id: str
    name: str
    source: RunSource
    answer: "Future[CommandResult]"
    is_back: bool = False


class QueuePage(Page):
    """Shows one machine's queue at a time, and takes out what waits there."""

    place = "queue"
    own_scopes = (Scope.QUEUE,)

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self.main_list = self._list = QueueList(id="queue")
        self._queues: list[Queue] = []
        self._target = ""
        self._steps: dict[str, int] = {}
        self._removed: list[_Removed] = []

    def compose(self) -> ComposeResult:
        """Put the list alone."""
        yield self._list

    def show(self, frame: Frame) -> None:
        """Fill the list with the queue that is looked at."""
        self._queues = queues(frame.overview, frame.run, self._steps, frame.wall.timestamp())
        self._read_steps()
        targets = [queue.target for queue in self._queues]
        if self._target not in targets:
            self._target = targets[0] if targets else ""
        queue = self._queues[targets.index(self._target)] if targets else None
        self._list.queue = queue
        several = f"machine {targets.index(self._target) + 1} of {len(targets)}" if len(targets) > 1 else ""
        self._list.place = several
        self._list.frame = frame
        self._list.fill(queue.lines if queue else ())
        self._tell_refusals()
        super().show(frame)

    def _read_steps(self) -> None:
        unknown = [line.run.id for queue in self._queues for line in queue.lines if line.is_waiting and not line.total]
        unknown = [run_id for run_id in unknown if run_id not in self._steps]
        if not unknown:
            return
        self._steps |= dict.fromkeys(unknown, 0)
        preferences = self.shell.desk.preferences

        def read() -> None:
            # Configs are read by what takes a while to load: not before the first paint.
            from loratui.sessions.queued_steps import queued_steps

            known = queued_steps(preferences, unknown)
            self.app.call_from_thread(self._learn_steps, known)

        self.shell.work(read, "reading how long runs will be")

    def _learn_steps(self, known: Mapping[str, int]) -> None:
        self._steps |= known

    def _tell_refusals(self) -> None:
        for removed in [each for each in self._removed if each.answer.done()]:
            if why := refusal(removed.answer):
                self._removed.remove(removed)
                what = "put back" if removed.is_back else "removed"
                self.shell.say(f"! {removed.name} was not {what}: {why}")
            elif removed.is_back:
                self._removed.remove(removed)

    def chosen_rental(self, frame: Frame) -> RentalLine | None:
        """Return the rental whose queue is shown."""
        return frame.overview.rental_of(self._target)

    def refusals(self) -> Mapping[str, str]:
        """Return what can't be done with the chosen run now, and why."""
        chosen = self._list.chosen
        why: dict[str, str] = {}
        if chosen is None:
            why["queue_open"] = why["queue_remove"] = "there is no run"
        elif not chosen.is_waiting:
            stop = self.shell.actions.name_of("stop")
            why["queue_remove"] = f"the run is {chosen.run.state.value}: {stop} on its screen stops one that trains"
        if not any(not each.is_back for each in self._removed):
            why["queue_undo"] = "nothing was removed from here"
        if len(self._queues) < 2:
            why["queue_before"] = why["queue_after"] = "there is no other machine with runs"
        return why

    def do_queue_open(self) -> None:
        """Follow the chosen run."""
        if self._list.chosen is not None:
            self.shell.open_run(self._list.chosen.run.id)

    def do_queue_remove(self) -> None:
        """Take the chosen run out of the queue."""
        if self._list.chosen is None:
            return
        run = self._list.chosen.run
        undo = self.shell.actions.name_of("queue_undo")
        self.shell.say(f"{run.name} is removed from the queue · {undo} puts it back, at the end")

        def remove() -> None:
            source = self.shell.desk.open_run(run.id)
            removed = _Removed(run_id=run.id, name=run.name, source=source, answer=source.send("stop"))
            self.app.call_from_thread(self._removed.append, removed)

        self.shell.work(remove, f"removing {run.name}")

    def do_queue_undo(self) -> None:
        """Let the run that was removed last wait again."""
        removed = next((each for each in reversed(self._removed) if not each.is_back), None)
        if removed is None:
            return
        # That it is refused, if it is, is told with the answer.
        removed.answer, removed.is_back = removed.source.send("resume"), True
        self.shell.say(f"{removed.name} waits again, at the end of the queue")

    def do_queue_before(self) -> None:
        """Show the queue of the machine before."""
        self._turn(-1)

    def do_queue_after(self) -> None:
        """Show the queue of the next machine."""
        self._turn(1)

    def _turn(self, by: int) -> None:
        targets = [queue.target for queue in self._queues]
        self._target = targets[(targets.index(self._target) + by) % len(targets)]
        self.show(self.shell.frame())
