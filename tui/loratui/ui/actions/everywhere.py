"""What can be done on every screen."""

from loratui.ui.actions.run import no_stop
from loratui.ui.places import ASIDE, PLACES
from loratui.ui.registry import Action, Scope

EVERYWHERE = (
    *(
        Action(
            id=f"go_{place.name}",
            keys=(place.key,),
            label=place.title,
            help=f"show {place.about}",
            scope=Scope.PAGES,
            command="loratui config show --origin" if place.name == "settings" else "",
        )
        for place in (*PLACES, *ASIDE)
    ),
    Action(
        id="leave",
        keys=("q",),
        label="Leave",
        help="close the interface; runs go on",
        scope=Scope.PAGES,
        footer=lambda _: "Leave",
    ),
    Action(
        id="yank",
        keys=("y",),
        label="Copy",
        help="take along what is chosen: clipboard, tmux, and a file",
        scope=Scope.PAGES,
    ),
    Action(
        id="maximise",
        keys=("z",),
        label="Maximise",
        help="give the screen to one pane, the next one, or all again",
        scope=Scope.PAGES,
    ),
    Action(
        id="jump",
        keys=("ctrl+o",),
        label="Jump",
        help="a letter over each pane and each tab: one more key goes there",
        scope=Scope.PAGES,
    ),
    Action(id="leave_detach", keys=("d",), label="Detach", help="the run goes on", scope=Scope.DETACH_STRIP),
    Action(
        id="leave_stop",
        keys=("x",),
        label="Stop…",
        help="ask how to stop the run",
        scope=Scope.DETACH_STRIP,
        opens=Scope.STOP_STRIP,
        why_not=no_stop,
        command="loratui stop RUN",
    ),
    Action(id="leave_cancel", keys=("escape",), label="Stay", help="close the question", scope=Scope.DETACH_STRIP),
    Action(
        id="help_close",
        keys=("escape", "q"),
        label="Close",
        help="close the help",
        scope=Scope.HELP,
        footer=lambda _: "Close",
    ),
    Action(
        id="help_further",
        keys=("pagedown", "down", "j"),
        label="Further keys",
        help="the next page of the help",
        scope=Scope.HELP,
    ),
    Action(
        id="help_before",
        keys=("pageup", "up", "k"),
        label="Keys before",
        help="the page of the help before",
        scope=Scope.HELP,
    ),
    Action(
        id="palette", keys=("ctrl+p", "f2", ":"), label="Commands", help="find any action by name", scope=Scope.GLOBAL
    ),
    Action(id="help", keys=("?", "f1"), label="Help", help="all keys", scope=Scope.GLOBAL),
    Action(
        id="theme",
        keys=("f3",),
        label="Next theme",
        help="dark, light, high contrast, the terminal's own",
        scope=Scope.GLOBAL,
    ),
    Action(id="mouse", keys=("f9",), label="Mouse", help="let the mouse work here, or not", scope=Scope.GLOBAL),
    Action(id="redraw", keys=("ctrl+l",), label="Redraw", help="paint the screen again", scope=Scope.GLOBAL),
    Action(id="detach", keys=("ctrl+q",), label="Detach at once", help="runs go on", scope=Scope.GLOBAL),
    Action(id="interrupt", keys=("ctrl+c",), label="Interrupt", help="detach, exit status 130", scope=Scope.GLOBAL),
)
