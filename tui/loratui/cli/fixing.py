"""``check CONFIG --fix``: a new file beside the config, written as the config was read, and what differs."""

import difflib
import itertools
from dataclasses import dataclass
from pathlib import Path

from loratui.cli.new_files import write_new
from loratui_protocol.config_fix import Mended, mended, without_secrets
from loratui_protocol.errors import ConfigError
from loratui_protocol.findings import Finding
from loratui_protocol.harmless import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """A config that is set right, and how it differs from the one that was given, to be shown."""

    path: Path
    """Of the new file; of one that would be written, its name."""
    diff: str
    findings: tuple[Finding, ...]
    """What is set right."""
    is_new: bool
    is_there: bool

    @property
    def told(self) -> str:
        """What became of it, in words."""
        if self.is_new:
            return f"written: {self.path}"
        if self.is_there:
            return f"{self.path} is just that already: nothing was written"
        return f"{self.path} would be written"


def fix_config(path: Path, *, dry_run: bool = False) -> Fixed | None:
    """Write what is fixable in a config into a new file beside it; None where there is nothing, or it can't be read.

    Where just that file lies there already, nothing is written.

    Raises:
        StorageError: the new file can't be written.
    """
    found = mendable(path)
    if found is None:
        return None
    newline = "\r\n" if b"\r\n" in path.read_bytes() else "\n"
    content = found.text.replace("\n", newline).encode()
    for number in itertools.count(1):
        new = path.with_name(f"{path.stem}.fixed{'' if number == 1 else f'-{number}'}.toml")
        is_same = _is_same(new, content)
        is_new = not is_same and not dry_run and write_new(new, found.text, newline)
        if is_same or is_new or (dry_run and not new.exists()):
            break
    diff = _diff(path, found.before, new, found.text)
    return Fixed(path=new, diff=diff, findings=found.findings, is_new=is_new, is_there=is_same or is_new)


def mendable(path: Path) -> Mended | None:
    """Return how a config is to be written; None where nothing in it can be set right, or it can't be read."""
    try:
        return mended(path)
    except ConfigError:
        # Told by the check itself.
        return None


def _is_same(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def _diff(path: Path, before: str, new: Path, after: str) -> str:
    old, fixed = ([without_secrets(clean(line)) for line in text.splitlines()] for text in (before, after))
    return "\n".join(difflib.unified_diff(old, fixed, str(path), str(new), lineterm=""))
