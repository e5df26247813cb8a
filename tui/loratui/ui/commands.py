"""What keys ask of runs: sends it, remembers it until it is answered, and says what became of it."""

import logging
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass

from loratui.domain import formatting
from loratui.domain.known_price import is_price_known
from loratui.domain.run import CommandKind
from loratui.domain.run_source import RunSource
from loratui.ui.actions.run import EXTENSION_S, UNDO_S, resumes
from loratui.ui.frame import Frame
from loratui_protocol.errors import LoratuiError
from loratui_protocol.messages import CommandResult

log = logging.getLogger(__name__)
_LOOK = {"extend": "the time that AUTO-STOP shows is what can be spent: look there, and ask again"}
_LOOK_AT_STATE = "the run goes on and costs what it does until its state shows otherwise: ask again"
"""What to do where it is not known what became of a command, and what that means for money."""
NO_EXTENSION = f"no extension in the last {UNDO_S:.0f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    name: str
    answer: "Future[CommandResult]"


class Commands:
    """Of one run. Never waits for an answer. Every method returns a notice for the user."""

    def __init__(self, source: RunSource) -> None:
        self.source = source
        self._unanswered: list[_Sent] = []
        self._extended: list[tuple[float, Future[CommandResult]]] = []
        """When, and what says whether it was: one that was refused is not taken back."""
        self._to_take_back: list[Future[CommandResult]] = []

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
        num_sent = len(self._unanswered)
        price = f"up to +{formatting.money(frame.view.price_microusd_per_h * EXTENSION_S // 3600)}"
        if not is_price_known(frame.view):
            price = "at a price that is not known"
        notice = self._send("extend", f"+30 min, {price} · {frame.keys.name_of('undo')} takes it back", EXTENSION_S)
        self._extended += [(frame.now_s, sent.answer) for sent in self._unanswered[num_sent:]]
        return notice

    def has_extended(self, now_s: float) -> bool:
        """Return whether there is an extension that can be taken back."""
        return any(now_s - at_s <= UNDO_S for at_s, _ in self._extended)

    def undo_extend(self, frame: Frame) -> str:
        """Take the last extension back, if it is young enough."""
        self._extended = [
            (at_s, answer)
            for at_s, answer in self._extended
            if frame.now_s - at_s <= UNDO_S and not (answer.done() and _failed(answer))
        ]
        if not self._extended:
            return f"undo: {NO_EXTENSION}"
        _, answer = self._extended.pop()
        if answer.done():
            return self._send("extend", "taken back", -EXTENSION_S)
        # Where it comes to nothing, taking it back would shorten what there was before.
        self._to_take_back.append(answer)
        return "extend: taken back as soon as it is through"

    def collect(self) -> str:
        """Return what became of commands since the last call: refusals, for what is done shows by itself.

        What was to be taken back, and is through by now, is.
        """
        answered = [sent for sent in self._unanswered if sent.answer.done()]
        self._unanswered = [sent for sent in self._unanswered if not sent.answer.done()]
        through = [answer for answer in self._to_take_back if answer.done()]
        self._to_take_back = [answer for answer in self._to_take_back if not answer.done()]
        taken_back = [self._send("extend", "taken back", -EXTENSION_S) for answer in through if not _failed(answer)]
        return " · ".join(filter(None, [*map(_outcome, answered), *taken_back]))

    def _send(self, kind: CommandKind, notice: str, seconds: float = 0) -> str:
        sent = _Sent(name=kind, answer=self.source.send(kind, seconds))
        if sent.answer.done() and _failed(sent.answer):
            return _outcome(sent)
        self._unanswered.append(sent)
        return f"{kind}: {notice}"


class CommandsOfAll:
    """Those of every run that was open: what one was asked is answered though another is open by then."""

    def __init__(self) -> None:
        self._by_run: dict[str, Commands] = {}

    def of(self, source: RunSource) -> Commands:
        """Return those of the run of this source, which they go through from now on."""
        known = self._by_run.setdefault(source.run_id, Commands(source))
        known.source = source
        return known

    def collect(self, open_id: str) -> str:
        """Return what ``Commands.collect`` returns for each; a run that is not the open one is named."""
        said: list[str] = []
        for run_id, commands in self._by_run.items():
            if news := commands.collect():
                said.append(news if run_id == open_id else f"{commands.source.view().name}: {news}")
        return " · ".join(said)


def _failed(answer: "Future[CommandResult]") -> bool:
    return answer.cancelled() or answer.exception() is not None or not answer.result().ok


def _outcome(sent: _Sent) -> str:
    try:
        result = sent.answer.result()
    except CancelledError:
        return f"{sent.name}: never reached the agent"
    except LoratuiError as error:
        return f"{sent.name}: {error.what}"
    except Exception as error:
        log.exception("%s broke", sent.name)
        return f"! {sent.name} {_broke(error)}; {_LOOK.get(sent.name, _LOOK_AT_STATE)}"
    return "" if result.ok else f"{sent.name}: refused, {result.message or result.code}"


def refusal(answer: "Future[CommandResult]") -> str:
    """Return why a command that was answered was not carried out, or may not have been; nothing where it was."""
    try:
        result = answer.result()
    except CancelledError:
        return "its agent was not reached"
    except LoratuiError as error:
        return error.what
    except Exception as error:
        log.exception("a command broke")
        return _broke(error)
    return "" if result.ok else result.message or result.code


def _broke(error: Exception) -> str:
    """Return that something of ours did: how far the command came then, nobody knows."""
    return f"broke ({type(error).__name__}: {error}), and may be carried out all the same"
