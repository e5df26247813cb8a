"""A machine that lies: the ForceCommand of a test's sshd. Each text that it may choose would command a terminal.

Run as a program: hostile_host.py HOME, where a fake agent listens. What was asked is in $SSH_ORIGINAL_COMMAND.
"""

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from loratui_protocol.framing import frame_line
from support.fake_agent import TOKEN
from support.hostile_words import C1, HOSTILE, SHORT

RUN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def forced(home: Path) -> str:
    """Return the ForceCommand of a server that stands before the fake agent at ``home``."""
    roots = [Path(__file__).parents[1], *(Path(path) for path in sys.path if path)]
    path = os.pathsep.join(map(str, roots))
    return f"/usr/bin/env PYTHONPATH={path} {sys.executable} {Path(__file__).resolve()} {home}"


def answers(home: Path, words: list[str]) -> list[dict[str, Any]]:
    """Return the frames that a command is answered with."""
    if words[:2] == ["/bin/sh", "-s"]:
        return [{"row": row} for row in _probe(home)]
    if "start" in words:
        return [{"socket": f"{home}/run/agent.sock", "token": TOKEN, "bundle": C1, "started": True}]
    if "purge" in words:
        run = {"run": SHORT, "name": SHORT, "state": SHORT, "unfetched": 2, "unfetched_bytes": 7, HOSTILE: HOSTILE}
        return [{"runs": [run], "bytes": 1, "processes": 1, "ended": 1, "left": [HOSTILE], "exists": True}]
    # Of a full disk a client hears once; what it does not know it tries again.
    code = "disk.full" if "receive" in words else f"host.{SHORT}"
    return [{"error": {"code": code, "what": HOSTILE, "fix": HOSTILE, HOSTILE: HOSTILE}}]


def _probe(home: Path) -> list[list[str]]:
    # Shells say it in hex, and a machine that lies says it plainly.
    strange, plain = "~" + HOSTILE.encode().hex(), "=" + SHORT
    return [
        ["=machine", "=Linux", "=x86_64", plain, strange, f"={home}", "=8", "=64000000000", "=1"],
        ["=gpu", f"=580.1, 24564, 8.9, NVIDIA {SHORT}"],
        ["=disk", f"={home}", "=900000000000", "=1"],
        ["=disk", f"=/{SHORT}", "=1", plain],
        ["=python", "=01", "=/usr/bin/python3", "=3.12.1", "=", f"=2.9.0+cu128{SHORT}", plain],
        ["=uv", "=/usr/bin/uv", f"=uv 0.9.0 {SHORT}"],
        ["=home", f"={home}/.loratui", plain, plain, "=1", "=1"],
        [plain, strange],
        ["=end"],
    ]


def main() -> None:
    home = Path(sys.argv[1])
    sys.stdout.write(HOSTILE)
    sys.stderr.write(HOSTILE)
    sys.stderr.flush()
    words = shlex.split(os.environ.get("SSH_ORIGINAL_COMMAND", "")[len("exec ") :])
    nonce = words[2] if words[:2] == ["/bin/sh", "-s"] else words[words.index("--nonce") + 1]
    for fields in answers(home, words):
        sys.stdout.write(frame_line(nonce, fields).decode("ascii"))
    sys.stdout.flush()
    # Whatever is sent is taken, so that what was answered is what counts.
    while sys.stdin.buffer.read(1 << 16):
        pass


if __name__ == "__main__":
    main()
