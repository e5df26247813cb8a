"""What can be done with the library of LoRAs."""

from loratui.domain.library import MOST_STARS
from loratui.ui.registry import Action, Danger, Scope

FILES = (
    Action(
        id="file_open",
        keys=("o", "enter"),
        label="Open the folder",
        help="show it in the file manager, where there is one",
        scope=Scope.FILES,
        footer=lambda _: "Open",
    ),
    Action(
        id="file_download",
        keys=("w",),
        label="Download",
        help="fetch every file of the run that its machine has",
        scope=Scope.FILES,
        changes=True,
        footer=lambda _: "Download",
        command="loratui download RUN",
    ),
    Action(
        id="file_verify",
        keys=("v",),
        label="Verify",
        help="read the marked files, or the chosen one, and compare with what was announced",
        scope=Scope.FILES,
        footer=lambda _: "Verify",
        command="loratui files verify FILE",
    ),
    Action(
        id="file_rate",
        keys=("R",),
        label="Rate…",
        help="say what it is worth, one to five stars",
        scope=Scope.FILES,
        footer=lambda _: "Rate…",
        opens=Scope.RATE_STRIP,
        command="loratui files rate FILE --stars N",
    ),
    Action(
        id="file_sort",
        keys=("s",),
        label="Sort",
        help="by newest, name, rating, step",
        scope=Scope.FILES,
        footer=lambda _: "Sort",
        command="loratui files list --sort name",
    ),
    Action(
        id="file_delete",
        keys=("d",),
        label="Delete…",
        help="delete the file from this machine; asks first",
        scope=Scope.FILES,
        footer=lambda _: "Delete…",
        opens=Scope.DELETE_FILE_STRIP,
        command="loratui files delete FILE",
    ),
    *(
        Action(
            id=f"stars_{stars}",
            keys=(str(stars),),
            label="*" * stars or "none",
            help=f"{stars} of {MOST_STARS} stars" if stars else "take the rating back",
            scope=Scope.RATE_STRIP,
            danger=Danger.REVERSIBLE,
            command=f"loratui files rate FILE --stars {stars}",
        )
        for stars in (*range(1, MOST_STARS + 1), 0)
    ),
    Action(id="rate_cancel", keys=("escape",), label="Leave it", help="close the question", scope=Scope.RATE_STRIP),
    Action(
        id="file_delete_yes",
        keys=("y",),
        label="Delete the file",
        help="it can't be taken back",
        scope=Scope.DELETE_FILE_STRIP,
        danger=Danger.IRREVERSIBLE,
        command="loratui files delete FILE --yes",
    ),
    Action(
        id="file_delete_cancel",
        keys=("escape",),
        label="Keep it",
        help="close the question",
        scope=Scope.DELETE_FILE_STRIP,
    ),
)
