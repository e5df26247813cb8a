"""Keys of providers: from the environment, the system's keyring, or files for this user alone. Never from a flag.

They stay on this machine: what rented machines hold are keys of their own, which open nothing else.
"""

import contextlib
import os
import re
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loratui_protocol.errors import StorageError, UsageError

_SERVICE = "loratui"
_KEY = re.compile(r"[!-~]{8,4096}")


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key and where it is from: a variable's name, "the system's keyring", or a path. It never shows itself."""

    text: str = field(repr=False)
    origin: str


def variable(provider: str) -> str:
    """Return the environment variable that outranks what is stored."""
    return f"LORATUI_{provider.upper()}_API_KEY"


class Keys:
    """The keys of this user; ``folder`` is where files go on systems without a keyring."""

    def __init__(self, folder: Path, environ: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._environ = os.environ if environ is None else environ

    def read(self, provider: str) -> StoredKey | None:
        """Return the key, None when there is none.

        Raises:
            StorageError: its file can be read by others.
        """
        from_environment = self._environ.get(variable(provider), "").strip()
        if from_environment:
            return StoredKey(from_environment, variable(provider))
        path = self._path(provider)
        with contextlib.suppress(FileNotFoundError):
            text = _read_private(path)
            return StoredKey(text, str(path))
        text = _keyring_read(provider)
        return StoredKey(text, "the system's keyring") if text else None

    def keep(self, provider: str, text: str) -> str:
        """Keep the key and return where: in the keyring if there is one that works, else in a file.

        Raises:
            UsageError: it is no key.
            StorageError: the file can't be written.
        """
        if not _KEY.fullmatch(text):
            raise UsageError("this is no key", fix="paste it in one line, without spaces", code="key.form")
        if _keyring_keep(provider, text):
            self._path(provider).unlink(missing_ok=True)
            return "the system's keyring"
        path = self._path(provider)
        try:
            _write_private(path, text)
        except OSError as error:
            raise StorageError(
                f"{path} can't be written: {error.strerror}; the key was not kept",
                fix=f"correct that, or set {variable(provider)}",
                code="key.write",
            ) from error
        return str(path)

    def forget(self, provider: str) -> bool:
        """Remove the key from wherever it was kept here; return whether there was one."""
        path = self._path(provider)
        was_file = path.exists()
        path.unlink(missing_ok=True)
        return _keyring_forget(provider) or was_file

    def _path(self, provider: str) -> Path:
        return self._folder / "keys" / provider


def _read_private(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        facts = os.fstat(descriptor)
        if os.name == "posix" and (facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO) or facts.st_uid != os.getuid()):
            raise StorageError(
                f"{path} can be read by others: whoever has the key can rent in your name",
                fix=f"make a new key at the provider, then: chmod 600 {shlex.quote(str(path))}, and enter it with "
                "loratui keys",
                code="key.public",
            )
        return file.read(8192).strip()


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


# A keyring may be locked, absent or broken in ways of its own; then the file has to do, and is said to.


def _keyring_read(provider: str) -> str:
    import keyring
    from keyring.errors import KeyringError

    with contextlib.suppress(KeyringError, RuntimeError):
        return (keyring.get_password(_SERVICE, provider) or "").strip()
    return ""


def _keyring_keep(provider: str, text: str) -> bool:
    import keyring
    from keyring.errors import KeyringError

    with contextlib.suppress(KeyringError, RuntimeError):
        keyring.set_password(_SERVICE, provider, text)
        # Some accept everything and keep nothing.
        return keyring.get_password(_SERVICE, provider) == text
    return False


def _keyring_forget(provider: str) -> bool:
    import keyring
    from keyring.errors import KeyringError

    with contextlib.suppress(KeyringError, RuntimeError):
        if keyring.get_password(_SERVICE, provider) is not None:
            keyring.delete_password(_SERVICE, provider)
            return True
    return False
