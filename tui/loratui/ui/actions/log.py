"""What can be done with the whole log of the open run."""

from loratui.ui.registry import Action, Scope

LOG_LINES = (
    Action(
        id="line_find",
        keys=("/",),
        label="Find",
        help="go to the next line with these words",
        scope=Scope.LOG_PAGE,
        footer=lambda _: "Find",
        command="loratui logs RUN",
    ),
    Action(
        id="line_find_next",
        keys=("n",),
        label="Find the next",
        help="a newer line with the words, at the end from the first line on",
        scope=Scope.LOG_PAGE,
        footer=lambda _: "Next",
    ),
    Action(
        id="line_find_before",
        keys=("N",),
        label="Find the one before",
        help="an older line with the words",
        scope=Scope.LOG_PAGE,
    ),
    Action(
        id="line_level",
        keys=("l",),
        label="Level",
        help="all lines, warnings and errors, errors alone",
        scope=Scope.LOG_PAGE,
        footer=lambda _: "Level",
    ),
    Action(
        id="line_wrap",
        keys=("W",),
        label="Wrap",
        help="wrap long lines, or cut them",
        scope=Scope.LOG_PAGE,
        footer=lambda _: "Wrap",
    ),
    Action(
        id="line_last",
        keys=("G", "end"),
        label="Follow",
        help="the newest lines, and those that come",
        scope=Scope.LOG_PAGE,
        footer=lambda _: "Follow",
    ),
    Action(id="line_first", keys=("g", "home"), label="First line", help="where it begins", scope=Scope.LOG_PAGE),
    Action(id="line_down", keys=("down", "j"), label="Line down", help="one line newer", scope=Scope.LOG_PAGE),
    Action(id="line_up", keys=("up", "k"), label="Line up", help="one line older", scope=Scope.LOG_PAGE),
    Action(
        id="line_page_down",
        keys=("pagedown", "ctrl+d", "space"),
        label="Newer page",
        help="a page of newer lines",
        scope=Scope.LOG_PAGE,
    ),
    Action(
        id="line_page_up",
        keys=("pageup", "ctrl+u"),
        label="Older page",
        help="a page of older lines",
        scope=Scope.LOG_PAGE,
    ),
)
