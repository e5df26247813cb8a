"""What remains of a config without what refuses it, so that the rest can be judged all the same."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from loratui_protocol.config import TrainingConfig
from loratui_protocol.impossible import Fault, ImpossibleError

MODEL_KEY, PICTURES_KEY = "pretrained_model_name_or_path", "train_data_dir"
_MADE_UP = {MODEL_KEY: "builtin:tiny", PICTURES_KEY: "."}
_RATES = ("learning_rate", "unet_lr", "text_encoder_lr")
_DEPEND: Mapping[str, tuple[str, ...]] = {
    "optimizer_args": ("optimizer_type",),
    "learning_rate": _RATES,
    "text_encoder_lr": (*_RATES, "optimizer_type"),
    "lr_scheduler": ("optimizer_type", "optimizer_args"),
    "lr_scheduler_args": ("lr_scheduler",),
    "lr_scheduler_min_lr_ratio": ("lr_scheduler",),
    "lr_warmup_steps": ("lr_scheduler",),
    "network_args": ("optimizer_type", "optimizer_args", "network_weights"),
    "dim_from_weights": ("network_weights",),
    "min_resolution": ("resolution", "datasets"),
    "keep_every_n_epochs": ("save_every_n_epochs",),
    "keep_every_n_steps": ("save_every_n_steps",),
    "min_timestep": ("max_timestep",),
    "masked_loss": ("conditioning_data_dir", "alpha_mask", "datasets"),
}
"""What else decides whether a value is possible: without that nothing is said of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """``config`` has defaults for what is refused; ``unknown`` are the keys that have a value of nobody's."""

    config: TrainingConfig
    faults: tuple[Fault, ...]
    unknown: frozenset[str]


def remains(values: Mapping[str, Any], refused: Collection[str]) -> Remains:
    """Return the config without its impossible values, and what is wrong with each of them.

    ``values`` are of the right types; ``refused`` are keys that had values which are not.
    """
    left = dict(values)
    unknown = set(refused)
    for key, made_up in _MADE_UP.items():
        if not left.get(key) and not (key == PICTURES_KEY and (left.get("datasets") or left.get("evaluate_loras"))):
            left[key] = made_up
            unknown.add(key)
    found: list[Fault] = []
    while True:
        try:
            return Remains(config=TrainingConfig(**left), faults=tuple(found), unknown=frozenset(unknown))
        except ImpossibleError as error:
            found += [each for each in error.faults if unknown.isdisjoint((each.key, *_DEPEND.get(each.key, ())))]
            before = dict(left)
            _leave_out(left, error.faults)
            unknown.update(fault.key for fault in error.faults)
            if left == before:
                # A default that doesn't go with what is set: all that is certain is what is trained on.
                left = {key: value for key, value in left.items() if key in (*_MADE_UP, "reg_data_dir", "datasets")}
                unknown.update(values.keys() - left.keys())


def _leave_out(left: dict[str, Any], faults: Iterable[Fault]) -> None:
    if any(fault.place for fault in faults):
        left["datasets"] = tuple(
            replace(
                dataset,
                settings={},
                subsets=tuple(
                    replace(each, settings={}, num_repeats=max(1, each.num_repeats)) for each in dataset.subsets
                ),
            )
            for dataset in left["datasets"]
            if dataset.subsets
        )
    for fault in faults:
        if not fault.place:
            left.pop(fault.key, None)
            if fault.key in _MADE_UP:
                left[fault.key] = _MADE_UP[fault.key]
