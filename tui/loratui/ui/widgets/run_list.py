"""The list of all runs: how far each is, what goes on now, and what of it is not here yet."""

from datetime import timedelta

from loratui.domain import formatting
from loratui.domain.apart import Named
from loratui.domain.known_price import cost_told
from loratui.domain.overview import RunLine
from loratui.domain.run_stop import goes_to
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, bar, cells, cut, spread
from loratui.ui.widgets.list_pane import ListPane
from loratui.ui.widgets.same_names import SameNames
from loratui.ui.widgets.status import STATE_WORDS

_STATE = 15
_STEPS = 15
_SHARE = 5
_BAR = 12
_NOW = 15
_SHORT_NOW = 13
_COST = 9
_DAY = 18
_DAY_S = 86_400
_LEAST_NAME, _MOST_NAME = 12, 32
_WITH_STEPS, _WITH_BAR, _WITH_DAY, _WITH_TARGET = 70, 90, 108, 124
"""Cells of a row from which on it has room for so much."""
_FIRST_STEPS = (
    ("1  {open_pictures}", "open a folder of pictures: what is wrong with it"),
    ("2  {new_config}", "make a config: what it needs and costs is shown"),
    ("3  {config_train}", "train it from there, on this machine or another"),
    ("or {demo}", "try it all first, free: a small LoRA, made here"),
)


class RunList(ListPane[RunLine]):
    """All runs that are known here, newest first."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._names = SameNames(named_run)

    def name_of(self, entry: RunLine) -> str:
        """Return its id."""
        return entry.id

    def matches(self, entry: RunLine, query: str) -> bool:
        """Look in name, place, state and id."""
        words = f"{entry.name} {entry.target} {entry.state} {entry.id}".lower()
        return all(word in words for word in query.lower().split())

    def heading(self, _: Frame) -> list[Span]:
        """Return the name of the list."""
        return [("runs", Role.TITLE)]

    def remark(self, frame: Frame) -> str:
        """Return how much is done and not here."""
        lacking = sum(entry.is_lacking for entry in self.entries)
        return f"{lacking} done and not fetched: {frame.keys.name_of('open_run')} fetches" if lacking else ""

    def nothing(self, frame: Frame) -> list[Row]:
        """Return how to begin; until the records were read, nothing is claimed."""
        if not frame.overview.is_read:
            return [[(" reading…", Role.DIM)]]
        if frame.overview.trouble:
            return [[(f" ! the runs can't be read: {frame.overview.trouble}", Role.ALARM)]]
        rows: list[Row] = [[(" There is no run yet. From a folder of pictures to a LoRA:", Role.STRONG)]]
        for key, about in _FIRST_STEPS:
            rows.append([(f"   {frame.keys.fill(key)}  ", Role.KEY), (about, Role.TEXT)])
        return rows

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the rows; of what has one name, what tells it apart stands beside it."""
        self._names.look(self.entries, frame)
        return super().lines(frame, width, height)

    def entry_row(self, entry: RunLine, width: int) -> Row:
        """Return name, state, progress, what goes on now, and the cost; day and place where there is room."""
        words, role = STATE_WORDS[entry.state]
        if entry.is_machine_gone:
            words, role = f"was {words}", Role.DIM
        middle: Row = [(f"{cut(words, _STATE - 1):<{_STATE}}", role), *_progress(entry, width)]
        room = _NOW if width >= _WITH_STEPS else _SHORT_NOW
        now, now_role = self._now(entry, is_short=room is _SHORT_NOW)
        middle.append((_filled(now, room), now_role))
        middle.append((f"{cost(entry):>8} ", Role.TEXT))
        if width >= _WITH_DAY:
            middle.append((f" {formatting.day_and_time(entry.created_ts):<{_DAY - 1}}", Role.DIM))
        used = sum(cells(text) for text, _ in middle)
        name = max(_LEAST_NAME, min(_MOST_NAME, width - used - (len("ssh://box") if width >= _WITH_TARGET else 0)))
        row: Row = [*self._names.row(entry.id, entry.name, name), *middle]
        return spread([*row, (entry.target, Role.DIM)] if width >= _WITH_TARGET else row, [], width)

    def _now(self, entry: RunLine, *, is_short: bool) -> Span:
        """Return the end that is expected, or the loss; of what is not heard now, from when it is; else what lacks."""
        if entry.is_lacking:
            return "↓ not here", Role.WARN
        if entry.is_over or self.frame is None:
            return "", Role.TEXT
        wall = self.frame.wall
        if not entry.is_live:
            if entry.heard_ts is None:
                return "never heard", Role.DIM
            day, _, time = formatting.day_and_time(entry.heard_ts, wall.tzinfo).partition(" ")
            return f"as of {time if day == f'{wall:%Y-%m-%d}' else day[5:]}", Role.WARN
        if entry.eta_s:
            ends = f"ends {wall + timedelta(seconds=entry.eta_s):%H:%M}" if is_short and entry.eta_s < _DAY_S else ""
            return ends or f"eta {formatting.duration(entry.eta_s)}", Role.TEXT
        return ("", Role.TEXT) if entry.loss is None else (f"loss {formatting.loss(entry.loss)}", Role.TEXT)


def named_run(entry: RunLine) -> Named:
    """Return the run as what is told from others of its name."""
    return Named(entry.id, entry.name, entry.created_ts, entry.id)


def cost(entry: RunLine) -> str:
    """Return what a run has cost, as far as that is known: while it is not heard, it may be more by now."""
    return cost_told(entry, exact=entry.is_over or entry.is_live)


def _filled(text: str, limit: int) -> str:
    """Return a text in as many cells, the last of which is blank."""
    short = cut(text, limit - 1)
    return short + " " * (limit - cells(short))


def _progress(entry: RunLine, width: int) -> Row:
    end = goes_to(entry)
    steps = f"{entry.step}/{end}" if end else ""
    share = formatting.share(entry.step, end) if end else ""
    row: Row = []
    if width >= _WITH_BAR:
        drawn = bar(entry.step / end, _BAR - 1) if end and not entry.is_over else ""
        row.append((f"{drawn:<{_BAR}}", Role.GOOD))
    if width >= _WITH_STEPS:
        row.append((f"{cut(steps, _STEPS - 1):>{_STEPS - 1}} ", Role.TEXT))
    return [*row, (f"{share:>{_SHARE}} ", Role.TEXT)]
