"""Sample pictures side by side, with a word about each."""

from collections.abc import Sequence

from loratui.domain.run import RunView
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cut, pad
from loratui.ui.widgets.half_block import picture_rows
from loratui.ui.widgets.pane import Pane
from loratui_protocol.messages import Sample

_LEAST_COLUMNS = 6
WITHOUT = "without the LoRA"


def sample_steps(view: RunView) -> list[int]:
    """Return the steps that have samples of the LoRA, the first first."""
    return sorted({sample.step for sample in view.samples if sample.weight})


def latest_samples(view: RunView) -> list[Sample]:
    """Return the samples of the newest step."""
    steps = sample_steps(view)
    return samples_of(view, steps[-1]) if steps else []


def samples_of(view: RunView, step: int) -> list[Sample]:
    """Return the LoRA's samples of one step; of two with the same index (the run went back) the newer."""
    found = {sample.index: sample for sample in view.samples if sample.step == step and sample.weight}
    return [found[index] for index in sorted(found)]


def beside_the_base(view: RunView, samples: Sequence[Sample]) -> list[Sample]:
    """Return each sample behind the one without the LoRA; the samples alone where one of those is missing."""
    base = {sample.index: sample for sample in view.samples if not sample.weight}
    if any(sample.index not in base for sample in samples):
        return list(samples)
    return [each for sample in samples for each in (base[sample.index], sample)]


def gallery_rows(frame: Frame, samples: Sequence[Sample], width: int, height: int) -> list[Row]:
    """Return the pictures as large as they fit into ``width`` x ``height`` cells, each with its prompt below.

    One without the LoRA stands beside the one with it.
    """
    together = 1 if all(sample.weight for sample in samples) else 2
    across, columns, lines = _arrange(len(samples), width, height, together)
    if columns < _LEAST_COLUMNS or lines < 2:
        return [[(f" {len(samples)} pictures, too small to show here", Role.DIM)]]
    rows: list[Row] = []
    for start in range(0, len(samples), across):
        tiles = [_tile(frame, sample, columns, lines) for sample in samples[start : start + across]]
        rows += [[span for tile in tiles for span in ((" ", Role.TEXT), *tile[line])] for line in range(lines)]
    return rows


def _arrange(count: int, width: int, height: int, together: int) -> tuple[int, int, int]:
    """Return how many pictures stand in a row, and the columns and lines of each, for the largest square ones.

    That many are not to be parted.
    """

    def size(across: int) -> tuple[int, int, int]:
        down = -(-count // across)
        # A column between pictures, a line of caption; a cell is as wide as half its height.
        columns, lines = width // across - 1, height // down
        side = min(columns, (lines - 1) * 2)
        return side, across, lines

    side, across, lines = max(size(across) for across in range(together, count + 1, together))
    return across, width // across - 1, min(lines, side // 2 + 1)


def _tile(frame: Frame, sample: Sample, columns: int, lines: int) -> list[Row]:
    here = frame.view.downloaded
    path = here.get(sample.artifact_id) or here.get(sample.thumbnail_id)
    picture: list[Row]
    if path is None:
        picture = [[("on its way", Role.DIM)]]
    else:
        picture = picture_rows(path, columns, lines - 1, only_ascii=frame.options.ascii)
    picture = [*picture, *([] for _ in range(lines - 1 - len(picture)))]
    caption: Row = [(cut(sample.prompt if sample.weight else f"{WITHOUT}: {sample.prompt}", columns), Role.DIM)]
    return [pad(row, columns) for row in (*picture[: lines - 1], caption)]


class PicturesPane(Pane):
    """The samples of one step over the whole body."""

    step: int | None = None
    """The step shown; None: the newest."""

    def turn(self, by: int) -> None:
        """Show the samples of an earlier or a later step."""
        if self.frame is None or self.frame.run is None:
            return
        steps = sample_steps(self.frame.view)
        if steps:
            at = steps.index(self.step) if self.step in steps else len(steps) - 1
            at = min(len(steps) - 1, max(0, at + by))
            self.step = None if at == len(steps) - 1 else steps[at]
        self.rebuild()

    def title(self, frame: Frame) -> list[Span]:
        """Return the step and its place among all that have samples."""
        steps = [] if frame.run is None else sample_steps(frame.run)
        if not steps:
            return [("samples", Role.TITLE)]
        step = self.step if self.step in steps else steps[-1]
        return [("samples", Role.TITLE), (f"  step {step}  ({steps.index(step) + 1} of {len(steps)})", Role.TEXT)]

    def remark(self, _: Frame) -> str:
        """Return the keys that work here."""
        return "[ ] step · esc back"

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the pictures."""
        if frame.run is None:
            return [[(" no run is open", Role.DIM)]]
        step = self.step
        samples = latest_samples(frame.view) if step is None else samples_of(frame.view, step)
        if not samples:
            return [[(" none yet", Role.DIM)]]
        return gallery_rows(frame, beside_the_base(frame.view, samples), width, height)
