"""``pause``, ``resume``, ``checkpoint``, ``sample``, ``stop``, ``extend``: one command and what came of it."""

import shlex
import time
from concurrent.futures import Future

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.following import hosting, say, take_up
from loratui.cli.limits import agrees, check_somebody_asked
from loratui.cli.runs import choose
from loratui.domain import formatting
from loratui.domain.run import CommandKind, LinkState, RunView
from loratui.sessions.host import SessionHost
from loratui.sessions.rented import rental_label
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui.store.rentals import Rentals
from loratui_protocol.errors import AgentUnreachableError, JobError
from loratui_protocol.messages import CommandResult, RunEnd

SILENT_S = 60.0
"""An agent that is not heard for so long is not waited for."""
LONGEST_S = 900.0
"""One that is heard may take this long: a command is carried out after a step, and a step may take minutes."""
_LOOK_EVERY_S = 0.5
_LEAST_LEFT_S = 60.0


def send(arguments: Arguments) -> int:
    """Send the command and wait until the run has carried it out or refused it."""
    preferences = settings.load()
    with Store(preferences.database) as store:
        run = choose(store.runs(), arguments.run)
    seconds = -arguments.duration if arguments.back else arguments.duration
    if arguments.command_kind == "extend" and not _agrees_to_pay(preferences, run.target, seconds, arguments):
        return 0
    with hosting(preferences) as host:
        refusal = take_up(host, run.id)
        if refusal is not None:
            raise refusal
        if arguments.back:
            _check_time_left(host.view(run.id), seconds)
        carry_out(host, run, arguments.command_kind, seconds)
    return 0


def carry_out(
    host: SessionHost, run: StoredRun, command: CommandKind, duration: float = 0.0, *, end: RunEnd | None = None
) -> None:
    """Do as ``carried_out``, and say what was done."""
    result = carried_out(host, run, command, duration, end=end)
    print(f"{run.name}: {command} done" + (f", {result.message}" if result.message else ""))


def carried_out(
    host: SessionHost, run: StoredRun, command: CommandKind, duration: float = 0.0, *, end: RunEnd | None = None
) -> CommandResult:
    """Send the command to a run that was taken up, and return once it is carried out.

    Raises:
        JobError: it was refused.
        AgentUnreachableError: nobody has answered, for too long; it may be carried out all the same.
    """
    result = _result(host, run.id, command, host.send(run.id, command, duration, end=end))
    if not result.ok:
        raise JobError(
            f"{run.name}: {result.message or 'refused'}", fix="loratui status says how it is", code=result.code
        )
    return result


def _agrees_to_pay(preferences: Settings, target: str, seconds: float, arguments: Arguments) -> bool:
    """Say what a rented machine costs that much longer; return whether that is agreed to. Less is not asked about."""
    label = rental_label(target)
    if not label:
        return True
    if seconds > 0:
        check_somebody_asked(arguments)
    from loratui.sessions.moving import extension

    with Rentals(preferences.database) as ledger:
        say(extension(ledger, label, seconds).sentence)
    return seconds < 0 or arguments.yes or agrees("Extend the rental?", otherwise="nothing has changed")


def _check_time_left(view: RunView, seconds: float) -> None:
    """Return if a run does not stop at once when its auto-stop is moved so far back.

    Raises:
        JobError: it would.
    """
    left_s = view.deadline_left_s(time.monotonic())
    if left_s is not None and left_s + seconds < _LEAST_LEFT_S:
        left = formatting.duration(left_s)
        raise JobError(
            f"{view.name} would stop within a minute: its auto-stop is in {left}. Nothing has changed",
            fix=f"take less back; to stop it now: loratui stop {shlex.quote(view.name)}",
            code="extend.too_short",
        )


def _result(host: SessionHost, run_id: str, command: str, sent: "Future[CommandResult]") -> CommandResult:
    """Return what came of the command.

    Raises:
        AgentUnreachableError: nothing, for too long.
    """
    began_s = heard_s = time.monotonic()
    has_told = False
    while True:
        try:
            return sent.result(_LOOK_EVERY_S)
        except TimeoutError:
            view, now_s = host.view(run_id), time.monotonic()
        if view.link is LinkState.UP:
            heard_s = now_s
        if now_s - heard_s >= SILENT_S or now_s - began_s >= LONGEST_S:
            raise AgentUnreachableError(
                f"{view.name}: nobody has answered {command!r} for {now_s - began_s:.0f} s, it may be carried out all "
                f"the same; {_known(view)}",
                fix="loratui status says how it is; then try again",
                code="agent.silent",
            )
        if not has_told and now_s - began_s >= SILENT_S:
            has_told = True
            say(f"{view.name}: {command} is not carried out yet; {_known(view)}")


def _known(view: RunView) -> str:
    link = "the agent is heard" if view.link is LinkState.UP else f"the agent is not heard {view.link_detail}".rstrip()
    return f"when last heard of, the run was {view.state} at step {view.step} of {view.total}, {link}"
