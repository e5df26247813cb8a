"""Reads the caption beside each picture and collects what is worth saying about all of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from loratui_protocol.encodings import is_utf8
from loratui_protocol.errors import DatasetError
from loratui_protocol.findings import Finding, plural, with_paths
from loratui_protocol.foreign_captions import Foreign, foreign_error, foreign_findings

CAPTION_EXTENSIONS = (".txt", ".caption")
MAX_CAPTION_BYTES = 64 << 10
"""A caption is a sentence or some tags; a larger file is something else."""
_NAMES_SHOWN = 20


class CaptionReader:
    """Reads captions one after the other; ``findings`` then sums up."""

    def __init__(self, extension: str | None, *, enable_wildcard: bool = False, tell_all: bool = False) -> None:
        """``extension`` None means each of ``CAPTION_EXTENSIONS`` in turn; with wildcards all lines of a file count.

        ``tell_all`` reads on after a file that can't be read: ``findings`` tells of them all, as errors.
        """
        self._extension = extension
        self._enable_wildcard = enable_wildcard
        self._tell_all = tell_all
        self._refused: dict[tuple[str, str], list[tuple[Path, DatasetError]]] = {}
        self._foreign: list[Foreign] = []
        self._num_read = 0
        self._missing: list[tuple[Path, str]] = []
        self._empty: list[Path] = []
        self._longer: list[Path] = []
        self._elsewhere: list[Path] = []

    def read(self, picture: Path, class_tokens: str) -> str:
        """Return the picture's caption: the first line of its file, or all of them; ``class_tokens`` if it has none.

        Raises:
            DatasetError: the file is not UTF-8, can't be read or is no caption by its size.
        """
        path = caption_file(picture, self._extension)
        if path is None:
            self._missing.append((picture, class_tokens))
            self._elsewhere += [p for ext in CAPTION_EXTENSIONS if (p := picture.with_suffix(ext)).is_file()]
            return class_tokens
        self._num_read += 1
        try:
            content = _content(path)
        except DatasetError as error:
            if not self._tell_all:
                raise
            self._refused.setdefault((error.code, error.fix), []).append((path, error))
            return ""
        if not is_utf8(content):
            self._foreign.append((path, content))
            if not self._tell_all:
                raise foreign_error(self._foreign)
            return ""
        text = content.decode("utf-8-sig")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            self._empty.append(path)
            return ""
        if self._enable_wildcard:
            return "\n".join(lines)
        if len(lines) > 1:
            self._longer.append(path)
        return lines[0]

    def findings(self, root: Path) -> list[Finding]:
        """Return what there is to say about the captions read so far."""
        total = self._num_read + len(self._missing)
        findings = [
            *foreign_findings(self._foreign, root),
            *(_refusal(refused, root) for refused in self._refused.values()),
        ]
        if self._missing:
            used = sorted({tokens for _, tokens in self._missing})
            named = ", ".join(repr(tokens) if tokens else "an empty caption" for tokens in used)
            extensions = _extensions(self._extension)
            fix = f"write a {extensions[0]} file beside each, with the caption in its first line"
            if self._elsewhere:
                found = self._elsewhere[0].suffix
                fix = f'set caption_extension = "{found}": {len(self._elsewhere)} of them have a {found} file'
            findings.append(
                _warning(
                    "dataset.no_caption",
                    f"{len(self._missing)} of {total} pictures have no {' or '.join(extensions)} file: "
                    f"{named} is used (first: {self._missing[0][0].name})",
                    fix,
                    root,
                    _names([picture for picture, _ in self._missing], root),
                )
            )
        if self._empty:
            what = f"{len(self._empty)} of {total} caption files are empty (first: {self._empty[0].name})"
            findings.append(
                _warning(
                    "dataset.caption_empty",
                    what,
                    "write a caption, or delete the file",
                    self._empty[0],
                    _names(self._empty, root),
                )
            )
        if self._longer:
            findings.append(
                _warning(
                    "dataset.caption_lines",
                    f"{plural(len(self._longer), 'caption file', 'has', 'have')} several lines; the first one counts, "
                    f"as in sd-scripts (first: {self._longer[0].name})",
                    "join the lines, or set enable_wildcard = true to have one chosen each time",
                    self._longer[0],
                    _names(self._longer, root),
                )
            )
        return findings


def caption_file(picture: Path, extension: str | None) -> Path | None:
    """Return the file that a picture's caption is read from; ``extension`` as in ``CaptionReader``."""
    return next((path for ext in _extensions(extension) if (path := picture.with_suffix(ext)).is_file()), None)


def _extensions(extension: str | None) -> tuple[str, ...]:
    return (extension,) if extension else CAPTION_EXTENSIONS


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_CAPTION_BYTES:
            raise DatasetError(
                f"the caption file {path} has {path.stat().st_size} bytes; {MAX_CAPTION_BYTES} is the limit",
                fix="put a sentence or some tags there",
                code="dataset.caption_too_long",
            )
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"the caption file {path} can't be read: {error.strerror or error}",
            fix="check its permissions",
            code="dataset.unreadable",
        ) from error


def _refusal(refused: list[tuple[Path, DatasetError]], root: Path) -> Finding:
    (first, error), others = refused[0], [path.name for path, _ in refused[1:]]
    more = f", and {len(others)} more: {', '.join(others[:_NAMES_SHOWN])}" if others else ""
    found = Finding(code=error.code, severity="error", what=f"{error.what}{more}", fix=error.fix, path=str(first))
    return with_paths(found, _names([path for path, _ in refused], root))


def _warning(code: str, what: str, fix: str, path: Path, names: Sequence[str]) -> Finding:
    return with_paths(Finding(code=code, severity="warning", what=what, fix=fix, path=str(path)), names)


def _names(paths: Iterable[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]
