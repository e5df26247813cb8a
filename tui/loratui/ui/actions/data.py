"""What can be done with a folder of pictures."""

from loratui.ui.registry import Action, Danger, Scope


def _bulk(action_id: str, key: str, label: str, help_: str, option: str) -> Action:
    """Return an edit of many captions, which is shown before it is made."""
    return Action(
        id=action_id,
        keys=(key,),
        label=label,
        help=f"{help_}; of the marked pictures, or of all that are listed",
        scope=Scope.DATA,
        danger=Danger.REVERSIBLE,
        opens=Scope.CHANGE_STRIP,
        command=f"loratui caption FOLDER {option}",
    )


DATA = (
    Action(
        id="data_enter",
        keys=("enter",),
        label="Open",
        help="edit the caption of a picture, or show the pictures of a finding",
        scope=Scope.DATA,
        command="loratui check FOLDER",
    ),
    Action(
        id="caption_edit",
        keys=("e",),
        label="Edit the caption",
        help="type it anew; u takes it back",
        scope=Scope.DATA,
        footer=lambda _: "Edit",
        danger=Danger.REVERSIBLE,
        command="loratui caption FOLDER --only PICTURE --set TEXT",
    ),
    Action(
        id="data_lists",
        keys=("f", "tab"),
        label="Findings or pictures",
        help="show the other list",
        scope=Scope.DATA,
        footer=lambda _: "Findings",
        command="loratui check FOLDER",
    ),
    Action(
        id="data_fix",
        keys=("x",),
        label="Set right…",
        help="set right what the chosen finding says, where there is one way to",
        scope=Scope.DATA,
        footer=lambda _: "Fix",
        danger=Danger.REVERSIBLE,
        opens=Scope.CHANGE_STRIP,
        command="loratui check FOLDER --fix",
    ),
    Action(
        id="data_undo",
        keys=("u",),
        label="Undo the last edit",
        help="take back the newest edit of this folder, whoever made it",
        scope=Scope.DATA,
        footer=lambda _: "Undo",
        danger=Danger.REVERSIBLE,
        command="loratui caption FOLDER --undo",
    ),
    Action(
        id="data_folder",
        keys=("o",),
        label="Open a folder…",
        help="type the path of a folder of pictures, or of a config",
        scope=Scope.DATA,
        footer=lambda _: "Folder",
        command="loratui check FOLDER",
    ),
    Action(
        id="data_check",
        keys=("v",),
        label="Check again",
        help="look at all pictures and captions anew",
        scope=Scope.DATA,
        command="loratui check FOLDER",
    ),
    _bulk("bulk_prefix", "p", "Prefix…", "put words before the captions", "--prefix TEXT"),
    _bulk("bulk_suffix", "s", "Suffix…", "put words behind the captions", "--suffix TEXT"),
    _bulk("bulk_replace", "c", "Change words…", "replace words in the captions", "--replace OLD NEW"),
    _bulk("bulk_trigger", "t", "Trigger word…", "put the trigger into the captions that lack it", "--trigger WORD"),
    _bulk("bulk_drop", "d", "Drop a tag…", "take a tag out of the captions", "--remove-tag TAG"),
    Action(
        id="data_back",
        keys=("escape",),
        label="Back",
        help="from the pictures of a finding to the findings, from there to all pictures",
        scope=Scope.DATA,
    ),
    Action(
        id="change_do",
        keys=("y",),
        label="Do it",
        help="make the edit that is shown; u takes it back",
        scope=Scope.CHANGE_STRIP,
        danger=Danger.REVERSIBLE,
        command="loratui check FOLDER --fix --yes; loratui caption FOLDER --trigger WORD --yes",
    ),
    Action(id="change_cancel", keys=("escape",), label="Leave all as it is", help="no edit", scope=Scope.CHANGE_STRIP),
)
