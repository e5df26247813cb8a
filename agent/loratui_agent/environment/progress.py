"""Says how far an environment is: the step, and within a step what the installer downloads."""

import re
from collections.abc import Callable

from loratui_protocol.messages import Setup

PHASE = "environment"
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_BEGUN = re.compile(r"\s*Downloading (\S+) \(([\d.]+)\s*([KMG]iB)\)")
_ENDED = re.compile(r"\s*Downloaded (\S+)")


class Progress:
    """Counts the steps of one environment and reports each change once."""

    def __init__(self, report: Callable[[Setup], None], *, num_steps: int) -> None:
        self._report = report
        self._num_steps = num_steps
        self._done = -1
        self._step = ""
        self._sizes: dict[str, float] = {}
        self._arrived: set[str] = set()
        self._said: Setup | None = None

    def begin(self, step: str) -> None:
        """Begin the next step."""
        self._done = min(self._done + 1, self._num_steps - 1)
        self._step = step
        self._sizes.clear()
        self._arrived.clear()
        self.say(step)

    def hear(self, line: str) -> None:
        """Take a line of the installer; what it downloads is told."""
        if begun := _BEGUN.match(line):
            self._sizes[begun[1]] = float(begun[2]) * _UNITS[begun[3]]
        elif (ended := _ENDED.match(line)) and ended[1] in self._sizes:
            self._arrived.add(ended[1])
        else:
            return
        here = sum(self._sizes[name] for name in self._arrived)
        left = sorted(set(self._sizes) - self._arrived, key=lambda name: -self._sizes[name])
        amount = f"{here / (1 << 20):.0f} of {sum(self._sizes.values()) / (1 << 20):.0f} MiB so far"
        self.say(f"{self._step}: {amount}" + (f", {', '.join(left[:3])} on the way" if left else ""))

    def say(self, message: str) -> None:
        """Report a sentence at the present step."""
        self._tell(max(0, self._done), message)

    def finish(self, message: str) -> None:
        """Report that the environment is there."""
        self._tell(self._num_steps, message)

    def _tell(self, done: int, message: str) -> None:
        setup = Setup(phase=PHASE, done=done, total=self._num_steps, unit="steps", message=message)
        if setup != self._said:
            self._said = setup
            self._report(setup)
