"""What is looked at before offers are asked for: said all at once, and refused where money would buy nothing."""

import asyncio
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from loratui.cli.check import Checked, print_findings
from loratui.cli.hosts import matters
from loratui.remote.model_hub import check_can_estimate, model_bytes
from loratui.sessions.preconditions import look_before_renting, refuse
from loratui.sessions.prepare import model_source
from loratui.settings import Settings
from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.errors import ModelError
from loratui_protocol.findings import Finding
from loratui_protocol.inputs import ModelSource
from loratui_protocol.single_file import local_architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Nothing stands in the way. ``base_model_bytes`` is what the machine downloads, None where nobody knows."""

    base_model_bytes: int | None
    num_warnings: int


def question(ready: Iterable[Ready]) -> str:
    """Return what a person is asked before money is spent."""
    num_warnings = sum(each.num_warnings for each in ready)
    if not num_warnings:
        return "Rent it and start?"
    number = "a warning" if num_warnings == 1 else f"{num_warnings} warnings"
    return f"Rent it and start in spite of {number}?"


def before_renting(
    preferences: Settings,
    checked: Checked,
    model: ModelSource | None,
    token: str,
    accepted: Collection[str],
    *,
    is_first: bool = True,
) -> Ready:
    """Look at everything that has to hold before money is spent; say the warnings.

    What is the same for all runs on a machine is looked at with the first.

    What the check of config and dataset found can't be accepted: such a run ends where it begins.

    Raises:
        PreconditionError: something stands in the way; no provider was asked.
    """
    looked = asyncio.run(look_before_renting(preferences, model, token, is_first=is_first))
    found = [each for each in checked.findings if each.severity == "error" or matters(each, model)]
    if model is None:
        looked = replace(looked, findings=(*looked.findings, *_about_estimate(checked)))
    can_accept = {each.code for each in looked.findings}.intersection(accepted)
    told = refuse([*found, *looked.findings], can_accept)
    print_findings(told)
    num_warnings = sum(each.severity == "warning" for each in told)
    return Ready(base_model_bytes=looked.base_model_bytes, num_warnings=num_warnings)


def weigh_base_model(preferences: Settings, checked: Checked) -> int | None:
    """Return what a machine will download of the base model, for an estimate; why it is not known is a note on stderr.

    Raises:
        ModelError: its address is none.
    """
    model = model_source(checked.config.pretrained_model_name_or_path, preferences.remote_hub_url)
    if model is None:
        for finding in _about_estimate(checked):
            print(f"note: [{finding.code}] {finding.what}", file=sys.stderr)
        return None
    try:
        return asyncio.run(model_bytes(model))
    except ModelError as error:
        print(f"note: [{error.code}] {error.what}", file=sys.stderr)
        return None


def _about_estimate(checked: Checked) -> list[Finding]:
    """Return what there is to say of a base model on this laptop of whose training no price is known."""
    name = checked.config.pretrained_model_name_or_path
    if name.startswith(BUILTIN_PREFIX):
        return []
    try:
        check_can_estimate(local_architecture(name), name)
    except ModelError as error:
        fix = f"{error.fix}; to rent in spite of it: --accept {error.code}"
        return [Finding(code=error.code, severity="error", what=error.what, fix=fix)]
    return []
