"""Where a captioner's model comes from: a folder of this machine, or a hub, whose files are kept here, checked.

Of the models in ``PINNED`` the checksums are known. Of any other the first download is trusted: its revision and
checksums are written down beside it, and a later download must be the same.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from loratui.captioning.captioner import Kind
from loratui.captioning.download import Hub, fetch_file, write_whole
from loratui.captioning.wd14 import MODEL_FILE, TAGS_FILE
from loratui_protocol.errors import ModelError
from loratui_protocol.harmless import clean

_RECORD = "model.json"
_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@([\w][\w./-]{0,99}))?")
_NEEDED = {True: (MODEL_FILE, TAGS_FILE), False: ("config.json", "model.safetensors")}
"""By whether the model writes tags."""
_HELPFUL = {
    True: (),
    False: (
        "added_tokens.json",
        "generation_config.json",
        "merges.txt",
        # Either of them says how pictures are prepared.
        "preprocessor_config.json",
        "processor_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
        "vocab.txt",
    ),
}

Progress = Callable[[str, int, int], None]
"""Told a file's name, the bytes of it that are here, and its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A file of a model; no ``sha256``: nobody knew it before the first download."""

    name: str
    size: int
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """A model as it is at one commit of a hub; ``is_pinned``: its checksums were known before the first download."""

    hub_id: str
    commit: str
    files: tuple[ModelFile, ...]
    is_pinned: bool = False

    @property
    def size(self) -> int:
        """Return the bytes of all its files."""
        return sum(file.size for file in self.files)


def _wd(name: str, commit: str, size: int, sha256: str) -> tuple[str, HubModel]:
    # All of v3 have the same list of tags.
    tags = ModelFile(
        name=TAGS_FILE, size=308_468, sha256="298633d94d0031d2081c0893f29c82eab7f0df00b08483ba8f29d1e979441217"
    )
    model, hub_id = ModelFile(name=MODEL_FILE, size=size, sha256=sha256), f"SmilingWolf/{name}"
    return hub_id, HubModel(hub_id=hub_id, commit=commit, files=(model, tags), is_pinned=True)


# The hub's own checksums, at these commits. More than one program on GitHub pins the very same: docs/decisions.md.
PINNED = dict(
    (
        _wd(
            "wd-swinv2-tagger-v3",
            "627aef95638667ddcaa3ac8ae625e88ea5b02f51",
            467_460_978,
            "e6774bff34d43bd49f75a47db4ef217dce701c9847b546523eb85ff6dbba1db1",
        ),
        _wd(
            "wd-vit-tagger-v3",
            "7f6b584d0bd3f55c4531f14ba3d4761b2bccdc0f",
            378_536_310,
            "35f23693620b668f4d53fd3c62bf65e40af739bc52c7eb0fbc49258b58d065b6",
        ),
        _wd(
            "wd-eva02-large-tagger-v3",
            "b25b82a03f7282e41aa2f257a52c7583b710bd1c",
            1_260_435_999,
            "9e768793060c7939b277ccb382783e8670e8a042d29d77aa736be0c8cc898bfc",
        ),
    )
)


def local_model(named: str) -> Path | None:
    """Return the folder or file that was named, None if it is the id of a model on a hub.

    Raises:
        ModelError: it is neither.
    """
    path = Path(named).expanduser()
    if path.exists():
        return path
    if _HUB_ID.fullmatch(named):
        return None
    raise ModelError(
        f"there is no model {named!r}",
        fix="give a folder or a file of this machine, or a hub id (org/name, or org/name@revision)",
        code="model.missing",
    )


def folder_of(named: str, cache: Path) -> Path:
    """Return where a hub's model is kept."""
    return cache / "captioners" / named.replace("/", "--")


def recorded(named: str, folder: Path) -> HubModel | None:
    """Return what is known of a hub's model without asking the hub: it is pinned, or was here before."""
    if named in PINNED:
        return PINNED[named]
    try:
        fields = json.loads((folder / _RECORD).read_text("utf-8"))
        files = tuple(ModelFile(name=name, size=size, sha256=sha256) for name, size, sha256 in fields["files"])
        return HubModel(hub_id=fields["hub_id"], commit=fields["commit"], files=files)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"{folder / _RECORD} can't be read ({clean(str(error), 100)}): it says which files a model must have",
            fix=f"remove {folder} to download the model anew",
            code="model.record",
        ) from error


def on_hub(named: str, kind: Kind, hub: Hub) -> HubModel:
    """Return what a hub says that a model is now.

    Raises:
        ModelError: the hub does not answer, or the model lacks a file of this kind.
    """
    found = _HUB_ID.fullmatch(named)
    assert found is not None, named  # noqa: S101  local_model let it through
    hub_id, revision = found[1], found[2] or "main"
    commit, listed = hub.files(hub_id, quote(revision, safe=""))
    lacking = [name for name in _NEEDED[kind.writes_tags] if name not in listed]
    if lacking:
        raise ModelError(
            f"{hub_id} has no {' and no '.join(lacking)}, which a {kind.name} model needs",
            fix=f"choose another with --model; {kind.hub_id} is one",
            code="model.captioner",
        )
    names = (*_NEEDED[kind.writes_tags], *(name for name in _HELPFUL[kind.writes_tags] if name in listed))
    files = (ModelFile(name=name, size=listed[name][0], sha256=listed[name][1]) for name in names)
    return HubModel(hub_id=hub_id, commit=commit, files=tuple(files))


def missing(model: HubModel, folder: Path) -> list[ModelFile]:
    """Return the files that are not here; what is here was checked when it came."""
    return [file for file in model.files if not _is_here(folder / file.name, file.size)]


def fetch(model: HubModel, folder: Path, hub: Hub, progress: Progress = lambda *_: None) -> HubModel:
    """Download what is missing into the folder, and return the model with all its checksums.

    Raises:
        ModelError: the hub does not answer, or what it sends is not what it should be.
        StorageError: the disk is full.
    """
    sums = {}
    for file in missing(model, folder):
        url = hub.file_url(model.hub_id, model.commit, file.name)

        def told(here: int, file: ModelFile = file) -> None:
            progress(file.name, here, file.size)

        sums[file.name] = fetch_file(url, folder / file.name, file.size, file.sha256, told)
    model = replace(model, files=tuple(_with_sum(model.files, sums)))
    if not model.is_pinned:
        rows = [[file.name, file.size, file.sha256] for file in model.files]
        record = {"hub_id": model.hub_id, "commit": model.commit, "files": rows}
        write_whole(folder / _RECORD, json.dumps(record, indent=1).encode())
    return model


def _with_sum(files: Iterable[ModelFile], sums: dict[str, str]) -> Iterable[ModelFile]:
    return (replace(file, sha256=sums.get(file.name, file.sha256)) for file in files)


def _is_here(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
