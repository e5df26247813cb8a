"""``check``: what is wrong with a config, a dataset or a LoRA."""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from loratui.cli.arguments import Arguments
from loratui.cli.crops import check_crops_file, show_crops
from loratui.cli.finding_lines import by_severity, columns_of, finding_lines
from loratui.cli.fix_dataset import fix_dataset
from loratui.cli.fixing import Fixed, fix_config
from loratui.cli.picture_progress import picture_progress
from loratui.cli.verdict import Mendable, judged, lora_verdict, verdict
from loratui.preflight.bucket_table import BucketRow, bucket_table
from loratui.sessions.checking import Checked, check_config, check_folder
from loratui.sessions.telling import ToldConfig, as_finding, tell_config
from loratui_protocol.buckets import Placement
from loratui_protocol.dataset import Picture
from loratui_protocol.errors import ConfigError, LoratuiError, ModelError, UsageError
from loratui_protocol.findings import Finding, plural
from loratui_protocol.harmless import clean
from loratui_protocol.plan import Plan
from loratui_protocol.safetensors_header import PICKLED_SUFFIXES

_NO_PATH = "usage.path"


def check_all(arguments: Arguments) -> list[Checked]:
    """Return all runs that are asked for, checked; errors as in ``check_config``."""
    return [
        replace(
            check_config(path, stop_at_epoch=arguments.stop_at_epoch, accepted=arguments.accept),
            resumed=arguments.resumed,
        )
        for path in arguments.configs
    ]


def refuse_errors(runs: Iterable[Checked]) -> None:
    """Return if nothing was found for which a run would fail, or be for nothing.

    Raises:
        ConfigError, ModelError: it was; all of it is named, under the code of the first.
    """
    errors = [each for checked in runs for each in checked.findings if each.severity == "error"]
    if errors:
        kind = ModelError if errors[0].code.startswith("model.") else ConfigError
        told = "\n  ".join([errors[0].what, *(f"[{each.code}] {each.what}" for each in errors[1:])])
        raise kind(told, fix="; ".join(dict.fromkeys(each.fix for each in errors)), code=errors[0].code)


def print_findings(findings: Iterable[Finding], *, on_stdout: bool = False) -> None:
    """Tell a person; ``on_stdout`` where they are what was asked for."""
    file = sys.stdout if on_stdout else sys.stderr
    for line in finding_lines(findings, columns_of(file)):
        print(line, file=file)


def check(arguments: Arguments) -> int:
    """Print the findings of all paths, and with ``--fix`` what was set right; 1 if one of them is an error."""
    # The verdict counts what --fix would do with --repeats and --yes.
    if arguments.dry_run and not arguments.fix:
        what = "--dry-run is for --fix, which isn't there: without it nothing is set right"
        raise UsageError(what, fix="add --fix, or leave it out", code="usage.fix")
    if not any(map(os.path.lexists, arguments.path)):
        raise _no_path(arguments.path[0])
    findings: list[Finding] = []
    fixed: list[Fixed] = []
    last = ToldConfig(findings=())
    rows_of_last: list[BucketRow] = []
    cropped: list[tuple[Picture, Placement]] = []
    if arguments.crops is not None:
        check_crops_file(arguments.crops)
    edits: list[dict[str, Any]] = []
    mendable = Mendable()
    loras: list[dict[str, Any]] = []
    if arguments.base is not None and not any(map(_is_lora, arguments.path)):
        raise UsageError("--base is for LoRA files, and none is given", fix="leave it out", code="usage.base")
    for given in arguments.path:
        path = given
        if not os.path.lexists(path):
            findings.append(replace(as_finding(_no_path(path)), path=str(path)))
            continue
        if _is_lora(path):
            findings += _tell_lora(path, arguments, loras)
            continue
        if arguments.fix:
            if not given.is_dir() and (written := fix_config(given, dry_run=arguments.dry_run)):
                fixed.append(written)
                if not arguments.json:
                    print_findings(written.findings, on_stdout=True)
                    print(f"{written.diff}\n{written.told}", flush=True)
                # What is judged is what lies there now.
                path = written.path if written.is_there else given
            edits += fix_dataset(path, arguments)
        try:
            told = _tell_path(path, arguments)
        except LoratuiError as error:
            told = ToldConfig(findings=(as_finding(error),))
        found = [replace(finding, path=finding.path or str(path)) for finding in told.findings]
        found, fixable = judged(path, found, arguments)
        findings += found
        mendable += fixable
        if told.plan is not None:
            # Files that are tried out crop none of them.
            laid_out = told.pictures if told.plan.steps else ()
            last, rows_of_last = told, bucket_table(told.plan, laid_out)
            cropped += zip(laid_out, told.plan.placements, strict=True)
    if arguments.json:
        document: dict[str, Any] = {
            "findings": [asdict(finding) for finding in findings],
            "plan": plan_fields(last.plan) if last.plan else None,
            "left_out": last.num_left_out,
            "buckets": [asdict(row) for row in rows_of_last],
            "loras": loras,
        }
        if arguments.fix:
            document |= {
                "fixed": [str(each.path) for each in fixed if each.is_there],
                "mended": [asdict(finding) for each in fixed for finding in each.findings],
                "diff": "\n".join(each.diff for each in fixed),
                "edits": edits,
            }
        print(json.dumps(document))
    else:
        if arguments.fix and not (fixed or edits):
            print("nothing in it can be fixed by itself")
        print_findings(by_severity(findings), on_stdout=True)
        if last.plan is not None:
            print(_planned(last.plan, rows_of_last, last.num_left_out))
        is_of_loras = all(map(_is_lora, arguments.path))
        does = "tried out" if last.plan is not None and not last.plan.steps else "trained"
        print(lora_verdict(findings) if is_of_loras else verdict(findings, mendable, arguments, does))
    if arguments.crops is not None:
        show_crops(cropped, arguments.crops)
    return _status(findings)


def _is_lora(path: Path) -> bool:
    """Return whether it is named as a LoRA would be, safe or not; a config is made of one by ``convert`` alone."""
    return path.is_file() and path.suffix.lower() in {".safetensors", *PICKLED_SUFFIXES}


def _tell_lora(path: Path, arguments: Arguments, loras: list[dict[str, Any]]) -> list[Finding]:
    """Return the findings of a LoRA file, and add what else there is to know of it; it is printed for a person."""
    # What counts with its numbers takes a while to load.
    from loratui.cli.lora_table import lora_table
    from loratui.sessions.lora_check import check_lora

    try:
        facts, found = check_lora(path, arguments.base)
    except LoratuiError as error:
        found = [as_finding(error)]
    else:
        loras.append(facts.fields())
        if not arguments.json and facts.modules:
            print("\n".join(lora_table(facts)))
    return [replace(finding, path=str(path)) for finding in found]


def _no_path(path: Path) -> UsageError:
    return UsageError(
        f"{clean(str(path))} does not exist", fix="give a config, a folder of pictures or a LoRA", code=_NO_PATH
    )


def _status(findings: Iterable[Finding]) -> int:
    """Return the exit status of the worst: a path that isn't there is a mistake in what was typed."""
    errors = [finding for finding in findings if finding.severity == "error"]
    is_mistyped = any(finding.code == _NO_PATH for finding in errors)
    return UsageError.exit_status if is_mistyped else 1 if errors else 0


def _planned(planned: Plan, rows: Iterable[BucketRow], num_left_out: int) -> str:
    """Return what there is to train, in two lines, and how far it counts; of files that are tried out in one."""
    if not planned.steps:
        return f"plan: {plural(planned.num_judged_pictures, 'picture')} to try files out with"
    number = planned.num_pictures + planned.num_reg_pictures + len(planned.held_out.indices)
    without = f", counted without {plural(num_left_out, 'picture')} that can't be trained on" if num_left_out else ""
    sizes = ", ".join(f"{row.width}x{row.height}: {row.num_pictures}{row.losses}" for row in rows)
    steps = f"{plural(planned.steps, 'step')} in {plural(planned.epochs, 'epoch')}"
    return f"plan: {steps}, {plural(number, 'picture')}{without}\nbuckets: {sizes}"


def _tell_path(path: Path, arguments: Arguments) -> ToldConfig:
    progress = picture_progress(is_quiet=arguments.json)
    if path.is_dir():
        return ToldConfig(findings=tuple(check_folder(path, progress, trigger=arguments.trigger)[1]))
    return tell_config(path, trigger=arguments.trigger, progress=progress)


def plan_fields(planned: Plan) -> dict[str, object]:
    """Return a plan for ``--json``."""
    fields = asdict(planned)
    del fields["placements"], fields["findings"]
    return fields
