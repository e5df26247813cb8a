"""Programs that make an environment: run in a clean surrounding, heard line by line, never left behind."""

import asyncio
import contextlib
import os
import re
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from loratui_agent.finish import finish
from loratui_agent.secrets import without_secrets
from loratui_protocol.errors import JobError

TAIL_LINES = 30
_MAX_LINE_CHARS = 2000
_DROPPED = re.compile(r"PYTHON|PIP_|UV_|CONDA_|VIRTUAL_ENV|LD_PRELOAD$|LD_AUDIT$", re.IGNORECASE)
_KEPT = ("UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS_JSON_URL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended; ``tail`` is the end of what it said, both streams together."""

    status: int
    tail: tuple[str, ...]

    @property
    def text(self) -> str:
        """Return the end of what it said, as one text."""
        return "\n".join(self.tail)


def clean_environment(environ: Mapping[str, str], **more: str) -> dict[str, str]:
    """Return the environment variables for a child: images set many that send it to other packages or libraries.

    What leads to the network (proxies, certificates) and to the driver (``LD_LIBRARY_PATH``) stays; secrets go.
    """
    kept = {name: text for name, text in without_secrets(environ).items() if name in _KEPT or not _DROPPED.match(name)}
    return {**kept, **more}


async def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
    limit_s: float,
    held: Sequence[int] = (),
    on_start: Callable[[int], None] = lambda _: None,
) -> Ended:
    """Run a program to its end. Cancelled or past its limit, it is killed with all that it started.

    It inherits the descriptors ``held``: a lock among them stays taken until it has ended, even if this process is
    killed meanwhile. ``on_start`` is told its pid; it leads a process group.

    Raises:
        JobError: ``env_failed``; it can't be started, or took longer than ``limit_s`` seconds.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
            pass_fds=tuple(held),
        )
    except OSError as error:
        raise JobError(
            f"{argv[0]} can't be run: {error.strerror}",
            fix="if the disk of the agent's home forbids programs (noexec), set ssh.home to a folder on another one",
            code="env_failed",
        ) from error
    assert process.stdout is not None  # noqa: S101  (it was asked for)
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    try:
        on_start(process.pid)
        async with asyncio.timeout(limit_s):
            async for line in _lines(process.stdout):
                tail.append(line)
                on_line(line)
            status = await process.wait()
    except TimeoutError as error:
        raise JobError(
            f"{argv[0]} did not end within {limit_s:.0f} s. It said last: {tail[-1] if tail else 'nothing'}",
            fix="the network or the disk of this machine is very slow: try again, or take another one",
            code="env_failed",
        ) from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await finish(process.wait())
    return Ended(status=status, tail=tuple(tail))


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield the lines that are not empty, cut to a sane length; a flood without line ends takes no memory."""
    rest = ""
    while received := await stream.read(1 << 16):
        *lines, rest = (rest + received.decode("utf-8", "replace")).replace("\r", "\n").split("\n")
        rest = rest[-_MAX_LINE_CHARS:]
        for line in lines:
            if line.strip():
                yield line[:_MAX_LINE_CHARS].rstrip()
    if rest.strip():
        yield rest.rstrip()
