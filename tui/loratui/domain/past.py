"""What is remembered of every step that a run has made, for whoever looks back at one of them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from loratui.domain.series import Series
from loratui_protocol.messages import Step

if TYPE_CHECKING:
    from loratui.domain.run import RunView

_NUM_KEPT = 1000


class StepNumbers(NamedTuple):
    """Of a record of a step what curves keep; ``ts`` is the record's, the rest as in ``Step``."""

    ts: float
    step: int
    epoch: int
    loss: float
    lr: float
    it_s: float
    grad_norm: float | None


@dataclass(slots=True)
class Past:
    """Curves of a run beside those that it is judged by."""

    it_s: Series = field(default_factory=Series)
    ts: Series = field(default_factory=Series)
    """When each step was made."""
    epoch: Series = field(default_factory=Series)
    """The first step of each epoch."""
    delta: Series = field(default_factory=Series)
    """How large the LoRA is beside the weights that it changes."""
    restarts: list[int] = field(default_factory=list)
    """The steps at which the run went on after an interruption."""
    is_resumed: bool = False
    """Whether the next step is one of those."""

    def add(self, event: Step | StepNumbers, ts: float, *, went_back: bool) -> None:
        """Remember a step that was made at ``ts``; before one to which the run ``went_back`` it was interrupted."""
        if went_back or self.is_resumed:
            earlier = [step for step in self.restarts if step < event.step]
            self.restarts = [*earlier, event.step][-_NUM_KEPT:]
            self.is_resumed = False
        self.it_s.append(event.step, event.it_s)
        self.ts.append(event.step, ts)
        known = self.epoch.upto(event.step - 1)
        if known is None or known[1] != event.epoch:
            self.epoch.append(event.step, event.epoch)

    def copy(self) -> "Past":
        """Return a past that later steps don't reach."""
        curves = (self.it_s.copy(), self.ts.copy(), self.epoch.copy(), self.delta.copy())
        return Past(*curves, self.restarts.copy(), self.is_resumed)


def remember(view: "RunView", event: Step | StepNumbers, ts: float) -> None:
    """Add a step that was made at ``ts`` to all curves of a run."""
    went_back = event.step <= view.step
    view.past.add(event, ts, went_back=went_back)
    view.step, view.setup = event.step, None
    view.series.append(event.step, event.loss)
    view.lr_series.append(event.step, event.lr)
    if event.grad_norm is not None:
        view.grad_norm_series.append(event.step, event.grad_norm)
    if went_back:
        view.min_loss = view.series.minimum()
    elif event.loss < (view.min_loss[0] if view.min_loss else float("inf")) and event.loss > float("-inf"):
        view.min_loss = (event.loss, event.step)
