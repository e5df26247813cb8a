"""Config files as they are opened and written by hand: whole or not at all, and never over what somebody else wrote."""

import itertools
import os
from dataclasses import dataclass, replace
from pathlib import Path

from loratui.preflight.safe_files import create, sync_folder, write_over
from loratui.sessions.config_form import ConfigForm
from loratui_protocol import config_draft
from loratui_protocol.config_file import Partial, read_config, read_partial, to_toml
from loratui_protocol.errors import ConfigError, StorageError
from loratui_protocol.findings import Finding
from loratui_protocol.foreign import tables
from loratui_protocol.foreign_text import MAX_BYTES, parse_toml


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A config file. ``content`` is what was read of it, by which a change by somebody else is noticed."""

    path: Path
    content: bytes
    text: str
    """What is worked on: the file's own text, or what another program's file says, as a config of ours."""
    target: Path
    """Where it is written: the file itself, or a new one beside another program's."""
    kind: str
    """As in ``Foreign``; "toml" is ours and sd-scripts'."""
    findings: tuple[Finding, ...] = ()
    """What there is to say of how another program's settings were read."""

    @property
    def is_new(self) -> bool:
        """Return whether nothing is under the name yet that it will be written to."""
        return self.target != self.path


def open_config(path: Path) -> Opened:
    """Return a config file of any program.

    Raises:
        ConfigError: it can't be read, is no config, or another program's that has to be mended there.
    """
    path = path.expanduser().absolute()
    content = _content(path)
    foreign = tables(path)
    if foreign.kind == "toml" and _is_toml(foreign.text):
        text = foreign.text.replace("\r\n", "\n")
        return Opened(path=path, content=content, text=text, target=path, kind="toml")
    partial = read_partial(path)
    return Opened(
        path=path,
        content=content,
        text=_as_ours(path, partial),
        target=_free(path),
        kind=foreign.kind,
        findings=partial.findings,
    )


def form_of(opened: Opened) -> ConfigForm:
    """Return it as a form; of another program's file everything is still to be written."""
    return ConfigForm(opened.text, opened.target.parent, "" if opened.is_new else None)


def write(opened: Opened, text: str) -> Opened:
    """Write the text, and return the file as it is now open.

    Raises:
        StorageError: it has changed since it was read (``disk.changed_meanwhile``), or can't be written.
    """
    # Through a link the file itself is written: the link stays one.
    target = opened.target.resolve()
    newline = "\r\n" if b"\r\n" in opened.content and not opened.is_new else "\n"
    content = text.replace("\n", newline).encode()
    try:
        if opened.is_new:
            create(target, content, target.parent)
        else:
            if target.read_bytes() != opened.content:
                raise _changed(opened.target)
            write_over(target, content, target.parent)
        sync_folder(target.parent)
    except FileExistsError as error:
        raise _changed(opened.target) from error
    except OSError as error:
        raise StorageError(
            f"{opened.target} can't be written: {error.strerror or error}",
            fix="write it under another name, or make room there",
            code="disk.unwritable",
        ) from error
    return replace(opened, path=opened.target, content=content, text=text, kind="toml", findings=())


def elsewhere(opened: Opened, name: str) -> Opened:
    """Return the same to be written under another name in its folder, from which its relative paths count.

    Raises:
        StorageError: there is something of that name, or it names another folder.
    """
    name = name.strip()
    if not name.strip(".") or Path(name).name != name or "\\" in name:
        raise StorageError(
            f"{name!r} is not the name of a file in {opened.path.parent}",
            fix="give a name without a folder: relative paths in the config count from where it lies",
            code="disk.name",
        )
    target = opened.path.parent / (name if name.lower().endswith(".toml") else f"{name}.toml")
    if os.path.lexists(target):
        raise StorageError(
            f"{target} is there already, and stays as it is", fix="take another name", code="disk.exists"
        )
    return replace(opened, target=target)


def has_changed(opened: Opened) -> bool:
    """Return whether the file is not what it was when it was read."""
    try:
        return _content(opened.path) != opened.content
    except ConfigError:
        return True


def _changed(path: Path) -> StorageError:
    return StorageError(
        f"{path} has changed on the disk since it was read here, and was left alone",
        fix="r reads it again; W writes yours under another name",
        code="disk.changed_meanwhile",
    )


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path} can't be read: {error.strerror or error}", fix="name a config file", code="config.missing"
        ) from error


def _is_toml(text: str) -> bool:
    try:
        parse_toml(text)
    except ConfigError:
        return False
    return True


def _as_ours(path: Path, partial: Partial) -> str:
    text = config_draft.draft(partial)
    # What is more than a gap to be filled in is refused in the words of ``check``.
    return to_toml(read_config(path).config) if text is None else text


def _free(path: Path) -> Path:
    numbers = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    return next(new for each in numbers if not os.path.lexists(new := path.with_name(f"{path.stem}{each}.toml")))
