"""``check`` and ``plan``: what is wrong with a config or a dataset, and what a config amounts to."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from loratui.cli.arguments import Arguments
from loratui.cli.crops import check_crops_file, show_crops
from loratui.cli.fix_dataset import fix_dataset
from loratui.cli.fixing import Fixed, fix_config
from loratui.cli.picture_progress import picture_progress
from loratui.cli.plan_size import size_fields, size_rows
from loratui.domain import formatting, signals
from loratui.preflight.bucket_table import BucketRow, bucket_table
from loratui.sessions.checking import Checked, DatasetRefusedError, check_config, check_folder
from loratui_protocol.buckets import Placement
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Picture
from loratui_protocol.errors import LoratuiError, UsageError
from loratui_protocol.findings import Finding
from loratui_protocol.plan import Plan
from loratui_protocol.save_points import superseded
from loratui_protocol.subsets import datasets_of


def check_all(arguments: Arguments) -> list[Checked]:
    """Return all runs that are asked for, checked; errors as in ``check_config``."""
    return [
        replace(
            check_config(path, stop_at_epoch=arguments.stop_at_epoch, accepted=arguments.accept),
            resumed=arguments.resumed,
        )
        for path in arguments.configs
    ]


def print_findings(findings: Iterable[Finding]) -> None:
    """Tell a person on stderr."""
    for finding in findings:
        where = f" ({finding.path})" if finding.path else ""
        print(f"{finding.severity}: [{finding.code}] {finding.what}{where}", file=sys.stderr)
        if finding.fix:
            print(f"  fix: {finding.fix}", file=sys.stderr)


def check(arguments: Arguments) -> int:
    """Print the findings of all paths, and with ``--fix`` what was set right; 1 if one of them is an error."""
    findings: list[Finding] = []
    fixed: list[Fixed] = []
    plan_of_last: Plan | None = None
    rows_of_last: list[BucketRow] = []
    cropped: list[tuple[Picture, Placement]] = []
    if arguments.crops is not None:
        check_crops_file(arguments.crops)
    edits: list[dict[str, Any]] = []
    for path in arguments.path:
        edits += fix_dataset(path, arguments) if arguments.fix else ()
        try:
            found, checked = _check_path(path, is_quiet=arguments.json)
        except UsageError:
            raise
        except DatasetRefusedError as error:
            found, checked = _of_path(error.findings, path), None
        except LoratuiError as error:
            found, checked = [_as_finding(error, path)], None
        findings += found
        if checked is not None:
            plan_of_last, rows_of_last = checked.plan, bucket_table(checked.plan, checked.pictures)
            cropped += zip(checked.pictures, checked.plan.placements, strict=True)
        if arguments.fix and not path.is_dir() and (written := fix_config(path)):
            fixed.append(written)
    failed = any(finding.severity == "error" for finding in findings)
    if arguments.json:
        document: dict[str, Any] = {
            "findings": [asdict(finding) for finding in findings],
            "plan": _plan_fields(plan_of_last) if plan_of_last else None,
            "buckets": [asdict(row) for row in rows_of_last],
        }
        if arguments.fix:
            diff = "\n".join(each.diff for each in fixed)
            document |= {"fixed": [str(each.path) for each in fixed], "diff": diff, "edits": edits}
        print(json.dumps(document))
    else:
        print_findings(findings)
        for each in fixed:
            print(f"{each.diff}\nwritten: {each.path}")
        if arguments.fix and not (fixed or edits):
            print("nothing in it can be fixed by itself")
        print("this can't be trained" if failed else "no errors")
    if arguments.crops is not None:
        show_crops(cropped, arguments.crops)
    return 1 if failed else 0


def _check_path(path: Path, *, is_quiet: bool) -> tuple[list[Finding], Checked | None]:
    progress = picture_progress(is_quiet=is_quiet)
    if path.is_dir():
        return check_folder(path, progress)[1], None
    if not path.exists():
        raise UsageError(f"{path} does not exist", fix="give a config or a folder of pictures", code="usage.path")
    checked = check_config(path, progress=progress)
    return _of_path(checked.findings, path), checked


def _of_path(findings: Iterable[Finding], path: Path) -> list[Finding]:
    return [replace(finding, path=finding.path or str(path)) for finding in findings]


def _as_finding(error: LoratuiError, path: Path) -> Finding:
    return Finding(code=error.code, severity="error", what=error.what, fix=error.fix, path=str(path))


def plan(arguments: Arguments) -> int:
    """Print what the config amounts to, and what it takes on GPUs that can be rented, if that is asked for."""
    checked = check_config(arguments.config, progress=picture_progress(is_quiet=arguments.json))
    is_priced = arguments.gpu is not None or arguments.all
    if arguments.json and not is_priced:
        print(json.dumps({**_plan_fields(checked.plan), **size_fields(checked.config)}))
        return 0
    if not arguments.json:
        print_findings(finding for finding in checked.findings if finding.severity != "info")
        for name, text in _plan_rows(checked):
            print(f"{name:<24} {text}")
    if not is_priced:
        return 0
    # What asks providers takes a while to load.
    from loratui.cli.pricing import price_plan

    return price_plan(arguments, checked, {**_plan_fields(checked.plan), **size_fields(checked.config)})


def _plan_fields(planned: Plan) -> dict[str, object]:
    fields = asdict(planned)
    del fields["placements"], fields["findings"]
    return fields


def _stop_row(planned: Plan) -> list[tuple[str, str]]:
    if planned.stop_step >= planned.steps:
        return []
    epoch = planned.epoch_of(planned.stop_step)
    return [("stops at", f"epoch {epoch}, step {planned.stop_step}; the schedule is that of all {planned.steps}")]


def _plan_rows(checked: Checked) -> list[tuple[str, str]]:
    planned, config = checked.plan, checked.config
    text_lrs = " and ".join(f"{rate:g}" for rate in dict.fromkeys(config.effective_text_encoder_lrs))
    gone = superseded(config, planned.save_points)
    stays = [point.name for point in planned.save_points if point not in gone]
    stays += ["the best by validation"] if config.keep_best and planned.held_out.indices else []
    return [
        ("pictures", f"{planned.num_pictures}, and {planned.num_reg_pictures} for regularisation"),
        ("steps", f"{planned.steps} in {planned.epochs} epochs of {planned.steps_per_epoch}"),
        *_stop_row(planned),
        ("pictures a step", f"{planned.effective_batch}" + (" at most" if _batch_sizes(config) > 1 else "")),
        ("exposures a picture", f"{planned.exposures_per_picture:.0f}"),
        *_bucket_rows(checked),
        ("learning rate", f"{config.effective_unet_lr:g} (UNet), {text_lrs} (text encoder)"),
        ("effective learning rate", _effective(planned, config)),
        ("rank and alpha", f"{config.network_dim} and {config.alpha:g}"),
        *([("goes on from", config.network_weights)] if config.network_weights else []),
        *size_rows(config),
        ("files on the way", ", ".join(point.name for point in planned.save_points) or "none"),
        *([("of these stay", ", ".join(stays))] if gone else []),
        ("samples after steps", ", ".join(map(str, planned.sample_steps)) or "none"),
        *([("sample pictures", _pictures(planned))] if planned.sample_steps else []),
    ]


def _batch_sizes(config: TrainingConfig) -> int:
    return len({dataset.train_batch_size for dataset in datasets_of(config)})


def _bucket_rows(checked: Checked) -> list[tuple[str, str]]:
    """Return the buckets, and of several datasets the size of each, which they are made for."""
    datasets = datasets_of(checked.config)
    table = {(row.dataset, row.width, row.height): row.losses for row in bucket_table(checked.plan, checked.pictures)}
    rows = []
    for number, dataset in enumerate(datasets):
        buckets = ", ".join(
            f"{use.bucket.width}x{use.bucket.height}: {use.num_pictures} in {use.num_batches} batches"
            f"{table[number, use.bucket.width, use.bucket.height]}"
            for use in checked.plan.buckets
            if use.dataset == number
        )
        width, height = dataset.resolution
        of = f"{width}x{height}, {dataset.train_batch_size} a batch; " if len(datasets) > 1 else ""
        rows.append((f"buckets of dataset {number + 1}" if of else "buckets", of + (buckets or "none")))
    return rows


def _pictures(planned: Plan) -> str:
    prompts = "; ".join(prompt.text for prompt in planned.samples.prompts)
    of = "captions" if planned.samples.told else "prompts"
    counted = f"{planned.num_sample_pictures}, with those of the base alone"
    return f"{counted}, of {len(planned.samples.prompts)} {of}: {prompts}"


def _effective(planned: Plan, config: TrainingConfig) -> str:
    """Return learning rate x alpha / rank of each model that learns."""
    if not planned.effective_lr:
        return f"{formatting.UNKNOWN} ({config.optimizer_type} sets it)"
    finds = f"; {config.optimizer_type} multiplies it by what it finds" if config.optimizer_type == "Prodigy" else ""
    return f"{signals.effective_lrs(planned.effective_lr)}: times alpha / rank{finds}"
