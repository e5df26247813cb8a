"""How findings are said to a person: whole lines where something else reads them, no wider than a terminal on one."""

import shutil
import textwrap
from collections.abc import Iterable, Iterator
from typing import TextIO

from loratui_protocol.findings import Finding
from loratui_protocol.harmless import clean

_SEVERITIES = ("error", "warning", "info")
_INDENT = "  "
_LEAST_COLUMNS = 40
_CUT = "…"


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings with what matters most first."""
    return sorted(findings, key=lambda finding: _SEVERITIES.index(finding.severity))


def columns_of(stream: TextIO) -> int | None:
    """Return how wide the terminal is that a stream ends in; None: it ends in none."""
    return max(_LEAST_COLUMNS, shutil.get_terminal_size().columns) if stream.isatty() else None


def finding_lines(findings: Iterable[Finding], columns: int | None) -> Iterator[str]:
    """Yield the lines of findings; ``columns`` None: uncut and unwrapped."""
    has_cut = False
    for finding in findings:
        where = f" ({finding.path})" if finding.path else ""
        said = clean(f"{finding.severity}: [{finding.code}] {finding.what}{where}")
        fix = clean(f"{_INDENT}fix: {finding.fix}") if finding.fix else ""
        if columns is None:
            yield from (said, fix) if fix else (said,)
        elif finding.severity == "info":
            line = " ".join(said.split())
            is_whole = len(line) <= columns
            has_cut |= not is_whole
            yield line if is_whole else line[: columns - 1] + _CUT
        else:
            yield from _wrapped(said, columns)
            yield from _wrapped(fix, columns)
    if has_cut:
        yield "each info is cut to a line; to read all of it: the same command, and | less behind it"


def _wrapped(text: str, columns: int) -> Iterator[str]:
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip())) + _INDENT
        # A path is to stay whole, so that it can be copied.
        yield from textwrap.wrap(
            line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
