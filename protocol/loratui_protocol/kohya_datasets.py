"""Writes the datasets of a config as sd-scripts' ``dataset_config``, which refuses a key that it doesn't know there."""

from collections.abc import Mapping
from typing import Any

from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_write import toml_value
from loratui_protocol.findings import Finding
from loratui_protocol.sd_scripts_arguments import DATASET_ARGUMENTS, MASKED_SUBSET_ARGUMENTS, SUBSET_ARGUMENTS
from loratui_protocol.subsets import DATASET_KEYS, DatasetConfig

Table = dict[str, Any]


def dataset_tables(config: TrainingConfig) -> tuple[list[Table], list[Finding]]:
    """Return the datasets as their tables, ``subsets`` among the keys, and what of them can't be said there."""
    tables, findings = [], []
    for number, dataset in enumerate(config.datasets, 1):
        table, lost = _dataset(config, dataset)
        tables.append(table)
        if lost:
            findings.append(
                Finding(
                    code="config.left_out",
                    severity="warning",
                    what=f"dataset {number}: sd-scripts takes no {', '.join(sorted(lost))} there, and it is left out",
                    fix="put folders with masks into a dataset of their own, without alpha_mask or class_tokens",
                )
            )
    return tables, findings


def datasets_text(tables: list[Table]) -> str:
    """Return the tables as a file."""
    lines: list[str] = []
    for table in tables:
        lines += ["[[datasets]]", *_lines({key: value for key, value in table.items() if key != "subsets"}), ""]
        for subset in table["subsets"]:
            lines += ["[[datasets.subsets]]", *_lines(subset), ""]
    return "\n".join(lines)


def _lines(table: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {toml_value(value)}" for key, value in table.items()]


def _dataset(config: TrainingConfig, dataset: DatasetConfig) -> tuple[Table, set[str]]:
    own = {key: value for key, value in dataset.settings.items() if key in DATASET_KEYS}
    # Some of what a dataset says for its subsets may only be said by each of them there.
    of_subsets = {key: value for key, value in dataset.settings.items() if key not in DATASET_KEYS}
    subsets: list[Table] = [
        {
            "image_dir": subset.image_dir,
            "num_repeats": subset.num_repeats,
            **({"is_reg": True} if subset.is_reg else {}),
            **({"class_tokens": subset.class_tokens} if subset.class_tokens else {}),
            **_said({**of_subsets, **subset.settings}),
        }
        for subset in dataset.subsets
    ]
    if config.masked_loss and config.conditioning_data_dir:
        subsets = [{"conditioning_data_dir": config.conditioning_data_dir, **subset} for subset in subsets]
    # Masks are for all subsets of a dataset, or for none, and never for regularisation pictures.
    are_masked = config.masked_loss and all(
        subset.get("conditioning_data_dir") and "is_reg" not in subset for subset in subsets
    )
    known = MASKED_SUBSET_ARGUMENTS if are_masked else SUBSET_ARGUMENTS
    lost = {key for subset in subsets for key, value in subset.items() if key not in known and value not in (False, "")}
    kept = [{key: value for key, value in subset.items() if key in known} for subset in subsets]
    return {**_of_dataset(config, own), "subsets": kept}, lost


def _of_dataset(config: TrainingConfig, own: Mapping[str, Any]) -> Table:
    settings = {"batch_size" if key == "train_batch_size" else key: value for key, value in _said(own).items()}
    resolution = settings.get("resolution", config.resolution)
    if "resolution" in settings:
        settings["resolution"] = list(resolution)
    if settings.get("enable_bucket", config.enable_bucket):
        # Buckets there may not be all longer, or all shorter, than the resolution.
        shortest = settings.get("min_bucket_reso", config.min_bucket_reso)
        longest = settings.get("max_bucket_reso", config.max_bucket_reso)
        if "min_bucket_reso" in settings or shortest > min(resolution):
            settings["min_bucket_reso"] = min(shortest, *resolution)
        if "max_bucket_reso" in settings or longest < max(resolution):
            settings["max_bucket_reso"] = max(longest, *resolution)
    if "validation_split" in own:
        settings["validation_split"] = float(own["validation_split"] or 0)
    return {key: value for key, value in settings.items() if key in DATASET_ARGUMENTS}


def _said(settings: Mapping[str, Any]) -> Table:
    """Return what is set; a text that is unset for this folder alone is an empty one there, too."""
    unset = [key for key, value in settings.items() if value is None]
    empty = {key: ".txt" if key == "caption_extension" else "" for key in unset if _is_text(key)}
    return {key: value for key, value in settings.items() if value is not None} | empty


def _is_text(key: str) -> bool:
    argument = SUBSET_ARGUMENTS.get(key)
    return argument is not None and argument.types == (str,)
