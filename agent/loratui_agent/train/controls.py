"""What people and the system ask of a running training: commands from the agent, SIGTERM from anyone."""

import queue
import signal
import time
from collections.abc import Callable
from types import FrameType

from loratui_agent.train.reporter import Reporter
from loratui_protocol import messages

_PAUSE_POLL_S = 0.2
_ENDED = "job.not_running", "the run ended first"
_TRAINS_NOTHING = "job.no_training", "nothing is trained here: files are tried out"
"""Code and sentence of what is refused."""


class Controls:
    """Requests that the loop looks at between steps. A command id is acted on once."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._seen: set[str] = set()
        self._answers: list[tuple[messages.Command, str]] = []
        # Plain: setting an Event inside a signal handler can wait for ever for the lock of the code it interrupted.
        self._stopping = False
        self.paused = False
        self.wants_checkpoint = False
        self.wants_samples = False

    def install_signal_handlers(self) -> None:
        """Make SIGTERM and SIGINT mean: finish the step, save everything, exit."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    @property
    def stopping(self) -> bool:
        """Return whether the run should save and end; reads new commands first."""
        self.read()
        return self._stopping

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
                self._answers.append((message, "paused; a rental, if there is one, goes on billing"))
            case messages.Resume():
                self.paused = False
                self._answers.append((message, "it goes on"))
            case messages.CheckpointNow():
                self.wants_checkpoint = True
                self._answers.append((message, "state and LoRA file saved"))
            case messages.SampleNow():
                self.wants_samples = True
                self._answers.append((message, "samples made"))
            case messages.Stop():
                self._stopping = True
                self._answers.append((message, "the run saves everything and stops"))

    def answer(self) -> None:
        """Say what is carried out; requests that are still to be met wait for their turn."""
        waiting = [answer for answer in self._answers if self._is_wanted(answer[0])]
        for command, sentence in self._answers:
            if not self._is_wanted(command):
                self._say(command, ok=True, sentence=sentence)
        self._answers = waiting

    def answer_all(self, *, saved: bool) -> None:
        """Answer what is left when the run has ended; ``saved``: state and LoRA file are on disk."""
        self.wants_checkpoint = self.wants_checkpoint and not saved
        # Nothing was held, however far it was from its end.
        self._refuse(_ENDED, messages.Pause, messages.Resume)
        self.answer()
        self._refuse(_ENDED, messages.CheckpointNow, messages.SampleNow)

    def refuse_training(self) -> None:
        """Refuse what only a training can do, in a run that tries files out."""
        self.wants_checkpoint = self.wants_samples = False
        self._refuse(_TRAINS_NOTHING, messages.CheckpointNow, messages.SampleNow)

    def _refuse(self, why: tuple[str, str], *kinds: type[messages.Command]) -> None:
        refused = [command for command, _ in self._answers if isinstance(command, kinds)]
        self._answers = [answer for answer in self._answers if answer[0] not in refused]
        for command in refused:
            self._say(command, ok=False, code=why[0], sentence=why[1])

    def _is_wanted(self, command: messages.Command) -> bool:
        return (self.wants_checkpoint and isinstance(command, messages.CheckpointNow)) or (
            self.wants_samples and isinstance(command, messages.SampleNow)
        )

    def _say(self, command: messages.Command, *, ok: bool, sentence: str, code: str = "") -> None:
        self._reporter.emit(
            messages.CommandResult(
                id=command.id, command=command.tag, author=command.author, ok=ok, code=code, message=sentence
            )
        )

    def wait_while_paused(
        self, on_change: Callable[[messages.JobState], None], meet_requests: Callable[[], None]
    ) -> None:
        """Hold here until someone resumes or stops the run; checkpoints and samples can be had meanwhile."""
        if not self.paused or self._stopping:
            return
        self.answer()
        on_change(messages.JobState.PAUSED)
        while self.paused and not self.stopping:
            # Commands arrive in a queue without a wake-up of ours; five looks a second cost nothing.
            time.sleep(_PAUSE_POLL_S)
            if self.wants_checkpoint or self.wants_samples:
                meet_requests()
                self.answer()
        on_change(messages.JobState.RUNNING)
        self.answer()
