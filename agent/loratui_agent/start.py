"""Has an agent run at a home, and returns only when it answers and its reaper watches over it.

Whoever calls may lose its connection at any moment: the agent has a session of its own and none of our descriptors.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui_agent.facts import read_facts
from loratui_agent.installed import MARKER, own_bundle
from loratui_agent.process import ProcessIdentity, identify, is_locked
from loratui_protocol.errors import AgentUnreachableError, LoratuiError, StorageError
from loratui_protocol.events import JobState
from loratui_protocol.paths import AgentHome, socket_path

log = logging.getLogger(__name__)
START_TIMEOUT_S = 20.0
TURN_TIMEOUT_S = 60.0
END_TIMEOUT_S = 10.0
SILENT_TIMEOUT_S = 10.0
"""An agent that holds the lock and answers nothing for this long counts as hung."""
_LOOK_EVERY_S = 0.02
_ANSWER_TIMEOUT_S = 2.0
_KEPT_BUNDLES = 2
_KNOCK = (
    b"GET / HTTP/1.1\r\nHost: agent\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """How an agent is started. ``idle_exit_s`` 0: it never ends by itself."""

    home: Path
    idle_exit_s: float
    keep: bool = False
    """An idle agent of another version stays: the asker had it before, and others may use it now."""
    serve_argv: Sequence[str] = ()
    """Instead of ``loratui-agent serve`` of this very code."""


def start(options: StartOptions) -> dict[str, Any]:
    """Return what a client must know of the agent that answers at the home; it was started if none did.

    One of another bundle is replaced while it has nothing to do, and kept while it trains.

    Raises:
        AgentUnreachableError: it does not start, or its reaper does not.
        StorageError: the home can't be made.
    """
    home = AgentHome(options.home.absolute())
    os.umask(0o077)
    with _turn(home):
        was_started = _have_agent(home, options)
        _wait_for_reaper(home)
        status = read_facts(home.status)
        _prune_bundles(home, keep={own_bundle(), str(status.get("bundle", ""))})
        return {
            "home": str(home.path),
            "socket": str(socket_path(home.path, "agent.sock")),
            "token": home.token.read_text("ascii").strip(),
            "pid": status.get("pid"),
            "version": status.get("version"),
            "bundle": status.get("bundle", ""),
            "started": was_started,
            "reaper": True,
        }


def answers(home: AgentHome) -> bool:
    """Return whether the agent's own loop answers: a frozen process still accepts connections, the kernel does it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError, LoratuiError):
        probe.settimeout(_ANSWER_TIMEOUT_S)
        probe.connect(str(socket_path(home.path, "agent.sock")))
        # Without a token: it refuses, and that is an answer.
        probe.sendall(_KNOCK)
        return probe.recv(64).startswith(b"HTTP/1.1 401")
    return False


def is_busy(home: AgentHome) -> bool:
    """Return whether a job there is neither ended nor stopped."""
    return any(
        read_facts(path).get("state") not in {str(state) for state in JobState if state.is_final}
        for path in home.jobs.glob("*/state.json")
    )


def end_agent(home: AgentHome, timeout_s: float = END_TIMEOUT_S) -> None:
    """End the agent that holds the home's lock; one that does not listen is killed. Trainers live on."""
    agent = running_agent(home)
    for signum in (signal.SIGTERM, signal.SIGKILL):
        deadline_s = time.monotonic() + timeout_s
        if agent is not None and identify(agent.pid) == agent:
            with contextlib.suppress(ProcessLookupError):
                os.kill(agent.pid, signum)
        while is_locked(home.lock) and time.monotonic() < deadline_s:
            time.sleep(_LOOK_EVERY_S)


def running_agent(home: AgentHome) -> ProcessIdentity | None:
    """Return the process that says it is the home's agent, None when there is none."""
    pid = read_facts(home.status).get("pid")
    return identify(pid) if isinstance(pid, int) and is_locked(home.lock) else None


@contextlib.contextmanager
def _turn(home: AgentHome) -> Iterator[None]:
    """Let only one starter at a time look and act. The agent's own lock decides all the same."""
    try:
        home.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(home.run / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(
            f"{home.path} can't be the agent's home: {error.strerror}", fix="choose another folder", code="agent.home"
        ) from error
    try:
        deadline_s = time.monotonic() + TURN_TIMEOUT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline_s:
                    raise AgentUnreachableError(
                        f"another start of the agent at {home.path} does not end", fix="try again", code="agent.start"
                    ) from error
                time.sleep(_LOOK_EVERY_S)
        yield
    finally:
        os.close(descriptor)


def _have_agent(home: AgentHome, options: StartOptions) -> bool:
    """Return once an agent answers that may stay; True when it was started here."""
    spawned: subprocess.Popen[bytes] | None = None
    deadline_s = time.monotonic() + START_TIMEOUT_S
    silent_since_s: float | None = None
    while time.monotonic() < deadline_s:
        if not is_locked(home.lock):
            silent_since_s = None
            if spawned is None:
                spawned = _spawn(home, options)
            elif spawned.poll() is not None:
                break
        elif answers(home):
            if options.keep or _may_stay(home):
                return spawned is not None
            end_agent(home)
            deadline_s = time.monotonic() + START_TIMEOUT_S
        elif spawned is None:
            silent_since_s = silent_since_s or time.monotonic()
            if time.monotonic() - silent_since_s > SILENT_TIMEOUT_S:
                end_agent(home, timeout_s=1.0)
                deadline_s = time.monotonic() + START_TIMEOUT_S
        time.sleep(_LOOK_EVERY_S)
    raise AgentUnreachableError(
        f"the agent at {home.path} did not start: {_last_line(home.log)}",
        fix=f"read {home.log} there",
        code="agent.start",
    )


def _may_stay(home: AgentHome) -> bool:
    return read_facts(home.status).get("bundle", "") == own_bundle() or is_busy(home)


def _spawn(home: AgentHome, options: StartOptions) -> subprocess.Popen[bytes]:
    argv = list(options.serve_argv) or [sys.executable, "-m", "loratui_agent.cli", "serve"]
    argv += ["--home", str(home.path), "--idle-exit-s", str(options.idle_exit_s)]
    log_file = os.open(home.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log_file, stderr=log_file, start_new_session=True, cwd=home.path
        )
    finally:
        os.close(log_file)


def _wait_for_reaper(home: AgentHome) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not is_locked(home.reaper_lock):
        if time.monotonic() > deadline_s:
            raise AgentUnreachableError(
                f"the agent at {home.path} runs, but nothing would end its training in time: its reaper does not start",
                fix=f"read {home.log} there",
                code="agent.reaper",
            )
        time.sleep(_LOOK_EVERY_S)


def _prune_bundles(home: AgentHome, keep: set[str]) -> None:
    """Remove old bundles, but for the newest; none while a trainer may still import from one."""
    if is_busy(home):
        return
    complete = [marker for marker in home.bundles.glob(f"*/{MARKER}") if marker.parent.name not in keep]
    complete.sort(key=lambda marker: marker.stat().st_mtime, reverse=True)
    for marker in complete[_KEPT_BUNDLES - 1 :]:
        # The marker first: what is removed halfway is no bundle any more.
        marker.unlink(missing_ok=True)
        shutil.rmtree(marker.parent, ignore_errors=True)


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return "it left no log"
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")
