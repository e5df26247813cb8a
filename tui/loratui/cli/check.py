"""``check``: what is wrong with a config or a dataset."""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from loratui.cli.arguments import Arguments
from loratui.cli.crops import check_crops_file, show_crops
from loratui.cli.fix_dataset import fix_dataset
from loratui.cli.fixing import Fixed, fix_config
from loratui.cli.picture_progress import picture_progress
from loratui.preflight.bucket_table import BucketRow, bucket_table
from loratui.sessions.checking import Checked, DatasetRefusedError, check_config, check_folder
from loratui_protocol.buckets import Placement
from loratui_protocol.dataset import Picture
from loratui_protocol.errors import LoratuiError, UsageError
from loratui_protocol.findings import Finding
from loratui_protocol.harmless import clean
from loratui_protocol.plan import Plan

_SEVERITIES = ("info", "warning", "error")
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


def print_findings(findings: Iterable[Finding], *, on_stdout: bool = False) -> None:
    """Tell a person; ``on_stdout`` where they are what was asked for."""
    file = sys.stdout if on_stdout else sys.stderr
    for finding in findings:
        where = f" ({finding.path})" if finding.path else ""
        print(f"{finding.severity}: [{finding.code}] {finding.what}{where}", file=file)
        if finding.fix:
            print(f"  fix: {finding.fix}", file=file)


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
        if not os.path.lexists(path):
            what = f"{clean(str(path))} does not exist"
            fix = "give a config or a folder of pictures"
            findings.append(Finding(code=_NO_PATH, severity="error", what=what, fix=fix, path=str(path)))
            continue
        edits += fix_dataset(path, arguments) if arguments.fix else ()
        try:
            found, checked = _check_path(path, is_quiet=arguments.json)
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
    if arguments.json:
        document: dict[str, Any] = {
            "findings": [asdict(finding) for finding in findings],
            "plan": plan_fields(plan_of_last) if plan_of_last else None,
            "buckets": [asdict(row) for row in rows_of_last],
        }
        if arguments.fix:
            diff = "\n".join(each.diff for each in fixed)
            document |= {"fixed": [str(each.path) for each in fixed], "diff": diff, "edits": edits}
        print(json.dumps(document))
    else:
        # What matters most is read last, above the prompt.
        print_findings(sorted(findings, key=lambda each: _SEVERITIES.index(each.severity)), on_stdout=True)
        for each in fixed:
            print(f"{each.diff}\nwritten: {each.path}")
        if arguments.fix and not (fixed or edits):
            print("nothing in it can be fixed by itself")
        print(_verdict(findings))
    if arguments.crops is not None:
        show_crops(cropped, arguments.crops)
    return _status(findings)


def _status(findings: Iterable[Finding]) -> int:
    """Return the exit status of the worst: a path that isn't there is a mistake in what was typed."""
    errors = [finding for finding in findings if finding.severity == "error"]
    is_mistyped = any(finding.code == _NO_PATH for finding in errors)
    return UsageError.exit_status if is_mistyped else 1 if errors else 0


def _verdict(findings: list[Finding]) -> str:
    """Return in one line what it comes to, and how much of it ``--fix`` does."""
    counts = Counter(each.severity for each in findings)
    counted = [
        f"{counts[each]} {each}{'s' if counts[each] > 1 else ''}" for each in ("error", "warning") if counts[each]
    ]
    fixable = sum(each.fixable for each in findings)
    said = "this can't be trained" if counts["error"] else "no errors"
    told = f" ({', '.join(counted)})" if counted else ""
    return f"{said}{told}" + (f"; {fixable} of what was found --fix can set right, shown first" if fixable else "")


def _check_path(path: Path, *, is_quiet: bool) -> tuple[list[Finding], Checked | None]:
    progress = picture_progress(is_quiet=is_quiet)
    if path.is_dir():
        return check_folder(path, progress)[1], None
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
