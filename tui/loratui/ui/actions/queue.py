"""What can be done with the runs that wait on one machine."""

from loratui.ui.registry import Action, Danger, Scope

QUEUE = (
    Action(
        id="queue_open",
        keys=("enter",),
        label="Open this run",
        help="follow the chosen run on screen {go_run}",
        scope=Scope.QUEUE,
        footer=lambda _: "Open",
        command="loratui attach RUN",
    ),
    Action(
        id="queue_remove",
        keys=("d",),
        label="Remove from the queue",
        help="the chosen run waits no more; {queue_undo} puts it back, at the end",
        scope=Scope.QUEUE,
        footer=lambda _: "Remove",
        danger=Danger.REVERSIBLE,
        command="loratui queue remove RUN",
    ),
    Action(
        id="queue_undo",
        keys=("u",),
        label="Put it back",
        help="the run that was removed last waits again, at the end",
        scope=Scope.QUEUE,
        footer=lambda _: "Undo",
        danger=Danger.REVERSIBLE,
        command="loratui queue remove RUN --undo",
    ),
    Action(
        id="queue_before",
        keys=("[",),
        label="The machine before",
        help="the queue of the machine before",
        scope=Scope.QUEUE,
    ),
    Action(
        id="queue_after",
        keys=("]",),
        label="The next machine",
        help="the queue of the next machine",
        scope=Scope.QUEUE,
        footer=lambda _: "Machine",
    ),
)
