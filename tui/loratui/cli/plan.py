"""``plan``: what a config amounts to, said in rows for people and as fields for programs."""

import json
import shlex
import sys
from collections.abc import Iterable

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.check import plan_fields, print_findings
from loratui.cli.picture_progress import picture_progress
from loratui.cli.plan_needs import needs_fields, needs_rows, rights_rows
from loratui.cli.plan_size import size_fields, size_rows
from loratui.cli.plan_times import time_fields, time_rows
from loratui.cli.tried_out import tried_sentence
from loratui.cli.wrapped import print_wrapped
from loratui.domain import formatting, signals
from loratui.preflight.bucket_table import bucket_table
from loratui.sessions.checking import Checked, check_config
from loratui_protocol.config import TrainingConfig
from loratui_protocol.harmless import clean
from loratui_protocol.plan import Plan
from loratui_protocol.save_points import superseded
from loratui_protocol.subsets import datasets_of

_NAME = 25
"""Columns of a row's name, and the space behind it."""


def plan(arguments: Arguments) -> int:
    """Print what the config amounts to, and what it takes on GPUs that can be rented, if that is asked for."""
    checked = check_config(arguments.config, progress=picture_progress(is_quiet=arguments.json))
    preferences = settings.load()
    is_priced = arguments.gpu is not None or arguments.all
    fields: dict[str, object] = {}
    if arguments.json:
        fields = {
            **plan_fields(checked.plan),
            **size_fields(checked.config),
            **needs_fields(checked, preferences),
        }
        if not is_priced:
            print(json.dumps({**fields, **time_fields(checked, preferences)}))
    else:
        print_findings(finding for finding in checked.findings if finding.severity != "info")
        print_rows(_plan_rows(checked))
        print_rows(size_rows(checked.config))
        print_rows(needs_rows(checked, preferences))
        if not is_priced:
            print_rows(time_rows(checked, preferences))
            again = f"loratui plan {shlex.quote(str(arguments.config))}"
            print_rows([("price", f"{again} --gpu 4090 asks what it costs now; --all every GPU")])
        print_rows(rights_rows(checked, preferences))
    if not is_priced:
        return 0
    # What asks providers takes a while to load.
    from loratui.cli.pricing import price_plan

    return price_plan(arguments, checked, fields)


def print_rows(rows: Iterable[tuple[str, str]]) -> None:
    """Print rows: on a terminal as wide as that is, else each on a line of its own, for programs that look for one."""
    for name, text in rows:
        print_wrapped(clean(f"{name:<{_NAME - 1}} {text}"), sys.stdout, indent=_NAME)


def _stop_row(planned: Plan) -> list[tuple[str, str]]:
    if planned.stop_step >= planned.steps:
        return []
    epoch = planned.epoch_of(planned.stop_step)
    return [("stops at", f"epoch {epoch}, step {planned.stop_step}; the schedule is that of all {planned.steps}")]


def _plan_rows(checked: Checked) -> list[tuple[str, str]]:
    planned, config = checked.plan, checked.config
    if config.evaluate_loras:
        return _tried_rows(checked)
    text_lrs = " and ".join(f"{rate:g}" for rate in dict.fromkeys(config.effective_text_encoder_lrs))
    gone = superseded(config, planned.save_points)
    stays = [point.name for point in planned.save_points if point not in gone]
    stays += ["the best by validation"] if config.keep_best and planned.held_out.indices else []
    return [
        ("pictures", f"{planned.num_pictures}, and {planned.num_reg_pictures or 'none'} for regularisation"),
        ("steps", f"{planned.steps} in {planned.epochs} epochs of {planned.steps_per_epoch}"),
        *_stop_row(planned),
        ("pictures a step", f"{planned.effective_batch}" + (" at most" if _batch_sizes(config) > 1 else "")),
        ("exposures a picture", f"{planned.exposures_per_picture:.0f}"),
        *_bucket_rows(checked),
        ("learning rate", f"{config.effective_unet_lr:g} (UNet), {text_lrs} (text encoder)"),
        ("effective learning rate", _effective(planned, config)),
        ("rank and alpha", f"{config.network_dim} and {config.alpha:g}"),
        *([("goes on from", config.network_weights)] if config.network_weights else []),
        ("files on the way", ", ".join(point.name for point in planned.save_points) or "none"),
        *([("of these stay", ", ".join(stays))] if gone else []),
        ("samples after steps", ", ".join(map(str, planned.sample_steps)) or "none"),
        *([("sample pictures", _pictures(planned))] if planned.sample_steps else []),
        *_tried_rows(checked),
    ]


def _tried_rows(checked: Checked) -> list[tuple[str, str]]:
    sentence = tried_sentence(checked)
    return [("tried out", sentence)] if sentence else []


def _batch_sizes(config: TrainingConfig) -> int:
    return len({dataset.train_batch_size for dataset in datasets_of(config)})


def _bucket_rows(checked: Checked) -> list[tuple[str, str]]:
    """Return the buckets, and of several datasets the size of each, which they are made for."""
    datasets = datasets_of(checked.config)
    table = {(row.dataset, row.width, row.height): row.losses for row in bucket_table(checked.plan, checked.pictures)}
    rows = []
    for number, dataset in enumerate(datasets):
        buckets = ", ".join(
            f"{use.bucket.width}x{use.bucket.height}: {use.num_pictures} in {_batches(use.num_batches)}"
            f"{table[number, use.bucket.width, use.bucket.height]}"
            for use in checked.plan.buckets
            if use.dataset == number
        )
        width, height = dataset.resolution
        of = f"{width}x{height}, {dataset.train_batch_size} a batch; " if len(datasets) > 1 else ""
        rows.append((f"buckets of dataset {number + 1}" if of else "buckets", of + (buckets or "none")))
    return rows


def _batches(number: int) -> str:
    return "1 batch" if number == 1 else f"{number} batches"


def _pictures(planned: Plan) -> str:
    prompts = "; ".join(prompt.text for prompt in planned.samples.prompts)
    number = len(planned.samples.prompts)
    of = ("caption" if planned.samples.told else "prompt") + ("s" if number > 1 else "")
    return f"{planned.num_sample_pictures}, with those of the base alone, of {number} {of}: {prompts}"


def _effective(planned: Plan, config: TrainingConfig) -> str:
    """Return learning rate x alpha / rank of each model that learns."""
    if not planned.effective_lr:
        return f"{formatting.UNKNOWN} ({config.optimizer_type} sets it)"
    finds = f"; {config.optimizer_type} multiplies it by what it finds" if config.optimizer_type == "Prodigy" else ""
    return f"{signals.effective_lrs(planned.effective_lr)}: learning rate x alpha / rank{finds}"
