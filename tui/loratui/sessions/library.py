"""The library of all LoRAs made here: read from the store and the disk, verified anew, deleted; threads call this."""

import hashlib
import tomllib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from loratui.domain.download_policy import LocalFile
from loratui.domain.library import LORA_KINDS, FileState, LibraryFile
from loratui.sessions.rented import rental_label
from loratui.settings import Settings
from loratui.store import Download, Store, StoredRun
from loratui.store.picked import picked_records
from loratui.store.ratings import ratings
from loratui.store.rentals import Rentals
from loratui_protocol.errors import StorageError
from loratui_protocol.messages import Artifact, Record, Withdrawn

_BLOCK_BYTES = 4 << 20
_MODEL_KEY = "pretrained_model_name_or_path"


@dataclass
class _Announced:
    """The LoRA files that a run's records name, as far as they were read."""

    epoch: str
    head: int = 0
    files: dict[str, tuple[Artifact, float]] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)

    def take(self, record: Record) -> None:
        match record.event:
            case Artifact(kind=kind) as event if kind in LORA_KINDS:
                self.files[event.id] = event, record.ts
                self.withdrawn.discard(event.id)
            case Withdrawn(id=artifact_id, sha256=sha256):
                known = self.files.get(artifact_id)
                if known is not None and known[0].sha256 == sha256:
                    self.withdrawn.add(artifact_id)


class Library:
    """Reads all runs; of one that it has read before only what is new."""

    def __init__(self, preferences: Settings) -> None:
        self._preferences = preferences
        self._announced: dict[str, _Announced] = {}

    def files(self) -> list[LibraryFile]:
        """Return every LoRA file that is here, was here, or is announced.

        Raises:
            StorageError: the records can't be read.
        """
        database = self._preferences.database
        stars = ratings(database)
        with Rentals(database) as ledger:
            gone = {rental.label for rental in ledger.rentals() if rental.state.is_over}
        found = []
        with Store(database) as store:
            for run in store.runs():
                announced = self._read(run)
                downloads, names = store.downloads(run.id), store.files(run.id)
                base = _base(run.config_toml)
                is_gone = rental_label(run.target) in gone
                for artifact, ts in _with_older(announced, downloads, names, run):
                    known = downloads.get(artifact.id)
                    state, why = self._state(run, artifact, known, names.get(artifact.id), is_gone=is_gone)
                    is_withdrawn = artifact.id in announced.withdrawn
                    if is_withdrawn and state is not FileState.HERE:
                        continue
                    found.append(
                        LibraryFile(
                            run_id=run.id,
                            run_name=run.name,
                            target=run.target,
                            artifact_id=artifact.id,
                            name=known.path.name if known else artifact.name,
                            kind=artifact.kind,
                            size=artifact.size,
                            sha256=artifact.sha256,
                            ts=ts,
                            step=artifact.step,
                            state=state,
                            why=why,
                            base=base,
                            path=known.path if known else None,
                            copy=_copy(known, artifact),
                            can_come=not is_gone and not is_withdrawn,
                            stars=stars.get((run.id, artifact.id, artifact.sha256), 0),
                        )
                    )
        return found

    def _read(self, run: StoredRun) -> _Announced:
        known = self._announced.get(run.id)
        if known is None or known.epoch != run.epoch or known.head > run.head:
            known = self._announced[run.id] = _Announced(run.epoch)
        if known.head < run.head:
            with closing(
                picked_records(
                    self._preferences.database,
                    run.id,
                    after_seq=known.head,
                    before_seq=run.head + 1,
                    only=(Artifact.tag, Withdrawn.tag),
                )
            ) as records:
                for record in records:
                    known.take(record)
            known.head = run.head
        return known

    def _state(
        self, run: StoredRun, artifact: Artifact, known: Download | None, file: LocalFile | None, *, is_gone: bool
    ) -> tuple[FileState, str]:
        away = FileState.GONE if is_gone else FileState.AWAY
        if known is not None and known.sha256 == artifact.sha256:
            size = _size(known.path)
            if size == artifact.size:
                return FileState.HERE, ""
            if size is not None:
                return FileState.CHANGED, f"{size} bytes instead of {artifact.size}"
            return FileState.MISSING, "its machine is gone, too" if is_gone else "its machine may still have it"
        if file is not None and file.is_for(artifact):
            part = _size(self._preferences.run_folder(run.id) / f"{file.name}.part")
            if part and not is_gone:
                return FileState.PARTLY, f"{100 * part // max(1, artifact.size)} %"
        return away, "an older version is here" if known is not None and _size(known.path) is not None else ""


def _with_older(
    announced: _Announced, downloads: dict[str, Download], names: dict[str, LocalFile], run: StoredRun
) -> list[tuple[Artifact, float]]:
    """Return what is announced, and before it what was fetched of a history that is not stored any more."""
    older = []
    for artifact_id in downloads.keys() & names.keys() - announced.files.keys():
        file = names[artifact_id]
        if file.kind is not None and file.kind in LORA_KINDS and file.sha256 == downloads[artifact_id].sha256:
            artifact = Artifact(id=artifact_id, kind=file.kind, name=file.name, size=file.size, sha256=file.sha256)
            older.append((artifact, run.created_ts))
    return [*older, *announced.files.values()]


def verify(file: LibraryFile, progress: Callable[[int], None], is_wanted: Callable[[], bool]) -> str:
    """Read the whole file and return what is wrong with it: nothing where it is what its machine announced.

    ``progress`` gets the bytes read so far. Empty, too, once nobody wants to know any more.
    """
    if file.path is None:
        return "it is not here"
    digest, num_read = hashlib.sha256(), 0
    try:
        with file.path.open("rb") as reader:
            while block := reader.read(_BLOCK_BYTES):
                if not is_wanted():
                    return ""
                digest.update(block)
                num_read += len(block)
                progress(num_read)
    except OSError as error:
        return f"it can't be read: {error.strerror}"
    found = digest.hexdigest()
    return "" if found == file.sha256 else f"its sha256 is {found[:12]}…, announced was {file.sha256[:12]}…"


def delete_local(preferences: Settings, file: LibraryFile) -> None:
    """Delete the file, not its copy in the folder of the config, and forget that it was here.

    Raises:
        StorageError: it can't be deleted, or the records can't be written.
    """
    if file.path is None:
        return
    try:
        file.path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"{file.path} could not be deleted: {error.strerror}", fix="look who owns it", code="library.delete"
        ) from error
    with Store(preferences.database) as store:
        store.forget_download(file.run_id, file.artifact_id)


def _size(path: Path) -> int | None:
    """Return the size of a file; None: there is none, or nobody can tell."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _copy(known: Download | None, artifact: Artifact) -> Path | None:
    if known is None or known.exported is None or known.sha256 != artifact.sha256:
        return None
    return known.exported if _size(known.exported) == artifact.size else None


def _base(config_toml: str) -> str:
    """Return the last part of the name of the model that a config names."""
    try:
        named = tomllib.loads(config_toml).get(_MODEL_KEY, "")
    except (tomllib.TOMLDecodeError, RecursionError):
        return ""
    return named.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1] if isinstance(named, str) else ""
