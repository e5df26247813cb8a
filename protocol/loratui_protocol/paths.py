"""Where an agent's home keeps what both ends must find: sockets, token, lock, jobs. Linux and macOS."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from loratui_protocol.errors import AgentUnreachableError

MAX_SOCKET_PATH_BYTES = 99
"""Unix socket addresses hold 108 bytes on Linux and 104 on macOS; staying below 100 fits both."""
FILES_SOCKET = "files.sock"
"""Where an agent gives out large files, beside the socket that it is talked to through."""


@dataclass(frozen=True, slots=True)
class AgentHome:
    """The folder that one agent owns; nothing else writes below it."""

    path: Path

    @property
    def run(self) -> Path:
        """Return the folder of what only matters while an agent runs."""
        return self.path / "run"

    @property
    def lock(self) -> Path:
        """Return the file whose lock the agent holds for as long as it lives."""
        return self.run / "lock"

    @property
    def reaper_lock(self) -> Path:
        """Return the file whose lock the reaper holds for as long as it lives."""
        return self.run / "reaper.lock"

    @property
    def beat(self) -> Path:
        """Return the file that the agent's event loop touches: one that hangs holds the lock all the same."""
        return self.run / "beat"

    @property
    def reaper_beat(self) -> Path:
        """Return the file that the reaper touches in every round."""
        return self.run / "reaper.beat"

    @property
    def reaper_log(self) -> Path:
        """Return the reaper's log."""
        return self.run / "reaper.log"

    @property
    def token(self) -> Path:
        """Return the file with the bearer token."""
        return self.run / "token"

    @property
    def status(self) -> Path:
        """Return the file that says which agent should be running; an agent that ends by itself removes it."""
        return self.run / "agent.json"

    @property
    def log(self) -> Path:
        """Return the agent's log."""
        return self.run / "agent.log"

    @property
    def jobs(self) -> Path:
        """Return the folder of the jobs."""
        return self.path / "jobs"

    @property
    def blobs(self) -> Path:
        """Return the folder of content-addressed files: each is named by its SHA-256."""
        return self.path / "blobs"

    @property
    def models(self) -> Path:
        """Return the folder of base models that were downloaded."""
        return self.path / "models"

    @property
    def environments(self) -> Path:
        """Return the folder of Python environments, each named by what it was made of."""
        return self.path / "env"

    @property
    def bundles(self) -> Path:
        """Return the folder of agents that were pushed here, each named by its content."""
        return self.path / "agent"

    def job(self, job: str) -> Path:
        """Return the folder of a job; ``job`` must have passed ``ids.is_id``."""
        return self.jobs / job


def default_home() -> Path:
    """Return the agent's home on this machine: ``LORATUI_HOME``, else ``~/.loratui``."""
    named = os.environ.get("LORATUI_HOME")
    return Path(named).expanduser() if named else Path.home() / ".loratui"


def socket_path(home: Path, name: str) -> Path:
    """Return where the socket ``name`` of the agent at ``home`` is: in ``run``, or where ``run/sockets`` says.

    Raises:
        AgentUnreachableError: the home is too deep for socket addresses and no agent has made a place for them.
    """
    if _fits(home / "run"):
        return home / "run" / name
    try:
        folder = (home / "run" / "sockets").read_text("utf-8").strip()
    except FileNotFoundError as error:
        raise AgentUnreachableError(
            f"no agent has run at {home}", fix="start it: loratui-agent serve", code="agent.unreachable"
        ) from error
    return Path(folder) / name


def make_socket_folder(home: Path) -> None:
    """Make the 0700 folder that ``socket_path`` answers with. The agent's part; called with its lock held."""
    run = home / "run"
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    if _fits(run):
        return
    pointer = run / "sockets"
    if pointer.exists() and _is_private(Path(pointer.read_text("utf-8").strip())):
        return
    # A random name: another user of the machine can't have put a folder there before.
    pointer.write_text(tempfile.mkdtemp(prefix="loratui-"), "utf-8")


def _fits(folder: Path) -> bool:
    # The longest name decides, so that all sockets lie in one folder.
    return len(os.fsencode(folder / "trainer.sock")) <= MAX_SOCKET_PATH_BYTES


def _is_private(folder: Path) -> bool:
    try:
        facts = folder.lstat()
    except OSError:
        return False
    return folder.is_dir() and not folder.is_symlink() and facts.st_uid == os.getuid() and facts.st_mode & 0o077 == 0
