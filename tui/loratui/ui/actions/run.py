"""What can be done with the run that is open."""

from collections.abc import Callable

from loratui.domain.run import LinkState
from loratui.ui.frame import Frame
from loratui.ui.registry import Action, Danger, Scope
from loratui_protocol.messages import JobState

EXTENSION_S = 30 * 60
UNDO_S = 10.0

_TRAINING = (JobState.RUNNING, JobState.PAUSED)
_RESUMABLE = (JobState.PAUSED, JobState.STOPPED, JobState.FAILED)


def _says(text: str) -> Callable[[Frame], str]:
    return lambda _: text


def _while_it_lasts(text: str) -> Callable[[Frame], str]:
    """Return a hint that leaves its room to others once the run is over: it is of no use there any more."""
    return lambda frame: "" if frame.run is not None and frame.run.state.is_final else text


def _pause_or_resume(frame: Frame) -> str:
    return "Resume" if resumes(frame) else _while_it_lasts("Pause")(frame)


def _of_run(why_not: Callable[[Frame], str]) -> Callable[[Frame], str]:
    """Return the same question for a screen that may have no run."""
    return lambda frame: "no run is open" if frame.run is None else why_not(frame)


def _no_command(frame: Frame) -> str:
    if frame.view.link in (LinkState.DOWN, LinkState.CONNECTING):
        return "no link to the agent"
    return ""


@_of_run
def _no_pause(frame: Frame) -> str:
    if frame.view.state is not JobState.RUNNING and frame.view.state not in _RESUMABLE:
        return f"the run is {frame.view.state.value}"
    return _no_command(frame)


@_of_run
def _no_training(frame: Frame) -> str:
    if frame.view.tries_out:
        return "nothing is trained: files are tried out"
    if frame.view.state not in _TRAINING:
        return f"the run is {frame.view.state.value}"
    return _no_command(frame)


@_of_run
def no_stop(frame: Frame) -> str:
    """Return why the run can't be stopped now."""
    if frame.view.state.is_final or frame.view.state in (JobState.STOPPING, JobState.FINISHING):
        return f"the run is {frame.view.state.value}"
    return _no_command(frame)


@_of_run
def _no_end(frame: Frame) -> str:
    rental = frame.view.rental
    return no_stop(frame) if rental is not None and not rental.is_over else "the run is on nothing that is rented"


@_of_run
def no_extension(frame: Frame) -> str:
    """Return why the auto-stop can't be moved now."""
    if frame.view.state.is_final:
        return f"the run is {frame.view.state.value}"
    if frame.view.deadline_s is None:
        return "this run has no auto-stop: --deadline or --budget sets one when it is started"
    return _no_command(frame)


@_of_run
def _no_retry(frame: Frame) -> str:
    if frame.view.given_up is not None:
        return frame.view.given_up.what
    return "" if frame.view.link is LinkState.DOWN else "the link is not down"


@_of_run
def _no_pictures(frame: Frame) -> str:
    return "" if frame.view.samples else "no samples yet"


def resumes(frame: Frame) -> bool:
    """Return whether the pause key would let the run go on."""
    return frame.run is not None and frame.run.state in _RESUMABLE


RUN = (
    Action(
        id="reconnect",
        keys=("r",),
        label="Reconnect",
        help="while the link is down: try it at once",
        scope=Scope.RUN,
        footer=lambda frame: "" if _no_retry(frame) else "Reconnect",
        why_not=_no_retry,
        command="loratui attach RUN",
    ),
    Action(
        id="pause",
        keys=("p",),
        label="Pause or resume",
        help="hold after this step, or go on; a stopped run goes on from its last checkpoint",
        scope=Scope.RUN,
        footer=_pause_or_resume,
        danger=Danger.REVERSIBLE,
        why_not=_no_pause,
        command="loratui pause RUN; loratui resume RUN",
    ),
    Action(
        id="stop",
        keys=("x",),
        label="Stop…",
        help="finish the step, save, export and end; asks first",
        scope=Scope.RUN,
        footer=_while_it_lasts("Stop…"),
        opens=Scope.STOP_STRIP,
        why_not=no_stop,
        command="loratui stop RUN",
    ),
    Action(
        id="extend",
        keys=("e",),
        label="Extend by 30 minutes",
        help="move the auto-stop; {undo} within 10 s takes it back",
        scope=Scope.RUN,
        footer=_while_it_lasts("+30m"),
        danger=Danger.REVERSIBLE,
        why_not=no_extension,
        command="loratui extend RUN 30m",
    ),
    Action(
        id="undo",
        keys=("u",),
        label="Undo the extension",
        help="take back the last extension, for 10 s",
        scope=Scope.RUN,
        changes=True,
        why_not=no_extension,
        command="loratui extend RUN 30m --back",
    ),
    Action(
        id="checkpoint",
        keys=("c",),
        label="Checkpoint now",
        help="save the full state and a LoRA file after this step",
        scope=Scope.RUN,
        changes=True,
        footer=_while_it_lasts("Ckpt"),
        why_not=_no_training,
        command="loratui checkpoint RUN",
    ),
    Action(
        id="sample",
        keys=("s",),
        label="Sample now",
        help="make the sample pictures after this step",
        scope=Scope.RUN,
        changes=True,
        footer=_while_it_lasts("Sample"),
        why_not=_no_training,
        command="loratui sample RUN",
    ),
    Action(
        id="pictures",
        keys=("i",),
        label="Sample pictures",
        help="show the samples large, and back",
        scope=Scope.RUN,
        footer=_says("Pictures"),
        why_not=_no_pictures,
    ),
    Action(id="log_scale", keys=("L",), label="Log scale", help="loss on a log scale", scope=Scope.CHART),
    Action(id="smooth", keys=("m",), label="Smoothing", help="off, .9, .98, .995", scope=Scope.CHART),
    Action(id="zoom_in", keys=("+", "="), label="Zoom in", help="half as many steps", scope=Scope.CHART),
    Action(id="zoom_out", keys=("-",), label="Zoom out", help="twice as many steps", scope=Scope.CHART),
    Action(id="zoom_all", keys=("0",), label="Whole run", help="all steps", scope=Scope.CHART),
    Action(id="pan_left", keys=("left",), label="Earlier steps", help="move the window", scope=Scope.CHART),
    Action(id="pan_right", keys=("right",), label="Later steps", help="move the window", scope=Scope.CHART),
    Action(id="log_up", keys=("pageup", "ctrl+u"), label="Older log lines", help="scroll the log", scope=Scope.LOG),
    Action(id="log_down", keys=("pagedown", "ctrl+d"), label="Newer log lines", help="scroll the log", scope=Scope.LOG),
    Action(id="log_end", keys=("G", "end"), label="Follow the log", help="the newest lines", scope=Scope.LOG),
    Action(
        id="stop_finish",
        keys=("f",),
        label="Finish the step, save, stop",
        help="ends the run with what it has learned so far",
        scope=Scope.STOP_STRIP,
        danger=Danger.IRREVERSIBLE,
        why_not=no_stop,
        command="loratui stop RUN",
    ),
    Action(
        id="stop_terminate",
        keys=("t",),
        label="Same, then terminate",
        help="stop, save and fetch all files, and only then end the rental; {terminate_undo} takes its end back",
        scope=Scope.STOP_STRIP,
        danger=Danger.IRREVERSIBLE,
        why_not=_no_end,
        command="loratui stop RUN; loratui download RUN; loratui terminate RENTAL --yes",
    ),
    Action(
        id="stop_cancel",
        keys=("escape",),
        label="Keep it running",
        help="close the question",
        scope=Scope.STOP_STRIP,
    ),
)
