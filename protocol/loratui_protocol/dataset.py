"""Finds the pictures of a config, their sizes and captions, and says what is wrong with them.

Three layouts are understood: kohya's parent of ``N_concept`` folders, one such folder, and a flat folder. The
``image_dir`` of a subset is always a flat one, whatever its name.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from loratui_protocol.caption_files import CaptionReader
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset_folders import folders, leaf, masks_in, pictures_in
from loratui_protocol.errors import DatasetError
from loratui_protocol.findings import Finding
from loratui_protocol.originals import Original
from loratui_protocol.picture_sizes import Unusable, picture_sizes, refuse, size_findings
from loratui_protocol.subsets import TrainedSubset, subsets_of

_ALL_AS_THEY_ARE: Mapping[Path, Original] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture and its caption. ``width`` and ``height`` are pixels as seen, after EXIF rotation."""

    path: Path
    name: str
    """Path relative to its subset's folder, with forward slashes."""
    width: int
    height: int
    caption: str
    num_repeats: int = 1
    is_reg: bool = False
    mask: Path | None = None
    """What of it is learned, as a picture of the same proportions; None: all."""
    dataset: int = 0
    """Index of its dataset: a file in two of them is two pictures, each with a size of its own."""
    subset: int = 0
    """Index of its subset among all."""
    original: Original | None = None
    """What the file is a copy of: it holds just what is trained. The size above is the original's."""
    mask_original: Original | None = None

    def sha256(self) -> str:
        """Return the hash of the file, read now; of a copy its original's."""
        return self.original.sha256 if self.original else _sha256(self.path)

    def mask_sha256(self) -> str:
        """Return the hash of the mask in the same way, empty where there is none."""
        if self.mask is None:
            return ""
        return self.mask_original.sha256 if self.mask_original else _sha256(self.mask)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Pictures subset by subset, in the order of their names, and what there is to say about them."""

    pictures: tuple[Picture, ...]
    findings: tuple[Finding, ...] = ()
    unusable: tuple[Unusable, ...] = ()
    """Pictures and masks that can't be trained on and are left out, where that is no refusal."""


def scan_config(
    config: TrainingConfig,
    *,
    verify: bool = False,
    tell_all: bool = False,
    originals: Mapping[Path, Original] = _ALL_AS_THEY_ARE,
) -> Dataset:
    """Return the pictures of all folders that the config names; options and errors as in ``scan``."""
    subsets = subsets_of(config)
    pictures: list[Picture] = []
    findings: list[Finding] = []
    unusable: list[Unusable] = []
    verified: set[str] = set()
    for index, subset in enumerate(subsets):
        shared = subset.image_dir in verified
        scanned = _scan_subset(subset, verify=verify and not shared, tell_all=tell_all, originals=originals)
        verified.add(subset.image_dir)
        pictures += [replace(picture, dataset=subset.dataset, subset=index) for picture in scanned.pictures]
        findings += scanned.findings
        unusable += scanned.unusable
    masked, without = _masked(pictures, subsets, verify=verify, tell_all=tell_all, originals=originals)
    # A folder that two datasets share is spoken of once.
    return Dataset(
        pictures=tuple(masked),
        findings=tuple(dict.fromkeys(findings)),
        unusable=tuple(dict.fromkeys([*unusable, *without])),
    )


def _scan_subset(subset: TrainedSubset, *, verify: bool, tell_all: bool, originals: Mapping[Path, Original]) -> Dataset:
    config = subset.config
    return scan(
        Path(subset.image_dir),
        caption_extension=config.caption_extension,
        enable_wildcard=config.enable_wildcard,
        resolution=None if config.enable_bucket and config.bucket_no_upscale else config.resolution,
        is_reg=subset.is_reg,
        verify=verify,
        tell_all=tell_all,
        num_repeats=subset.num_repeats,
        class_tokens=subset.class_tokens,
        originals=originals,
        key="reg_data_dir" if subset.is_reg else "train_data_dir",
    )


def scan(
    train_data_dir: Path,
    *,
    caption_extension: str | None = None,
    enable_wildcard: bool = False,
    resolution: tuple[int, int] | None = None,
    is_reg: bool = False,
    verify: bool = False,
    tell_all: bool = False,
    num_repeats: int | None = None,
    class_tokens: str = "",
    originals: Mapping[Path, Original] = _ALL_AS_THEY_ARE,
    key: str | None = None,
) -> Dataset:
    """Return the pictures under a folder. ``key`` is the config's for it; None: a person has named it.

    ``num_repeats`` None means that names of folders say how often their pictures are shown, and what they show.
    ``caption_extension`` None means ``.txt``, then ``.caption``. With a ``resolution``, pictures that would be enlarged
    much are reported. ``verify`` decodes every picture, which takes about 10 ms each. ``tell_all`` looks on
    where training refuses: captions that can't be read are findings of severity error, and empty; pictures that can't
    be trained on are ``unusable``. Files that are copies count with the sizes of their ``originals``.

    Raises:
        DatasetError: the folder is missing or has no pictures, or a picture or caption can't be read.
    """
    captions = CaptionReader(caption_extension, enable_wildcard=enable_wildcard, tell_all=tell_all)
    try:
        if num_repeats is None:
            found, findings = folders(train_data_dir, key)
        else:
            found, findings = [(train_data_dir, num_repeats, class_tokens)], leaf(train_data_dir)
        files = [
            (path, repeats, captions.read(path, tokens))
            for folder, repeats, tokens in found
            for path in pictures_in(folder)
        ]
    except OSError as error:
        raise DatasetError(
            f"the dataset folder {train_data_dir} can't be read: {error}",
            fix="check the path and its permissions",
            code="dataset.unreadable",
        ) from error
    sizes, unusable = _usable([path for path, _, _ in files], verify=verify, tell_all=tell_all)
    sizes |= {path: (each.width, each.height) for path in sizes if (each := originals.get(path))}
    pictures = tuple(
        Picture(
            path=path,
            name=path.relative_to(train_data_dir).as_posix(),
            width=sizes[path][0],
            height=sizes[path][1],
            caption=caption,
            num_repeats=repeats,
            is_reg=is_reg,
            original=originals.get(path),
        )
        for path, repeats, caption in files
        if path in sizes
    )
    findings += captions.findings(train_data_dir)
    names = [path.relative_to(train_data_dir).as_posix() for path in sizes]
    findings += size_findings(list(sizes), names, list(sizes.values()), resolution)
    return Dataset(pictures=pictures, findings=tuple(findings), unusable=tuple(unusable))


def _usable(
    paths: Iterable[Path], *, verify: bool, tell_all: bool
) -> tuple[dict[Path, tuple[int, int]], list[Unusable]]:
    """Return the sizes of the pictures that can be trained on, and the others; errors as in ``scan``."""
    sizes, unusable = picture_sizes(paths, verify=verify)
    if not tell_all:
        refuse(unusable)
    return sizes, unusable


def _masked(
    pictures: Iterable[Picture],
    subsets: Sequence[TrainedSubset],
    *,
    verify: bool,
    tell_all: bool,
    originals: Mapping[Path, Original],
) -> tuple[list[Picture], list[Unusable]]:
    """Return the pictures with their masks, where their subset has a folder of them, and masks that are no use.

    A mask has its picture's name without the suffix, in the same folder or loose.

    Raises:
        DatasetError: a training picture has none, or one can't be read.
    """
    named = [subset.config.conditioning_data_dir if subset.is_masked else None for subset in subsets]
    found = {folder: _masks_by_name(Path(folder)) for folder in named if folder}
    masked, lacking = [], []
    for picture in pictures:
        folder = named[picture.subset]
        if folder is not None:
            name = Path(picture.name).with_suffix("")
            mask = found[folder].get(name.as_posix(), found[folder].get(name.name))
            masked.append(replace(picture, mask=mask, mask_original=originals.get(mask) if mask else None))
            if mask is None:
                lacking.append((picture.name, folder))
        else:
            masked.append(picture)
    if lacking:
        raise DatasetError(
            f"{len(lacking)} of {len(masked)} pictures have no mask in {lacking[0][1]} (first: {lacking[0][0]})",
            fix="name each mask as its picture; one that is white all over learns everything",
            code="dataset.no_mask",
        )
    masks = [picture.mask for picture in masked if picture.mask is not None]
    return masked, _usable(masks, verify=verify, tell_all=tell_all)[1]


def _masks_by_name(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DatasetError(
            f"there is no folder of masks {folder}",
            fix="set conditioning_data_dir to a folder with a mask for each picture",
            code="dataset.missing",
        )
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in masks_in(folder)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(dataset: Dataset) -> str:
    """Return a sha256 over names, contents, captions, repeats, subsets and masks: equal means the same data."""
    digest = hashlib.sha256()
    for picture in dataset.pictures:
        fields = [picture.name, picture.sha256(), picture.caption, str(picture.num_repeats), str(picture.is_reg)]
        fields.append(str(picture.subset))
        if picture.mask is not None:
            fields.append(picture.mask_sha256())
        for field in fields:
            digest.update(len(field.encode()).to_bytes(8, "little") + field.encode())
    return digest.hexdigest()
