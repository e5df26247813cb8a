"""Makes the environment that a job's trainer runs in, once for all jobs that want the same one.

An environment is there when its ``.ok`` is; what has none was left half-made, and goes. Any number of agents may ask at
once, and any of them may be killed: one makes it, under a lock that its children hold too. The lock's file names the
child and how long it may take, for the agents that wait after the one that would have ended it was killed.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from loratui_agent.clock import now
from loratui_agent.environment import recipe, uv_program
from loratui_agent.environment.children import Ended, clean_environment, run
from loratui_agent.environment.progress import Progress
from loratui_agent.facts import read_facts
from loratui_agent.files import disk_full_error, write_json
from loratui_agent.finish import finish
from loratui_agent.process import ProcessIdentity, identify, signal_group, try_lock
from loratui_protocol.errors import JobError, StorageError
from loratui_protocol.framing import new_nonce
from loratui_protocol.inputs import EnvironmentKind, EnvironmentSpec
from loratui_protocol.messages import Setup
from loratui_protocol.paths import AgentHome

INSTALL_LIMIT_S = 3600.0
SMOKE_LIMIT_S = 600.0
_LOOK_EVERY_S = 0.1
_SMOKE = Path(__file__).with_name("smoke.py")
"""Run, never imported: it imports torch."""
_IMAGE_PTH = "zz_loratui_image.pth"


async def ensure(home: AgentHome, spec: EnvironmentSpec, report: Callable[[Setup], None]) -> Path:
    """Return the Python of the environment, which is made if it is not there. Waits for its blobs to arrive.

    Raises:
        JobError: ``env_failed``: it can't be made, or does not work; ``driver_mismatch``: its torch and this machine's
            driver or GPU don't fit.
        StorageError: the disk is full.
    """
    if spec.kind is EnvironmentKind.AGENT:
        return Path(sys.executable)
    recipe.check(spec)
    folder = home.environments / recipe.key_of(spec)
    progress = Progress(report, num_steps=3 + len(spec.lock_sha256s) + (spec.kind is EnvironmentKind.CLEAN))
    if await _works(folder):
        progress.finish("the environment is there already")
        return folder / "bin" / "python"
    home.environments.mkdir(mode=0o700, parents=True, exist_ok=True)
    blobs = [home.blobs / sha256 for sha256 in (recipe.blob_of(spec.uv), *spec.lock_sha256s) if sha256]
    await _arrived(blobs, progress)
    async with _locked(home.environments / "lock", progress) as lock:
        if not await _works(folder):
            try:
                await _Making(home, spec, folder, progress, lock).make()
            except OSError as error:
                raise disk_full_error(error, folder) or _failed(str(error)) from error
    progress.finish("the environment is ready")
    return folder / "bin" / "python"


class _Making:
    """Makes one environment, with the lock held."""

    def __init__(self, home: AgentHome, spec: EnvironmentSpec, folder: Path, progress: Progress, lock: int) -> None:
        self._home = home
        self._spec = spec
        self._folder = folder
        self._python = folder / "bin" / "python"
        self._progress = progress
        self._lock = lock

    async def make(self) -> None:
        spec, progress = self._spec, self._progress
        start_s = time.monotonic()
        progress.begin("preparing")
        await finish(asyncio.to_thread(_remove_half_made, self._folder))
        uv = await finish(asyncio.to_thread(uv_program.provide, self._home, spec.uv))
        progress.begin(f"making an environment of {spec.python}")
        await self._run(recipe.venv_argv(uv, spec, self._folder), "making the environment")
        if spec.kind is EnvironmentKind.OVERLAY and spec.torch_folder:
            self._show_image_packages()
        if spec.kind is EnvironmentKind.CLEAN:
            progress.begin(f"installing torch {spec.torch} ({spec.backend})")
            await self._run(recipe.torch_argv(uv, spec, self._python), "installing torch")
        with_eight_bit = False
        for sha256 in spec.lock_sha256s:
            lock = self._home.blobs / sha256
            names = _names_in(lock)
            with_eight_bit |= "bitsandbytes" in names
            progress.begin(f"installing {len(names)} {'packages' if len(names) != 1 else 'package'}")
            await self._run(recipe.lock_argv(uv, spec, self._python, lock), "installing packages")
        progress.begin("trying it out")
        found = await self._try(with_eight_bit=with_eight_bit)
        facts = {"found": found, "seconds": round(time.monotonic() - start_s, 1)}
        await finish(asyncio.to_thread(write_json, self._folder / ".ok", facts))

    def _show_image_packages(self) -> None:
        """Put the image's packages behind ours. Its own .pth files are not run: what they start is not wanted."""
        site = next((self._folder / "lib").glob("python3.*")) / "site-packages"
        (site / _IMAGE_PTH).write_text(f"{self._spec.torch_folder}\n", "utf-8")

    async def _run(self, argv: list[str], what: str) -> None:
        brings_python = not self._spec.python.startswith("/")
        environment = clean_environment(
            os.environ,
            UV_NO_CONFIG="1",
            UV_CACHE_DIR=str(self._home.environments / "cache"),
            UV_PYTHON_DOWNLOADS="automatic" if brings_python else "never",
            UV_PYTHON_INSTALL_DIR=str(self._home.path / "python"),
            UV_HTTP_TIMEOUT="120",
            UV_HTTP_RETRIES="3",
            UV_NO_PROGRESS="1",
            NO_COLOR="1",
        )
        ended = await self._run_locked(argv, environment, self._progress.hear, INSTALL_LIMIT_S)
        if ended.status:
            raise _install_error(what, ended, self._folder, self._spec)

    async def _run_locked(
        self, argv: list[str], environment: dict[str, str], on_line: Callable[[str], None], limit_s: float
    ) -> Ended:
        def name_it(pid: int) -> None:
            child = identify(pid)
            facts = {"pid": pid, "mark": child.mark if child else "", "until_boot_s": now().boot_s + limit_s}
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, json.dumps(facts).encode("ascii"), 0)

        held = [self._lock]
        return await run(argv, environment=environment, on_line=on_line, limit_s=limit_s, held=held, on_start=name_it)

    async def _try(self, *, with_eight_bit: bool) -> dict[str, object]:
        spec = self._spec
        # -P: the script's own folder is not searched for modules, nor is the current one.
        mark = f"@@{new_nonce()} "
        argv = [str(self._python), "-P", str(_SMOKE), mark, "--torch", spec.torch]
        argv += ["--cuda"] if spec.backend.startswith("cu") else []
        argv += ["--eight-bit"] if with_eight_bit else []
        environment = clean_environment(os.environ, HF_HUB_OFFLINE="1", PYTHONNOUSERSITE="1")
        ended = await self._run_locked(argv, environment, lambda _: None, SMOKE_LIMIT_S)
        said = next((line for line in reversed(ended.tail) if line.startswith(mark)), None)
        if said is None:
            raise _failed(f"trying it out ended with status {ended.status}: {ended.text[-1500:]}")
        found: dict[str, object] = json.loads(said.removeprefix(mark))
        if not found["ok"]:
            raise _smoke_error(found, spec)
        return found


async def _works(folder: Path) -> bool:
    """Return whether the environment is complete and its Python runs, which a new container may have lost."""
    if not (folder / ".ok").exists():
        return False
    argv = [str(folder / "bin" / "python"), "-S", "-c", ""]
    try:
        ended = await run(argv, environment=clean_environment(os.environ), on_line=lambda _: None, limit_s=60.0)
    except JobError:
        return False
    return ended.status == 0


async def _arrived(blobs: list[Path], progress: Progress) -> None:
    if all(blob.exists() for blob in blobs):
        return
    progress.say("waiting for the list of packages and the installer")
    while not all(blob.exists() for blob in blobs):  # noqa: ASYNC110  (other processes put them there)
        await asyncio.sleep(_LOOK_EVERY_S)


@asynccontextmanager
async def _locked(path: Path, progress: Progress) -> AsyncIterator[int]:
    """Hold the lock for the block. Who waits polls: a blocked thread could not be cancelled."""
    descriptor = try_lock(path)
    if descriptor is None:
        progress.say("another installation is under way")
    while descriptor is None:
        _end_overdue(path)
        await asyncio.sleep(_LOOK_EVERY_S)
        descriptor = try_lock(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _end_overdue(lock: Path) -> None:
    """End the child that holds the lock if it has had its time: the agent that counted it was killed, or is late."""
    facts = read_facts(lock)
    try:
        child = ProcessIdentity(pid=int(facts["pid"]), mark=str(facts["mark"]))
        until_boot_s = float(facts["until_boot_s"])
    except (KeyError, TypeError, ValueError):
        return
    if now().boot_s > until_boot_s:
        signal_group(child, signal.SIGKILL)


def _remove_half_made(own: Path) -> None:
    """Remove what can't be used, ``own`` among it: it would not be made anew if it were complete and worked."""
    (own / ".ok").unlink(missing_ok=True)
    for folder in own.parent.iterdir():
        if (folder == own or (folder / "pyvenv.cfg").exists()) and not (folder / ".ok").exists():
            shutil.rmtree(folder)


def _names_in(lock: Path) -> list[str]:
    """Return the packages of a lock."""
    lines = lock.read_text("utf-8").splitlines()
    return [line.partition("==")[0] for line in lines if line[:1].isalpha() and "==" in line]


def _install_error(what: str, ended: Ended, folder: Path, spec: EnvironmentSpec) -> JobError | StorageError:
    text = ended.text
    if "os error 28" in text or "No space left" in text:
        free_mib = shutil.disk_usage(folder.parent).free >> 20
        return StorageError(
            f"the disk is full: {what} failed, {free_mib} MiB are free",
            fix="free space on it, or set ssh.home to a folder on a larger one; then resume the run",
            code="disk.full",
        )
    fix = f"see that this machine reaches {spec.index_url}, then resume the run"
    if "Hash mismatch" in text or "hash mismatch" in text:
        fix = "the package index does not serve what was locked: set remote.index_url to one that does"
    return JobError(f"{what} failed with status {ended.status}: {text[-1500:]}", fix=fix, code="env_failed")


def _smoke_error(found: dict[str, object], spec: EnvironmentSpec) -> JobError:
    what = f"the environment was made and does not work ({found['part']}): {found['error']}"
    if found["part"] == "cuda":
        fix = 'take another torch or another machine; with an image\'s own torch, set remote.environment = "clean"'
        return JobError(what, fix=fix, code="driver_mismatch")
    if spec.kind is EnvironmentKind.OVERLAY:
        fix = 'the image\'s packages get in the way: set remote.environment = "clean" to install a torch of our own'
        return JobError(what, fix=fix, code="env_failed")
    return _failed(what)


def _failed(what: str) -> JobError:
    return JobError(what, fix="resume the run to try again, or take another machine", code="env_failed")
