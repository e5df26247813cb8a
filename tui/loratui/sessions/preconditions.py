"""What has to hold before money is spent, looked at all at once: whatever stands in the way is said together."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from loratui.domain.base_kinds import KnownBase
from loratui.remote.ports import LIMIT_S, Endpoint, first_reached
from loratui.sessions.base_kind import kind_told_here
from loratui.sessions.judging import ask_for_features
from loratui.sessions.model_source import token_source
from loratui.setting import PORT_PROBE, endpoints
from loratui.settings import Settings
from loratui_protocol.errors import LoratuiError, ModelError
from loratui_protocol.findings import Finding, Severity
from loratui_protocol.inputs import ModelSource

POLICY = "downloads.policy"
"""The setting, and the code under which one that fetches nothing is refused, and accepted by name."""
PORTS = "network.ports"
"""Under which a network that blocks high ports is refused, and accepted by name."""
_CONTROL = ("portquiz.net", 443)
"""The host of ``PORT_PROBE`` on a port that hardly any network blocks: a host that is down answers there neither."""
_WHY = (
    "rented machines have their SSH servers on such ports; one that can't be reached is ended, and paid for until then"
)
_ANOTHER_NETWORK = "use another network (a phone's hotspot, a VPN)"
_ANOTHER_PROBE = "network.port_probe may name other addresses (host:40022), or none: then nothing is tried"


class PreconditionError(LoratuiError):
    """Something stands in the way of a rental; nothing was rented. Of several, each is in the text with its code."""

    default_code = "rental.preconditions"
    exit_status = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was found."""

    base: KnownBase
    findings: tuple[Finding, ...] = ()


async def look_before_renting(
    preferences: Settings,
    name: str,
    model: ModelSource | None,
    token: str = "",
    *,
    features: Sequence[ModelSource] = (),
    is_first: bool = True,
) -> Looked:
    """Ask for the models, and ``is_first`` for what all runs on a machine share: a way out, what is fetched.

    ``name`` is the base model as the config has it. ``model`` None: it is built in, or travels from here. ``features``
    are those that pictures are measured with. ``token`` is shown to the server alone that it is for.
    """
    async with asyncio.TaskGroup() as tasks:
        weighed = tasks.create_task(_model(name, model, token))
        judging = tasks.create_task(ask_for_features(features, token, token_source(model, features)))
        ports = tasks.create_task(_ports(preferences)) if is_first else None
    (base, findings), (known, of_features) = weighed.result(), judging.result()
    of_all = (*_policy(preferences), *ports.result()) if ports else ()
    return Looked(base=replace(base, features=known), findings=(*findings, *of_features, *of_all))


def _policy(preferences: Settings) -> list[Finding]:
    """Return what is said where nothing of a run would come here: its machine would only wait, and bill."""
    if preferences.downloads.which != "none":
        return []
    what = (
        f"{POLICY} is none, so nothing of a run comes here by itself: its machine would be kept, and billed, until its "
        "deadline, and whatever you have not fetched by then is lost"
    )
    fix = (
        f"set {POLICY} to all, or to final; to rent in spite of it, and fetch with `loratui download`: "
        f"--accept {POLICY}"
    )
    return [Finding(code=POLICY, severity="error", what=what, fix=fix)]


async def look_at_ports(probe: tuple[Endpoint, ...], control: Endpoint | None = None) -> Finding:
    """Try whether this network lets connections out to high ports.

    The user's own ``probe`` is believed. With a ``control``, a usual port of the same host, it is somebody else's: that
    may be down, or turn into anything, and never stands in the way of a rental.
    """
    if not probe:
        what = "whether this network lets connections out to high ports is not tried: network.port_probe is none"
        return _about_ports("info", what)
    reached = await first_reached(probe)
    if reached is not None:
        return _about_ports("info", f"this network lets connections out to high ports: {_named(reached)} answers")
    silent = f"{', '.join(map(_named, probe))} did not answer within {LIMIT_S:.0f} s"
    if control is None:
        what = f"no connection gets out of this network to a high port: {silent}, and {_WHY}"
        fix = f"{_ANOTHER_NETWORK}, or correct network.port_probe; to rent in spite of it: --accept {PORTS}"
        return _about_ports("error", what, fix)
    if await first_reached([control]) is not None:
        what = f"this network seems to block high ports: {silent}, {_named(control)} did, and {_WHY}"
        return _about_ports("warning", what, f"{_ANOTHER_NETWORK}; {_ANOTHER_PROBE}")
    what = f"whether this network blocks high ports can't be told: {silent}, nor did {_named(control)}; {_WHY}"
    return _about_ports("warning", what, _ANOTHER_PROBE)


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


def matters(finding: Finding, model: ModelSource | None) -> bool:
    """Return whether a finding is news; a model that the host downloads need not be here."""
    return finding.severity == "warning" and not (model is not None and finding.code == "model.missing")


async def _model(name: str, model: ModelSource | None, token: str) -> tuple[KnownBase, list[Finding]]:
    if model is None:
        return KnownBase(num_bytes=0, kind=kind_told_here(name)), []
    # The HTTP library takes as long to load as the whole screen of offers.
    from loratui.remote.model_hub import NO_ANSWER, look_at_model

    try:
        return await look_at_model(model, token), []
    except ModelError as error:
        base = KnownBase(num_bytes=None, kind=kind_told_here(name))
        if error.code == NO_ANSWER:
            return base, [Finding(code=error.code, severity="warning", what=error.what, fix=error.fix)]
        fix = f"{error.fix}; to rent in spite of it: --accept {error.code}"
        return base, [Finding(code=error.code, severity="error", what=error.what, fix=fix)]


async def _ports(preferences: Settings) -> list[Finding]:
    is_usual = preferences.port_probe == endpoints(PORT_PROBE)
    return [await look_at_ports(preferences.port_probe, _CONTROL if is_usual else None)]


def _about_ports(severity: Severity, what: str, fix: str = "") -> Finding:
    return Finding(code=PORTS, severity=severity, what=what, fix=fix)


def _named(endpoint: Endpoint) -> str:
    host, port = endpoint
    return f"{host}:{port}"


def _what(finding: Finding) -> str:
    return f"{finding.what} ({finding.path})" if finding.path else finding.what
