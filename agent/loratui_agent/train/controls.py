"""What people and the system ask of a running training: commands from the agent, SIGTERM from anyone."""

import queue
import signal
import threading
from collections.abc import Callable
from types import FrameType

from loratui_agent.train.reporter import Reporter
from loratui_protocol import messages

_PAUSE_POLL_S = 0.2


class Controls:
    """Requests that the loop looks at between steps. A command id is acted on once."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._seen: set[str] = set()
        self._answers: list[tuple[messages.Command, str]] = []
        self._stopping = threading.Event()
        self.paused = False
        self.wants_checkpoint = False
        self.wants_samples = False

    def install_signal_handlers(self) -> None:
        """Make SIGTERM and SIGINT mean: finish the step, save everything, exit."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Return whether the run should save and end; reads new commands first."""
        self.read()
        return self._stopping.is_set()

    def read(self) -> None:
        """Take in the commands that have arrived."""
        while True:
            try:
                message = self._reporter.commands.get_nowait()
            except queue.Empty:
                return
            self._take(message)

    def _take(self, message: messages.Message) -> None:
        if not isinstance(
            message, messages.Pause | messages.Resume | messages.CheckpointNow | messages.SampleNow | messages.Stop
        ):
            return
        if message.id in self._seen:
            return
        self._seen.add(message.id)
        match message:
            case messages.Pause():
                self.paused = True
                self._answers.append((message, "paused after the step; a rental goes on billing"))
            case messages.Resume():
                self.paused = False
                self._answers.append((message, "training goes on"))
            case messages.CheckpointNow():
                self.wants_checkpoint = True
                self._answers.append((message, "state and LoRA file saved"))
            case messages.SampleNow():
                self.wants_samples = True
                self._answers.append((message, "samples made"))
            case messages.Stop():
                self._stopping.set()
                self._answers.append((message, "saved and stopped"))

    def answer(self) -> None:
        """Say that everything taken in so far is carried out."""
        for command, sentence in self._answers:
            self._reporter.emit(
                messages.CommandResult(
                    id=command.id, command=command.tag, author=command.author, ok=True, message=sentence
                )
            )
        self._answers.clear()

    def wait_while_paused(self, on_change: Callable[[messages.JobState], None]) -> None:
        """Hold here until someone resumes or stops the run."""
        if not self.paused or self._stopping.is_set():
            return
        self.answer()
        on_change(messages.JobState.PAUSED)
        while self.paused and not self.stopping:
            # Commands arrive in a queue without a wake-up of ours; five looks a second cost nothing.
            self._stopping.wait(_PAUSE_POLL_S)
        on_change(messages.JobState.RUNNING)
        self.answer()
