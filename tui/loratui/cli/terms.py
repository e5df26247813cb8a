"""What a run on a host takes: said, and refused where it is too much, before it starts."""

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from loratui.cli.following import say
from loratui.domain import formatting
from loratui.domain.transfer_cost import Worth, transfer_cost
from loratui.sessions.host import SessionHost
from loratui.sessions.prepare import Prepared, WeighedModel, may_power_off
from loratui.sessions.supply import SLOW_CODE
from loratui_protocol.codec import clean
from loratui_protocol.errors import HostError, ModelError
from loratui_protocol.feature_models import KEYS
from loratui_protocol.findings import plural
from loratui_protocol.inputs import ModelSource

_SAY_EVERY_S = 5.0


def tell_terms(
    prepared: Prepared, price_microusd_per_h: int, limit_s: float | None, *, floor_microusd: int = 0
) -> None:
    """Say what the host is, what travels there, what that takes, and who can read it.

    ``floor_microusd`` is what is billed at least, however short the run is.
    """
    facts, supply = prepared.facts, prepared.supply
    gpus = ", ".join(f"{gpu.name} {gpu.vram_mib / 1024:.0f} GiB" for gpu in facts.gpus) or "no GPU: the CPU trains"
    machine = f"{facts.system} {facts.machine}, {plural(facts.cpus, 'CPU')}, {gpus}"
    say(f"host: {facts.user} on {machine}; files go to {prepared.home}")
    say(f"environment: {prepared.environment.why}")
    if prepared.model is not None:
        say(f"base model: {_download(prepared.model, prepared.weighed, price_microusd_per_h)}")
    for source, seen in prepared.features.items():
        key = KEYS[source.purpose]
        if isinstance(seen, ModelError):
            say(f"warning: what {key} measures will be missing: {seen.what}; {seen.fix}")
        else:
            say(f"{key}: {_download(source, seen, price_microusd_per_h)}")
    travels = f"to send: at most {formatting.size(supply.size)}, less what the host has already"
    if prepared.upload_bytes_per_s is not None:
        cost = transfer_cost(supply.size, prepared.upload_bytes_per_s, price_microusd_per_h)
        travels += f"; {cost.sentence} (speed just measured)"
    say(travels)
    say("whoever runs that host can read the pictures, captions and results that are there")
    price = formatting.hourly_price(price_microusd_per_h) if price_microusd_per_h else "not set (ssh.price_usd_per_h)"
    parts = [f"price: {price}; auto-stop: {formatting.auto_stop(limit_s)}"]
    if price_microusd_per_h and limit_s is not None:
        parts.append(f"at most {formatting.money(max(floor_microusd, round(price_microusd_per_h * limit_s / 3600)))}")
    if floor_microusd:
        parts.append(f"at least {formatting.money(floor_microusd)} is billed")
    say(", ".join(parts))


def check_upload(prepared: Prepared, price_microusd_per_h: int, accepted: list[str]) -> None:
    """Warn of an upload that takes long or costs much, as far as its speed was measured.

    Raises:
        HostError: it costs more than it should, and that was not accepted by name; nothing was sent.
    """
    if prepared.upload_bytes_per_s is None:
        return
    cost = transfer_cost(prepared.supply.size, prepared.upload_bytes_per_s, price_microusd_per_h)
    if cost.worth is Worth.REFUSE and SLOW_CODE not in accepted:
        raise HostError(
            f"the upload would be slower than it should be: {cost.sentence}. Nothing of yours was sent",
            fix=f"use a faster line or another machine, or accept it: --accept {SLOW_CODE}",
            code=SLOW_CODE,
        )
    if cost.worth is not Worth.FINE:
        say(f"warning: the upload takes long: {cost.sentence}")


def warn_of_power(host: SessionHost, target: str) -> None:
    """Say before the start if the machine would stay on in the end."""
    why = host.perform(lambda targets: may_power_off(targets.machine(target).box)).result()
    if why:
        say(f"warning: --on-done poweroff will not switch that machine off: {why}")


def hashing_progress() -> Callable[[int, int], None]:
    """Return what says now and then how much of what travels was looked at."""
    said_s = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal said_s
        if time.monotonic() - said_s >= _SAY_EVERY_S:
            said_s = time.monotonic()
            say(f"looking at what is to be sent: {formatting.size(done)} of {formatting.size(total)}")

    return tell


def _download(model: ModelSource, weighed: WeighedModel | None, price_microusd_per_h: int) -> str:
    """Return what the host's download of a model takes, as far as anyone knows."""
    address = clean(urlsplit(model.address)._replace(query="", fragment="").geturl(), 200)
    if weighed is None:
        return f"the host downloads {address}; how long that takes shows once it has the Python that it is sent"
    if weighed.is_there:
        return f"{address} is there from an earlier run"
    if weighed.size is None or weighed.bytes_per_s is None:
        known = "its server does not say how large it is" if weighed.size is None else formatting.size(weighed.size)
        return f"the host downloads {address}; {known}"
    cost = transfer_cost(weighed.size, weighed.bytes_per_s, price_microusd_per_h)
    return f"the host downloads {address}; {cost.sentence} (speed just measured there)"
