"""Finds the pictures of a dataset, their sizes and captions, and says what is wrong with them.

Three layouts are understood: kohya's parent of ``N_concept`` folders, one such folder, and a flat folder.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from loratui_protocol.caption_files import CaptionReader
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset_folders import folders, masks_in, pictures_in
from loratui_protocol.errors import DatasetError
from loratui_protocol.findings import Finding
from loratui_protocol.picture_sizes import picture_sizes, size_findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture and its caption. ``width`` and ``height`` are pixels as seen, after EXIF rotation."""

    path: Path
    name: str
    """Path relative to the dataset's folder, with forward slashes."""
    width: int
    height: int
    caption: str
    num_repeats: int = 1
    is_reg: bool = False
    mask: Path | None = None
    """What of it is learned, as a picture of the same proportions; None: all."""

    def sha256(self) -> str:
        """Return the hash of the file, read now."""
        return _sha256(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Pictures in the order of their names, training before regularisation, and what there is to say about them."""

    pictures: tuple[Picture, ...]
    findings: tuple[Finding, ...] = ()


def scan_config(config: TrainingConfig, *, verify: bool = False) -> Dataset:
    """Return the pictures of ``train_data_dir`` and ``reg_data_dir`` together; errors as in ``scan``."""
    enlarged = None if config.enable_bucket and config.bucket_no_upscale else config.resolution
    scanned = [
        scan(
            Path(folder),
            caption_extension=config.caption_extension,
            enable_wildcard=config.enable_wildcard,
            resolution=enlarged,
            is_reg=is_reg,
            verify=verify,
        )
        for folder, is_reg in ((config.train_data_dir, False), (config.reg_data_dir, True))
        if folder
    ]
    pictures = [picture for dataset in scanned for picture in dataset.pictures]
    if config.masked_loss and config.conditioning_data_dir:
        pictures = _masked(pictures, Path(config.conditioning_data_dir), verify=verify)
    return Dataset(
        pictures=tuple(pictures),
        findings=tuple(finding for dataset in scanned for finding in dataset.findings),
    )


def scan(
    train_data_dir: Path,
    *,
    caption_extension: str | None = None,
    enable_wildcard: bool = False,
    resolution: tuple[int, int] | None = None,
    is_reg: bool = False,
    verify: bool = False,
) -> Dataset:
    """Return the pictures under a folder.

    ``caption_extension`` None means ``.txt``, then ``.caption``. With a ``resolution``, pictures that would be enlarged
    much are reported. ``verify`` decodes every picture, which takes about 10 ms each.

    Raises:
        DatasetError: the folder is missing or has no pictures, or a picture or caption can't be read.
    """
    captions = CaptionReader(caption_extension, enable_wildcard=enable_wildcard)
    try:
        found, findings = folders(train_data_dir)
        files = [
            (path, repeats, captions.read(path, class_tokens))
            for folder, repeats, class_tokens in found
            for path in pictures_in(folder)
        ]
    except OSError as error:
        raise DatasetError(
            f"the dataset folder {train_data_dir} can't be read: {error}",
            fix="check the path and its permissions",
            code="dataset.unreadable",
        ) from error
    sizes = picture_sizes([path for path, _, _ in files], verify=verify)
    pictures = tuple(
        Picture(
            path=path,
            name=path.relative_to(train_data_dir).as_posix(),
            width=width,
            height=height,
            caption=caption,
            num_repeats=repeats,
            is_reg=is_reg,
        )
        for (path, repeats, caption), (width, height) in zip(files, sizes, strict=True)
    )
    findings += captions.findings(train_data_dir)
    findings += size_findings([path for path, _, _ in files], sizes, resolution)
    return Dataset(pictures=pictures, findings=tuple(findings))


def _masked(pictures: Iterable[Picture], folder: Path, *, verify: bool) -> list[Picture]:
    """Return the pictures with their masks: of the same name without its suffix, in the same folder or in ``folder``.

    Raises:
        DatasetError: a training picture has none, or one can't be read.
    """
    if not folder.is_dir():
        raise DatasetError(
            f"there is no folder of masks {folder}",
            fix="set conditioning_data_dir to a folder with a mask for each picture",
            code="dataset.missing",
        )
    found = {path.relative_to(folder).with_suffix("").as_posix(): path for path in masks_in(folder)}
    masked, lacking = [], []
    for picture in pictures:
        name = Path(picture.name).with_suffix("")
        mask = None if picture.is_reg else found.get(name.as_posix(), found.get(name.name))
        if mask is None and not picture.is_reg:
            lacking.append(picture.name)
        masked.append(replace(picture, mask=mask))
    if lacking:
        raise DatasetError(
            f"{len(lacking)} of {len(masked)} pictures have no mask in {folder} (first: {lacking[0]})",
            fix="name each mask as its picture; one that is white all over learns everything",
            code="dataset.no_mask",
        )
    picture_sizes([picture.mask for picture in masked if picture.mask is not None], verify=verify)
    return masked


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(dataset: Dataset) -> str:
    """Return a sha256 over names, file contents, captions, repeats and masks: equal means the same training data."""
    digest = hashlib.sha256()
    for picture in dataset.pictures:
        fields = [picture.name, picture.sha256(), picture.caption, str(picture.num_repeats), str(picture.is_reg)]
        if picture.mask is not None:
            fields.append(_sha256(picture.mask))
        for field in fields:
            digest.update(len(field.encode()).to_bytes(8, "little") + field.encode())
    return digest.hexdigest()
