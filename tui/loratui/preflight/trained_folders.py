"""The folders that a config trains on, and of each picture the caption as it is told to the model."""

import codecs
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from loratui_protocol.caption_files import MAX_CAPTION_BYTES, caption_file
from loratui_protocol.captions import Captions
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Dataset, Picture
from loratui_protocol.dataset_folders import repeats_of
from loratui_protocol.encodings import is_utf8
from loratui_protocol.subsets import TrainedSubset, subsets_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is told of a picture."""

    picture: Picture
    file: Path | None
    """Where its caption is from; None: from the folder's words."""
    text: str
    """With prefix and suffix, nothing shuffled or dropped."""
    is_readable: bool = True
    """Whether the file is text; if not, an error says so already."""
    has_bom: bool = False

    @property
    def name(self) -> str:
        """Return what the caption's file is called in its subset's folder; without one the picture."""
        return PurePosixPath(self.picture.name).with_name((self.file or self.picture.path).name).as_posix()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedFolder:
    """Pictures of one folder under the settings of one subset."""

    path: Path
    subset: TrainedSubset
    words: str
    """What pictures without a caption file are told to be."""
    told: tuple[Told, ...]

    def names(self, files: Iterable[Path]) -> list[str]:
        """Return what files in the folder are called in its subset's."""
        inside = PurePosixPath(self.told[0].picture.name).parent
        return [(inside / file.name).as_posix() for file in files]

    @property
    def is_reg(self) -> bool:
        """Return whether they are regularisation pictures."""
        return self.subset.is_reg


def trained_folders(dataset: Dataset, config: TrainingConfig) -> list[TrainedFolder]:
    """Return the folders in the order of their pictures."""
    subsets = subsets_of(config)
    members: dict[tuple[int, Path], list[Picture]] = {}
    for picture in dataset.pictures:
        members.setdefault((picture.subset, picture.path.parent), []).append(picture)
    return [_folder(path, subsets[index], pictures) for (index, path), pictures in members.items()]


def told_once(folders: Iterable[TrainedFolder], *, is_reg: bool = False) -> list[Told]:
    """Return what is told of every picture that has a caption; a file in two datasets counts once."""
    told = [each for folder in folders if folder.is_reg is is_reg for each in folder.told if each.is_readable]
    return list({(each.picture.path, each.text): each for each in told}.values())


def _folder(path: Path, subset: TrainedSubset, pictures: Iterable[Picture]) -> TrainedFolder:
    named = repeats_of(path.name) if subset.num_repeats is None else (0, subset.class_tokens)
    captions = Captions(subset.config)
    told = [
        Told(picture=picture, file=file, text=captions.whole(picture.caption), **_marks(file))
        for picture in pictures
        for file in (caption_file(picture.path, subset.config.caption_extension),)
    ]
    return TrainedFolder(path=path, subset=subset, words=named[1] if named else "", told=tuple(told))


def _marks(file: Path | None) -> dict[str, bool]:
    """Return what its bytes say of a file."""
    if file is None:
        return {}
    try:
        content = file.read_bytes() if file.stat().st_size <= MAX_CAPTION_BYTES else None
        if content is None:
            return {"is_readable": False}
        return {"is_readable": is_utf8(content), "has_bom": content.startswith(codecs.BOM_UTF8)}
    except OSError:
        return {"is_readable": False}
