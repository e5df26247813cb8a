"""What can be done on the screens that have no tab: what was said, and how loratui is set."""

from loratui.ui.registry import Action, Danger, Scope

ASIDE = (
    Action(
        id="setting_change",
        keys=("enter",),
        label="Change",
        help="take the next choice of this setting, or type its number, at once, and keep it in config.toml",
        scope=Scope.SETTINGS,
        footer=lambda _: "Change",
        danger=Danger.REVERSIBLE,
        command="loratui config set KEY VALUE",
    ),
    Action(
        id="aside_close",
        keys=("escape",),
        label="Back to the screen before",
        help="where one was when this was opened",
        scope=Scope.ASIDE,
        footer=lambda _: "Back",
    ),
)
