"""Runs the command that a user wants to have run on the box after a job."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from loratui_agent.job import Job
from loratui_agent.secrets import without_secrets

LOG_NAME = "on_done.log"
LIMIT_S = 6 * 3600.0
"""A command that takes longer is killed: the machine would not end for its sake."""


async def run_command(command: str, job: Job, limit_s: float = LIMIT_S) -> tuple[bool, str]:
    """Run the command in the job's folder; return whether it went well, and how it ended."""
    began_s = time.monotonic()
    environment = without_secrets(os.environ) | {"LORATUI_RUN": job.id, "LORATUI_STATE": str(job.state)}
    try:
        with (job.folder / LOG_NAME).open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=job.folder,
                env=environment,
                start_new_session=True,
            )
        ended = await _end_of(process, limit_s)
        said = _last_line(job.folder / LOG_NAME)
    except OSError as error:
        return False, str(error)
    took = f"{ended} after {time.monotonic() - began_s:.0f} s"
    return process.returncode == 0, f"{took}: {said}" if said else took


async def _end_of(process: asyncio.subprocess.Process, limit_s: float) -> str:
    try:
        async with asyncio.timeout(limit_s):
            return f"status {await process.wait()}"
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        return "killed"


def _last_line(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2048))
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else ""
