"""``check`` and ``plan``: what is wrong with a config or a dataset, and what a config amounts to."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from loratui.cli.arguments import Arguments
from loratui.cli.plan_size import size_fields, size_rows
from loratui.domain import formatting, signals
from loratui.sessions.copies import NO_COPIES, Copies
from loratui.sessions.resumed import Resumed
from loratui.sessions.starting import start_findings, start_here
from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import parse_config, read_config, to_toml
from loratui_protocol.dataset import scan, scan_config
from loratui_protocol.errors import LoratuiError, ModelError, UsageError
from loratui_protocol.findings import Finding, Severity
from loratui_protocol.plan import Plan
from loratui_protocol.plan import plan as make_plan
from loratui_protocol.save_points import superseded
from loratui_protocol.single_file import local_architecture
from loratui_protocol.subsets import datasets_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A config that can be trained, its text, and what there is to say about it and its dataset."""

    config: TrainingConfig
    plan: Plan
    findings: tuple[Finding, ...]
    resumed: Resumed | None = None
    """What it goes on from; None: it begins at its first step."""
    copies: Copies = NO_COPIES
    """What is sent of its pictures; none were made yet where it stays on this machine, or is only looked at."""

    @property
    def plan_left(self) -> Plan:
        """Return what of the plan is still to be done, until it ends or stops for somebody to look."""
        planned, step = self.plan, -1 if self.resumed is None else self.resumed.state.step
        states = planned.checkpoint_steps
        return replace(
            planned,
            steps=max(0, planned.stop_step - max(0, step)),
            save_points=tuple(point for point in planned.save_points if step < point.step <= planned.stop_step),
            sample_steps=tuple(each for each in planned.sample_steps if step < each <= planned.stop_step),
            checkpoint_steps=None if states is None else tuple(n for n in states if step < n <= planned.stop_step),
        )


def check_config(path: Path, *, stop_at_epoch: int | None = None) -> Checked:
    """Read a config and its dataset, every picture included. ``stop_at_epoch`` takes the place of the file's.

    Ranks and alphas are those of the LoRA file that it goes on from.

    Raises:
        ConfigError, DatasetError, ModelError: it can't be trained.
    """
    loaded = read_config(path)
    if stop_at_epoch is not None:
        config = replace(loaded.config, stop_at_epoch=stop_at_epoch)
        loaded = parse_config(to_toml(config), path.resolve().parent)
    start = start_here(loaded.config)
    config = start.config if start else loaded.config
    dataset = scan_config(config, verify=True)
    planned = make_plan(config, dataset.pictures)
    of_start = start_findings(loaded.config, start) if start else []
    findings = (*loaded.findings, *of_start, *_model_findings(config), *dataset.findings, *planned.findings)
    return Checked(config=config, plan=planned, findings=findings)


def check_all(arguments: Arguments) -> list[Checked]:
    """Return all runs that are asked for, checked; errors as in ``check_config``."""
    return [
        replace(check_config(path, stop_at_epoch=arguments.stop_at_epoch), resumed=arguments.resumed)
        for path in arguments.configs
    ]


def _model_findings(config: TrainingConfig) -> list[Finding]:
    """Return a warning if the base model is not here: another machine may have it. One of a wrong kind is an error."""
    try:
        check_base_model(config)
    except ModelError as error:
        severity: Severity = "warning" if error.code == "model.missing" else "error"
        return [Finding(code=error.code, severity=severity, what=error.what, fix=error.fix)]
    return []


def check_base_model(config: TrainingConfig) -> None:
    """Refuse a config whose base model is not on this machine, or of a kind that can't be trained.

    Raises:
        ModelError: there is no such folder or file, or it can't be trained. Which models are built in the agent knows.
    """
    if not config.pretrained_model_name_or_path.startswith(BUILTIN_PREFIX):
        local_architecture(config.pretrained_model_name_or_path)


def print_findings(findings: Iterable[Finding]) -> None:
    """Tell a person on stderr."""
    for finding in findings:
        where = f" ({finding.path})" if finding.path else ""
        print(f"{finding.severity}: [{finding.code}] {finding.what}{where}", file=sys.stderr)
        if finding.fix:
            print(f"  fix: {finding.fix}", file=sys.stderr)


def check(arguments: Arguments) -> int:
    """Print the findings of all paths; 1 if one of them is an error."""
    findings: list[Finding] = []
    plan_of_last: Plan | None = None
    for path in arguments.path:
        try:
            found, planned = _check_path(path)
        except UsageError:
            raise
        except LoratuiError as error:
            found, planned = [_as_finding(error, path)], None
        findings += found
        plan_of_last = planned or plan_of_last
    failed = any(finding.severity == "error" for finding in findings)
    if arguments.json:
        document = {
            "findings": [asdict(finding) for finding in findings],
            "plan": _plan_fields(plan_of_last) if plan_of_last else None,
        }
        print(json.dumps(document))
    else:
        print_findings(findings)
        print("this can't be trained" if failed else "no errors")
    return 1 if failed else 0


def _check_path(path: Path) -> tuple[list[Finding], Plan | None]:
    if path.is_dir():
        return list(scan(path, verify=True).findings), None
    if not path.exists():
        raise UsageError(f"{path} does not exist", fix="give a config or a folder of pictures", code="usage.path")
    checked = check_config(path)
    return [replace(finding, path=finding.path or str(path)) for finding in checked.findings], checked.plan


def _as_finding(error: LoratuiError, path: Path) -> Finding:
    return Finding(code=error.code, severity="error", what=error.what, fix=error.fix, path=str(path))


def plan(arguments: Arguments) -> int:
    """Print what the config amounts to, and what it takes on GPUs that can be rented, if that is asked for."""
    checked = check_config(arguments.config)
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
    rows = []
    for number, dataset in enumerate(datasets):
        buckets = ", ".join(
            f"{use.bucket.width}x{use.bucket.height}: {use.num_pictures} in {use.num_batches} batches"
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
