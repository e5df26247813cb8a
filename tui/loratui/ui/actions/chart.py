"""What the large chart of a run can show."""

from loratui.ui.registry import Action, Scope

CHART = (
    Action(
        id="crosshair",
        keys=("v",),
        label="Crosshair",
        help="one step in numbers, moved by {pan_left} and {pan_right}; c is a checkpoint, s a sample, r a restart",
        scope=Scope.CHART,
    ),
    Action(id="table", keys=("t",), label="Table", help="the curve as numbers; again the chart", scope=Scope.CHART),
    Action(
        id="metric_before",
        keys=("[",),
        label="Curve before",
        help="loss, lr, grad norm, validation, delta, it/s",
        scope=Scope.CHART,
    ),
    Action(
        id="metric_after",
        keys=("]",),
        label="Curve after",
        help="the next of loss, lr, grad norm, validation, delta, it/s",
        scope=Scope.CHART,
    ),
    Action(
        id="compare",
        keys=("b",),
        label="Compare with a run",
        help="draw the loss of another run beside this one's; again takes it away",
        scope=Scope.CHART,
    ),
    Action(
        id="compare_choose",
        keys=("enter",),
        label="Compare with this run",
        help="draw its loss beside that of the open run",
        scope=Scope.COMPARE,
        footer=lambda _: "Compare",
    ),
    Action(
        id="compare_close",
        keys=("escape",),
        label="Compare with none",
        help="back to the chart",
        scope=Scope.COMPARE,
        footer=lambda _: "Back",
    ),
)
