"""What is looked at before offers are asked for: said all at once, and refused where money would buy nothing."""

import asyncio
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from loratui.cli.check import print_findings
from loratui.cli.hosts import matters
from loratui.cli.wrapped import print_wrapped
from loratui.domain.base_kinds import LARGEST, KnownBase
from loratui.domain.config_for_base import for_prediction
from loratui.remote.model_hub import look_at_model
from loratui.sessions.base_kind import kind_told_here
from loratui.sessions.checking import Checked
from loratui.sessions.model_source import model_source
from loratui.sessions.preconditions import look_before_renting, refuse
from loratui.settings import Settings
from loratui_protocol.errors import ModelError
from loratui_protocol.findings import Finding
from loratui_protocol.inputs import ModelSource

NO_ESTIMATE = "model.no_estimate"
"""Under which a base model is refused of which nobody knows what to train it takes, and accepted by name."""


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
    looked = asyncio.run(look_before_renting(preferences, name, model, token, is_first=is_first))
    found = [each for each in checked.findings if each.severity == "error" or matters(each, model)]
    # What was not known when the config was checked: the model's own server says it.
    found += [each for each in for_prediction(checked.config, looked.base.prediction) if each not in found]
    if looked.base.kind is None and not _is_refused(looked.findings, accepted):
        looked = replace(looked, findings=(*looked.findings, _about_estimate(name)))
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
    name = checked.config.pretrained_model_name_or_path
    model = model_source(name, preferences.remote_hub_url)
    base = KnownBase(num_bytes=None if model else 0, kind=kind_told_here(name))
    if model is not None:
        try:
            base = asyncio.run(look_at_model(model))
        except ModelError as error:
            print_wrapped(f"note: [{error.code}] {error.what}", sys.stderr, indent=2)
    if base.kind is None:
        print_wrapped(f"note: [{NO_ESTIMATE}] {_about_estimate(name).what}", sys.stderr, indent=2)
    return base


def _is_refused(findings: Iterable[Finding], accepted: Collection[str]) -> bool:
    """Return whether the base model is refused anyway: when that is mended its kind may be known."""
    return any(
        each.severity == "error" and each.code.startswith("model.") and each.code not in accepted for each in findings
    )


def _about_estimate(name: str) -> Finding:
    """Return what there is to say of a base model of whose training no price is known."""
    return Finding(
        code=NO_ESTIMATE,
        severity="error",
        what=f"of which kind the base model {name} is nobody knows here, so what training it takes is reckoned as for "
        f"{LARGEST.name}: that may be several times too much",
        fix="give a base model that can be looked at from here (a file, a hub id, an address whose server answers), or "
        f"train it on a machine of your own; to rent in spite of it: --accept {NO_ESTIMATE}",
    )
