"""Which files of this machine a run on another one needs, and under which names it finds them below ``inputs/``."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.sessions.built_in import built_in_model
from loratui.sessions.judging import features_of, files_of
from loratui_protocol.architecture import architecture_of_folder
from loratui_protocol.base_model import BUILTIN_PREFIX, files_of_model, parts_of
from loratui_protocol.caption_files import CAPTION_EXTENSIONS
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Picture, scan_config
from loratui_protocol.errors import ProtocolError
from loratui_protocol.feature_models import KEYS, files_of_feature_model
from loratui_protocol.inputs import ModelKind, ModelPurpose, ModelSource, check_name
from loratui_protocol.judging.planning import told_apart
from loratui_protocol.single_file import local_model
from loratui_protocol.subsets import Kind, subsets_of

START = "start/lora.safetensors"
"""The LoRA file that a run starts from: nothing shows its name."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file of this machine and its name below ``inputs/``."""

    name: str
    path: Path


def inputs_of(config: TrainingConfig, model: ModelSource | None) -> tuple[list[Found], ModelSource]:
    """Return the files that a box needs, and where it has the base model from."""
    found = [*dataset_files(config), *start_files(config), *_judged(config)]
    if model is None:
        name, path = _local_model(config.pretrained_model_name_or_path)
        model = ModelSource(kind=ModelKind.FILES, name=name)
        found += [Found(f"model/{name}", path)] if path.is_file() else _model_files(path, name)
    return found, model


def start_files(config: TrainingConfig) -> list[Found]:
    """Return the LoRA file that a training goes on from, if it does; a run that trains nothing needs none."""
    if config.network_weights is None or config.evaluate_loras:
        return []
    return [Found(START, Path(config.network_weights))]


def _judged(config: TrainingConfig) -> Iterator[Found]:
    """Yield the LoRA files that are judged, and the folders of models that they are measured with."""
    for name, path in zip(_judged_names(config), files_of(config), strict=True):
        yield Found(name, path)
    for purpose, name in features_of(config).items():
        folder = Path(name)
        names = [path.name for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
        for file in files_of_feature_model(name, names, purpose) if names else ():
            yield Found(f"{_feature_place(purpose, folder)}/{file}", folder / file)


def judging_on_the_box(config: TrainingConfig, downloaded: Sequence[ModelSource] = ()) -> dict[str, Any]:
    """Return where the box finds what a judgement needs, some of it ``downloaded`` there."""
    names = [f"inputs/{name}" for name in _judged_names(config)]
    also = names.pop() if config.evaluate_together else None
    places = {purpose: _feature_place(purpose, Path(name)) for purpose, name in features_of(config).items()}
    places |= {source.purpose: source.place for source in downloaded}
    # What is not judged is not measured either: nothing there has to have a path of this machine.
    features = {key: f"inputs/{places[purpose]}" if purpose in places else None for purpose, key in KEYS.items()}
    return {"evaluate_loras": tuple(names), "evaluate_together": also, **features}


def _feature_place(purpose: ModelPurpose, folder: Path) -> str:
    # Its name is that of the model, and the judgement says it.
    return ModelSource(kind=ModelKind.FILES, name=_folder_name(str(folder)), purpose=purpose).place


def _judged_names(config: TrainingConfig) -> list[str]:
    # Two may have the same name. The box calls them as they are called here: by the folders that tell them apart.
    apart = told_apart(config.evaluate_loras)
    return [
        _judged_name(number, path, apart[number] if number < len(apart) else path.name)
        for number, path in enumerate(files_of(config))
    ]


def _judged_name(number: int, path: Path, called: str) -> str:
    # Where that is too deep, or a folder or the name itself can't travel, the number tells it apart all the same.
    for name in (called, path.name):
        with contextlib.suppress(ProtocolError):
            check_name(f"loras/{number}/{name}")
            return f"loras/{number}/{name}"
    return f"loras/{number}/file{path.suffix}"


def dataset_files(config: TrainingConfig) -> Iterator[Found]:
    """Yield pictures, captions and masks once each, under the names that they have below their folder."""
    subsets, places = subsets_of(config), places_of(config)
    found: dict[str, Path] = {}
    for picture in scan_config(config).pictures:
        subset = subsets[picture.subset]
        among = places["reg" if picture.is_reg else "train", subset.image_dir]
        found[f"{among}/{picture.name}"] = picture.path
        own = subset.config.caption_extension
        extensions = dict.fromkeys((*([own] if own else []), *CAPTION_EXTENSIONS))
        found |= {f"{among}/{name}": path for name, path in _captions(picture, extensions).items()}
        if picture.mask is not None:
            folder = subset.config.conditioning_data_dir or ""
            found[f"{places['mask', folder]}/{picture.mask.relative_to(folder).as_posix()}"] = picture.mask
    yield from (Found(name, path) for name, path in found.items())


def places_of(config: TrainingConfig) -> dict[tuple[Kind, str], str]:
    """Return where each folder of pictures or masks goes below ``inputs/``; of several, each has a number.

    A folder of pictures keeps its name: it is written into the LoRA file.
    """
    subsets = subsets_of(config)
    folders: dict[tuple[Kind, str], None] = {}
    for subset in subsets:
        folders["reg" if subset.is_reg else "train", subset.image_dir] = None
        if subset.config.masked_loss and (masks := subset.config.conditioning_data_dir):
            folders["mask", masks] = None
    if not config.datasets:
        return {(kind, path): kind if kind == "mask" else f"{kind}/{_folder_name(path)}" for kind, path in folders}
    return {
        (kind, path): f"{kind}/{number}" + ("" if kind == "mask" else f"/{_folder_name(path)}")
        for number, (kind, path) in enumerate(folders, 1)
    }


def _captions(picture: Picture, extensions: Mapping[str, None]) -> dict[str, Path]:
    """Return the caption files beside a picture, by name; pictures that differ in their kind alone share one."""
    found = {}
    for extension in extensions:
        path = picture.path.with_suffix(extension)
        if path.is_file():
            found[(Path(picture.name).with_suffix(extension)).as_posix()] = path
    return found


def _folder_name(folder: str) -> str:
    # The root of a disk has no name.
    return Path(folder).name or "dataset"


def _local_model(name_or_path: str) -> tuple[str, Path]:
    """Return the name and the folder, or the single file, of a base model that is on this machine.

    Raises:
        ModelError: it is not.
    """
    if not name_or_path.startswith(BUILTIN_PREFIX):
        # Under the name that it has here, a link's own: it is written into the LoRA file.
        return _folder_name(name_or_path), local_model(name_or_path)
    return name_or_path, built_in_model(name_or_path)


def _model_files(folder: Path, name: str) -> list[Found]:
    """Return the files that a training reads of a model's folder.

    Raises:
        ModelError: it lacks a part, or is of a kind that can't be trained.
    """
    names = [path.relative_to(folder).as_posix() for path in (*folder.glob("*"), *folder.glob("*/*")) if path.is_file()]
    files = files_of_model(names)
    architecture_of_folder(parts_of(files), str(folder))
    return [Found(f"model/{name}/{each}", folder / taken) for each, taken in sorted(files.items())]
