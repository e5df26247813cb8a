"""The log of the run; when the run is over, what came of it stands above."""

import textwrap
from pathlib import Path

from loratui.domain import formatting
from loratui.domain.log_line import LogLine
from loratui.domain.run import RunView
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cells, cut, plain, row_width, rule
from loratui.ui.widgets.pane import Pane
from loratui_protocol.messages import ArtifactKind, JobState

_LEVELS = {"WARNING": ("warn ", Role.WARN), "ERROR": ("error ", Role.ALARM), "CRITICAL": ("error ", Role.ALARM)}
_NAME = 9
_VERDICT_ROWS = 3
_WHEEL_LINES = 3


class LogPane(Pane):
    """The newest lines, or older ones after scrolling."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.page = 1
        """Lines that a page key moves by."""
        self._held: LogLine | None = None

    def on_mouse_scroll_up(self) -> None:
        """Show older lines."""
        self.move(-_WHEEL_LINES)

    def on_mouse_scroll_down(self) -> None:
        """Show newer lines."""
        self.move(_WHEEL_LINES)

    def move(self, lines: int) -> None:
        """Move by lines, up with a negative number; what is shown then stays in place while new lines arrive."""
        if self.frame is None:
            return
        log = list(self.frame.view.log)
        end = self._end(log) + lines
        self._held = log[max(self.page, end) - 1] if end < len(log) and len(log) > self.page else None
        self.rebuild()

    def follow(self) -> None:
        """Show the newest lines from now on."""
        self._held = None
        self.rebuild()

    def _end(self, log: list[LogLine]) -> int:
        """Return the index after the last line shown; a line that the log has dropped is found no more."""
        if self._held is None:
            return len(log)
        return next((index + 1 for index, line in enumerate(log) if line is self._held), len(log))

    def title(self, frame: Frame) -> list[Span]:
        """Return the name, and how many warnings there were."""
        count = len(frame.view.warnings)
        warned = f"  {count} warning{'s' if count > 1 else ''}" if count else ""
        return [("log", Role.TITLE), (warned, Role.WARN)]

    def remark(self, frame: Frame) -> str:
        """Return whether new lines are followed."""
        return "follow" if self._held is None else frame.keys.fill("scrolled · {log_end} follows")

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - cut by the caller
        """Return the lines that fit, the newest last."""
        # Kept for keys that come while something lies over the log, which then has no size.
        self.page = max(1, height - 1)
        log = list(frame.view.log)
        end = self._end(log)
        return [line_row(line) for line in log[max(0, end - height) : end]] if height > 0 else []

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the result, if there is one, and below it the log."""
        result = result_rows(frame, width)[: max(0, height - 1)]
        return [*result, *super().compose_rows(frame, width, height - len(result))]


def line_row(line: LogLine) -> Row:
    """Return a line of the log: its time, its level if that is worth a word, and its text."""
    level, role = _LEVELS.get(line.level.upper(), ("", Role.TEXT))
    return [(f" {formatting.time_of_day(line.ts)} ", Role.DIM), (level, role), (line.text, Role.TEXT)]


def result_rows(frame: Frame, width: int) -> list[Row]:
    """Return what came of a run that is over: the verdict, and where the LoRA is; nothing while it lasts."""
    view = frame.view
    if not view.state.is_final:
        return []
    rows = [rule([("result", Role.TITLE)], width)]
    if view.state is JobState.FAILED:
        rows += _wrapped("failed", f"{view.detail or view.reason or 'no reason was given'}", width, Role.ALARM)
    elif view.state is JobState.STOPPED:
        at = f"at step {view.step} of {view.total}. " if view.total else ""
        rows += _wrapped("stopped", f"{at}{view.detail}", width, Role.TEXT)
    if view.evaluation is not None:
        rows += _wrapped("verdict", view.evaluation.verdict, width, Role.STRONG)
    what = "pictures" if view.tries_out else "lora"
    rows.append([(f" {what:<{_NAME}}", Role.DIM), *_lora(view, width - _NAME - 1)])
    return rows


def _wrapped(name: str, text: str, width: int, role: Role) -> list[Row]:
    lines = textwrap.wrap(plain(text), max(10, width - _NAME - 2))[:_VERDICT_ROWS]
    return [[(f" {name if index == 0 else '':<{_NAME}}", Role.DIM), (line, role)] for index, line in enumerate(lines)]


def lora_path(view: RunView) -> Path | None:
    """Return where on this machine the LoRA is, the last that was saved if the run did not come to its end.

    That is in the user's own folder if it was put there. Of files that were tried out it is the pictures of that.
    """
    wanted = _lora_id(view)
    return view.exported.get(wanted) or view.downloaded.get(wanted)


def _lora_id(view: RunView) -> str:
    if view.done is not None:
        return view.done.artifact_id
    kinds = [ArtifactKind.JUDGEMENT] if view.tries_out else [ArtifactKind.LORA, ArtifactKind.CHECKPOINT_LORA]
    for kind in kinds:
        if files := [item for item in view.artifacts.values() if item.kind is kind]:
            # Of one step there may be two, of an epoch and of the end: the later one is said.
            return max(enumerate(files), key=lambda each: (each[1].step or 0, each[0]))[1].id
    return ""


def _lora(view: RunView, limit: int) -> Row:
    wanted = _lora_id(view)
    file, path = view.artifacts.get(wanted), lora_path(view)
    if path is not None:
        whence: Row = []
        if view.done is None and file is not None and file.kind is ArtifactKind.CHECKPOINT_LORA:
            whence = [(f"of step {file.step}: ", Role.TEXT)]
        return [*whence, (_short(path, limit - row_width(whence)), Role.GOOD)]
    if failure := view.download_failures.get(wanted):
        return [(f"could not be fetched: {failure}", Role.ALARM)]
    if why := view.declined.get(wanted):
        return [(f"not fetched: {why}", Role.WARN)]
    if view.done is not None:
        return [(f"{view.done.name} ({formatting.size(view.done.size)}) is on its way", Role.WARN)]
    if file is not None:
        return [(f"{file.name} ({formatting.size(file.size)}) is on its way", Role.WARN)]
    return [("none was made", Role.DIM)]


def _short(path: Path, limit: int) -> str:
    """Return a path of which the folders are cut before the name of the file is."""
    home = Path.home()
    folder, _, name = plain(f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)).rpartition("/")
    return f"{cut(folder, max(1, limit - cells(name) - 1))}/{name}"
