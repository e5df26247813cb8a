"""Hypothesis strategies for what the protocol package defines: messages, configs and picture sizes."""

import types
import typing
from dataclasses import fields
from enum import EnumType
from pathlib import Path

import msgpack
from hypothesis import reject
from hypothesis import strategies as st

from loratui_protocol import messages
from loratui_protocol.codec import clean, decode_record, encode_record
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_checks import MAX_TOKEN_LENGTHS, MIXED_PRECISIONS, SAVE_FORMATS, SAVE_PRECISIONS
from loratui_protocol.dataset import Picture
from loratui_protocol.errors import ProtocolError
from loratui_protocol.harmless import MAX_INT, MAX_SECONDS, Count, Seconds
from loratui_protocol.optimizers import LR_SCHEDULERS, OPTIMIZERS
from loratui_protocol.subsets import DatasetConfig, Subset

MESSAGE_TYPES: tuple[type, ...] = typing.get_args(messages.Message)
EVENT_TYPES: tuple[type, ...] = typing.get_args(messages.Event)
clean_text = st.text(max_size=30).map(clean)
finite = st.floats(allow_nan=False)
_SCALARS = {
    str: clean_text,
    int: st.integers(-MAX_INT, MAX_INT),
    Count: st.integers(0, MAX_INT),
    Seconds: st.floats(0, MAX_SECONDS),
    float: finite,
    bool: st.booleans(),
    bytes: st.binary(max_size=100),
    types.NoneType: st.none(),
}


def of_type(hint: typing.Any) -> st.SearchStrategy[typing.Any]:
    """Return values of an annotation as the messages use them."""
    if hint in _SCALARS:
        return _SCALARS[hint]
    if isinstance(hint, EnumType):
        return st.sampled_from(hint)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return st.one_of(*map(of_type, typing.get_args(hint)))
    if typing.get_origin(hint) is list:
        return st.lists(of_type(typing.get_args(hint)[0]), max_size=3)
    if typing.get_origin(hint) is dict:
        return st.dictionaries(*map(of_type, typing.get_args(hint)), max_size=3)
    hints = typing.get_type_hints(hint, include_extras=True)
    return st.builds(hint, **{field.name: of_type(hints[field.name]) for field in fields(hint)})


_wild = st.integers(-(2**63), 2**64 - 1) | st.floats() | st.sampled_from([0, -1, 2**53, 1e11, 1e300])


@st.composite
def wild_records(draw: st.DrawFn) -> messages.Record:
    """Return any record that a host can make us take, with the numbers that it may think of."""
    fields = msgpack.unpackb(encode_record(draw(of_type(messages.Record))))
    for holder in (fields, fields["event"]):
        numbers = sorted(name for name, value in holder.items() if type(value) in (int, float) and name != "seq")
        if numbers:
            holder[draw(st.sampled_from(numbers))] = draw(_wild)
    try:
        return decode_record(msgpack.packb(fields))
    except ProtocolError:
        reject()


_LORAS = ("/loras/a.safetensors", "/loras/other/a.safetensors")
_rate = st.floats(0, 9.5).map(lambda rate: rate + 1e-9)
_share = st.floats(0, 1)
_count = st.integers(1, 5000)
_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_path = st.text(st.characters(categories=["L", "N"], include_characters=" ._-"), min_size=1, max_size=12).map(
    lambda name: "/" + name.strip(". ")
)


def _maybe(values: st.SearchStrategy[typing.Any]) -> st.SearchStrategy[typing.Any]:
    return st.none() | values


_of_dataset = {
    "resolution": st.tuples(st.integers(32, 4096), st.integers(32, 4096)),
    "train_batch_size": _count,
    "enable_bucket": st.booleans(),
    "min_bucket_reso": _count,
    "max_bucket_reso": _count,
    "bucket_reso_steps": _count,
    "bucket_no_upscale": st.booleans(),
    "validation_split": _maybe(st.floats(0, 0.99)),
    "validation_seed": _maybe(st.integers(0, 9)),
}
_of_subset = {
    "conditioning_data_dir": _maybe(_path),
    "caption_extension": _maybe(st.sampled_from([".txt", ".caption"])),
    "caption_prefix": _maybe(_text.filter(bool)),
    "caption_separator": st.sampled_from([",", ";"]),
    "shuffle_caption": st.booleans(),
    "keep_tokens": _count,
    "caption_dropout_rate": _share,
    "token_warmup_step": _count | _share,
    "flip_aug": st.booleans(),
}
subsets = st.builds(
    Subset,
    image_dir=_path,
    num_repeats=_count,
    is_reg=st.booleans(),
    class_tokens=_text,
    settings=st.fixed_dictionaries({}, optional=_of_subset),
)
datasets = st.builds(
    DatasetConfig,
    subsets=st.lists(subsets, min_size=1, max_size=2, unique_by=lambda subset: subset.image_dir).map(tuple),
    settings=st.fixed_dictionaries({}, optional={**_of_dataset, **_of_subset}),
)

_argument = {float: st.floats(0, 0.99), bool: st.booleans(), tuple: st.tuples(*[st.floats(0, 0.99)] * 2)}


@st.composite
def configs(draw: st.DrawFn) -> TrainingConfig:
    """Return any valid config with absolute paths."""
    scheduler = draw(st.sampled_from(sorted(set(LR_SCHEDULERS) - {"adafactor", "piecewise_constant"})))
    optimizer = draw(st.sampled_from(sorted(set(OPTIMIZERS) - {"Prodigy"})))
    only = draw(st.sampled_from([None, "network_train_unet_only", "network_train_text_encoder_only"]))
    values: dict[str, st.SearchStrategy[typing.Any]] = {
        "pretrained_model_name_or_path": st.sampled_from(["builtin:tiny", "owner/name", "/models/sd15"]),
        "clip_skip": _maybe(_count),
        "train_data_dir": _path,
        "reg_data_dir": _maybe(_path),
        "resolution": st.tuples(st.integers(32, 4096), st.integers(32, 4096)),
        "enable_bucket": st.booleans(),
        "min_bucket_reso": _count,
        "max_bucket_reso": _count,
        "bucket_reso_steps": _count,
        "bucket_no_upscale": st.booleans(),
        "caption_extension": _maybe(st.sampled_from([".txt", ".caption"])),
        "max_token_length": _maybe(st.sampled_from(MAX_TOKEN_LENGTHS)),
        "shuffle_caption": st.booleans(),
        "keep_tokens": _count,
        "enable_wildcard": st.booleans(),
        "caption_dropout_rate": _share,
        "flip_aug": st.booleans(),
        "network_dim": _count,
        "network_alpha": _maybe(_rate),
        "network_dropout": _maybe(st.floats(0, 0.99)),
        "network_weights": _maybe(_path),
        "learning_rate": _rate,
        "unet_lr": _maybe(_rate),
        "text_encoder_lr": _maybe(_rate | st.tuples(_rate, _rate)),
        "optimizer_args": st.fixed_dictionaries(
            {}, optional={name: _argument[kinds[0]] for name, kinds in OPTIMIZERS[optimizer].items()}
        ),
        "lr_scheduler_min_lr_ratio": st.floats(0, 0.99),
        "lr_scheduler_timescale": _maybe(_count),
        "lr_decay_steps": _count | st.floats(0, 0.99),
        "lr_scheduler_num_cycles": _count,
        "lr_scheduler_power": _rate,
        "lr_warmup_steps": st.just(0) if scheduler == "constant" else _count | st.floats(0, 0.99),
        "max_grad_norm": _rate,
        "train_batch_size": _count,
        "gradient_accumulation_steps": _count,
        "max_train_steps": _count,
        "max_train_epochs": _maybe(_count),
        "stop_at_epoch": _maybe(_count),
        "mixed_precision": _maybe(st.sampled_from(MIXED_PRECISIONS)),
        "gradient_checkpointing": st.booleans(),
        "seed": _maybe(st.integers(0, 2**32 - 1)),
        "min_snr_gamma": _maybe(_rate),
        "noise_offset": _maybe(_share),
        "prior_loss_weight": _rate,
        "num_cpu_threads": _maybe(_count),
        "num_processes": _maybe(_count),
        "output_dir": _maybe(_path),
        "output_name": st.from_regex(r"[A-Za-z0-9_ -][A-Za-z0-9_. -]{0,20}", fullmatch=True),
        "save_precision": st.sampled_from(SAVE_PRECISIONS),
        "save_format": st.sampled_from(SAVE_FORMATS),
        "save_every_n_steps": _maybe(_count),
        "save_every_n_epochs": _maybe(_count),
        "save_last_n_steps": _maybe(_count),
        "save_last_n_epochs": _maybe(_count),
        "keep_best": st.booleans(),
        "checkpoint_every_n_steps": _maybe(_count),
        "trigger_word": _maybe(_text.filter(bool)),
        "training_comment": _maybe(_text.filter(bool)),
        "metadata_title": _maybe(_text.filter(bool)),
        "metadata_author": _maybe(_text.filter(bool)),
        "metadata_description": _maybe(_text.filter(bool)),
        "metadata_license": _maybe(_text.filter(bool)),
        "metadata_tags": _maybe(_text.filter(bool)),
        "rights_statement": _maybe(_text.filter(bool)),
        "no_metadata": st.booleans(),
        "sample_prompts": st.lists(_text, max_size=3).map(tuple),
        "sample_every_n_steps": _maybe(_count),
        "sample_every_n_epochs": _maybe(_count),
        "sample_at_first": st.booleans(),
        "evaluate_checkpoints": st.just(0),
        "evaluate_loras": st.lists(st.sampled_from(_LORAS), max_size=2, unique=True).map(tuple),
        "evaluate_together": _maybe(st.just("/loras/b.safetensors")),
        "evaluate_weights": st.lists(st.floats(0.1, 2), min_size=1, max_size=4, unique=True).map(tuple),
        "evaluate_seeds": st.integers(2, 100),
        "evaluate_prompts": st.lists(_text, max_size=3).map(tuple),
        "evaluate_class_word": _maybe(_text.filter(bool)),
        "evaluate_dino": _maybe(st.just("/models/dino")),
        "evaluate_clip": _maybe(st.just("/models/clip")),
        "datasets": st.just(()) | st.lists(datasets, min_size=1, max_size=2).map(tuple),
    }
    drawn = {name: draw(strategy) for name, strategy in values.items()}
    chosen = {"lr_scheduler": scheduler, "optimizer_type": optimizer}
    chosen["dim_from_weights"] = drawn["network_weights"] is not None and draw(st.booleans())
    # Allowed at every resolution, of one dataset.
    chosen["min_resolution"] = None if drawn["datasets"] else draw(_maybe(st.just(32)))
    chosen |= {f"keep_{key}": 2 * (drawn[f"save_{key}"] or 1) for key in ("every_n_steps", "every_n_epochs")}
    return TrainingConfig(**drawn, **chosen, **({only: True} if only else {}))


def plain_config(**changes: typing.Any) -> TrainingConfig:
    """Return a small config for pictures around 64 pixels."""
    values: dict[str, typing.Any] = {
        "pretrained_model_name_or_path": "builtin:tiny",
        "train_data_dir": "/data",
        "resolution": (64, 64),
        "min_bucket_reso": 32,
        "bucket_reso_steps": 8,
    }
    return TrainingConfig(**{**values, **changes})


def picture(index: int, size: tuple[int, int] = (64, 64), **changes: typing.Any) -> Picture:
    """Return a picture that needs no file."""
    values: dict[str, typing.Any] = {"caption": f"caption {index}, one, two, three"}
    path = Path(f"/data/{index:04d}.png")
    return Picture(path=path, name=path.name, width=size[0], height=size[1], **{**values, **changes})


sides = st.integers(8, 3000)
"""Picture sizes with proportions that a dataset may have."""
sizes = st.tuples(sides, sides).filter(lambda size: max(size) <= 16 * min(size))
pictures = st.lists(
    st.tuples(st.sampled_from([(64, 64), (96, 64), (64, 128), (200, 90)]), st.integers(1, 4), st.booleans()),
    min_size=1,
    max_size=12,
).map(
    lambda rows: [
        picture(index, size, num_repeats=repeats, is_reg=is_reg and index > 0)
        for index, (size, repeats, is_reg) in enumerate(rows)
    ]
)
"""A dataset with at least one training picture."""
