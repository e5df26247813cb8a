"""What keys ask of a run: sends it, remembers it until it is answered, and says what became of it."""

from concurrent.futures import CancelledError, Future
from dataclasses import dataclass

from loratui.domain import formatting
from loratui.domain.run import CommandKind
from loratui.domain.run_source import RunSource
from loratui.ui.actions import EXTENSION_S, UNDO_S, resumes
from loratui.ui.frame import Frame
from loratui_protocol.errors import LoratuiError
from loratui_protocol.messages import CommandResult


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    name: str
    answer: "Future[CommandResult]"


class Commands:
    """Never waits for an answer. Every method returns a notice for the user."""

    def __init__(self, source: RunSource) -> None:
        self._source = source
        self._unanswered: list[_Sent] = []
        self._extended_at_s: list[float] = []

    def pause_or_resume(self, frame: Frame) -> str:
        """Hold the run, or let it go on."""
        if resumes(frame):
            return self._send("resume", "sent")
        return self._send("pause", "sent, holds after this step")

    def checkpoint(self) -> str:
        """Save a checkpoint after this step."""
        return self._send("checkpoint", "sent, saves after this step")

    def sample(self) -> str:
        """Make samples after this step."""
        return self._send("sample", "sent, pictures follow")

    def stop(self) -> str:
        """Finish the step, save, export and end the run."""
        return self._send("stop", "sent, saves and exports after this step")

    def extend(self, frame: Frame) -> str:
        """Move the auto-stop; for some seconds ``undo_extend`` takes it back."""
        self._extended_at_s.append(frame.now_s)
        price = formatting.money(frame.view.price_microusd_per_h * EXTENSION_S // 3600)
        return self._send("extend", f"+30 min, up to +{price} · u takes it back", EXTENSION_S)

    def undo_extend(self, frame: Frame) -> str:
        """Take the last extension back, if it is young enough."""
        self._extended_at_s = [at_s for at_s in self._extended_at_s if frame.now_s - at_s <= UNDO_S]
        if not self._extended_at_s:
            return f"undo: no extension in the last {UNDO_S:.0f} s"
        self._extended_at_s.pop()
        return self._send("extend", "taken back", -EXTENSION_S)

    def collect(self) -> str:
        """Return what became of commands since the last call: refusals, for what is done shows by itself."""
        answered = [sent for sent in self._unanswered if sent.answer.done()]
        self._unanswered = [sent for sent in self._unanswered if not sent.answer.done()]
        return " · ".join(filter(None, map(_outcome, answered)))

    def _send(self, kind: CommandKind, notice: str, seconds: float = 0) -> str:
        try:
            answer = self._source.send(kind, seconds)
        except LoratuiError as error:
            return f"{kind}: {error.what}"
        self._unanswered.append(_Sent(name=kind, answer=answer))
        return f"{kind}: {notice}"


def _outcome(sent: _Sent) -> str:
    try:
        result = sent.answer.result()
    except CancelledError:
        return f"{sent.name}: never reached the agent"
    except LoratuiError as error:
        return f"{sent.name}: {error.what}"
    return "" if result.ok else f"{sent.name}: refused, {result.message or result.code}"
