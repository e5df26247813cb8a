"""Unpacks a bundle. Never runs here: its text is sent to a Python of the box, the archive right behind it.

    python -I -c BOOT HOME NAME SIZE SHA256 NONCE MODE -- COMMAND...

Standard library of Python 3.11 only. The archive is read whole and checked before anything is written, so a push that
is torn leaves nothing. COMMAND takes the place of this process in the end. MODE "replace" trusts no earlier copy.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
import time
from pathlib import Path

MARKER = ".ok"
HOME_MARKER = ".loratui-home"
HOMES = ".loratui-homes"
_MAX_HOMES = 16
USUAL_NAME = ".loratui"
_STALE_S = 600.0
_MARK = "@@loratui"


class _RefusedError(Exception):
    def __init__(self, code: str, what: str, fix: str) -> None:
        super().__init__(what)
        self.fields = {"code": code, "what": what, "fix": fix}


def unpack(home: Path, name: str, content: bytes, *, replace: bool) -> None:
    """Put the archive at ``home/agent/name``, whole, unless it is there already."""
    bundles = home / "agent"
    target = bundles / name
    _claim(home)
    bundles.mkdir(mode=0o700, exist_ok=True)
    _remove_stale(bundles)
    if (target / MARKER).exists() and not replace:
        return
    temporary = bundles / f".{name}.{os.getpid()}.tmp"
    aside = bundles / f".{name}.{os.getpid()}.old.tmp"
    temporary.mkdir(mode=0o700)
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for member in archive:
                source = archive.extractfile(member)
                path = temporary / member.name
                if source is None or not path.resolve().is_relative_to(temporary.resolve()):
                    raise _RefusedError("host.bundle", "the agent's archive holds what it should not", "")
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.write_bytes(source.read())
        (temporary / MARKER).touch()
        if target.exists():
            # Never written over: a process may be importing from it.
            target.rename(aside)
        try:
            temporary.rename(target)
        except OSError:
            # Two clients push at once: the first one's copy is as good as ours.
            if not (target / MARKER).exists():
                raise
    finally:
        for left in (temporary, aside):
            shutil.rmtree(left, ignore_errors=True)


def refusal_of(home: str | Path) -> dict[str, str]:
    """Return what is said of a folder that holds other things than an agent's."""
    return {
        "code": "host.home",
        "what": f"{home} holds other things: an agent's home is removed as a whole one day, so it must be a folder of "
        "its own. Nothing was written",
        "fix": f"name a new folder, such as {home}/{USUAL_NAME}",
    }


def _claim(home: Path) -> None:
    """Make the home, in which everything will be ours: what is there already must be an agent's home too."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    marker = home / HOME_MARKER
    if not marker.exists() and home.name != USUAL_NAME and any(home.iterdir()):
        raise _RefusedError(**refusal_of(home))
    home.chmod(0o700)
    marker.touch()
    if home.name != USUAL_NAME:
        with contextlib.suppress(OSError):
            _leave_word(home, Path.home() / HOMES)


def _leave_word(home: Path, homes: Path) -> None:
    """Let clients of other laptops, which don't know where it was put, find it: the probe reads this."""
    known = homes.read_text().splitlines() if homes.exists() else []
    if str(home) not in known:
        homes.write_text("".join(f"{line}\n" for line in [*known[-_MAX_HOMES + 1 :], str(home)]))


def _remove_stale(bundles: Path) -> None:
    """Remove what a push that was killed has left."""
    for path in bundles.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_S:
                shutil.rmtree(path, ignore_errors=True)


def _received(size: int, sha256: str) -> bytes:
    content = sys.stdin.buffer.read(size)
    if len(content) != size or hashlib.sha256(content).hexdigest() != sha256:
        raise _RefusedError("host.bundle", "the agent did not arrive whole; nothing was written", "try again")
    return content


def main(arguments: list[str]) -> int:
    """Unpack, then become the command; what goes wrong is said as a frame."""
    os.umask(0o077)
    home, name, size, sha256, nonce, mode = arguments[:6]
    command = arguments[7:]
    try:
        unpack(Path(home), name, _received(int(size), sha256), replace=mode == "replace")
        os.execv(command[0], command)  # noqa: S606  # the argument list is ours; a shell would only read it again
    except _RefusedError as error:
        fields = error.fields
    except OSError as error:
        free_mib = _free_mib(Path(home))
        fields = {
            "code": "host.disk",
            "what": f"{home} can't hold the agent: {error.strerror} ({free_mib} MiB are free there)",
            "fix": "free some space there, or choose another folder",
        }
    sys.stdout.write(f"\n{_MARK} {nonce} {json.dumps({'error': fields})}\n")
    sys.stdout.flush()
    return 4


def _free_mib(folder: Path) -> int:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free >> 20


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
