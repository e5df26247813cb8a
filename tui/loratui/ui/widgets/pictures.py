"""The samples over the whole body: all of a step, two steps compared, or one picture large."""

from collections.abc import Sequence
from pathlib import Path

from loratui.domain.formatting import homely
from loratui.domain.run import RunView
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cut
from loratui.ui.widgets.gallery import (
    WITHOUT,
    GalleryPane,
    beside_the_base,
    compared,
    per_page,
    picture_path,
    sample_steps,
    samples_of,
)
from loratui.ui.widgets.log_lines import folded
from loratui_protocol.messages import Sample

_PROMPT_LINES = 3


class PicturesPane(GalleryPane):
    """Shows a step, and remembers which picture is chosen while steps are turned."""

    step: int | None = None
    """The step shown; None: the newest."""
    other_step: int | None = None
    """The step that it is compared with; None: nothing is compared."""
    is_large = False
    is_text: bool | None = None
    """Whether words stand for pictures; None: where only ASCII can be shown."""
    chosen = 0
    _on_page = 1

    # --- what is shown -----------------------------------------------------------------------------------------------

    def shown_step(self, view: RunView) -> int | None:
        """Return the step that is shown."""
        steps = sample_steps(view)
        return self.step if self.step in steps else steps[-1] if steps else None

    def groups(self, view: RunView) -> list[list[Sample]]:
        """Return the pictures that are shown, those of one prompt together."""
        step = self.shown_step(view)
        if step is None:
            return []
        if self.is_comparing(view) and self.other_step is not None:
            return compared(view, sorted((step, self.other_step)))
        return beside_the_base(view, samples_of(view, step))

    def is_comparing(self, view: RunView) -> bool:
        """Return whether two steps are shown; one of them may have been taken back."""
        return self.other_step in sample_steps(view) and self.other_step != self.shown_step(view)

    def turn(self, by: int) -> None:
        """Show the samples of an earlier or a later step."""
        if self.frame is None or self.frame.run is None:
            return
        view = self.frame.view
        steps = [step for step in sample_steps(view) if not self.is_comparing(view) or step != self.other_step]
        step = self.shown_step(view)
        if step is not None:
            at = min(len(steps) - 1, max(0, steps.index(step) + by))
            is_newest = at == len(steps) - 1 and self.other_step is None
            self.step = None if is_newest else steps[at]
        self.rebuild()

    def compare(self) -> None:
        """Compare with the step before, with the one after where there is none, or end that."""
        if self.frame is None or self.frame.run is None:
            return
        view = self.frame.view
        step, steps = self.shown_step(view), sample_steps(view)
        if self.is_comparing(view) or step is None or len(steps) < 2:
            self.other_step = None
        else:
            at = steps.index(step)
            self.step, self.other_step = step, steps[at - 1] if at else steps[1]
        self.chosen = 0
        self.rebuild()

    def choose(self, by: int, *, rows: bool = False, pages: bool = False) -> None:
        """Choose another picture: so many further, rows further, or pages further."""
        if self.frame is None or self.frame.run is None:
            return
        count = sum(len(group) for group in self.groups(self.frame.view))
        by *= self._on_page if pages else self.across if rows and not self.is_large else 1
        at = self.chosen + by
        # A row further means the picture below, not the last of all.
        if not rows or 0 <= at < count:
            self.chosen = max(0, min(count - 1, at))
            self.rebuild()

    def chosen_path(self) -> Path | None:
        """Return where the chosen picture is; None: it is not here, or there is none."""
        if self.frame is None or self.frame.run is None:
            return None
        samples = [sample for group in self.groups(self.frame.view) for sample in group]
        found = picture_path(self.frame.view, samples[self.chosen], small=False) if self.chosen < len(samples) else None
        return None if found is None else found[0]

    def toggle_text(self) -> None:
        """Show words instead of pictures, or pictures again."""
        if self.frame is not None:
            self.is_text = not self._shows_text(self.frame)
            self.rebuild()

    def step_out(self) -> bool:
        """Go one layer out and return whether there was one."""
        was_inside = self.is_large or self.other_step is not None
        if self.is_large:
            self.is_large = False
        else:
            self.other_step = None
        self.rebuild()
        return was_inside

    def _shows_text(self, frame: Frame) -> bool:
        return frame.options.ascii if self.is_text is None else self.is_text

    # --- rows --------------------------------------------------------------------------------------------------------

    def title(self, frame: Frame) -> list[Span]:
        """Return the step and its place among all that have samples, or the two that are compared."""
        step = None if frame.run is None else self.shown_step(frame.view)
        if step is None:
            return [("samples", Role.TITLE)]
        steps = sample_steps(frame.view)
        words = f"  step {step}  ({steps.index(step) + 1} of {len(steps)})"
        if self.is_comparing(frame.view) and self.other_step is not None:
            words = "  step {} beside step {}".format(*sorted((step, self.other_step)))
        return [("samples", Role.TITLE), (words, Role.TEXT)]

    def remark(self, frame: Frame) -> str:
        """Return which page of how many it is, else the keys that work here."""
        count = 0 if frame.run is None else sum(len(group) for group in self.groups(frame.view))
        back = frame.keys.name_of("samples_close")
        if self.is_large:
            return f"{min(self.chosen, count - 1) + 1} of {count} · {back} back" if count else ""
        num_pages = -(-count // self._on_page)
        if num_pages > 1:
            page_down = frame.keys.name_of("sample_page_down")
            return f"page {min(self.chosen, count - 1) // self._on_page + 1} of {num_pages} · {page_down}"
        return f"{frame.keys.fill('{earlier} {later}')} step · {back} back"

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return title and pictures; how many have room on a page is known before the title says so."""
        groups = [] if frame.run is None else self.groups(frame.view)
        count = sum(len(group) for group in groups)
        together = len(groups[0]) if groups else 1
        if self._shows_text(frame):
            self.across, self._on_page = 1, max(1, height - 1)
        else:
            self._on_page = per_page(together, width, height - 1)
        self.chosen = max(0, min(self.chosen, count - 1))
        return super().compose_rows(frame, width, height)

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the pictures."""
        if frame.run is None:
            return [[(" no run is open", Role.DIM)]]
        groups = self.groups(frame.view)
        if not groups:
            is_odd = self.is_comparing(frame.view)
            return [[(" the two steps have no prompt in common" if is_odd else " none yet", Role.DIM)]]
        samples = [sample for group in groups for sample in group]
        if self.is_large:
            return self._large(frame, samples[self.chosen], width, height)
        start = self.chosen // self._on_page * self._on_page
        if self._shows_text(frame):
            return [
                [(">" if at == self.chosen else " ", Role.KEY), *_text_row(samples[at], width)]
                for at in range(start, min(start + self._on_page, len(samples)))
            ]
        together = len(groups[0])
        on_page = groups[start // together : (start + self._on_page) // together]
        return self.gallery_rows(frame, on_page, width, height, self.chosen - start)

    def _large(self, frame: Frame, sample: Sample, width: int, height: int) -> list[Row]:
        found = picture_path(frame.view, sample, small=False)
        words: Sequence[str] = folded(sample.prompt, max(10, width - 2), _PROMPT_LINES)
        details = [f" {line}" for line in words]
        facts = f" {_weight(sample)}  step {sample.step}  seed {sample.seed}  {sample.width}x{sample.height}"
        details += [facts, *([] if found is None else [f" {homely(found[0])}"])]
        rows = self.picture(frame, sample, width - 1, max(1, height - len(details)), small=False)
        shown: list[Row] = [[(" ", Role.TEXT), *row] for row in rows]
        shown += [[(line, Role.STRONG if at < len(words) else Role.DIM)] for at, line in enumerate(details)]
        return shown


def _weight(sample: Sample) -> str:
    return f"weight {sample.weight:g}" if sample.weight else WITHOUT


def _text_row(sample: Sample, width: int) -> Row:
    which = f"step {sample.step}" if sample.weight else WITHOUT
    facts = f"{which:<17} seed {sample.seed:<11} "
    return [(facts, Role.DIM), (cut(sample.prompt, max(1, width - len(facts) - 1)), Role.TEXT)]
