"""The samples over the whole body: all of a step, two steps compared, or one picture large."""

from collections.abc import Sequence
from pathlib import Path

from loratui.domain.formatting import homely
from loratui.domain.run import RunView
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cut
from loratui.ui.widgets import samples
from loratui.ui.widgets.gallery import Tile
from loratui.ui.widgets.picking import PickPane
from loratui.ui.widgets.samples import WITHOUT, beside_the_base, compared, picture_path, sample_steps, samples_of
from loratui_protocol.messages import Sample


class PicturesPane(PickPane[Sample]):
    """Shows a step, and remembers which picture is chosen while steps are turned."""

    step: int | None = None
    """The step shown; None: the newest."""
    other_step: int | None = None
    """The step that it is compared with; None: nothing is compared."""

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

    def empty(self, view: RunView) -> str:
        """Return why there is no picture."""
        return "the two steps have no prompt in common" if self.is_comparing(view) else "none yet"

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

    def step_out(self) -> bool:
        """Go one layer out and return whether there was one."""
        was_inside = self.is_large or self.other_step is not None
        if self.is_large:
            self.is_large = False
        else:
            self.other_step = None
        self.rebuild()
        return was_inside

    # --- how it looks ------------------------------------------------------------------------------------------------

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

    def hint(self, frame: Frame) -> str:
        """Return the keys that turn steps."""
        return frame.keys.fill("{earlier} {later} step")

    def tiles(self, view: RunView, groups: Sequence[Sequence[Sample]]) -> list[list[Tile]]:
        """Return small pictures, each with its prompt."""
        return samples.tiles(view, groups)

    def large(self, view: RunView, item: Sample) -> tuple[Tile, list[str]]:
        """Return a sample with its weight, seed, size and path."""
        weight = f"weight {item.weight:g}" if item.weight else WITHOUT
        facts = [f"{weight}  step {item.step}  seed {item.seed}  {item.width}x{item.height}"]
        path = self.path_of(view, item)
        tile = samples.tile(view, item, small=False)._replace(words=item.prompt)
        return tile, facts if path is None else [*facts, homely(path)]

    def text_row(self, item: Sample, width: int) -> Row:
        """Return step, seed and prompt."""
        which = f"step {item.step}" if item.weight else WITHOUT
        facts = f"{which:<17} seed {item.seed:<11} "
        return [(facts, Role.DIM), (cut(item.prompt, max(1, width - len(facts) - 1)), Role.TEXT)]

    def path_of(self, view: RunView, item: Sample) -> Path | None:
        """Return where the picture is, the large one first."""
        found = picture_path(view, item, small=False)
        return None if found is None else found[0]
