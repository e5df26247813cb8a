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
        id="sample_large",
        keys=("enter",),
        label="Large",
        help="the chosen picture large, with its prompt, seed and weight; and back",
        scope=Scope.SAMPLES,
        footer=lambda _: "Large",
    ),
    Action(
        id="sample_compare",
        keys=("b",),
        label="Compare two steps",
        help="the same prompts of two steps side by side; and back",
        scope=Scope.SAMPLES,
        footer=lambda _: "Compare",
    ),
    Action(
        id="samples_close",
        keys=("escape",),
        label="Back",
        help="one layer out, at last to the run",
        scope=Scope.SAMPLES,
        footer=lambda _: "Back",
    ),
    Action(
        id="sample_text",
        keys=("i",),
        label="Pictures or words",
        help="prompt, seed and step instead of pictures; and back",
        scope=Scope.SAMPLES,
        footer=lambda _: "Words",
    ),
    Action(id="sample_left", keys=("left", "h"), label="Picture before", help="choose it", scope=Scope.SAMPLES),
    Action(id="sample_right", keys=("right", "l"), label="Next picture", help="choose it", scope=Scope.SAMPLES),
    Action(id="sample_up", keys=("up", "k"), label="Row above", help="choose a picture there", scope=Scope.SAMPLES),
    Action(id="sample_down", keys=("down", "j"), label="Row below", help="choose a picture there", scope=Scope.SAMPLES),
    Action(
        id="sample_page_up",
        keys=("pageup", "ctrl+u"),
        label="Page of pictures before",
        help="where not all have room",
        scope=Scope.SAMPLES,
    ),
    Action(
        id="sample_page_down",
        keys=("pagedown", "ctrl+d"),
        label="Next page of pictures",
        help="where not all have room",
        scope=Scope.SAMPLES,
    ),
)
