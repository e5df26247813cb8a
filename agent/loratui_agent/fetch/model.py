"""Downloads a model into ``models/<key>``: complete once ``.ok`` is there, used by every later job."""

import asyncio
import hashlib
import shutil
import urllib.parse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from loratui_agent.blobs import sync_folder
from loratui_agent.fetch.address import parse_address
from loratui_agent.fetch.download import MAX_FAILURES, RemoteFile, Way, download
from loratui_agent.fetch.http import Cancel, CancelledFetchError
from loratui_agent.fetch.hub import commit_of, files_of
from loratui_agent.files import disk_full_error, write_atomically
from loratui_agent.finish import finish
from loratui_agent.groups import one_error
from loratui_agent.secrets import read_secret
from loratui_protocol.errors import ModelError, StorageError
from loratui_protocol.feature_models import CONFIG, check_feature_config, read_feature_config
from loratui_protocol.inputs import ModelKind, ModelPurpose, ModelSource
from loratui_protocol.messages import Setup
from loratui_protocol.paths import AgentHome
from loratui_protocol.safetensors_header import read_header

MARKER = ".ok"
SAY_EVERY_S = 1.0
_SPARE_BYTES = 64 << 20
_FEW_FAILURES = 3
_PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")


async def fetch_model(home: AgentHome, source: ModelSource, report: Callable[[Setup], None]) -> Path:
    """Return the folder of the model, or its file, downloaded and verified.

    ``report`` is called in the event loop. Cancelled, it leaves what has come for the next attempt.

    Raises:
        ModelError: it can't be had: ``model.gated``, ``model.missing``, ``model.address``, ``model.network``,
            ``model.corrupt``, ``model.unsafe``, ``model.incomplete``, ``model.unsupported``.
        StorageError: the disk is too small.
    """
    fetch = _Fetch(home, source)
    with one_error():
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(asyncio.to_thread(fetch.run), name="download")
            try:
                await _tell(work, fetch, report)
            except asyncio.CancelledError:
                # The thread can't be cancelled, only asked; it must not write on while another attempt begins.
                fetch.cancel.set()
                await finish(asyncio.wait([work]))
                raise
    path = work.result()
    if path is None:
        raise asyncio.CancelledError
    return path


def is_here(home: AgentHome, source: ModelSource, way: Way) -> bool:
    """Return whether the model was downloaded before; errors as in ``fetch_model``."""
    return (_place(home, source, way)[0] / MARKER).exists()


def listed(source: ModelSource, way: Way, commit: str = "") -> dict[str, RemoteFile]:
    """Return the files that the model consists of, by the names they get; errors as in ``fetch_model``.

    ``commit`` is that of a hub's model, where it is known already.
    """
    if source.kind is ModelKind.HUB:
        return files_of(source, commit or commit_of(source, way), way)
    address = parse_address(source.address)
    if Path(urllib.parse.unquote(address.path.partition("?")[0])).suffix.lower() in _PICKLES:
        raise ModelError(
            f"{address} is a pickle, which could run anything",
            fix="choose the model's safetensors file",
            code="model.unsafe",
        )
    return {source.name: RemoteFile(url=source.address, sha256=source.sha256)}


def asked_host(source: ModelSource) -> str:
    """Return the host that the model is asked of."""
    return parse_address(source.hub_url if source.kind is ModelKind.HUB else source.address).host


def token_for(source: ModelSource, token: str) -> Callable[[str], str]:
    """Return what gives the token to the host that the model is asked of, and to no other."""
    asked = asked_host(source)
    return lambda host: token if host == asked else ""


def _place(home: AgentHome, source: ModelSource, way: Way) -> tuple[Path, str]:
    """Return the folder that the model has, or would have, and its commit if it is a hub's."""
    commit = commit_of(source, way) if source.kind is ModelKind.HUB else ""
    words = ["https", source.address, source.sha256]
    if commit:
        words = ["hub", source.hub_url, source.address, commit]
        # Of one model a training needs other files than who measures with it.
        words += [] if source.purpose is ModelPurpose.BASE else [source.purpose]
    return home.models / hashlib.sha256("\n".join(words).encode()).hexdigest()[:24], commit


async def _tell(work: asyncio.Task[Path | None], fetch: "_Fetch", report: Callable[[Setup], None]) -> None:
    said = (0, 0)
    while not work.done():
        await asyncio.wait([work], timeout=SAY_EVERY_S)
        if fetch.progress != said:
            done, total = said = fetch.progress
            report(Setup(phase=fetch.phase, done=done, total=total, unit="bytes"))


class _Fetch:
    """One download, in a thread of its own; ``progress`` has the bytes that are here and of all, 0 while unknown."""

    def __init__(self, home: AgentHome, source: ModelSource) -> None:
        self._home = home
        self._source = source
        self.cancel = Cancel()
        self.phase = source.purpose.phase
        self.progress = (0, 0)

    @property
    def _max_failures(self) -> int:
        # Nobody trains without a base model; a score is not worth a long wait.
        return MAX_FAILURES if self._source.purpose is ModelPurpose.BASE else _FEW_FAILURES

    def run(self) -> Path | None:
        """Download what is missing and return where it is; None when it was told to end before that."""
        try:
            # Read once: where it lies is cleared away when the user's last login ends, on some systems.
            token = read_secret(self._home, asked_host(self._source))
            way = Way(token_of=token_for(self._source, token), cancel=self.cancel, max_failures=self._max_failures)
            folder, commit = _place(self._home, self._source, way)
            if not (folder / MARKER).exists():
                self._download(folder, listed(self._source, way, commit), way)
            return folder if self._source.kind is ModelKind.HUB else folder / self._source.name
        except CancelledFetchError:
            return None
        except OSError as error:
            full = disk_full_error(error, self._home.models)
            if full is not None:
                raise full from error
            raise

    def _download(self, folder: Path, files: dict[str, RemoteFile], way: Way) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        announced = sum(file.size or 0 for file in files.values())
        self.progress = (0, announced)
        _check_space(folder, announced)
        before = 0
        # Small ones first: what is wrong with them shows before gigabytes were paid for.
        for name, file in sorted(files.items(), key=lambda each: each[1].size or 0):
            target = folder / name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not target.exists():
                download(file, target, way, partial(self._count, before, announced))
            if target.suffix == ".safetensors" or len(files) == 1:
                _check_safetensors(target)
            elif name == CONFIG and self._source.purpose is not ModelPurpose.BASE:
                check_feature_config(self._source.address, read_feature_config(target), self._source.purpose)
            before += target.stat().st_size
            self._count(before, announced, 0, None)
        self.progress = (before, before)
        write_atomically(folder / MARKER, lambda path: path.touch())
        sync_folder(self._home.models)

    def _count(self, before: int, announced: int, here: int, size: int | None) -> None:
        """Note the bytes that are here; how many it will be, a single file's server says."""
        self.progress = (before + here, announced or size or 0)


def _check_space(folder: Path, announced: int) -> None:
    here = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    left = announced - here
    free = shutil.disk_usage(folder).free
    if left + _SPARE_BYTES > free:
        raise StorageError(
            f"the disk of {folder} has {free >> 20} MiB free, the model needs {(left + _SPARE_BYTES) >> 20}",
            fix="free space there, or use a machine with a larger disk",
        )


def _check_safetensors(path: Path) -> None:
    """Return if the file is as long as its header says: where nobody knows its hash, that shows what was cut off.

    Raises:
        ModelError: it is not, or is something else under that name; it is gone then.
    """
    try:
        read_header(path)
    except ModelError as error:
        path.unlink()
        is_cut_off = error.code == "model.truncated"
        raise ModelError(
            f"what was downloaded can't be used: {error.what}",
            fix="resume the run to download it again" if is_cut_off else "choose the model's safetensors file",
            code="model.corrupt" if is_cut_off else "model.unsafe",
        ) from error
