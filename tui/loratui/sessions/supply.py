"""What a run on another machine is sent: its dataset, a local base model, lock files; planned first, then brought.

Smaller copies of pictures go under their originals' names, with a file that says what they are copies of.
A plan can be written down, so that a client that was killed goes on uploading at its next attach.
"""

import dataclasses
import hashlib
import json
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from loratui.domain.transfer_cost import TransferLimits, Worth, transfer_cost
from loratui.remote.box import Box
from loratui.remote.upload import LocalBlob, Uploaded, upload
from loratui.sessions.copy_cache import Copy
from loratui.sessions.supply_files import (
    START,
    Found,
    dataset_files,
    inputs_of,
    judging_on_the_box,
    places_of,
    start_files,
)
from loratui_protocol import originals
from loratui_protocol.codec import strict_converter
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_write import to_toml
from loratui_protocol.errors import DatasetError, HostError, ProtocolError, StorageError
from loratui_protocol.inputs import (
    EnvironmentKind,
    EnvironmentSpec,
    InputFile,
    JobInputs,
    Manifest,
    ModelKind,
    ModelPurpose,
    ModelSource,
    make_manifest,
    parse_manifest,
)
from loratui_protocol.originals import Original
from loratui_protocol.state_files import SavedState
from loratui_protocol.subsets import moved

SLOW_CODE = "upload.slow"
"""Under which a slow upload is refused, and accepted by name."""
_HASHERS = 4
_JUDGED_FROM_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """All that a box needs of this machine. The order of ``blobs`` is that of the upload: what is waited for first."""

    config_toml: str
    """The config as the box reads it: paths are relative to the job's folder."""
    inputs: JobInputs
    manifest: Manifest
    blobs: Mapping[str, LocalBlob] = field(repr=False)
    originals: Mapping[str, Original] = field(default_factory=dict, repr=False)
    """The originals of what travels as a copy, by name."""

    @property
    def size(self) -> int:
        """Return the bytes that travel at most."""
        return sum(blob.size for blob in self.blobs.values())

    def to_json(self) -> str:
        """Return the supply as text; ``from_json`` reads it."""
        files = {
            sha256: [str(blob.path), blob.size, blob.mtime_ns]
            for sha256, blob in self.blobs.items()
            if blob.path is not None
        }
        document = {
            "config_toml": self.config_toml,
            "inputs": dataclasses.asdict(self.inputs),
            "manifest": self.manifest.to_bytes().decode("ascii"),
            "files": files,
            "originals": originals.to_bytes(self.originals).decode("ascii"),
        }
        return json.dumps(document)

    @classmethod
    def from_json(cls, text: str) -> "Supply":
        """Return the supply in ``text``.

        Raises:
            StorageError: it is none.
        """
        try:
            document = json.loads(text)
            manifest = parse_manifest(document["manifest"].encode("ascii"))
            inputs = _converter.structure(document["inputs"], JobInputs)
            files = {
                sha256: LocalBlob(path=Path(path), size=size, mtime_ns=mtime_ns)
                for sha256, (path, size, mtime_ns) in document["files"].items()
            }
            config_toml = str(document["config_toml"])
            # Of runs that an earlier version started there were none.
            copied = originals.parse(document.get("originals", "{}").encode("ascii"))
        except (ValueError, TypeError, KeyError, AttributeError, ProtocolError) as error:
            raise StorageError(
                "what this run was to be sent is written down damaged; what the machine has already stays there",
                fix="start the run anew",
                code="supply.damaged",
            ) from error
        return cls(
            config_toml=config_toml,
            inputs=inputs,
            manifest=manifest,
            blobs={**_blob_of(manifest.to_bytes()), **_originals_blob(copied), **files},
            originals=copied,
        )


_converter = strict_converter()
for _kind in (ModelKind, ModelPurpose, EnvironmentKind):
    _converter.register_structure_hook(_kind, lambda value, cls: cls(value))


def plan_supply(
    config: TrainingConfig,
    *,
    environment: EnvironmentSpec,
    model: ModelSource | None = None,
    features: Sequence[ModelSource] = (),
    extra_blobs: Sequence[Path] = (),
    state: SavedState | None = None,
    copies: Mapping[Path, Copy] = MappingProxyType({}),
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Supply:
    """Find and hash everything that a run with this config needs of this machine. Takes a thread's time.

    ``model`` None: the config's base model is a folder here, or built in, and travels. ``features`` are models to
    measure with that the box downloads. ``extra_blobs`` are files that
    ``environment`` names by their hash (lock files, uv). ``progress`` is told bytes hashed and bytes in all.
    ``state`` is what the run goes on from, ``copies`` what travels instead of pictures and masks.

    Raises:
        DatasetError, ModelError: a folder is missing, or has not what a training needs.
        ProtocolError: a file has a name that can't travel.
    """
    found, model = inputs_of(config, model)
    copied = {each.name: copies[each.path].original for each in found if each.path in copies}
    found = [Found(each.name, copies[each.path].path) if each.path in copies else each for each in found]
    if state is not None:
        found += [Found(f"{state_below(state)}/{path.name}", path) for path in state.paths]
    places = places_of(config)
    on_the_box = dataclasses.replace(
        moved(config, lambda kind, folder: f"inputs/{place}" if (place := places.get((kind, folder))) else ""),
        pretrained_model_name_or_path=f"inputs/{model.place}",
        network_weights=f"inputs/{START}" if start_files(config) else None,
        output_dir=None,
        **judging_on_the_box(config, features),
    )
    paths = list(dict.fromkeys([*extra_blobs, *(each.path for each in found)]))
    hashed = dict(zip(paths, _hash(paths, progress), strict=True))
    files = [InputFile(name=each.name, size=hashed[each.path][1].size, sha256=hashed[each.path][0]) for each in found]
    of_originals = _originals_blob(copied)
    files += [InputFile(name=originals.FILE, size=blob.size, sha256=sha256) for sha256, blob in of_originals.items()]
    manifest = make_manifest(files)
    blobs = {**_blob_of(manifest.to_bytes()), **of_originals}
    blobs |= dict(hashed[path] for path in extra_blobs)
    # Small ones first: should the link be cut, more of them are whole.
    blobs |= dict(sorted((hashed[each.path] for each in found), key=lambda each: each[1].size))
    inputs = JobInputs(manifest_sha256=manifest.sha256(), model=model, environment=environment, features=[*features])
    return Supply(config_toml=to_toml(on_the_box), inputs=inputs, manifest=manifest, blobs=blobs, originals=copied)


def state_below(state: SavedState) -> str:
    """Return the folder of the saved state that a run goes on from, below ``inputs/``."""
    return f"state/{state.folder.name}"


def changed_pictures(config: TrainingConfig, sent: Supply) -> list[str]:
    """Return the names of pictures, captions, masks and of a LoRA to go on from that are not what was sent, or copied.

    Takes a thread's time.

    Raises:
        DatasetError: a folder is missing, or a file can't be read.
    """
    found = [*dataset_files(config), *start_files(config)]
    now = {each.name: _hash_one(each.path)[0] for each in found}
    then = {
        file.name: (sent.originals.get(file.name) or file).sha256
        for file in sent.manifest.files
        if file.name.startswith(("train/", "reg/", "mask/", "start/"))
    }
    return sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))


def supply_size(
    config: TrainingConfig, model: ModelSource | None, copies: Mapping[Path, Copy] = MappingProxyType({})
) -> int:
    """Return the bytes of what a run with this config needs of this machine, lock files aside; nothing is read.

    ``model`` and ``copies`` as in ``plan_supply``, whose errors this raises.
    """
    found, _ = inputs_of(config, model)
    paths = dict.fromkeys(copies[each.path].path if each.path in copies else each.path for each in found)
    return sum(_stat(path)[0] for path in paths)


async def bring(
    box: Box,
    argv: Sequence[str],
    supply: Supply,
    *,
    view: Callable[[Uploaded], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    price_microusd_per_h: int = 0,
    limits: TransferLimits | None = None,
    accepted: frozenset[str] = frozenset(),
) -> None:
    """Have everything on the box. ``argv`` runs its ``loratui-agent receive``, without the nonce.

    ``view`` is told how far it is, about twice a second; ``warn``, at most once, that it takes long or costs much.

    Raises:
        HostError: the link is lost for good, or so slow that the upload costs more than it should (``upload.slow``,
            unless that is ``accepted``); what has arrived is kept.
        DatasetError, StorageError, ProtocolError: as in ``upload``.
    """
    judged = Worth.FINE

    def watch(uploaded: Uploaded) -> None:
        nonlocal judged
        view(uploaded)
        if uploaded.bytes_per_s is None or uploaded.left < _JUDGED_FROM_BYTES or SLOW_CODE in accepted:
            return
        cost = transfer_cost(uploaded.left, uploaded.bytes_per_s, price_microusd_per_h, limits)
        if cost.worth is Worth.REFUSE:
            raise HostError(
                f"the upload is slower than it should be: {cost.sentence}. {uploaded.done} bytes are there and stay",
                fix=f"use a faster line or another machine, or accept it: --accept {SLOW_CODE}",
                code=SLOW_CODE,
            )
        if cost.worth is Worth.WARN and judged is Worth.FINE:
            judged = cost.worth
            warn(cost.sentence)

    await upload(box, argv, supply.blobs, watch)


def _blob_of(content: bytes) -> dict[str, LocalBlob]:
    return {hashlib.sha256(content).hexdigest(): LocalBlob(size=len(content), content=content)}


def _originals_blob(copied: Mapping[str, Original]) -> dict[str, LocalBlob]:
    return _blob_of(originals.to_bytes(copied)) if copied else {}


def _hash(paths: Sequence[Path], progress: Callable[[int, int], None]) -> Iterator[tuple[str, LocalBlob]]:
    """Yield each file's hash and what it is, in order; several are read at a time."""
    total = sum(_stat(path)[0] for path in paths)
    done = 0
    with ThreadPoolExecutor(_HASHERS) as pool:
        for sha256, blob in pool.map(_hash_one, paths):
            done += blob.size
            progress(done, total)
            yield sha256, blob


def _hash_one(path: Path) -> tuple[str, LocalBlob]:
    size, mtime_ns = _stat(path)
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    if _stat(path) != (size, mtime_ns):
        raise _unreadable(path, "it changes while it is read")
    return sha256, LocalBlob(size=size, path=path.absolute(), mtime_ns=mtime_ns)


def _stat(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    if not stat.S_ISREG(facts.st_mode):
        raise _unreadable(path, "it is no plain file")
    return facts.st_size, facts.st_mtime_ns


def _unreadable(path: Path, why: str) -> DatasetError:
    return DatasetError(f"{path} can't be sent: {why}", fix="correct that and start again", code="inputs.unreadable")
