"""What to do with captions that are no UTF-8: which encoding they are in, and what rewrites them."""

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from loratui_protocol.encodings import guessed
from loratui_protocol.errors import DatasetError
from loratui_protocol.findings import Finding, with_paths
from loratui_protocol.harmless import clean
from loratui_protocol.likely_encodings import Likely, likely_encodings

_NAMES_SHOWN = 20
_CHARS_SHOWN = 60

Foreign = tuple[Path, bytes]
"""A caption file, and what is in it."""


def foreign_error(foreign: Sequence[Foreign]) -> DatasetError:
    """Return the error that stops at captions that are no UTF-8: what is the matter with the first of them."""
    finding = next(foreign_findings(foreign))
    return DatasetError(finding.what, fix=finding.fix, code=finding.code)


def foreign_findings(foreign: Sequence[Foreign], root: Path | None = None) -> Iterator[Finding]:
    """Yield what to do with such captions: first those that ``check --fix`` rewrites, then the others.

    ``root``: the folder that their names are told from; None: the names alone are.
    """
    certain: list[Foreign] = []
    unsure: list[Foreign] = []
    for each in foreign:
        (unsure if guessed(each[1]) is None else certain).append(each)
    if certain:
        are, names, it = _counted(certain)
        read_as = _quoted(guessed(certain[0][1]) or "")
        folder = os.path.commonpath([path.parent for path, _ in certain]) or "."
        found = Finding(
            code="dataset.caption_encoding",
            severity="error",
            what=f"{are} not UTF-8 text: {names}; {it} reads {read_as}",
            fix=f"loratui check {shlex.quote(folder)} --fix shows how each is read and rewrites it",
            path=str(certain[0][0]),
        )
        yield with_paths(found, _names(certain, root))
    by_encoding: dict[Likely | None, list[Foreign]] = {}
    for each, likely in zip(unsure, likely_encodings([content for _, content in unsure]), strict=True):
        by_encoding.setdefault(likely, []).append(each)
    for likely, those in by_encoding.items():
        path, content = those[0]
        are, names, it = _counted(those)
        as_told = "; it holds NULs, which no text has" if b"\0" in content and likely is None else ""
        fix = "open each in the program that wrote it, and save it as UTF-8"
        if likely is not None:
            looks = "it looks" if len(those) == 1 else "they look"
            read_as = f"{it} reads {_quoted(content.decode(likely.encoding))}"
            as_told = f"; {looks} like {likely.language} in {likely.encoding}: {read_as}"
            if command := _command([path for path, _ in those], likely.encoding, is_all=len(those) == len(foreign)):
                fix = f"if it reads so: {command}"
        found = Finding(
            code="dataset.caption_encoding_unsure",
            severity="error",
            what=f"{are} not UTF-8 text: {names}{as_told}",
            fix=fix,
            path=str(path),
        )
        yield with_paths(found, _names(those, root))


def _names(foreign: Sequence[Foreign], root: Path | None) -> list[str]:
    return [path.name if root is None else path.relative_to(root).as_posix() for path, _ in foreign]


def _counted(foreign: Sequence[Foreign]) -> tuple[str, str, str]:
    """Return how many files are, their names, and what the first is called in a sentence about them."""
    names = ", ".join(clean(path.name) for path, _ in foreign[:_NAMES_SHOWN])
    if len(foreign) == 1:
        return "1 caption file is", names, "it"
    more = f" and {len(foreign) - _NAMES_SHOWN} more" if len(foreign) > _NAMES_SHOWN else ""
    return f"{len(foreign)} caption files are", f"{names}{more}", clean(foreign[0][0].name)


def _quoted(text: str) -> str:
    shown = clean(" ".join(text.split()))
    return repr(shown if len(shown) <= _CHARS_SHOWN else f"{shown[:_CHARS_SHOWN]}…")


def _command(files: Sequence[Path], encoding: str, *, is_all: bool) -> str:
    """Return what rewrites the files in a shell; nothing where a name can't be shown as it is."""
    names = [str(path) for path in files]
    if any(clean(name) != name or "\n" in name for name in names):
        return ""
    listed = [shlex.quote(name) for name in names]
    if is_all and len(files) > _NAMES_SHOWN:
        listed = list(dict.fromkeys(f"{shlex.quote(str(path.parent))}/*{path.suffix}" for path in files))
    # What is UTF-8 stays as it is: files beside them, and all of them where it is run twice.
    return (
        f'for f in {" ".join(listed)}; do iconv -f UTF-8 -t UTF-8 < "$f" > /dev/null 2>&1 || '
        f'{{ iconv -f {encoding} -t UTF-8 < "$f" > "$f.new" && mv -- "$f.new" "$f"; }}; done'
    )
