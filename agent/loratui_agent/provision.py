"""Has everything there that a job needs before its trainer starts: environment, models, files from the client.

They come at the same time. Each can be cut off anywhere, by a kill too, and goes on from there. Models that pictures
are measured with are all that it can do without: no training fails, or waits for long, for the sake of a score.
"""

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import loratui_agent
import loratui_protocol
from loratui_agent.blobs import blob_path, bytes_here, has_blob
from loratui_agent.environment.ensure import ensure
from loratui_agent.fetch.model import fetch_model
from loratui_agent.files import disk_full_error, fsync_path
from loratui_agent.finish import finish
from loratui_agent.groups import one_error
from loratui_protocol.errors import LoratuiError, ModelError, ProtocolError, StorageError
from loratui_protocol.feature_models import KEYS
from loratui_protocol.inputs import (
    EnvironmentKind,
    EnvironmentSpec,
    JobInputs,
    Manifest,
    ModelKind,
    ModelSource,
    parse_manifest,
)
from loratui_protocol.messages import Setup, Warn
from loratui_protocol.paths import AgentHome

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.2
FEATURES_WAIT_S = 600.0
"""How much longer than everything else the models to measure with may take."""
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


async def provision(
    folder: Path, inputs: JobInputs, home: AgentHome, report: Report, *, features_wait_s: float = FEATURES_WAIT_S
) -> Provisions:
    """Bring what ``inputs`` name and lay it out below ``folder``; done once, it returns at once.

    ``report`` is called in the event loop. Cancelled, it leaves what is there for the next attempt. A model to measure
    with that can't be had within ``features_wait_s`` after all else is told and left out; the next attempt tries again.

    Raises:
        LoratuiError: why it can't be had, with what to do.
    """
    with one_error():
        async with asyncio.TaskGroup() as tasks:
            environment = tasks.create_task(_environment(inputs.environment, home, report), name="environment")
            features = {
                source: tasks.create_task(_feature_model(source, home, report), name=source.purpose)
                for source in inputs.features
                if not (folder / "inputs" / source.place).is_dir()
            }
            if not (folder / "inputs").is_dir():
                model = tasks.create_task(_model(inputs, home, report), name="base model")
                manifest = await _files(inputs, home, report)
                await _lay_out(folder, inputs, manifest, await model, home)
            if features:
                await environment
                await _lay_out_features(folder, features, features_wait_s, report)
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


async def _feature_model(source: ModelSource, home: AgentHome, report: Report) -> Path | None:
    """Return the downloaded model, None where it can't be had, which is told."""
    try:
        return await fetch_model(home, source, report)
    except (LoratuiError, OSError) as error:
        report(_unmeasured(source, error))
        return None


def _unmeasured(source: ModelSource, error: Exception) -> Warn:
    why = error if isinstance(error, LoratuiError) else StorageError(str(error))
    what = f"{KEYS[source.purpose]} names {source.address}, and nothing is measured with that: {why.what}"
    return Warn(code=why.code, message=f"{what}. Fix: {why.fix}" if why.fix else what)


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
    with _full_disk_named(folder):
        await finish(asyncio.to_thread(_link_all, folder, inputs, manifest, model, home))


async def _lay_out_features(
    folder: Path, features: Mapping[ModelSource, asyncio.Task[Path | None]], wait_s: float, report: Report
) -> None:
    """Put the models that have come below ``inputs/``; those that have not after ``wait_s`` are given up."""
    _, late = await asyncio.wait(features.values(), timeout=wait_s)
    for source, task in features.items():
        if task in late:
            task.cancel()
            report(_unmeasured(source, _late(wait_s)))
        elif (model := task.result()) is not None:
            try:
                with _full_disk_named(folder):
                    await finish(asyncio.to_thread(_link_features, folder, source, model))
            except (LoratuiError, OSError) as error:
                report(_unmeasured(source, error))


def _late(wait_s: float) -> ModelError:
    return ModelError(
        f"{wait_s / 60:.0f} min after everything else it was not here, and no training waits for it longer",
        fix="what has come is kept: resume the run to go on from there",
        code="model.late",
    )


@contextlib.contextmanager
def _full_disk_named(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = disk_full_error(error, folder / "inputs")
        if full is not None:
            raise full from error
        raise


def _link_all(folder: Path, inputs: JobInputs, manifest: Manifest, model: Path | None, home: AgentHome) -> None:
    sources: dict[str, Path] = {}
    # Names were checked when the manifest was read: relative, without "..", and no two alike.
    for file in manifest.files:
        source = blob_path(home, file.sha256)
        if source.stat().st_size != file.size:
            raise ProtocolError(
                f"{file.name!r} is said to have {file.size} bytes, its content has {source.stat().st_size}",
                fix="start the run anew",
                code="inputs.manifest",
            )
        sources[file.name] = source
    if model is not None:
        place = inputs.model.place
        sources |= {place: model} if model.is_file() else _below(model, place)
    _put(folder, sources, folder / "inputs")


def _link_features(folder: Path, source: ModelSource, model: Path) -> None:
    _put(folder, _below(model), folder / "inputs" / source.place)


def _below(model: Path, place: str = "") -> dict[str, Path]:
    """Return the files of a downloaded model by the names that they get; what is hidden is ours."""
    paths = sorted(path for path in model.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {(PurePosixPath(place) / path.relative_to(model).as_posix()).as_posix(): path for path in paths}


def _put(folder: Path, sources: Mapping[str, Path], target: Path) -> None:
    """Have these files in a folder of the job's, all of them or none; ``sources`` are by their names in it."""
    for left in folder.glob("inputs*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix="inputs.", suffix=".tmp", dir=folder))
    for name, source in sources.items():
        _link(source, unfinished / name)
    laid_out = {unfinished, *unfinished.rglob("*")}
    num_missing = len({unfinished / name for name in sources} - laid_out)
    if num_missing:
        raise StorageError(
            f"{num_missing} files of this run went missing while they were laid out",
            fix="resume the run",
            code="inputs.incomplete",
        )
    for path in filter(Path.is_dir, laid_out):
        fsync_path(path)
    if target.exists():
        # What has this name is complete.
        shutil.rmtree(unfinished)
        return
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished.rename(target)
    fsync_path(target.parent)


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
