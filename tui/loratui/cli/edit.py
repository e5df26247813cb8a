"""``edit``: keys of a config changed in its own text, in which comments and order stay."""

import difflib
import shlex
import sys

from loratui.cli.arguments import Arguments
from loratui.cli.check import print_findings
from loratui.cli.editing import is_somebody_there
from loratui.cli.following import say
from loratui.cli.limits import agrees
from loratui.headless.json_lines import to_json
from loratui.sessions.config_files import Opened, elsewhere, form_of, open_config, write
from loratui.sessions.config_form import FORM_KEYS, ConfigForm
from loratui_protocol.config_edit import canonical
from loratui_protocol.errors import ConfigError, StorageError, UsageError
from loratui_protocol.findings import Finding
from loratui_protocol.harmless import clean


def edit(arguments: Arguments) -> int:
    """Set and unset keys, show what differs, ask, and write; 1 where the config can't be trained as it is then.

    Raises:
        UsageError: nothing is to be changed, or there is nobody to ask.
        ConfigError: a key is unknown, or its value refused; nothing was changed.
        StorageError: the file can't be written.
    """
    if arguments.editor:
        return _with_editor(arguments)
    if not arguments.settings and not arguments.unset and arguments.name is None:
        raise UsageError("what is to be changed?", fix="give --set KEY=VALUE, --unset KEY, or --editor")
    if not arguments.yes and not arguments.dry_run and not is_somebody_there():
        raise UsageError(
            "there is nobody to ask: nothing was written",
            fix="give --yes, or --dry-run to see what would be",
            code="edit.unasked",
        )
    opened = open_config(arguments.config)
    form = form_of(opened)
    if arguments.name is not None:
        opened = elsewhere(opened, arguments.name)
    _change(form, arguments)
    diff = [clean(line) for line in form.diff(opened.path.name, opened.target.name)]
    if not arguments.json:
        print("\n".join(diff) if diff else "nothing in it changes")
    is_written = _is_agreed(form, opened, arguments)
    if is_written:
        _write(opened, form.text)
    findings = _troubles(form)
    if arguments.json:
        print(to_json(_fields(form, opened, diff, is_written=is_written)))
    else:
        print_findings(findings)
    return 1 if findings else 0


def _with_editor(arguments: Arguments) -> int:
    """Let the user's own editor have the file, and say what there is to say of it then."""
    if arguments.settings or arguments.unset or arguments.name is not None or arguments.json:
        raise UsageError("--editor changes whatever you do there", fix="give it alone")
    from loratui.ui.handover import edit as open_editor

    path = arguments.config
    if not path.is_file():
        raise ConfigError(f"there is no file {path}", fix="loratui new makes a config", code="config.missing")
    if not is_somebody_there():
        raise UsageError("an editor needs a terminal", fix="give --set KEY=VALUE instead", code="edit.unasked")
    if trouble := open_editor(path):
        say(trouble)
    findings = _troubles(form_of(open_config(path)))
    print_findings(findings)
    return 1 if findings or trouble else 0


def _change(form: ConfigForm, arguments: Arguments) -> None:
    for setting in arguments.settings:
        key, is_given, value = setting.partition("=")
        if not is_given:
            raise UsageError(f"{setting!r} sets nothing", fix=f"write --set {shlex.quote(setting)}=VALUE")
        form.set(_known(key.strip()), value)
    for key in arguments.unset:
        form.reset(_known(key))


def _known(written: str) -> str:
    """Return our name of a key.

    Raises:
        ConfigError: there is no such key.
    """
    key = canonical(written)
    if key in FORM_KEYS:
        return key
    near = difflib.get_close_matches(key, FORM_KEYS, 1, 0.6)
    raise ConfigError(
        f"{written!r} is no key of a training config; nothing was changed",
        fix=f"did you mean {near[0]}?" if near else "see docs/config.md for the keys there are",
        code="config.unknown_key",
    )


def _is_agreed(form: ConfigForm, opened: Opened, arguments: Arguments) -> bool:
    if arguments.dry_run or not (form.is_dirty or opened.is_new):
        return False
    return arguments.yes or agrees(f"Write {opened.target}?", otherwise="nothing was written")


def _write(opened: Opened, text: str) -> None:
    try:
        write(opened, text)
    except StorageError as error:
        if error.code == "disk.changed_meanwhile":
            error.fix = "look at it, and do this again"
        raise
    print(f"written: {opened.target}", file=sys.stderr)


def _troubles(form: ConfigForm) -> list[Finding]:
    return [Finding(code=each.code, severity="error", what=each.what, fix=each.fix) for each in form.troubles]


def _fields(form: ConfigForm, opened: Opened, diff: list[str], *, is_written: bool) -> dict[str, object]:
    changed = {row.key: row.value if row.is_set else None for row in form.rows if row.is_changed}
    return {
        "config": str(opened.target),
        "written": is_written,
        "changed": changed,
        "diff": diff,
        "troubles": [{"code": each.code, "what": each.what, "fix": each.fix} for each in form.troubles],
    }
