"""What the LoRA file says of the pictures it was trained on, as sd-scripts says it and A1111 shows it."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Dataset, Picture
from loratui_protocol.plan import BucketUse, Plan
from loratui_protocol.subsets import TrainedSubset, datasets_of, subsets_of


def dataset_metadata(config: TrainingConfig, dataset: Dataset, plan: Plan) -> dict[str, object]:
    """Return the keys about pictures, buckets and captions.

    With datasets what may differ between them is said of each, in ``ss_datasets``, as in sd-scripts. Unlike there
    the buckets of all are listed too: A1111 knows no other place for them.
    """
    folders = _folders(config, dataset.pictures)
    general: dict[str, object] = {
        "ss_total_batch_size": plan.effective_batch,
        "ss_bucket_info": json.dumps(_bucket_info(plan.buckets)),
        "ss_dataset_dirs": json.dumps(_dataset_dirs(folders)),
        "ss_reg_dataset_dirs": json.dumps(_dataset_dirs(_folders(config, dataset.pictures, is_reg=True))),
        "ss_tag_frequency": json.dumps(_tag_frequency(config, folders)),
    }
    if config.datasets:
        described = [_described(config, number, dataset, plan) for number in range(len(config.datasets))]
        return {**general, "ss_datasets": json.dumps(described)}
    return {
        **general,
        "ss_batch_size_per_device": config.train_batch_size,
        "ss_enable_bucket": config.enable_bucket,
        "ss_min_bucket_reso": config.min_bucket_reso,
        "ss_max_bucket_reso": config.max_bucket_reso,
        "ss_bucket_no_upscale": config.bucket_no_upscale,
        "ss_shuffle_caption": config.shuffle_caption,
        "ss_keep_tokens": config.keep_tokens,
        "ss_caption_dropout_rate": config.caption_dropout_rate,
        "ss_caption_dropout_every_n_epochs": config.caption_dropout_every_n_epochs,
        "ss_caption_tag_dropout_rate": config.caption_tag_dropout_rate,
        "ss_flip_aug": config.flip_aug,
    }


def _described(config: TrainingConfig, number: int, dataset: Dataset, plan: Plan) -> dict[str, object]:
    """Return what ``ss_datasets`` says of one of them."""
    own = datasets_of(config)[number]
    pictures = [picture for picture in dataset.pictures if picture.dataset == number]
    buckets = [use for use in plan.buckets if use.dataset == number]
    return {
        "is_dreambooth": True,
        "batch_size_per_device": own.train_batch_size,
        "num_train_images": sum(picture.num_repeats for picture in pictures if not picture.is_reg),
        "num_reg_images": sum(picture.num_repeats for picture in pictures if picture.is_reg),
        "resolution": list(own.resolution),
        "enable_bucket": own.enable_bucket,
        "min_bucket_reso": own.min_bucket_reso,
        "max_bucket_reso": own.max_bucket_reso,
        "tag_frequency": _tag_frequency(config, _folders(config, pictures)),
        "bucket_info": _bucket_info(buckets),
        "subsets": [
            _subset(subset, sum(picture.subset == index for picture in pictures))
            for index, subset in enumerate(subsets_of(config))
            if subset.dataset == number
        ],
    }


def _subset(subset: TrainedSubset, num_pictures: int) -> dict[str, object]:
    rules = subset.config
    return {
        "img_count": num_pictures,
        "num_repeats": subset.num_repeats,
        "flip_aug": rules.flip_aug,
        "shuffle_caption": rules.shuffle_caption,
        "keep_tokens": rules.keep_tokens,
        "keep_tokens_separator": rules.keep_tokens_separator,
        "secondary_separator": rules.secondary_separator,
        "caption_prefix": rules.caption_prefix,
        "caption_suffix": rules.caption_suffix,
        "caption_dropout_rate": rules.caption_dropout_rate,
        "image_dir": subset.image_dir.rstrip("/").rsplit("/", 1)[-1],
        "class_tokens": subset.class_tokens,
        "is_reg": subset.is_reg,
    }


def _name(config: TrainingConfig, folder: Path) -> str:
    """Return what a folder is called: by its own name if that is one in sd-scripts too, and no mere place on a disk."""
    return folder.name if config.datasets or re.match(r"\d+(_|$)", folder.name) else f"1_{config.output_name}"


def _folders(config: TrainingConfig, pictures: Iterable[Picture], *, is_reg: bool = False) -> dict[str, list[Picture]]:
    """Return the pictures of a kind by the name of their folder; a second of that name, or use of it, has a number."""
    folders: dict[tuple[str, int], list[Picture]] = {}
    for picture in pictures:
        if picture.is_reg == is_reg:
            folders.setdefault((_name(config, picture.path.parent), picture.subset), []).append(picture)
    named: dict[str, list[Picture]] = {}
    for (name, _), inside in sorted(folders.items(), key=lambda each: each[0]):
        label, number = name, 1
        while label in named:
            number += 1
            label = f"{name} ({number})"
        named[label] = inside
    return named


def _bucket_info(buckets: Sequence[BucketUse]) -> dict[str, object]:
    numbered = {
        str(index): {"resolution": list(use.bucket), "count": use.num_exposures}
        for index, use in enumerate(sorted(buckets, key=lambda use: (use.bucket, use.dataset)))
    }
    return {"buckets": numbered}


def _dataset_dirs(folders: dict[str, list[Picture]]) -> dict[str, object]:
    return {
        name: {"n_repeats": pictures[0].num_repeats, "img_count": len(pictures)} for name, pictures in folders.items()
    }


def _tag_frequency(config: TrainingConfig, folders: dict[str, list[Picture]]) -> dict[str, dict[str, int]]:
    """Return how often each tag stands in the captions of a folder; a folder that is used twice counts once."""
    frequency: dict[str, Counter[str]] = {}
    seen = set()
    for pictures in folders.values():
        for picture in pictures:
            if picture.path not in seen:
                seen.add(picture.path)
                tags = [tag.strip() for tag in re.split("[,\n]", picture.caption) if tag.strip()]
                frequency.setdefault(_name(config, picture.path.parent), Counter()).update(tags)
    return {name: dict(sorted(tags.items())) for name, tags in sorted(frequency.items())}
