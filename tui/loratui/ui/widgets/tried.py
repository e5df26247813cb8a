"""What was tried out of the open run: a table of files and weights with their scores, and the pictures of each."""

from collections.abc import Sequence
from pathlib import Path

from loratui.domain.run import RunView
from loratui.domain.score_table import cell, columns_of, width_of
from loratui.report.judgement_zip import JudgementZip, ZippedPicture
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cut, pad
from loratui.ui.widgets.gallery import Tile
from loratui.ui.widgets.log_lines import folded
from loratui.ui.widgets.picking import PickPane
from loratui.ui.widgets.samples import WITHOUT
from loratui_protocol.judging.advice import Advice, Pair, advise, pairs_in, pairs_of
from loratui_protocol.judging.grid import Cell
from loratui_protocol.judging.judgement import Judged
from loratui_protocol.judging.prompts import Role as PromptRole
from loratui_protocol.judging.scores import SCORES, scores_told

_MOST_OF_NAME = 26
_SCORE_LINES, _ADVICE_LINES = 3, 3


class TriedPane(PickPane[Judged]):
    """Shows one file at one weight at a time; without the judgement's pictures the scores alone, as the run told them.

    In words it is a table of all of them, and what the scores advise.
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.judged: JudgementZip | None = None
        self.is_comparing = False
        """Whether the base model's picture and that of the file before stand beside each."""
        self._pair: tuple[str, float] | None = None
        self._advice = advise(())
        self._known: object = None
        """What the advice was made of."""

    # --- files and weights -------------------------------------------------------------------------------------------

    def advice(self, view: RunView) -> Advice:
        """Return what there is to say of all files at their weights."""
        known = (view.run_id, len(view.scores), self.judged)
        if known != self._known:
            self._known = known
            self._advice = advise(pairs_in(self.judged.judgement) if self.judged else pairs_of(view.scores))
        return self._advice

    def pair(self, view: RunView) -> Pair | None:
        """Return the file at the weight that is shown: at first the one that is advised."""
        advice = self.advice(view)
        chosen = next((pair for pair in advice.pairs if (pair.artifact_id, pair.weight) == self._pair), None)
        return chosen or advice.advised or (advice.pairs[-1] if advice.pairs else None)

    def turn(self, by: int) -> None:
        """Show an earlier or a later file, at the weight that is nearest."""
        if (pair := self._shown()) is None:
            return
        files = self._files()
        wanted = files[max(0, min(len(files) - 1, files.index(pair.artifact_id) + by))]
        self._show(min(self._of(wanted), key=lambda each: abs(each.weight - pair.weight)))

    def weigh(self, by: int) -> None:
        """Show the file at its next weight, after the last at its first."""
        if (pair := self._shown()) is None:
            return
        pairs = self._of(pair.artifact_id)
        self._show(pairs[(pairs.index(pair) + by) % len(pairs)])

    def _shown(self) -> Pair | None:
        return None if self.frame is None or self.frame.run is None else self.pair(self.frame.view)

    def _files(self) -> list[str]:
        return list(dict.fromkeys(pair.artifact_id for pair in self._advice.pairs))

    def _of(self, artifact_id: str) -> list[Pair]:
        return [pair for pair in self._advice.pairs if pair.artifact_id == artifact_id]

    def _show(self, pair: Pair) -> None:
        self._pair = pair.artifact_id, pair.weight
        self.rebuild()

    # --- what keys do ------------------------------------------------------------------------------------------------

    def choose(self, by: int, *, rows: bool = False, pages: bool = False) -> None:
        """Choose another picture; in the table another file and weight."""
        if self.frame is None or not self.shows_text(self.frame):
            super().choose(by, rows=rows, pages=pages)
        elif (pair := self._shown()) is not None:
            pairs = self._advice.pairs
            at = pairs.index(pair) + by * (self._on_page if pages else 1)
            self._show(pairs[max(0, min(len(pairs) - 1, at))])

    def enlarge(self) -> None:
        """Show the chosen picture large, or all again; in the table, the pictures of the chosen file and weight."""
        if self.frame is not None and self.shows_text(self.frame):
            self.is_text = False
            self.rebuild()
        else:
            super().enlarge()

    def compare(self) -> None:
        """Let other pictures of the same prompt and seed stand beside each, or end that."""
        self.is_comparing = not self.is_comparing
        self.chosen = 0
        self.rebuild()

    def step_out(self) -> bool:
        """Go one layer out and return whether there was one."""
        was_inside = self.is_large or self.is_comparing
        if self.is_large:
            self.is_large = False
        else:
            self.is_comparing = False
        self.rebuild()
        return was_inside

    def shows_text(self, frame: Frame) -> bool:
        """Return whether the table is shown: there may be nothing else."""
        return self.judged is None or super().shows_text(frame)

    # --- pictures ----------------------------------------------------------------------------------------------------

    def groups(self, view: RunView) -> list[list[Judged]]:
        """Return the pictures of the file at the weight, by prompt and seed."""
        pair = self.pair(view)
        if self.judged is None or pair is None:
            return []
        judgement = self.judged.judgement
        drawn = {each.cell: each for each in judgement.pictures}
        index = {file.id: number for number, file in enumerate(judgement.grid.files)}
        own = sorted(
            (cell for cell in drawn if cell.file == index[pair.artifact_id] and cell.weight == pair.weight),
            key=lambda cell: (cell.prompt, cell.seed),
        )
        if not self.is_comparing:
            return [[drawn[cell]] for cell in own]
        files = self._files()
        at = files.index(pair.artifact_id)
        others = [(-1, 0.0), *([(index[files[at - 1]], pair.weight)] if at else [])]
        alone = [cell for cell in own if judgement.grid.prompts[cell.prompt].role is not PromptRole.TOGETHER]
        # Side by side stand as many of each: one that lacks for any of them is left out for all.
        beside = [
            (file, weight)
            for file, weight in others
            if all(Cell(file, weight, cell.prompt, cell.seed) in drawn for cell in alone)
        ]
        return [
            [*(drawn[Cell(file, weight, cell.prompt, cell.seed)] for file, weight in beside), drawn[cell]]
            for cell in alone
        ]

    def tiles(self, view: RunView, groups: Sequence[Sequence[Judged]]) -> list[list[Tile]]:
        """Return small pictures, each with its seed and prompt."""
        return [[self._tile_of(view, each) for each in group] for group in groups]

    def _tile_of(self, view: RunView, item: Judged) -> Tile:
        cell = item.cell
        prompt = self._prompt(item)
        words = f"{cell.seed}: {prompt}"
        if self.is_comparing:
            pair = self.pair(view)
            is_own = pair is not None and cell.file >= 0 and self._file_id(cell) == pair.artifact_id
            words = f"{'base' if cell.file < 0 else 'this' if is_own else 'before'} {words}"
        return Tile(words, None if self.judged is None else ZippedPicture(self.judged, cell))

    def large(self, view: RunView, item: Judged) -> tuple[Tile, list[str]]:
        """Return a picture with what it is of, and its scores."""
        cell = item.cell
        of = WITHOUT if cell.file < 0 else f"{self._called(cell)} at {cell.weight:g}"
        facts = [f"{of}  seed {cell.seed}  {item.width}x{item.height}", scores_told(item.scores)]
        return self._tile_of(view, item)._replace(words=self._prompt(item)), facts

    def path_of(self, view: RunView, item: Judged) -> Path | None:  # noqa: ARG002 - they are all in one file
        """Return nothing: no picture is a file of its own."""
        return None

    def _prompt(self, item: Judged) -> str:
        if self.judged is None:
            return ""
        prompt = self.judged.judgement.grid.prompts[item.cell.prompt]
        return f"{prompt.text}; negative prompt: {prompt.negative}" if prompt.negative else prompt.text

    def _file_id(self, cell: Cell) -> str:
        return "" if self.judged is None else self.judged.judgement.grid.files[cell.file].id

    def _called(self, cell: Cell) -> str:
        return "" if self.judged is None else self.judged.judgement.grid.files[cell.file].name

    # --- rows --------------------------------------------------------------------------------------------------------

    def title(self, frame: Frame) -> list[Span]:
        """Return the file and the weight, or how many there are."""
        pair = None if frame.run is None else self.pair(frame.view)
        if pair is None:
            return [("tried out", Role.TITLE)]
        if self.shows_text(frame):
            return [("tried out", Role.TITLE), (f"  {len(self._advice.pairs)} files and weights", Role.TEXT)]
        words = f"  {_short(pair)} at {pair.weight:g}"
        return [("tried out", Role.TITLE), (words, Role.TEXT), *self._mark(pair)]

    def _mark(self, pair: Pair) -> list[Span]:
        return [("  advised", Role.GOOD)] if pair is self._advice.advised else []

    def hint(self, frame: Frame) -> str:
        """Return the keys that turn files and weights."""
        return frame.keys.fill("{earlier} {later} file {tried_weight} weight")

    def remark(self, frame: Frame) -> str:
        """Return the keys that work here."""
        if not self.shows_text(frame):
            return super().remark(frame)
        if self.judged is None:
            return "the pictures are not here"
        return frame.keys.fill("{sample_large} its pictures · {samples_close} back")

    def empty(self, view: RunView) -> str:
        """Return why there is no picture."""
        return "no picture of it is here" if view.scores else "nothing was tried out; loratui test tries a file out"

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the table, or the pictures below the scores of their file and weight."""
        pair = None if frame.run is None else self.pair(frame.view)
        if pair is None or (self.is_large and not self.shows_text(frame)):
            return super().lines(frame, width, height)
        if self.shows_text(frame):
            return self._table(pair, width, height)
        told = _scores(pair, width)
        return [*told, *super().lines(frame, width, height - len(told))]

    def _table(self, chosen: Pair, width: int, height: int) -> list[Row]:
        """Return the files and weights around the chosen one, all of its scores, and the advice."""
        advice = self._advice
        below: list[Row] = [[], *_scores(chosen, width)]
        below += [[(f" {line}", Role.STRONG)] for line in folded(advice.sentence, width - 2, _ADVICE_LINES)]
        below += [[(" * no other one is as good in every score; it is advice, nothing was picked", Role.DIM)]]
        of_name = min(_MOST_OF_NAME, max(len(_short(pair)) for pair in advice.pairs))
        columns, room = list[str](), width - 4 - of_name - len("  weight")
        for name in columns_of(advice.pairs):
            room -= 2 + width_of(name)
            if room < 0:
                break
            columns.append(name)
        head = "".join(f"  {SCORES[name].title:>{width_of(name)}}" for name in columns)
        rows = self._on_page = max(1, height - len(below) - 1)
        at = advice.pairs.index(chosen)
        first = max(0, min(at - rows // 2, len(advice.pairs) - rows))
        shown = advice.pairs[first : first + rows]
        return [
            [(f"    {'file':<{of_name}}  weight{head}", Role.DIM)],
            *[self._row(pair, columns, of_name, is_chosen=pair is chosen) for pair in shown],
            *below,
        ]

    def _row(self, pair: Pair, columns: Sequence[str], of_name: int, *, is_chosen: bool) -> Row:
        cells = "".join(f"  {cell(pair, name):>{width_of(name)}}" for name in columns)
        name = pad([(cut(_short(pair), of_name), Role.STRONG if is_chosen else Role.TEXT)], of_name)
        return [
            (">" if is_chosen else " ", Role.KEY),
            (" * " if self._advice.is_on_front(pair) else "   ", Role.GOOD),
            *name,
            (f"  {pair.weight:>6g}{cells}", Role.TEXT),
            *self._mark(pair),
        ]


def _short(pair: Pair) -> str:
    return f"step {pair.step}" if pair.step else pair.name.removesuffix(".safetensors")


def _scores(pair: Pair, width: int) -> list[Row]:
    told = ", ".join(f"{SCORES[name].title} {cell(pair, name)}" for name in columns_of([pair]))
    return [[(f" {line}", Role.DIM)] for line in folded(told or "nothing was measured", width - 2, _SCORE_LINES)]
