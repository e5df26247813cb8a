"""Tokens for base models: taken on standard input, kept in memory where the system has such files, gone after use.

Never an argument, an environment variable, a line of a log or part of a job. Those in this process's environment, which
others put there, go to no child of ours.
"""

import contextlib
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from loratui_protocol.errors import StorageError, UsageError
from loratui_protocol.paths import AgentHome

_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made in it is private, and checked
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?(:[0-9]{1,5})?")
_SECRET = re.compile(r"[!-~]{1,4096}")
_SECRET_NAME = re.compile(r".*(_API_KEY|TOKEN|SECRET|PASSWORD)", re.IGNORECASE)


def keep_secret(home: AgentHome, host: str, text: str) -> None:
    """Keep the token for ``host`` ("huggingface.co", with the port where it is not the usual one) until it was used.

    Raises:
        UsageError: it is no token, or no host.
        StorageError: the place for it is not ours alone.
    """
    if not _HOST.fullmatch(host):
        raise UsageError(f"{host!r} is no host name", fix="give it as huggingface.co", code="secret.host")
    if not _SECRET.fullmatch(text):
        raise UsageError("this is no token", fix="paste it in one line, without spaces", code="secret.form")
    folder = _folder(home)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise StorageError(f"{folder} is not a private folder of ours", fix="remove it", code="secret.folder")
    temporary = folder / f".{os.getpid()}.tmp"
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
    temporary.replace(folder / host)


def read_secret(home: AgentHome, host: str) -> str:
    """Return the token that was entered for this very host, empty where none was."""
    if not _HOST.fullmatch(host):
        return ""
    try:
        descriptor = os.open(_folder(home) / host, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        if os.fstat(descriptor).st_uid != os.getuid():
            return ""
        text = file.read(4097)
    return text if _SECRET.fullmatch(text) else ""


def forget_secrets(home: AgentHome) -> None:
    """Remove every token of this home."""
    shutil.rmtree(_folder(home), ignore_errors=True)


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without keys and tokens: a trainer reads pictures from strangers and needs none."""
    return {name: text for name, text in environment.items() if not _SECRET_NAME.match(name)}


def _folder(home: AgentHome) -> Path:
    if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK | os.X_OK):
        name = hashlib.sha256(os.fsencode(home.path.absolute())).hexdigest()[:16]
        return _MEMORY / f"loratui-{os.getuid()}-{name}"
    return home.run / "secrets"
