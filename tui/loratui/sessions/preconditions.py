"""What has to hold before money is spent, looked at all at once: whatever stands in the way is said together."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from loratui.remote.model_hub import NO_ANSWER, model_bytes
from loratui.remote.ports import LIMIT_S, reaches_any
from loratui.settings import Settings
from loratui_protocol.errors import LoratuiError, ModelError
from loratui_protocol.findings import Finding
from loratui_protocol.inputs import ModelSource

PORTS = "network.ports"
"""Under which a network that blocks high ports is refused, and accepted by name."""


class PreconditionError(LoratuiError):
    """Something stands in the way of a rental; nothing was rented. Of several, each is in the text with its code."""

    default_code = "rental.preconditions"
    exit_status = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was found. ``base_model_bytes`` is what a machine will download, None where nobody knows."""

    base_model_bytes: int | None = None
    findings: tuple[Finding, ...] = ()


async def look_before_renting(preferences: Settings, model: ModelSource | None, token: str = "") -> Looked:
    """Ask for the base model, and for a way out to high ports, at the same time.

    ``model`` None: it is built in, or travels from here. ``token`` is shown to the model's own server alone.
    """
    async with asyncio.TaskGroup() as tasks:
        weighed = tasks.create_task(_model(model, token))
        ports = tasks.create_task(_ports(preferences.port_probe))
    size, findings = weighed.result()
    return Looked(base_model_bytes=size, findings=(*findings, *ports.result()))


def refuse(findings: Iterable[Finding], accepted: Collection[str] = ()) -> list[Finding]:
    """Return what is only to be said; an error that was accepted by its code is a warning.

    Raises:
        PreconditionError: there are others.
    """
    found = list(findings)
    fatal = [each for each in found if each.severity == "error" and each.code not in accepted]
    if not fatal:
        return [replace(each, severity="warning", fix="") if each.severity == "error" else each for each in found]
    if len(fatal) == 1:
        [one] = fatal
        raise PreconditionError(f"{_what(one)}. Nothing was rented", fix=one.fix, code=one.code)
    listed = "".join(f"\n  [{each.code}] {_what(each)}\n    fix: {each.fix}" for each in fatal)
    raise PreconditionError(
        f"{len(fatal)} things stand in the way, and nothing was rented:{listed}",
        fix="see to each of them" if all(each.fix for each in fatal) else "",
    )


async def _model(model: ModelSource | None, token: str) -> tuple[int | None, list[Finding]]:
    if model is None:
        return None, []
    try:
        return await model_bytes(model, token), []
    except ModelError as error:
        if error.code == NO_ANSWER:
            return None, [Finding(code=error.code, severity="warning", what=error.what, fix=error.fix)]
        fix = f"{error.fix}; to rent in spite of it: --accept {error.code}"
        return None, [Finding(code=error.code, severity="error", what=error.what, fix=fix)]


async def _ports(endpoints: tuple[tuple[str, int], ...]) -> list[Finding]:
    if not endpoints or await reaches_any(endpoints):
        return []
    tried = ", ".join(f"{host}:{port}" for host, port in endpoints)
    what = (
        f"no connection gets out of this network to a high port: {tried} did not answer within {LIMIT_S:.0f} s, and "
        "rented machines have their SSH servers on such ports"
    )
    fix = (
        "use another network (a phone's hotspot, a VPN), or correct the setting network.port_probe; to rent in spite "
        f"of it: --accept {PORTS}"
    )
    return [Finding(code=PORTS, severity="error", what=what, fix=fix)]


def _what(finding: Finding) -> str:
    return f"{finding.what} ({finding.path})" if finding.path else finding.what
