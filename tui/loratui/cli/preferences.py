"""``config``: the settings of loratui itself, and where each comes from."""

from loratui import settings
from loratui.cli.arguments import Arguments


def show(arguments: Arguments) -> int:
    """Print every setting and, if asked for, its origin."""
    for shown in settings.load().shown:
        origin = f"    ({shown.origin})" if arguments.origin else ""
        print(f"{shown.key} = {shown.value}{origin}")
    return 0


def schema(_: Arguments) -> int:
    """Print what can be set, where, and what it is otherwise."""
    for setting in settings.SETTINGS:
        where = f"{setting.env_name}, or {settings.FILE_NAME}" if setting.in_file else setting.env_name
        print(f"{setting.key}\n  {setting.meaning}\n  set by: {where}\n  default: {setting.default()}")
    return 0


def path(_: Arguments) -> int:
    """Print the path of the settings file, whether it exists or not."""
    print(settings.load().config_file)
    return 0
