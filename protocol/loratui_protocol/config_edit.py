"""Changes single keys of a config that is TOML text, so that order, sections and a person's own comments stay."""

import tomllib

from loratui_protocol import kohya
from loratui_protocol.config import KEYS, SECTIONS
from loratui_protocol.config_lines import Statement, comment_of, statements


def canonical(written: str) -> str:
    """Return our name of a key as a file writes it."""
    return kohya.CERTAIN.get(written) or kohya.SAME.get(written, written)


def section_of(key: str) -> str:
    """Return the section of a native file that a key stands in; empty: none."""
    places = {name: (KEYS.index(first), KEYS.index(last)) for name, (first, last) in SECTIONS.items()}
    at = KEYS.index(key)
    return next((name for name, (first, last) in places.items() if first <= at <= last), "")


def with_value(text: str, key: str, value: str) -> str:
    """Return the text with a key set to ``value``, which is TOML of one line.

    Where the key stands already its line is written anew, else it comes behind the last one of its section.
    Raises ``ValueError`` where the text can't be changed line by line.
    """
    parts = list(statements(text))
    line = f"{key} = {value}"
    mine = [part for part in parts if canonical(part.key) == key]
    if mine:
        old = mine[-1].lines
        indent = old[0][: len(old[0]) - len(old[0].lstrip())]
        comment = comment_of(old[0]) if len(old) == 1 else ""
        mine[-1].lines = [f"{indent}{line}{'  ' if comment else ''}{comment}"]
    else:
        _insert(parts, section_of(key), line)
    return _joined(parts)


def without(text: str, key: str) -> str:
    """Return the text with a key set nowhere; raises as ``with_value``."""
    return _joined([part for part in statements(text) if canonical(part.key) != key])


def _joined(parts: list[Statement]) -> str:
    return "\n".join(line for part in parts for line in part.lines)


def _insert(parts: list[Statement], section: str, line: str) -> None:
    beside = [index for index, part in enumerate(parts) if part.key and _section_at(part.key) == section]
    if beside:
        # With its like, whatever that section is called there.
        parts.insert(beside[-1] + 1, Statement([line]))
        return
    headers = {index: _table(part.lines[0]) for index, part in enumerate(parts) if _is_header(part)}
    flat = [index for index, name in headers.items() if name is not None]
    own = next((index for index in flat if headers[index] == section), None)
    of_datasets = next((index for index, name in headers.items() if name is None), len(parts))
    if own is not None:
        end = min((index for index in headers if index > own), default=len(parts))
        parts.insert(_behind(parts, own, end), Statement([line]))
    elif not flat or not section:
        # No sections of keys: all stand at the top.
        end = min(headers, default=len(parts))
        parts.insert(_behind(parts, -1, end), Statement([line]))
    else:
        before = _before(parts, of_datasets)
        parts[before:before] = [Statement(["", f"[{section}]"]), Statement([line])]


def _section_at(written: str) -> str | None:
    key = canonical(written)
    return section_of(key) if key in KEYS else None


def _behind(parts: list[Statement], start: int, end: int) -> int:
    """Return where a statement goes that is to be the last of those between, blank lines and comments left behind."""
    said = [index for index in range(start + 1, end) if parts[index].key or _is_header(parts[index])]
    return max(said, default=start) + 1


def _before(parts: list[Statement], end: int) -> int:
    """Return where a section goes that is to stand before another one, or at the end: before its comment and blanks."""
    while 0 < end < len(parts) and parts[end - 1].lines[0].lstrip().startswith("#"):
        end -= 1
    while end > 0 and not parts[end - 1].lines[0].strip():
        end -= 1
    return end


def _is_header(part: Statement) -> bool:
    return part.lines[0].lstrip().startswith("[")


def _table(line: str) -> str | None:
    """Return the section that a header opens; None: one of datasets, or within another."""
    ((name, content),) = tomllib.loads(line).items()
    return None if content or name == "general" else name
