"""``config``: the settings of loratui itself, where each comes from, and how one is set."""

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.sessions.keep_setting import as_toml, keep_setting


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


def keep(arguments: Arguments) -> int:
    """Write one setting into the file."""
    written, path = as_toml(arguments.key, arguments.value), settings.load().config_file
    keep_setting(path, arguments.key, written)
    print(f"{arguments.key} = {written} in {path}")
    return 0
