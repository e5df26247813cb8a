"""OpenSSH's own server on loopback, in the variants that rented machines come in. Each has a HOME of its own."""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import psutil
import pytest

from support.agent_process import wait_until

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin") or ""
USER = os.environ.get("USER") or "root"
needs_sshd = pytest.mark.skipif(not SSHD, reason="OpenSSH's sshd is not installed (scripts/system_packages.sh)")

SLOW_AND_NOISY_RC = """\
echo "Welcome to GPU paradise! Your balance: \\$0.00"
printf '@@loratui 0000000000000000 {"fake": true}\\n'
echo "a warning on stderr" >&2
sleep 0.4
printf 'no newline at the end of this line'
"""
"""What a .bashrc of an image with conda, a greeting and a bad joke does before any command."""


def may_unshare() -> bool:
    """Return whether this process may make mount namespaces."""
    return (
        bool(shutil.which("unshare"))
        and not subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode
    )


@dataclass(kw_only=True)
class Variant:
    """How a server differs from a plain one."""

    sftp: bool = True
    streamlocal: bool = True
    password_only: bool = False
    rc: str = ""
    """A .bashrc that runs before every command."""
    shell: str = ""
    """Another login shell, by path."""
    forced: str = ""
    """A ForceCommand: what was asked for is in $SSH_ORIGINAL_COMMAND."""
    sessions: int = 10
    """Programs at once, at most; 0 runs none."""
    banner: str = ""
    host_key: str = "ed25519"
    config: Sequence[str] = ()
    """More lines of sshd_config."""
    hide: Sequence[str] = ()
    """Files that can't be run there, such as /usr/bin/python3."""
    tmpfs_home: str = ""
    """The size of a small disk that HOME is on, such as 8m."""
    read_only_home: bool = False
    namespace: Sequence[str] = ()
    """Shell commands that run first, in a mount namespace of the server's own."""
    environment: dict[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    """Words before the server's command line, such as ip netns exec NAME."""
    address: str = "127.0.0.1"

    @property
    def needs_namespace(self) -> bool:
        return bool(self.hide or self.tmpfs_home or self.read_only_home or self.namespace)


class Sshd:
    """One server; ``home`` is the HOME of whatever runs there."""

    def __init__(self, folder: Path, variant: Variant) -> None:
        self.folder = folder
        self.variant = variant
        self.home = folder / "home"
        self.port = _free_port(variant.address)
        self._keys = folder / "authorized_keys"
        self._log = folder / "sshd.log"
        self._process: subprocess.Popen[bytes]
        folder.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(mode=0o700, exist_ok=True)
        self._keys.touch()
        if variant.rc:
            (self.home / ".bashrc").write_text(variant.rc)
        self.new_host_key()

    @property
    def target(self) -> str:
        return f"ssh://{USER}@{self.variant.address}:{self.port}"

    @property
    def host_key_file(self) -> Path:
        return self.folder / "host_key"

    @property
    def fingerprint(self) -> str:
        return asyncssh.read_public_key(f"{self.host_key_file}.pub").get_fingerprint()

    @property
    def root(self) -> Path:
        """The server's own view of the file system, which differs where it has a mount namespace."""
        return Path(f"/proc/{self._process.pid}/root") if self.variant.needs_namespace else Path("/")

    def log(self) -> str:
        """Return what the server has logged, of which little is logged unless ``config`` says so."""
        return self._log.read_text("utf-8", "replace")

    def authorize(self, public_key: str | bytes | asyncssh.SSHKey) -> None:
        """Let the owner of a key in."""
        if isinstance(public_key, asyncssh.SSHKey):
            public_key = public_key.export_public_key()
        line = public_key.decode() if isinstance(public_key, bytes) else public_key
        with self._keys.open("a") as file:
            file.write(line.strip() + "\n")

    def new_host_key(self) -> None:
        key = asyncssh.generate_private_key(*_HOST_KEYS[self.variant.host_key])
        key.write_private_key(str(self.host_key_file))
        self.host_key_file.chmod(0o600)
        key.write_public_key(f"{self.host_key_file}.pub")

    def start(self) -> None:
        if os.geteuid() == 0:
            # Where it gives up its rights; packages make it when the server is started as a service.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        config = self.folder / "sshd_config"
        config.write_text(self._config())
        argv = [SSHD, "-D", "-e", "-f", str(config)]
        if self.variant.needs_namespace:
            script = "\n".join(["set -e", *self._mounts(), f"exec {shlex.join(argv)}"])
            argv = ["unshare", "-m", "--propagation", "private", "/bin/sh", "-c", script]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.variant.prefix, *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if not self.variant.prefix:
            wait_until(lambda: self._process.poll() is not None or self._answers(), "sshd to listen")
        else:
            wait_until(lambda: b"Server listening" in self._log.read_bytes(), "sshd to listen")
        assert self._process.poll() is None, self._log.read_text()

    def stop(self) -> None:
        """End the server and every session of it; what was started there and detached lives on."""
        self.thaw()
        self.kill_sessions()
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def swap_host_key(self) -> None:
        """Come back as a machine with another key."""
        self.new_host_key()
        self.restart()

    def sessions(self) -> list[psutil.Process]:
        """Return the server's processes for connections."""
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self._process.pid).children(recursive=True)
            return [child for child in children if _name(child).startswith("sshd")]
        return []

    def kill_sessions(self) -> int:
        """Break every connection at once, as a kill of the server's processes does; return how many were killed."""
        sessions = self.sessions()
        for session in sessions:
            with contextlib.suppress(psutil.NoSuchProcess):
                session.kill()
        psutil.wait_procs(sessions, 5)
        return len(sessions)

    def freeze(self) -> None:
        """Fall silent: the connections stay, nothing answers, and new ones are not taken."""
        for process in [psutil.Process(self._process.pid), *self.sessions()]:
            process.suspend()

    def thaw(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in [psutil.Process(self._process.pid), *self.sessions()]:
                process.resume()

    def processes(self) -> list[psutil.Process]:
        """Return everything that was started through this server and still runs, detached or not."""
        own = {os.getpid(), self._process.pid}
        return [found for found in psutil.process_iter() if found.pid not in own and self._is_below(found)]

    def listening_ports(self) -> set[int]:
        """Return where the server, and everything that it started, can be reached through the network."""
        below = [psutil.Process(self._process.pid), *self.sessions(), *self.processes()]
        found = [found for process in below for found in process.net_connections("inet")]
        return {each.laddr.port for each in found if each.status == psutil.CONN_LISTEN}

    def kill_everything(self) -> None:
        """Leave nothing behind. A reaper starts an agent that was killed: it is looked for until none is left."""
        end_s = time.monotonic() + 10
        while found := self.processes():
            assert time.monotonic() < end_s, f"these do not end: {found}"
            for process in found:
                with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            psutil.wait_procs(found, 0.2)

    def _is_below(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # Some are started with a clean environment, and named for the folder that they work in.
            home = str(self.home)
            return process.environ().get("HOME") == home or any(home in word for word in process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.variant.address, self.port), 1):
            return True
        return False

    def _mounts(self) -> Iterator[str]:
        home = shlex.quote(str(self.home))
        if self.variant.tmpfs_home:
            yield f"mount -t tmpfs -o size={self.variant.tmpfs_home},mode=0700 tmpfs {home}"
        if self.variant.rc and self.variant.tmpfs_home:
            yield f"printf %s {shlex.quote(self.variant.rc)} > {home}/.bashrc"
        if self.variant.read_only_home:
            yield f"mount --bind {home} {home}"
            yield f"mount -o remount,bind,ro {home}"
        for path in self.variant.hide:
            if Path(path).is_dir():
                yield f"mount -t tmpfs -o size=4k tmpfs {shlex.quote(path)}"
            else:
                yield f"mount --bind /dev/null {shlex.quote(path)}"
        yield from self.variant.namespace

    def _config(self) -> str:
        variant = self.variant
        yes = {True: "yes", False: "no"}
        environment = {"HOME": str(self.home), **variant.environment}
        lines = [
            f"Port {self.port}",
            f"ListenAddress {variant.address}",
            f"HostKey {self.host_key_file}",
            "PidFile none",
            "UsePAM no",
            "StrictModes no",
            "PermitRootLogin yes",
            "KbdInteractiveAuthentication no",
            f"PasswordAuthentication {yes[variant.password_only]}",
            f"PubkeyAuthentication {yes[not variant.password_only]}",
            f"AuthorizedKeysFile {self._keys}",
            f"AllowStreamLocalForwarding {yes[variant.streamlocal]}",
            f"MaxSessions {variant.sessions}",
            "MaxStartups 100",
            "PrintMotd no",
            "UseDNS no",
            "SetEnv " + " ".join(f'{name}="{value}"' for name, value in environment.items()),
        ]
        if variant.sftp:
            lines.append("Subsystem sftp internal-sftp")
        if variant.banner:
            (self.folder / "banner").write_text(variant.banner)
            lines.append(f"Banner {self.folder / 'banner'}")
        forced = variant.forced or (f'exec {variant.shell} -c "$SSH_ORIGINAL_COMMAND"' if variant.shell else "")
        if forced:
            lines.append(f"ForceCommand {forced}")
        return "\n".join([*lines, *variant.config]) + "\n"


_HOST_KEYS = {"ed25519": ("ssh-ed25519",), "ecdsa": ("ecdsa-sha2-nistp256",), "rsa": ("ssh-rsa",)}


@contextlib.contextmanager
def sshd(folder: Path, **variant: object) -> Iterator[Sshd]:
    """Run a server for the block; the words are the fields of ``Variant``. Nothing of it is left in the end."""
    if not SSHD:
        pytest.skip("OpenSSH's sshd is not installed (scripts/system_packages.sh)")
    chosen = Variant(**variant)  # type: ignore[arg-type]
    if chosen.needs_namespace and not may_unshare():
        pytest.skip("mount namespaces need root and unshare")
    server = Sshd(folder, chosen)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        server.kill_everything()


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            # The address is of another network namespace.
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
