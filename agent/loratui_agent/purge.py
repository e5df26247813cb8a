"""Takes everything of ours off a machine: what runs is ended by identity, then the home is removed, and nothing else.

It runs from a bundle in that very home, so everything that it needs is imported before the first file goes.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loratui_agent.facts import read_facts
from loratui_agent.process import ProcessIdentity, identify, is_alive
from loratui_agent.rental import END_WANTED
from loratui_agent.secrets import forget_secrets
from loratui_protocol.errors import StorageError
from loratui_protocol.paths import AgentHome, socket_path

_TERM_S = 3.0
_KILL_S = 10.0
_LOOK_EVERY_S = 0.05
_MAX_LISTED = 500
_MAX_LEFT = 20
_USUAL_NAME = ".loratui"
_HOMES = ".loratui-homes"
_MARKER = ".loratui-home"
"""Whoever brings the agent puts it into a folder that was empty before: everything in there is ours."""


def survey(home: AgentHome) -> dict[str, Any]:
    """Return what is at the home: every run with its state and the files of it that no client has fetched."""
    runs = [_run(path.parent) for path in sorted(home.jobs.glob("*/state.json"))[-_MAX_LISTED:]]
    return {"home": str(home.path), "bytes": _size(home.path), "runs": runs, "processes": len(list(_ours(home)))}


def purge(home: AgentHome) -> dict[str, Any]:
    """End what runs there and remove the home; return how many processes were ended, and what could not be removed.

    Raises:
        StorageError: the folder does not look like an agent's home; nothing was touched.
    """
    _check(home)
    ended = _end_processes(home)
    forget_secrets(home)
    with contextlib.suppress(Exception):
        sockets = socket_path(home.path, "agent.sock").parent
        if sockets != home.run and sockets.name.startswith("loratui-"):
            shutil.rmtree(sockets, ignore_errors=True)
    _remove(home.path)
    _strike_out(home.path, Path.home() / _HOMES)
    left = [str(path) for path, _ in zip(home.path.rglob("*"), range(_MAX_LEFT), strict=False)]
    return {"ended": ended, "left": left, "exists": os.path.lexists(home.path)}


def purge_data(home: AgentHome) -> dict[str, Any]:
    """Remove what runs have brought and made, and the tokens; the reaper goes on, and is told to end the rental now.

    The agent and its trainers are ended first: what they would write would come back. What holds no data of a user's
    stays, because the reaper runs on it: programs, environments, and what is armed.

    Raises:
        StorageError: as ``purge``.
    """
    _check(home)
    ended = _end_processes(home, spares_reaper=True)
    # Whoever asked for this ends the rental next; should that fail, nobody else has a reason to wait.
    with contextlib.suppress(OSError):
        (home.run / END_WANTED).touch()
    forget_secrets(home)
    for folder in (home.jobs, home.blobs, home.models):
        _remove(folder)
    home.log.unlink(missing_ok=True)
    kept = (home.jobs, home.blobs, home.models)
    left = [str(path) for folder in kept for path, _ in zip(folder.rglob("*"), range(_MAX_LEFT), strict=False)]
    return {"ended": ended, "left": left, "exists": any(os.path.lexists(folder) for folder in kept)}


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    # Caches like to make their folders read-only.
    for root, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(root).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _strike_out(folder: Path, homes: Path) -> None:
    """Take a home out of the list that whoever brought the agent has left of those in unusual places."""
    with contextlib.suppress(OSError):
        others = [line for line in homes.read_text("utf-8").splitlines() if line != str(folder)]
        if others:
            homes.write_text("".join(f"{line}\n" for line in others), "utf-8")
        else:
            homes.unlink()


def _check(home: AgentHome) -> None:
    path = home.path
    is_ours = path.name == _USUAL_NAME or (path / _MARKER).exists()
    # Whoever sets ssh.home to "/data" by mistake must not lose it.
    around = Path.home().resolve()
    if not is_ours or path.is_symlink() or path.resolve() in (around, *around.parents):
        raise StorageError(
            f"{path} does not look like a folder of loratui's agent: nothing was removed",
            fix="is ssh.home set to the right folder?",
            code="clean.home",
        )


def _end_processes(home: AgentHome, *, spares_reaper: bool = False) -> int:
    # Unwanted first: a reaper that looks meanwhile starts no other agent.
    home.status.unlink(missing_ok=True)
    ended: set[ProcessIdentity] = set()
    for signum, patience_s in ((signal.SIGTERM, _TERM_S), (signal.SIGKILL, _KILL_S)):
        told: set[ProcessIdentity] = set()
        deadline_s = time.monotonic() + patience_s
        while found := set(_ours(home, spares_reaper=spares_reaper)):
            # Looked for again and again: what was just being started is found the next time.
            for process in found - told:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process.pid, signal.SIGCONT)
                    os.kill(process.pid, signum)
            told |= found
            ended |= found
            home.status.unlink(missing_ok=True)
            if time.monotonic() > deadline_s:
                break
            time.sleep(_LOOK_EVERY_S)
    return len(ended)


def _ours(home: AgentHome, *, spares_reaper: bool = False) -> Iterator[ProcessIdentity]:
    """Yield the living processes that belong to the home, but for this one and those that wait for it."""
    reaper = read_facts(home.run / "reaper.json").get("pid") if spares_reaper else None
    spared = {os.getpid(), os.getppid(), reaper}
    trainers = (read_facts(path).get("trainer") for path in home.jobs.glob("*/state.json"))
    for trainer in trainers:
        if isinstance(trainer, dict) and {"pid", "mark"} <= set(trainer):
            identity = ProcessIdentity(pid=trainer["pid"], mark=trainer["mark"])
            if is_alive(identity):
                yield identity
    for pid, words in _processes():
        if pid not in spared and _is_ours(words, str(home.path)) and (found := identify(pid)):
            yield found


def _is_ours(words: list[str], home: str) -> bool:
    """Return whether a command line is the agent's, the reaper's, a trainer's or of a program inside the home."""
    below = [word for word in words if word == home or word.startswith(home + "/")]
    return bool(below) and (words[0] in below or any(word.startswith("loratui_agent") for word in words))


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Yield pid and command line of every process of this user."""
    if sys.platform != "linux":
        listed = subprocess.run(["ps", "-axo", "pid=,command="], capture_output=True, text=True, check=False).stdout
        for line in listed.splitlines():
            pid, *words = line.split()
            yield int(pid), words
        return
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                if folder.stat().st_uid == os.getuid():
                    line = (folder / "cmdline").read_bytes()
                    yield int(folder.name), [os.fsdecode(word) for word in line.split(b"\0")[:-1]] or [""]


def _run(folder: Path) -> dict[str, Any]:
    facts = read_facts(folder / "state.json")
    settled = {*_texts(facts.get("acked")), *_texts(facts.get("declined"))}
    files = [path for path in (folder / "artifacts").glob("*") if not path.name.startswith(".") and path.is_file()]
    unfetched = [path for path in files if path.name not in settled]
    return {
        "run": folder.name,
        "name": str(facts.get("name", "")),
        "state": str(facts.get("state", "")),
        "unfetched": len(unfetched),
        "unfetched_bytes": sum(path.stat().st_size for path in unfetched),
    }


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _size(folder: Path) -> int:
    """Return the bytes on disk below a folder; names of one file count once, links are not followed."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(OSError):
                facts = os.lstat(f"{root}/{name}")
                if (facts.st_dev, facts.st_ino) not in seen:
                    seen.add((facts.st_dev, facts.st_ino))
                    total += facts.st_blocks * 512
    return total
