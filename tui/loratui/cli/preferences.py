"""``config``: the settings of loratui itself, where each comes from, and how one is set."""

import difflib
import json
from decimal import Decimal

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.sessions.keep_setting import keep_setting
from loratui_protocol.errors import UsageError


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
    known = {each.key: each for each in settings.SETTINGS if each.in_file}
    setting = known.get(arguments.key)
    if setting is None:
        near = difflib.get_close_matches(arguments.key, known, 1, 0.5)
        fix = f"did you mean {near[0]}?" if near else "loratui config schema lists them"
        raise UsageError(f"{arguments.key} is no setting of the file", fix=fix, code="usage.setting")
    try:
        setting.read(arguments.value)
        number = Decimal(arguments.value) if setting.is_number else Decimal()
    except (ValueError, ArithmeticError) as error:
        what = f"{arguments.value!r} is no value of {setting.key}"
        raise UsageError(what, fix=setting.meaning, code="usage.setting") from error
    text = arguments.value.casefold() if setting.is_switch else str(number) if setting.is_number else None
    written = json.dumps(arguments.value, ensure_ascii=False) if text is None else text
    path = settings.load().config_file
    keep_setting(path, setting.key, written)
    print(f"{setting.key} = {written} in {path}")
    return 0
