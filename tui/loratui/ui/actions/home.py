"""What can be done with the list of all runs."""

from loratui.ui.registry import Action, Scope

HOME = (
    Action(
        id="open_run",
        keys=("enter",),
        label="Open the run",
        help="follow the chosen run on screen 5",
        scope=Scope.HOME,
        footer=lambda _: "Open",
        command="loratui attach RUN",
    ),
    Action(
        id="other_list",
        keys=("tab", "shift+tab"),
        label="Other list",
        help="the cursor goes to the other list",
        scope=Scope.HOME,
    ),
)
