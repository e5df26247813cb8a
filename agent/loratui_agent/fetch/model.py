"""Downloads a base model into ``models/<key>``: complete once ``.ok`` is there, used by every later job."""

import asyncio
import hashlib
import shutil
import urllib.parse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from loratui_agent.blobs import sync_folder
from loratui_agent.fetch.address import parse_address
from loratui_agent.fetch.download import RemoteFile, Way, download
from loratui_agent.fetch.http import Cancel, CancelledFetchError
from loratui_agent.fetch.hub import commit_of, files_of
from loratui_agent.files import disk_full_error, write_atomically
from loratui_agent.groups import one_error
from loratui_agent.secrets import read_secret
from loratui_protocol.errors import ModelError, StorageError
from loratui_protocol.inputs import ModelKind, ModelSource
from loratui_protocol.messages import Setup
from loratui_protocol.paths import AgentHome

MARKER = ".ok"
SAY_EVERY_S = 1.0
_SPARE_BYTES = 64 << 20
_PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")


async def fetch_model(home: AgentHome, source: ModelSource, report: Callable[[Setup], None]) -> Path:
    """Return the folder of the model, or its file, downloaded and verified.

    ``report`` is called in the event loop. Cancelled, it leaves what has come for the next attempt.

    Raises:
        ModelError: it can't be had: ``model.gated``, ``model.missing``, ``model.address``, ``model.network``,
            ``model.corrupt``, ``model.unsafe``, ``model.incomplete``.
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
                await asyncio.wait([work])
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


def own_token(source: ModelSource, host: str, token: str) -> str:
    """Return the token if ``host`` is the one that the model is asked of: no other ever gets it."""
    asked = parse_address(source.hub_url if source.kind is ModelKind.HUB else source.address).host
    return token if host == asked else ""


def _place(home: AgentHome, source: ModelSource, way: Way) -> tuple[Path, str]:
    """Return the folder that the model has, or would have, and its commit if it is a hub's."""
    commit = commit_of(source, way) if source.kind is ModelKind.HUB else ""
    words = ["https", source.address, source.sha256]
    if commit:
        words = ["hub", source.hub_url, source.address, commit]
    return home.models / hashlib.sha256("\n".join(words).encode()).hexdigest()[:24], commit


async def _tell(work: asyncio.Task[Path | None], fetch: "_Fetch", report: Callable[[Setup], None]) -> None:
    said = -1
    while not work.done():
        await asyncio.wait([work], timeout=SAY_EVERY_S)
        if fetch.total and fetch.done != said:
            said = fetch.done
            report(Setup(phase="base_model", done=said, total=fetch.total, unit="bytes"))


class _Fetch:
    """One download, in a thread of its own; ``done`` and ``total`` are bytes."""

    def __init__(self, home: AgentHome, source: ModelSource) -> None:
        self._home = home
        self._source = source
        self.cancel = Cancel()
        self.done = 0
        self.total = 0

    def run(self) -> Path | None:
        """Download what is missing and return where it is; None when it was told to end before that."""
        way = Way(token_of=self._token, cancel=self.cancel)
        try:
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

    def _token(self, host: str) -> str:
        return own_token(self._source, host, read_secret(self._home, host))

    def _download(self, folder: Path, files: dict[str, RemoteFile], way: Way) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.total = announced = sum(file.size or 0 for file in files.values())
        self._check_space(folder)
        before = 0
        # Small ones first: what is wrong with them shows before gigabytes were paid for.
        for name, file in sorted(files.items(), key=lambda each: each[1].size or 0):
            target = folder / name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not target.exists():
                download(file, target, way, partial(self._count, before, announced))
            if target.suffix == ".safetensors" or len(files) == 1:
                _check_safetensors(target)
            before += target.stat().st_size
            self._count(before, announced, 0, None)
        write_atomically(folder / MARKER, lambda path: path.touch())
        sync_folder(self._home.models)

    def _count(self, before: int, announced: int, here: int, size: int | None) -> None:
        """Note the bytes that are here; how many it will be, a single file's server says."""
        self.done = before + here
        self.total = max(announced or size or 0, self.done)

    def _check_space(self, folder: Path) -> None:
        here = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        left = self.total - here
        free = shutil.disk_usage(folder).free
        if left + _SPARE_BYTES > free:
            raise StorageError(
                f"the disk of {folder} has {free >> 20} MiB free, the base model needs {(left + _SPARE_BYTES) >> 20}",
                fix="free space there, or use a machine with a larger disk",
            )


def _check_safetensors(path: Path) -> None:
    """Return if the file begins like safetensors: what only has the name would be refused late.

    Raises:
        ModelError: it does not; it is gone then.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(9)
    if len(header) == 9 and int.from_bytes(header[:8], "little") <= size - 8 and header[8:] == b"{":
        return
    path.unlink()
    raise ModelError(
        "what was downloaded is no safetensors file",
        fix="choose the model's safetensors file",
        code="model.unsafe",
    )
