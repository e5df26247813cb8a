"""Sample pictures side by side, with a word about each."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from textual.message import Message

from loratui.domain.run import RunView
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cut, pad
from loratui.ui.widgets.decoder import Decoder
from loratui.ui.widgets.pane import Pane
from loratui_protocol.messages import Sample

_LEAST_COLUMNS = 6
_GOOD_COLUMNS, _GOOD_LINES = 14, 8
"""Of one picture where others can wait on another page."""
_MOST_ON_A_PAGE = 60
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


def beside_the_base(view: RunView, samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return each sample behind the one without the LoRA; the samples alone where one of those is missing."""
    base = {sample.index: sample for sample in view.samples if not sample.weight}
    if any(sample.index not in base for sample in samples):
        return [[sample] for sample in samples]
    return [[base[sample.index], sample] for sample in samples]


def compared(view: RunView, steps: Sequence[int]) -> list[list[Sample]]:
    """Return what several steps have in common, the samples of one prompt together, behind the one without the LoRA."""
    by_index = [{sample.index: sample for sample in samples_of(view, step)} for step in steps]
    shared = [index for index in sorted(by_index[0]) if all(index in samples for samples in by_index)]
    base = {sample.index: sample for sample in view.samples if not sample.weight}
    has_base = all(index in base for index in shared)
    return [[*([base[index]] if has_base else []), *(samples[index] for samples in by_index)] for index in shared]


def per_page(together: int, width: int, height: int) -> int:
    """Return how many pictures a page has where not all find room, ``together`` that are not to be parted."""
    across = max(1, width // ((_GOOD_COLUMNS + 1) * together))
    down = max(1, height // _GOOD_LINES)
    return min(across * down, max(1, _MOST_ON_A_PAGE // together)) * together


def picture_path(view: RunView, sample: Sample, *, small: bool) -> tuple[Path, str] | None:
    """Return where a picture is and the sum of its file, the small one first or last; None: neither is here."""
    ids = (sample.thumbnail_id, sample.artifact_id) if small else (sample.artifact_id, sample.thumbnail_id)
    for artifact_id in ids:
        if (path := view.downloaded.get(artifact_id)) is not None:
            artifact = view.artifacts.get(artifact_id)
            return path, "" if artifact is None else artifact.sha256
    return None


class GalleryPane(Pane):
    """A pane with pictures, which come as they are decoded."""

    class Ready(Message):
        """Another picture can be shown."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.decoder = Decoder(self._tell_ready)
        self.across = 1
        """How many pictures stand in a row."""

    def _tell_ready(self) -> None:
        # The thread may be done with a picture when the interface is no more.
        with contextlib.suppress(RuntimeError):
            self.post_message(self.Ready())

    def on_gallery_pane_ready(self) -> None:
        """Show it."""
        self.rebuild()

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the rows; what was wished for another size or step is not wished any more."""
        self.decoder.forget_wishes()
        return super().compose_rows(frame, width, height)

    def gallery_rows(
        self, frame: Frame, groups: Sequence[Sequence[Sample]], width: int, height: int, chosen: int | None = None
    ) -> list[Row]:
        """Return the pictures as large as they fit into ``width`` x ``height`` cells, each with its prompt below.

        Those of one group stand side by side. ``chosen`` is the place of the one that is marked.
        """
        samples = [sample for group in groups for sample in group]
        across, columns, lines = _arrange(len(samples), width, height, len(groups[0]))
        self.across = across
        if columns < _LEAST_COLUMNS or lines < 2:
            return [[(f" {len(samples)} pictures, too small to show here", Role.DIM)]]
        has_steps = len({sample.step for sample in samples if sample.weight}) > 1
        words = [_caption(sample, has_steps=has_steps) for sample in samples]
        rows: list[Row] = []
        for start in range(0, len(samples), across):
            tiles = [
                self._tile(frame, samples[at], words[at], columns, lines, is_chosen=at == chosen)
                for at in range(start, min(start + across, len(samples)))
            ]
            rows += [[span for tile in tiles for span in ((" ", Role.TEXT), *tile[line])] for line in range(lines)]
        return rows

    def picture(self, frame: Frame, sample: Sample, columns: int, lines: int, *, small: bool = True) -> list[Row]:
        """Return a picture, or a word for why there is none yet."""
        found = picture_path(frame.view, sample, small=small)
        if found is None:
            return [[("on its way", Role.DIM)]]
        path, version = found
        rows = self.decoder.rows(path, columns, lines, version=version, only_ascii=frame.options.ascii)
        return [[("opening…", Role.DIM)]] if rows is None else rows

    def _tile(
        self, frame: Frame, sample: Sample, words: str, columns: int, lines: int, *, is_chosen: bool
    ) -> list[Row]:
        picture = self.picture(frame, sample, columns, lines - 1)
        picture = [*picture, *([] for _ in range(lines - 1 - len(picture)))]
        sign: Row = [(">", Role.KEY)] if is_chosen else []
        caption: Row = [*sign, (cut(words, columns - len(sign)), Role.STRONG if is_chosen else Role.DIM)]
        return [pad(row, columns) for row in (*picture[: lines - 1], caption)]


class SamplePane(GalleryPane):
    """The newest samples as small pictures."""

    def title(self, frame: Frame) -> list[Span]:
        """Return which step they are from."""
        samples = latest_samples(frame.view)
        step = f"  step {samples[0].step}" if samples else ""
        return [("samples", Role.TITLE), (step, Role.DIM)]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the pictures; on a slow line a hint how to see them."""
        samples = latest_samples(frame.view)
        if not samples:
            return [[(" none yet", Role.DIM)]]
        if frame.options.slow:
            return [[(f" {len(samples)} pictures: press ", Role.DIM), (frame.keys.name_of("pictures"), Role.KEY)]]
        return self.gallery_rows(frame, [[sample] for sample in samples], width, height)


def _caption(sample: Sample, *, has_steps: bool) -> str:
    if not sample.weight:
        return f"{WITHOUT}: {sample.prompt}"
    return f"{sample.step}: {sample.prompt}" if has_steps else sample.prompt


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
