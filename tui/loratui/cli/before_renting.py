"""What is looked at before offers are asked for: said all at once, and refused where money would buy nothing."""

import asyncio
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from loratui.cli.check import print_findings
from loratui.cli.wrapped import print_wrapped
from loratui.domain.base_kinds import KnownBase
from loratui.domain.config_for_base import for_prediction
from loratui.sessions.checking import Checked
from loratui.sessions.judging import feature_sources
from loratui.sessions.preconditions import look_before_renting, matters, refuse
from loratui.sessions.quoting import about_estimate, base_for_quotes
from loratui.settings import Settings
from loratui_protocol.findings import Finding
from loratui_protocol.inputs import ModelSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Nothing stands in the way."""

    base: KnownBase
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
    name = checked.config.pretrained_model_name_or_path
    features = feature_sources(checked.config, preferences.remote_hub_url)
    looked = asyncio.run(look_before_renting(preferences, name, model, token, features=features, is_first=is_first))
    found = [each for each in checked.findings if each.severity == "error" or matters(each, model)]
    # What was not known when the config was checked: the model's own server says it.
    found += [each for each in for_prediction(checked.config, looked.base.prediction) if each not in found]
    if looked.base.kind is None and not _is_refused(looked.findings, accepted):
        looked = replace(looked, findings=(*looked.findings, about_estimate(name)))
    can_accept = {each.code for each in looked.findings}.intersection(accepted)
    told = refuse([*found, *looked.findings], can_accept)
    print_findings(told)
    num_warnings = sum(each.severity == "warning" for each in told)
    return Ready(base=looked.base, num_warnings=num_warnings)


def weigh_base_model(preferences: Settings, checked: Checked) -> KnownBase:
    """Return what is known of the base model, for an estimate; why something is not known is a note on stderr.

    Raises:
        ModelError: its address is none.
    """
    base, notes = base_for_quotes(preferences, checked)
    for note in notes:
        print_wrapped(f"note: {note}", sys.stderr, indent=2)
    return base


def _is_refused(findings: Iterable[Finding], accepted: Collection[str]) -> bool:
    """Return whether the base model is refused anyway: when that is mended its kind may be known."""
    return any(
        each.severity == "error" and each.code.startswith("model.") and each.code not in accepted for each in findings
    )
