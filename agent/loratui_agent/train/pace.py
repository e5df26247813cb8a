"""How fast the last steps were, what work that was, and how long there was no data for it."""

# B batch, C latent channels, H W latent height and width

import contextlib
import statistics
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import Tensor

from loratui_agent.train.flops import FlopCount

_NUM_STEPS = 20


@dataclass(slots=True)
class TimedStep:
    """One step, as far as it was timed."""

    began_s: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    wait_s: float = 0.0
    num_pictures: int = 0
    """That this process did."""
    num_shared: int = 0
    """That all processes did."""
    flops: float = 0.0

    @property
    def all_flops(self) -> float:
        """Return what all processes computed: pictures of one step are all as large, or nearly."""
        return self.flops * self.num_shared / max(1, self.num_pictures)


class Pace:
    """Times the last steps; it reads clocks alone and never waits for a GPU."""

    def __init__(self) -> None:
        self._last: deque[TimedStep] = deque(maxlen=_NUM_STEPS)
        self._step = TimedStep()
        self._drawing_since_s = 0.0
        self._is_warm = False
        self._flops_per_picture: dict[tuple[int, ...], float] = {}

    @contextlib.contextmanager
    def step(self, num_pictures: int) -> Iterator[None]:
        """Time a step of so many pictures. Only the first of all is not counted once there is another: it warms up."""
        self._step = TimedStep(num_shared=num_pictures)
        yield
        self._step.seconds = time.monotonic() - self._step.began_s
        if len(self._last) == 1 and not self._is_warm:
            self._last.clear()
            self._is_warm = True
        self._last.append(self._step)

    def draw(self) -> None:
        """Note that the data of a micro-batch is being drawn from here on."""
        self._drawing_since_s = time.monotonic()

    @contextlib.contextmanager
    def forward(self, noisy_BCHW: Tensor) -> Iterator[None]:
        """Take note of a micro-batch whose data is there and whose forward pass comes now, text encoders included."""
        step = self._step
        # While a GPU is busy with one micro-batch it does not wait for the next. Before the first of a step it may
        # still be at the end of the step before: it waits at most so long.
        if noisy_BCHW.device.type == "cpu" or not step.num_pictures:
            step.wait_s += time.monotonic() - self._drawing_since_s
        num_pictures, shape = len(noisy_BCHW), tuple(noisy_BCHW.shape[1:])
        if shape in self._flops_per_picture:
            yield
        else:
            # Captions are all padded to one length, so a shape and the size of the batch decide.
            with FlopCount() as count:
                yield
            self._flops_per_picture[shape] = count.flops / num_pictures
        step.num_pictures += num_pictures
        step.flops += num_pictures * self._flops_per_picture[shape]

    @property
    def last(self) -> TimedStep:
        """Return the last step that was timed."""
        return self._last[-1]

    @property
    def step_s(self) -> float:
        """Return the median seconds of a step: one that waits for a disk says nothing of the next."""
        return statistics.median(step.seconds for step in self._last)

    @property
    def img_s(self) -> float:
        """Return pictures a second, regularisation pictures included."""
        return sum(step.num_shared for step in self._last) / self._seconds

    @property
    def tflop_s(self) -> float:
        """Return 10^12 floating-point operations a second; see ``FlopCount`` for what counts."""
        return sum(step.all_flops for step in self._last) / self._seconds / 1e12

    @property
    def data_wait(self) -> float:
        """Return the part of the time, 0 to 1, in which the device had no data to work on.

        It is the host's time from the beginning of a micro-batch to its forward pass: choosing pictures, drawing noise,
        sampling and copying latents.
        """
        return sum(step.wait_s for step in self._last) / self._seconds

    @property
    def _seconds(self) -> float:
        return sum(step.seconds for step in self._last)
