"""``check CONFIG --fix``: a new file beside the config, written as the config was read, and what differs."""

import difflib
import itertools
from dataclasses import dataclass
from pathlib import Path

from loratui.cli.new_files import write_new
from loratui_protocol.config_file import read_config
from loratui_protocol.config_fix import fixed_text, without_secrets
from loratui_protocol.errors import ConfigError
from loratui_protocol.harmless import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """The new file, and how it differs from the config, to be shown."""

    path: Path
    diff: str


def fix_config(path: Path) -> Fixed | None:
    """Write what is fixable in a config into a new file beside it; None where there is nothing, or it can't be read.

    Raises:
        StorageError: the new file can't be written.
    """
    try:
        loaded = read_config(path)
    except ConfigError:
        # Told by the check itself.
        return None
    if not any(finding.fixable for finding in loaded.findings):
        return None
    text = fixed_text(loaded, path.resolve().parent)
    newline = "\r\n" if b"\r\n" in path.read_bytes() else "\n"
    numbers = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    new = next(
        new for each in numbers if write_new(new := path.with_name(f"{path.stem}.fixed{each}.toml"), text, newline)
    )
    return Fixed(path=new, diff=_diff(path, loaded.text, new, text))


def _diff(path: Path, before: str, new: Path, after: str) -> str:
    old, fixed = ([without_secrets(clean(line)) for line in text.splitlines()] for text in (before, after))
    return "\n".join(difflib.unified_diff(old, fixed, str(path), str(new), lineterm=""))
