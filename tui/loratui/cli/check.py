"""``check``: what is wrong with a config or a dataset."""

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
from loratui.cli.verdict import Mendable, judged, verdict
from loratui.cli.wrapped import print_wrapped
from loratui.preflight.bucket_table import BucketRow, bucket_table
from loratui.sessions.checking import Checked, DatasetRefusedError, check_config, check_folder
from loratui_protocol.buckets import Placement
from loratui_protocol.dataset import Picture
from loratui_protocol.errors import ConfigError, LoratuiError, ModelError, UsageError
from loratui_protocol.findings import Finding
from loratui_protocol.plan import Plan

_SEVERITIES = ("info", "warning", "error")


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
    for finding in findings:
        where = f" ({finding.path})" if finding.path else ""
        print_wrapped(f"{finding.severity}: [{finding.code}] {finding.what}{where}", file, indent=2)
        if finding.fix:
            print_wrapped(f"  fix: {finding.fix}", file, indent=7)


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
    mendable = Mendable()
    for given in arguments.path:
        path = given
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
            found, checked = _check_path(path, arguments)
        except UsageError:
            raise
        except DatasetRefusedError as error:
            found, checked = _of_path(error.findings, path), None
        except LoratuiError as error:
            found, checked = [_as_finding(error, path)], None
        found, fixable = judged(path, found, arguments)
        findings += found
        mendable += fixable
        if checked is not None:
            plan_of_last, rows_of_last = checked.plan, bucket_table(checked.plan, checked.pictures)
            cropped += zip(checked.pictures, checked.plan.placements, strict=True)
    failed = any(finding.severity == "error" for finding in findings)
    if arguments.json:
        document: dict[str, Any] = {
            "findings": [asdict(finding) for finding in findings],
            "plan": plan_fields(plan_of_last) if plan_of_last else None,
            "buckets": [asdict(row) for row in rows_of_last],
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
        # What matters most is read last, above the prompt.
        print_findings(sorted(findings, key=lambda each: _SEVERITIES.index(each.severity)), on_stdout=True)
        print(verdict(findings, mendable, arguments))
    if arguments.crops is not None:
        show_crops(cropped, arguments.crops)
    return 1 if failed else 0


def _check_path(path: Path, arguments: Arguments) -> tuple[list[Finding], Checked | None]:
    progress = picture_progress(is_quiet=arguments.json)
    if path.is_dir():
        return check_folder(path, progress, trigger=arguments.trigger)[1], None
    if not path.exists():
        raise UsageError(f"{path} does not exist", fix="give a config or a folder of pictures", code="usage.path")
    checked = check_config(path, progress=progress)
    return _of_path(checked.findings, path), checked


def _of_path(findings: Iterable[Finding], path: Path) -> list[Finding]:
    return [replace(finding, path=finding.path or str(path)) for finding in findings]


def _as_finding(error: LoratuiError, path: Path) -> Finding:
    return Finding(code=error.code, severity="error", what=error.what, fix=error.fix, path=str(path))


def plan_fields(planned: Plan) -> dict[str, object]:
    """Return a plan for ``--json``."""
    fields = asdict(planned)
    del fields["placements"], fields["findings"]
    return fields
