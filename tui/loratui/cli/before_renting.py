"""What is looked at before offers are asked for: said all at once, and refused where money would buy nothing."""

import asyncio
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from loratui.cli.check import Checked, print_findings
from loratui.cli.hosts import matters
from loratui.remote.model_hub import model_bytes
from loratui.sessions.preconditions import look_before_renting, refuse
from loratui.sessions.prepare import model_source
from loratui.settings import Settings
from loratui_protocol.errors import ModelError
from loratui_protocol.inputs import ModelSource


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
    looked = asyncio.run(look_before_renting(preferences, model, token, with_ports=is_first))
    found = [each for each in checked.findings if each.severity == "error" or matters(each, model)]
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
        return None
    try:
        return asyncio.run(model_bytes(model))
    except ModelError as error:
        print(f"note: [{error.code}] {error.what}", file=sys.stderr)
        return None
