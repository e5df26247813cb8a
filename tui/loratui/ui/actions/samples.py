"""What can be done with sample pictures."""

from loratui.ui.registry import Action, Scope

SAMPLES = (
    Action(
        id="earlier",
        keys=("[",),
        label="Earlier samples",
        help="the step before",
        scope=Scope.SAMPLES,
        footer=lambda _: "Earlier",
    ),
    Action(
        id="later",
        keys=("]",),
        label="Later samples",
        help="the step after",
        scope=Scope.SAMPLES,
        footer=lambda _: "Later",
    ),
    Action(
        id="samples_close",
        keys=("escape",),
        label="Back",
        help="back to the run",
        scope=Scope.SAMPLES,
        footer=lambda _: "Back",
    ),
)
