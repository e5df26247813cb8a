"""What RunPod's answers mean, as the documents of its REST API v2 describe them. Pure.

Whatever is not as described raises ``ShapeError``: it is for the adapter to say what follows from that. Amounts are
read as decimals and counted in micro-dollars; they are never floats.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from loratui.domain.offers import Offer
from loratui.providers import runpod_words as words
from loratui.providers.base import Charges, Instance, InstanceState, SshAddress
from loratui_protocol.codec import clean

DISK_MICROUSD_PER_GB_MONTH = 100_000
_HOURS_PER_MONTH = 720
"""Of thirty days, as RunPod's price list is read by those who compare prices: the dearer of the two readings."""
_MAX_USD = 1_000_000
_MAX_SAID_CHARS = 300
_CONTINENTS = ("EU", "EUR", "AP", "OC", "SEA")
"""What the ids of data centers begin with where it is not the country."""
_STATES = {
    "PROVISIONING": InstanceState.STARTING,
    "STARTING": InstanceState.STARTING,
    "RUNNING": InstanceState.RUNNING,
    "EXITED": InstanceState.STOPPED,
    "ERROR": InstanceState.FAILED,
}


class ShapeError(ValueError):
    """An answer that is not what the documents say."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is asked for when an offer is rented. As text it is the offer's id."""

    gpu: str
    cloud: str
    min_cuda: str = ""
    places: tuple[str, ...] = ()
    """Data centers; none: anywhere."""

    def __str__(self) -> str:
        """Return it as an offer's id."""
        return "|".join((self.cloud, self.gpu, self.min_cuda, ",".join(self.places)))

    @classmethod
    def of(cls, offer_id: str) -> "Choice":
        """Return what an offer's id says.

        Raises:
            ShapeError: it is not one of ours.
        """
        match offer_id.split("|"):
            case [("SECURE" | "COMMUNITY") as cloud, str(gpu), str(min_cuda), str(places)] if gpu:
                return cls(gpu, cloud, min_cuda, tuple(filter(None, places.split(","))))
        raise ShapeError("no offer of RunPod's")


@dataclass(frozen=True, slots=True)
class Heard:
    """What the system log of a pod says about its start: why it will not run, and its last line."""

    failure: str = ""
    last: str = ""


def parsed(content: bytes) -> Any:
    """Return what JSON says, fractions as decimals."""
    try:
        return json.loads(content, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, InvalidOperation, RecursionError) as error:
        raise ShapeError("no JSON") from error


def field(record: Any, name: str, kind: type) -> Any:
    """Return a field that has to be there and of this very type: true is no number, and null is nothing."""
    if not isinstance(record, dict):
        raise ShapeError("no object")
    value = record.get(name)
    if type(value) is not kind:
        raise ShapeError(f"{name} is {'missing' if name not in record else type(value).__name__}")
    return value


def text(record: Any, name: str) -> str:
    """Return a text that has to be there, and is not empty, cleaned."""
    value = clean(field(record, name, str), _MAX_SAID_CHARS)
    if not value:
        raise ShapeError(f"{name} is empty")
    return value


def microusd(value: Any) -> int:
    """Return an amount of dollars in micro-dollars."""
    if type(value) is int:
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite() or abs(value) > _MAX_USD:
        raise ShapeError("an amount is none")
    return int((value * 1_000_000).to_integral_value(ROUND_HALF_UP))


def disk_microusd_per_h(disk_gb: int) -> int:
    """Return what a pod's own disk costs while the pod runs, rounded up. A stopped pod has lost it and pays nothing."""
    return -(-disk_gb * DISK_MICROUSD_PER_GB_MONTH // _HOURS_PER_MONTH)


def problem(status: int, content: bytes) -> str | None:
    """Return what an RFC 9457 problem says, None if this is none: what stands in front of an API answers in HTML."""
    try:
        record = parsed(content)
        if field(record, "status", int) != status:
            return None
        said = [text(record, "title"), text(record, "detail")]
    except ShapeError:
        return None
    errors = record.get("errors")
    if isinstance(errors, list):
        said += [clean(str(error), 100) for error in errors[:5]]
    return clean(": ".join(dict.fromkeys(said)), _MAX_SAID_CHARS)


def offers_in(content: bytes, cloud: str, disk_gb: int, min_cuda: str, region: str, places: bool) -> Iterator[Offer]:
    """Yield what a catalog offers in a cloud. ``places``: only where it names data centers that have it.

    A kind of GPU that is not offered there, has no price or is not made by NVIDIA is none of ours.
    """
    for row in field(parsed(content), "gpus", list):
        if text(row, "manufacturer").upper() != "NVIDIA" or not field(row, cloud.lower(), bool):
            continue
        price = field(row, "price", dict).get(cloud.lower())
        availability = text(row, "availability")
        if min_cuda and not _may_run(row, min_cuda):
            continue
        named = tuple(_places(row, region if places else ""))
        if price is None or microusd(price) <= 0 or availability == "NONE" or (places and not named):
            continue
        gpu = field(row, "id", str)
        if not gpu or "|" in gpu or any("|" in place or "," in place for place in named):
            raise ShapeError("an id has a character that none has")
        total_microusd = microusd(price) + disk_microusd_per_h(disk_gb)
        yield Offer(
            provider="runpod",
            id=str(Choice(gpu, cloud, min_cuda, named if places else ())),
            gpu_name=_without_maker(text(row, "name")),
            vram_mib=field(row, "memory", int) * 1024,
            price_microusd_per_h=total_microusd,
            disk_microusd_per_h=disk_microusd_per_h(disk_gb),
            # Only the container's own disk is used: stopping a pod wipes it, and ends its bill.
            stopped_microusd_per_h=0,
            disk_gb=disk_gb,
            cuda=cuda_of(min_cuda),
            availability=availability,
            region=region,
            is_datacenter=cloud == "SECURE",
            # A pod never says which machine it is on. Its data center may be told, but not left out of a request.
            kind=" ".join(filter(None, (gpu, cloud, region))),
            balance_floor_microusd=total_microusd,
        )


def has_any_place(content: bytes, choice: Choice) -> bool:
    """Return whether one of the data centers that an offer is for has the GPU now."""
    rows = [row for row in field(parsed(content), "gpus", list) if field(row, "id", str) == choice.gpu]
    return any(place in choice.places for row in rows for place in _places(row, ""))


def cuda_of(version: str) -> tuple[int, int] | None:
    """Return a version as numbers: 12.11 is above 12.2."""
    found = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", version)
    return (int(found[1]), int(found[2])) if found else None


def instance_in(pod: Any, heard: Heard = Heard()) -> Instance | None:
    """Return a pod as an instance, None if it is terminated.

    RUNNING is said while the image is still being pulled, so it counts as such once the container itself runs.
    """
    status = text(pod, "status")
    if status == "TERMINATED":
        return None
    state = _STATES.get(status, InstanceState.UNKNOWN)
    ssh = direct_ssh(pod) if state is InstanceState.RUNNING else None
    detail = status
    if state is InstanceState.RUNNING and ssh is None:
        if _has_started(pod):
            detail = "RUNNING, but reached through RunPod's proxy alone so far, and that carries no files"
        else:
            state, detail = InstanceState.STARTING, "RUNNING is said, but the container has not started"
    if state in (InstanceState.STARTING, InstanceState.FAILED) or (state is InstanceState.RUNNING and ssh is None):
        if heard.failure:
            state, detail = InstanceState.FAILED, heard.failure
        elif heard.last:
            detail = f"{detail}: {heard.last}"
    price_microusd = microusd(pod.get("cost"))
    if state is not InstanceState.STOPPED:
        price_microusd += disk_microusd_per_h(field(pod, "disk", int))
    gpu = pod.get("gpu")
    return Instance(
        id=pod_id(pod),
        label=field(pod, "name", str),
        state=state,
        detail=clean(detail, _MAX_SAID_CHARS),
        ssh=ssh,
        price_microusd_per_h=price_microusd,
        created_ts=_instant(pod.get("createdAt")),
        gpu_name=_without_maker(clean(str(gpu.get("id", "")), 100)) if isinstance(gpu, dict) else "",
    )


def pod_id(pod: Any) -> str:
    """Return a pod's id, which becomes part of an address."""
    found: str = field(pod, "id", str)
    if not is_pod_id(found):
        raise ShapeError("a pod's id is none")
    return found


def is_pod_id(name: str) -> bool:
    """Return whether a name can be a pod's id."""
    return re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) is not None


def direct_ssh(pod: Any) -> SshAddress | None:
    """Return where the pod's own SSH server is. Never the proxy: it carries no files and no forwarding."""
    direct = field(pod, "ssh", dict).get("direct")
    if direct is None:
        return None
    host, port = field(direct, "host", str).strip(), field(direct, "port", int)
    if not re.fullmatch(r"[A-Za-z0-9.:_-]{1,253}", host) or host.startswith("-") or not 0 < port < 65536:
        raise ShapeError("ssh.direct is no address")
    user = field(direct, "username", str)
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", user):
        raise ShapeError("ssh.direct.username is none")
    return SshAddress(host=host, port=port, user=user)


def pods_in(content: bytes) -> tuple[list[Any], str]:
    """Return one page of a listing, and where the next begins.

    The documents know of no pages, newer servers do: a listing that says that it goes on is not taken for a whole one.
    """
    record = parsed(content)
    pods = field(record, "pods", list)
    if "pagination" not in record:
        return pods, ""
    pages = field(record, "pagination", dict)
    return pods, text(pages, "nextCursor") if field(pages, "hasNextPage", bool) else ""


def charges_in(content: bytes, instance_id: str) -> Charges | None:
    """Return the sum of a pod's records; they come one a day."""
    records = field(parsed(content), "records", list)
    if not records:
        return None
    total, gpu, disk = Decimal(0), Decimal(0), Decimal(0)
    for record in records:
        if field(record, "podId", str) != instance_id:
            raise ShapeError("it is another pod's bill")
        total += _amount(record, "totalAmount")
        gpu += _amount(record, "gpuAmount")
        disk += _amount(record, "diskAmount")
    return Charges(
        total_microusd=microusd(total),
        gpu_microusd=microusd(gpu),
        disk_microusd=microusd(disk),
        traffic_microusd=0,
    )


def graphql_in(content: bytes) -> tuple[Mapping[str, Any], list[str]]:
    """Return what a GraphQL query found, and what it complains about: errors come with a status of 200."""
    record = parsed(content)
    errors = record.get("errors") if isinstance(record, dict) else None
    if errors is None:
        return field(record, "data", dict), []
    if not isinstance(errors, list) or not errors:
        raise ShapeError("errors are none")
    said = []
    for error in errors[:5]:
        extensions = error.get("extensions") if isinstance(error, dict) else None
        code = extensions.get("code", "") if isinstance(extensions, dict) else ""
        said.append(clean(f"{code} {text(error, 'message')}".strip(), 200))
    return {}, said


def heard_in(stream: bytes) -> Heard:
    """Return what a stream of log events says; the last line may be cut, and what is no event is left out.

    A failed pull is tried again by RunPod, so what comes after it counts.
    """
    failure = last = ""
    for line in _log_lines(stream):
        last = line
        if words.means_failure(line):
            failure = line
        elif words.means_start(line):
            failure = ""
    return Heard(failure, last)


def _log_lines(stream: bytes) -> Iterator[str]:
    for raw in stream.decode("utf-8", "replace").splitlines():
        if raw.startswith("data:"):
            try:
                yield text(parsed(raw.removeprefix("data:").encode()), "line").strip()
            except ShapeError:
                continue


def _places(row: Any, only: str) -> Iterator[str]:
    """Yield the data centers that have a kind of GPU now; the field is missing where none has.

    ``only`` is one of them, or a country: those are left out whose id tells of another one, should that not have been
    heeded.
    """
    is_country = _is_country(only)
    for place in field(row, "dataCenters", list) if row.get("dataCenters") is not None else ():
        found = text(place, "id")
        if text(place, "availability") != "NONE" and (
            not only or found == only or (is_country and _country(found) in ("", only))
        ):
            yield found


def _country(place: str) -> str:
    """Return the country that a data center's id tells of: EU-RO-1, US-TX-3; empty where it tells of none."""
    found = re.fullmatch(r"([A-Z]{2,3})-([A-Z]{2,3})-\d+", place)
    if found is None:
        return ""
    country = found[2] if found[1] in _CONTINENTS else found[1]
    return country if _is_country(country) else ""


def _may_run(row: Any, min_cuda: str) -> bool:
    """Return whether a kind of GPU is there with a driver for this CUDA, as far as the catalog says that."""
    if row.get("cudaVersions") is None:
        return True
    least = cuda_of(min_cuda)
    there = (text(each, "version") for each in field(row, "cudaVersions", list) if field(each, "available", bool))
    return any(least is None or (version := cuda_of(each)) is None or version >= least for each in there)


def _is_country(region: str) -> bool:
    return re.fullmatch(r"[A-Z]{2}", region) is not None


def _has_started(pod: Any) -> bool:
    runtime = pod.get("runtime")
    uptime = runtime.get("uptime") if isinstance(runtime, dict) else None
    return type(uptime) is int and uptime > 0


def _amount(record: Any, name: str) -> Decimal:
    value = record.get(name)
    microusd(value)
    return Decimal(value)


def _instant(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _without_maker(name: str) -> str:
    return name.removeprefix("NVIDIA ").removeprefix("GeForce ")


def _no_number(_: str) -> Any:
    raise ValueError("no number")
