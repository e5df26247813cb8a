"""What is remembered of one SSH host: its key, ours, and what was found there. One private folder for each."""

import contextlib
import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import asyncssh

from loratui.remote.ssh.target import SshTarget
from loratui_protocol.errors import HostError, StorageError

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def host_folder(state_dir: Path, target: SshTarget) -> Path:
    """Return the folder of a host: readable, and different for different targets on every file system."""
    digest = hashlib.sha256(str(target).encode()).hexdigest()[:8]
    return state_dir / "hosts" / f"{_UNSAFE.sub('-', target.name)[:60].strip('.-') or 'host'}-{digest}"


class Instance:
    """The folder of one host. Everything in it is written whole or not at all; several processes may use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def key_path(self) -> Path:
        """Return where the private key of this host is, or will be."""
        return self.folder / "key"

    def key(self) -> asyncssh.SSHKey:
        """Return the key that we sign in with, made for this host and no other; made now if there is none.

        Raises:
            StorageError: it can't be read or written.
        """
        if not self.key_path.exists():
            made = asyncssh.generate_private_key("ssh-ed25519", comment="loratui")
            # Linked, not renamed: of two processes that make a key at once, both must go on with the same one.
            self._write("key", made.export_private_key(), replace=False)
        try:
            key = asyncssh.read_private_key(self.key_path)
        except (OSError, asyncssh.KeyImportError) as error:
            raise StorageError(
                f"{self.key_path} can't be read: {error}",
                fix="remove it: a new key is made, which the host must be told",
                code="ssh.key",
            ) from error
        public = key.export_public_key()
        if self._read("key.pub") != public:
            self._write("key.pub", public, mode=0o644)
        return key

    def host_key(self) -> asyncssh.SSHKey | None:
        """Return the host key that is pinned, None before the first connection.

        Raises:
            HostError: the file is damaged: it is not taken for "none".
        """
        content = self._read("known_host")
        if content is None:
            return None
        try:
            return asyncssh.import_public_key(content)
        except asyncssh.KeyImportError as error:
            raise HostError(
                f"{self.folder / 'known_host'} is damaged: the host can't be told from another; nothing was sent",
                fix="remove that file and compare the fingerprint at the next connection",
                code="ssh.host_key",
            ) from error

    def pin_host_key(self, key: asyncssh.SSHKey, *, replace: bool = False) -> asyncssh.SSHKey:
        """Remember the host's key, unless one is remembered; from now on only the returned one is accepted.

        ``replace``: a person has said that this is the key, whatever is remembered.
        """
        self._write("known_host", key.export_public_key(), replace=replace)
        return self.host_key() or key

    def remember(self, facts: dict[str, Any]) -> None:
        """Keep facts about the host, beside those that are kept already; None takes one away.

        Raises:
            StorageError: they can't be written.
        """
        kept = {name: fact for name, fact in (self.recall() | facts).items() if fact is not None}
        self._write("host.json", json.dumps(kept, indent=1).encode())

    def recall(self) -> dict[str, Any]:
        """Return the facts that are kept. They only save time: damaged ones are as good as none."""
        try:
            facts = json.loads(self._read("host.json") or b"{}")
        except (ValueError, RecursionError):
            return {}
        return facts if isinstance(facts, dict) else {}

    def _read(self, name: str) -> bytes | None:
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(
                f"{self.folder / name} can't be read: {error.strerror}", fix="make it readable", code="ssh.folder"
            ) from error

    def _write(self, name: str, content: bytes, *, mode: int = 0o600, replace: bool = True) -> None:
        try:
            self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self.folder, prefix=f".{name}.")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).chmod(mode)
                if replace:
                    Path(temporary).replace(self.folder / name)
                else:
                    with contextlib.suppress(FileExistsError):
                        os.link(temporary, self.folder / name)
            finally:
                Path(temporary).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"{self.folder / name} can't be written: {error.strerror}",
                fix="make room, or choose another state_dir",
                code="ssh.folder",
            ) from error
