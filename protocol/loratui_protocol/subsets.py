"""Which folders a config trains on, and under which settings each: kohya's datasets and their subsets.

A setting is looked up in the subset, in its dataset, then in the training config. A config that names
``train_data_dir`` has one dataset, with the training config's own settings.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from loratui_protocol.impossible import Fault, ImpossibleError

if TYPE_CHECKING:
    from loratui_protocol.config import TrainingConfig

DATASET_KEYS = (
    "resolution",
    "train_batch_size",
    "enable_bucket",
    "min_bucket_reso",
    "max_bucket_reso",
    "bucket_reso_steps",
    "bucket_no_upscale",
    "validation_split",
    "validation_seed",
)
"""Keys of the training config that a dataset may set for itself; its file calls ``train_batch_size`` batch_size."""

SUBSET_KEYS = (
    "conditioning_data_dir",
    "alpha_mask",
    "caption_extension",
    "caption_prefix",
    "caption_suffix",
    "caption_separator",
    "secondary_separator",
    "enable_wildcard",
    "shuffle_caption",
    "keep_tokens",
    "keep_tokens_separator",
    "caption_dropout_rate",
    "caption_dropout_every_n_epochs",
    "caption_tag_dropout_rate",
    "token_warmup_min",
    "token_warmup_step",
    "flip_aug",
)
"""Keys of the training config that a subset may set for itself, or a dataset for all of its subsets."""

Kind = Literal["train", "reg", "mask"]
"""What a folder holds: pictures to learn, regularisation pictures, or masks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """A folder of pictures, as a config lists it."""

    image_dir: str
    """The folder that the pictures lie in; its name means nothing."""
    num_repeats: int = 1
    """How often an epoch shows each of its pictures."""
    is_reg: bool = False
    """Whether they are regularisation pictures."""
    class_tokens: str = ""
    """The caption of pictures that have no caption file."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Values of ``SUBSET_KEYS`` that are its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetConfig:
    """Folders that share buckets and batches, as a config lists them."""

    subsets: tuple[Subset, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Values of ``DATASET_KEYS`` and ``SUBSET_KEYS`` that are its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedSubset:
    """A folder of pictures as it is trained."""

    image_dir: str
    num_repeats: int | None
    """None: the names of its folders say so."""
    is_reg: bool
    class_tokens: str
    dataset: int
    """Index of its dataset."""
    config: "TrainingConfig"
    """The training config under the subset's settings."""

    @property
    def is_masked(self) -> bool:
        """Return whether masks say what of its pictures is learned."""
        return not self.is_reg and (self.config.masked_loss or self.config.alpha_mask)

    def in_effect(self) -> list[tuple[str, object]]:
        """Return the settings that decide what is learned of its pictures, whatever folders are called."""
        keys = [key for key in (*DATASET_KEYS, *SUBSET_KEYS) if key != "conditioning_data_dir"]
        return [("dataset", self.dataset), *((key, getattr(self.config, key)) for key in keys)]


def datasets_of(config: "TrainingConfig") -> tuple["TrainingConfig", ...]:
    """Return the training config under the settings of each dataset."""
    if not config.datasets:
        return (config,)
    return tuple(_under(config, _own(dataset)) for dataset in config.datasets)


def largest_resolution(config: "TrainingConfig") -> tuple[int, int]:
    """Return the resolution of the dataset whose pictures are the largest."""
    return max((dataset.resolution for dataset in datasets_of(config)), key=math.prod)


def subsets_of(config: "TrainingConfig") -> tuple[TrainedSubset, ...]:
    """Return all folders of pictures, dataset by dataset.

    Raises:
        ConfigError: a setting is not possible.
    """
    if not config.datasets:
        return tuple(
            TrainedSubset(image_dir=folder, num_repeats=None, is_reg=is_reg, class_tokens="", dataset=0, config=config)
            for folder, is_reg in ((config.train_data_dir, False), (config.reg_data_dir, True))
            if folder
        )
    return tuple(
        TrainedSubset(
            image_dir=subset.image_dir,
            num_repeats=subset.num_repeats,
            is_reg=subset.is_reg,
            class_tokens=subset.class_tokens,
            dataset=index,
            config=_under(config, {**dataset.settings, **subset.settings}),
        )
        for index, dataset in enumerate(config.datasets)
        for subset in dataset.subsets
    )


def check_datasets(config: "TrainingConfig") -> None:
    """Return if every listed dataset and subset can be trained.

    Raises:
        ConfigError: naming those that can't, the key, and what is allowed.
    """
    faults = [fault for number, dataset in enumerate(config.datasets, 1) for fault in _faults(config, number, dataset)]
    if faults:
        raise ImpossibleError(faults)


def _faults(config: "TrainingConfig", number: int, dataset: DatasetConfig) -> Iterator[Fault]:
    if not dataset.subsets:
        yield _fault(
            f"dataset {number}", "datasets", "has no subsets", "give it [[datasets.subsets]] with an image_dir"
        )
    told: set[tuple[str, str]] = set()
    for place, settings in _places(number, dataset):
        try:
            _under(config, settings)
        except ImpossibleError as error:
            for each in error.faults:
                # What a dataset sets counts for its subsets, too, and is one fault.
                if (each.key, each.what) not in told:
                    told.add((each.key, each.what))
                    what, fix = (text.replace("train_batch_size", "batch_size") for text in (each.what, each.fix))
                    yield _fault(place, each.key, what, fix)
    for inner, subset in enumerate(dataset.subsets, 1):
        if subset.num_repeats < 1:
            what = f"num_repeats = {subset.num_repeats} is not possible"
            fix = "num_repeats must be at least 1; to leave a folder out, remove its subset"
            yield _fault(f"dataset {number}, subset {inner}", "num_repeats", what, fix)


def moved(config: "TrainingConfig", place: Callable[[Kind, str], str]) -> "TrainingConfig":
    """Return the config with every folder of pictures or masks put where ``place`` says; of masks, "" is nowhere."""
    if not config.datasets:
        train, reg, masks = config.train_data_dir, config.reg_data_dir, config.conditioning_data_dir
        return replace(
            config,
            train_data_dir=place("train", train) if train else None,
            reg_data_dir=place("reg", reg) if reg else None,
            conditioning_data_dir=(place("mask", masks) or None) if masks else None,
        )
    masks = config.conditioning_data_dir
    datasets = tuple(
        replace(
            dataset,
            settings=_masks_moved(dataset.settings, place),
            subsets=tuple(
                replace(
                    subset,
                    image_dir=place("reg" if subset.is_reg else "train", subset.image_dir),
                    settings=_masks_moved(subset.settings, place),
                )
                for subset in dataset.subsets
            ),
        )
        for dataset in config.datasets
    )
    return replace(
        config,
        train_data_dir=None,
        reg_data_dir=None,
        conditioning_data_dir=(place("mask", masks) or None) if masks else None,
        datasets=datasets,
    )


def _masks_moved(settings: Mapping[str, Any], place: Callable[[Kind, str], str]) -> dict[str, Any]:
    folder = settings.get("conditioning_data_dir")
    return {**settings, "conditioning_data_dir": place("mask", folder) or None} if folder else dict(settings)


def _places(number: int, dataset: DatasetConfig) -> list[tuple[str, dict[str, Any]]]:
    """Return the settings of a dataset and of each of its subsets, and how a person is told where they are."""
    return [
        (f"dataset {number}", _own(dataset)),
        *(
            (f"dataset {number}, subset {inner}", {**dataset.settings, **subset.settings})
            for inner, subset in enumerate(dataset.subsets, 1)
        ),
    ]


def _own(dataset: DatasetConfig) -> dict[str, Any]:
    """Return what a dataset says of itself, without what it says for its subsets."""
    return {key: value for key, value in dataset.settings.items() if key in DATASET_KEYS}


def _under(config: "TrainingConfig", settings: Mapping[str, Any]) -> "TrainingConfig":
    """Return the config with these settings instead of its own, for one folder or dataset."""
    masks = {key: settings.get(key, getattr(config, key)) for key in ("conditioning_data_dir", "alpha_mask")}
    # A folder without masks beside folders that have some is learned whole.
    masked_loss = config.masked_loss and any(masks.values())
    folder = config.train_data_dir or "datasets"
    return replace(config, **{**settings, "masked_loss": masked_loss, "train_data_dir": folder, "datasets": ()})


def _fault(place: str, key: str, what: str, fix: str) -> Fault:
    return Fault(key, f"{place}: {what}", fix, place)
