"""What ends a rental, lengthens it, or says what it costs: wherever one is."""

from loratui.ui.actions.run import no_extension
from loratui.ui.frame import Frame
from loratui.ui.registry import Action, Danger, Scope


def _while_something_bills(frame: Frame) -> str:
    is_on_rental = frame.run is not None and frame.run.rental is not None and not frame.run.rental.is_over
    return "Terminate…" if is_on_rental or frame.overview.rentals else ""


MONEY = (
    Action(
        id="terminate",
        keys=("ctrl+t",),
        label="Terminate…",
        help="end the rental for good; asks first, and works without a link",
        scope=Scope.GLOBAL,
        footer=_while_something_bills,
        opens=Scope.LOSS_STRIP,
        or_opens=Scope.END_STRIP,
        command="loratui terminate RENTAL",
    ),
    Action(
        id="extend_anywhere",
        keys=("f8",),
        label="30 minutes more",
        help="move the auto-stop of the open run; {undo} on its screen takes it back",
        scope=Scope.GLOBAL,
        danger=Danger.REVERSIBLE,
        why_not=no_extension,
        command="loratui extend RUN 30m",
    ),
    Action(
        id="cost",
        keys=("$",),
        label="What it costs",
        help="the rental's cost, phase by phase",
        scope=Scope.PAGES,
        command="loratui rentals",
    ),
    Action(
        id="cost_close",
        keys=("escape", "$", "q"),
        label="Close",
        help="back to the screen",
        scope=Scope.COST,
        footer=lambda _: "Close",
    ),
    Action(
        id="terminate_now",
        keys=("y",),
        label="Terminate",
        help="nothing is lost by it; {terminate_undo} takes it back for 5 s",
        scope=Scope.END_STRIP,
        danger=Danger.IRREVERSIBLE,
        command="loratui terminate RENTAL --yes",
    ),
    Action(
        id="end_cancel",
        keys=("escape",),
        label="Keep it",
        help="close the question",
        scope=Scope.END_STRIP,
    ),
    Action(
        id="terminate_fetched",
        keys=("y",),
        label="Save and fetch, then terminate",
        help="stop the runs on it, fetch all files, and only then end it; {terminate_undo} takes it back",
        scope=Scope.LOSS_STRIP,
        danger=Danger.IRREVERSIBLE,
        command="loratui stop RUN; loratui download RUN; loratui terminate RENTAL --yes",
    ),
    Action(
        id="terminate_losing",
        keys=("n",),
        label="Now, and lose it…",
        help="asks for the rental's id first",
        scope=Scope.LOSS_STRIP,
        danger=Danger.IRREVERSIBLE,
        opens=Scope.TYPE_STRIP,
        command="loratui terminate RENTAL --yes",
    ),
    Action(id="loss_cancel", keys=("escape",), label="Keep it", help="close the question", scope=Scope.LOSS_STRIP),
    Action(id="type_cancel", keys=("escape",), label="Keep it", help="close the question", scope=Scope.TYPE_STRIP),
    Action(
        id="terminate_undo",
        keys=("u",),
        label="Keep the rental",
        help="take the termination back, while it is counted down or waits for files",
        scope=Scope.UNDO_WINDOW,
    ),
)
