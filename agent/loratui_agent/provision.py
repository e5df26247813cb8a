"""Has everything there that a job needs before its trainer starts: environment, base model, files from the client.

The three come at the same time. Each can be cut off anywhere, by a kill too, and goes on from there.
"""

import asyncio
import errno
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import loratui_agent
import loratui_protocol
from loratui_agent.blobs import blob_path, bytes_here, has_blob
from loratui_agent.environment.ensure import ensure
from loratui_agent.fetch.model import fetch_model
from loratui_agent.files import disk_full_error, fsync_path
from loratui_agent.finish import finish
from loratui_agent.groups import one_error
from loratui_protocol.errors import ProtocolError, StorageError
from loratui_protocol.inputs import EnvironmentKind, EnvironmentSpec, JobInputs, Manifest, ModelKind, parse_manifest
from loratui_protocol.messages import Setup, Warn
from loratui_protocol.paths import AgentHome

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.2
_SAY_EVERY_S = 1.0
_SAY_WAITING_S = 60.0

Report = Callable[[Setup | Warn], None]


@dataclass(frozen=True, slots=True)
class Provisions:
    """How the trainer of a job with inputs is started."""

    python: str = ""
    """Empty: the agent's own."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables beside those that every trainer gets."""


async def provision(folder: Path, inputs: JobInputs, home: AgentHome, report: Report) -> Provisions:
    """Bring what ``inputs`` name and lay it out below ``folder``; done once, it returns at once.

    ``report`` is called in the event loop. Cancelled, it leaves what is there for the next attempt.

    Raises:
        LoratuiError: why it can't be had, with what to do.
    """
    with one_error():
        async with asyncio.TaskGroup() as tasks:
            environment = tasks.create_task(_environment(inputs.environment, home, report), name="environment")
            if not (folder / "inputs").is_dir():
                model = tasks.create_task(_model(inputs, home, report), name="base model")
                manifest = await _files(inputs, home, report)
                await _lay_out(folder, inputs, manifest, await model, home)
    return environment.result()


async def _environment(spec: EnvironmentSpec, home: AgentHome, report: Report) -> Provisions:
    if spec.kind is EnvironmentKind.AGENT:
        return Provisions()
    python = await ensure(home, spec, report)
    roots = dict.fromkeys(str(Path(package.__file__ or "").parents[1]) for package in (loratui_agent, loratui_protocol))
    # Its own packages, and this very agent before them: both ends of the trainer's line are of one version.
    return Provisions(str(python), {"PYTHONPATH": os.pathsep.join(roots), "PYTHONNOUSERSITE": "1"})


async def _model(inputs: JobInputs, home: AgentHome, report: Report) -> Path | None:
    """Return the downloaded model, None when it comes with the job's files."""
    if inputs.model.kind is ModelKind.FILES:
        return None
    return await fetch_model(home, inputs.model, report)


async def _files(inputs: JobInputs, home: AgentHome, report: Report) -> Manifest:
    """Return the manifest once everything that it names is here."""
    await _Waiting(home, {inputs.manifest_sha256: 0}, report, phase="dataset").wait()
    content = await asyncio.to_thread(blob_path(home, inputs.manifest_sha256).read_bytes)
    manifest = parse_manifest(content)
    sizes = {file.sha256: file.size for file in manifest.files}
    await _Waiting(home, sizes, report, phase="dataset", unit="bytes").wait()
    return manifest


class _Waiting:
    """Blobs that a client is to bring, and what is said meanwhile."""

    def __init__(self, home: AgentHome, sizes: dict[str, int], report: Report, *, phase: str, unit: str = "") -> None:
        self._home = home
        self._sizes = sizes
        self._report = report
        self._phase = phase
        self._unit = unit
        self._missing = list(sizes)
        self._grew_s = time.monotonic()
        self._warned = False

    async def wait(self) -> None:
        """Return once all are here."""
        total = sum(self._sizes.values())
        said = -1
        said_s = 0.0
        while True:
            left = await asyncio.to_thread(self._look)
            done = total - left
            now_s = time.monotonic()
            if done != said and total and (now_s - said_s >= _SAY_EVERY_S or not self._missing):
                said, said_s = done, now_s
                self._grew_s, self._warned = now_s, False
                self._report(Setup(phase=self._phase, done=done, total=total, unit=self._unit))
            if not self._missing:
                return
            if now_s - self._grew_s >= _SAY_WAITING_S and not self._warned:
                self._warned = True
                what = f"waiting for files from a client ({len(self._missing)} to come): attach to go on uploading"
                self._report(Warn(code="upload.waiting", message=what))
            await asyncio.sleep(LOOK_EVERY_S)

    def _look(self) -> int:
        """Forget what has come; return the bytes that are still to come."""
        self._missing = [sha256 for sha256 in self._missing if not has_blob(self._home, sha256)]
        sizes = self._sizes
        return sum(sizes[each] - bytes_here(self._home, each, sizes[each]) for each in self._missing)


async def _lay_out(folder: Path, inputs: JobInputs, manifest: Manifest, model: Path | None, home: AgentHome) -> None:
    """Put everything below ``inputs/`` of the job's folder, all of it or nothing."""
    try:
        await finish(asyncio.to_thread(_link_all, folder, inputs, manifest, model, home))
    except OSError as error:
        full = disk_full_error(error, folder / "inputs")
        if full is not None:
            raise full from error
        raise


def _link_all(folder: Path, inputs: JobInputs, manifest: Manifest, model: Path | None, home: AgentHome) -> None:
    for left in folder.glob("inputs*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix="inputs.", suffix=".tmp", dir=folder))
    sources: dict[Path, Path] = {}
    # Names were checked when the manifest was read: relative, without "..", and no two alike.
    for file in manifest.files:
        source = blob_path(home, file.sha256)
        if source.stat().st_size != file.size:
            raise ProtocolError(
                f"{file.name!r} is said to have {file.size} bytes, its content has {source.stat().st_size}",
                fix="start the run anew",
                code="inputs.manifest",
            )
        sources[unfinished / file.name] = source
    if model is not None:
        target = unfinished / "model" / inputs.model.name
        for source in [model] if model.is_file() else sorted(path for path in model.rglob("*") if path.is_file()):
            if not source.name.startswith("."):
                sources[target / source.relative_to(model) if model.is_dir() else target] = source
    for target, source in sources.items():
        _link(source, target)
    laid_out = {unfinished, *unfinished.rglob("*")}
    num_missing = len(sources.keys() - laid_out)
    if num_missing:
        raise StorageError(
            f"{num_missing} files of this run went missing while they were laid out",
            fix="resume the run",
            code="inputs.incomplete",
        )
    for path in filter(Path.is_dir, laid_out):
        fsync_path(path)
    if (folder / "inputs").exists():
        # What has this name is complete.
        shutil.rmtree(unfinished)
        return
    unfinished.rename(folder / "inputs")
    fsync_path(folder)


def _link(source: Path, target: Path) -> None:
    """Give a file a second name; copy it where the file system has no such thing.

    Never a symbolic link: the name of the base model's folder is written into the LoRA file, and links are resolved.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES):
            raise
        shutil.copyfile(source, target)
        fsync_path(target)
