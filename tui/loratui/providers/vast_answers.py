"""What Vast.ai's answers mean: its units, its words for a state, its many ways of saying no. Pure.

Whatever is not as its documents and clients know it is a ``ValueError`` here; ``vast`` says what that means.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any

from loratui.domain.offers import Offer
from loratui.providers.base import Charges, Instance, InstanceState, SshAddress
from loratui_protocol.codec import clean

HOURS_PER_MONTH = 720
"""Vast.ai's month has 30 days: its ``storage_total_cost`` is GB x ``storage_cost`` / 720."""
MIN_DIRECT_PORTS = 2
_MAX_NUMBER = Decimal(10) ** 12
_MAX_NAME_CHARS = 64
_MAX_LABEL_CHARS = 256
_MAX_DETAIL_CHARS = 300
_COUNTRY = re.compile(r"(?:.*,\s*)?([A-Z]{2})")
_KEY = re.compile(r"[!-~]{8,512}")

# "offline", "unknown" and "frozen" are not here: the first two come back, the third bills its GPU. All are UNKNOWN.
_STARTING = ("", "created", "loading", "scheduling", "rebooting")
_BROKEN_STARTS = (
    "error response from daemon",
    "failed to pull image",
    "no space left on device",
    "manifest unknown",
    "unauthorized",
    "unexpected eof",
    "oci runtime create failed",
)
"""In ``status_msg``, of starts that Docker has given up; nothing else in the answer says so."""


class OddAnswerError(ValueError):
    """An answer is not as it can be. The text says where."""


def read_offer(value: Any, disk_gb: int) -> Offer | None:
    """Return the offer, that much disk in its price; None when it is not of the kind that we rent.

    We rent one verified NVIDIA GPU that nobody can outbid, behind its own ports, on a PC's kind of processor.
    """
    fields = mapping(value)
    if (
        flag(fields, "is_bid")
        or fields.get("rented") is True
        or fields.get("rentable") is False
        or text(fields, "verification") != "verified"
        or number(fields, "num_gpus") != 1
        or text(fields, "gpu_arch") not in ("", "nvidia")
        or text(fields, "cpu_arch") not in ("", "amd64")
        or (number_or_none(fields, "direct_port_count") or 0) < MIN_DIRECT_PORTS
        or number(fields, "disk_space") < disk_gb
    ):
        return None
    disk_per_h = number(fields, "storage_cost") * disk_gb / HOURS_PER_MONTH
    # dph_total is for the disk that was asked about; should that have been overlooked, the sum is not.
    price_per_h = max(number(fields, "dph_total"), number(fields, "dph_base") + disk_per_h)
    geolocation = text(fields, "geolocation")
    country = _COUNTRY.fullmatch(geolocation)
    hosting_type = number_or_none(fields, "hosting_type")
    return Offer(
        provider="vast",
        id=str(identity(fields, "id")),
        gpu_name=text(fields, "gpu_name"),
        vram_mib=int(number(fields, "gpu_ram")),
        memory_gb_per_s=_float(number_or_none(fields, "gpu_mem_bw")),
        price_microusd_per_h=microusd(price_per_h),
        disk_microusd_per_h=microusd(disk_per_h),
        stopped_microusd_per_h=microusd(disk_per_h),
        sent_microusd_per_gb=microusd(number_or_none(fields, "inet_up_cost") or Decimal(0)),
        received_microusd_per_gb=microusd(number_or_none(fields, "inet_down_cost") or Decimal(0)),
        disk_gb=disk_gb,
        compute_capability=_capability(number_or_none(fields, "compute_cap")),
        driver=text(fields, "driver_version"),
        cuda=_cuda(number_or_none(fields, "cuda_max_good")),
        num_cpus=_whole(number_or_none(fields, "cpu_cores_effective")),
        ram_gib=_ram_gib(fields),
        download_mbit_s=_float(number_or_none(fields, "inet_down")),
        upload_mbit_s=_float(number_or_none(fields, "inet_up")),
        reliability=_float(number_or_none(fields, "reliability")),
        region=country[1] if country else geolocation,
        is_datacenter=None if hosting_type is None else hosting_type == 1,
        machine=str(fields["machine_id"]) if number_or_none(fields, "machine_id") else "",
        longest_s=_float(number_or_none(fields, "duration")),
    )


def read_instance(value: Any) -> Instance:
    """Return the instance. Its address is that of its own port; there is none through Vast.ai's proxy."""
    fields = mapping(value)
    state = _state(fields)
    started_s = number_or_none(fields, "start_date")
    return Instance(
        id=str(identity(fields, "id")),
        label=label(fields),
        state=state,
        detail=": ".join(filter(None, (text(fields, "actual_status"), text(fields, "status_msg", _MAX_DETAIL_CHARS)))),
        ssh=_ssh(fields) if state is InstanceState.RUNNING else None,
        price_microusd_per_h=microusd(number(fields, "dph_total")),
        created_ts=_float(started_s),
        machine=str(fields["machine_id"]) if number_or_none(fields, "machine_id") else "",
        gpu_name=text(fields, "gpu_name"),
    )


def label(fields: Mapping[str, Any]) -> str:
    """Return an instance's label, empty where it has none."""
    return text(fields, "label", _MAX_LABEL_CHARS)


def read_charges(rows: list[Mapping[str, Any]]) -> Charges | None:
    """Return what the rows of one instance say was billed for it, None if there are none."""
    if not rows:
        return None
    parts: dict[str, Decimal] = {}
    for item in (mapping(each) for row in rows for each in sequence(row, "items")):
        kind = text(item, "type")
        parts[kind] = parts.get(kind, Decimal(0)) + number(item, "amount", low=-_MAX_NUMBER)
    traffic = [parts[kind] for kind in ("bwd", "bwu") if kind in parts]
    return Charges(
        total_microusd=_signed_microusd(sum((number(row, "amount", low=-_MAX_NUMBER) for row in rows), Decimal(0))),
        gpu_microusd=_signed_microusd(parts["gpu"]) if "gpu" in parts else None,
        disk_microusd=_signed_microusd(parts["disk"]) if "disk" in parts else None,
        traffic_microusd=_signed_microusd(sum(traffic, Decimal(0))) if traffic else None,
    )


def read_keys(listed: list[Any]) -> Iterator[tuple[int, str]]:
    """Yield ids and texts of the account's SSH keys that are in force."""
    for fields in map(mapping, listed):
        if fields.get("deleted_at") is None:
            # The list says "key", the answer to a new one "public_key".
            yield identity(fields, "id"), text(fields, "key" if "key" in fields else "public_key", 16_384)


def same_key(one: str, other: str) -> bool:
    """Return whether two lines are one public key, whatever their comments."""
    return one.split()[:2] == other.split()[:2] != []


def scoped_key(fields: Mapping[str, Any]) -> str:
    """Return the key that may end this one instance, empty where none was handed out."""
    key = fields.get("instance_api_key")
    return key if isinstance(key, str) and _KEY.fullmatch(key) else ""


def microusd(dollars: Decimal) -> int:
    """Return a price in micro-dollars, rounded against us."""
    return int((dollars * 1_000_000).to_integral_value(ROUND_CEILING))


def balance_microusd(fields: Mapping[str, Any]) -> int:
    """Return what can be spent, rounded against us: ``credit``, which its guides name, else its reference's word."""
    name = "credit" if fields.get("credit") is not None else "balance"
    dollars = number(fields, name, low=-_MAX_NUMBER)
    return int((dollars * 1_000_000).to_integral_value(ROUND_FLOOR))


def mapping(value: Any) -> Mapping[str, Any]:
    """Return the value if it is an object."""
    if not isinstance(value, dict):
        raise OddAnswerError("no object where one belongs")
    return value


def sequence(fields: Mapping[str, Any], name: str) -> list[Any]:
    """Return a list."""
    value = fields.get(name)
    if not isinstance(value, list):
        raise OddAnswerError(f"{name} is no list")
    return value


def identity(fields: Mapping[str, Any], name: str) -> int:
    """Return an id."""
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 63:
        raise OddAnswerError(f"{name} is no id")
    return value


def flag(fields: Mapping[str, Any], name: str) -> bool:
    """Return a yes or a no."""
    value = fields.get(name)
    if not isinstance(value, bool):
        raise OddAnswerError(f"{name} is neither true nor false")
    return value


def number(fields: Mapping[str, Any], name: str, *, low: Decimal = Decimal(0)) -> Decimal:
    """Return a number of a reasonable size, exact as it was written."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not low <= value <= _MAX_NUMBER:
        raise OddAnswerError(f"{name} is no number, or not one that can be")
    return Decimal(value)


def number_or_none(fields: Mapping[str, Any], name: str) -> Decimal | None:
    """Return a number, None where it is not known."""
    return None if fields.get(name) is None else number(fields, name)


def text(fields: Mapping[str, Any], name: str, max_chars: int = _MAX_NAME_CHARS) -> str:
    """Return a text in one line, cleaned and cut; empty where there is none."""
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise OddAnswerError(f"{name} is no text")
    return " ".join(clean(value, 4 * max_chars).split())[:max_chars]


def _state(fields: Mapping[str, Any]) -> InstanceState:
    if "actual_status" not in fields:
        raise OddAnswerError("it says no actual_status")
    actual = text(fields, "actual_status")
    wanted = text(fields, "intended_status")
    if actual == "running":
        return InstanceState.RUNNING
    if actual == "stopped" or (actual == "exited" and wanted == "stopped"):
        return InstanceState.STOPPED
    if actual in ("exited", "error"):
        return InstanceState.FAILED
    if actual not in _STARTING:
        return InstanceState.UNKNOWN
    message = text(fields, "status_msg", 4 * _MAX_DETAIL_CHARS).lower()
    if any(words in message for words in _BROKEN_STARTS):
        return InstanceState.FAILED
    if wanted == fields.get("cur_state") == fields.get("next_state") == "stopped":
        return InstanceState.STOPPED
    return InstanceState.STARTING


def _ssh(fields: Mapping[str, Any]) -> SshAddress | None:
    """Return the address; None as long as it has none: a machine can run before its ports are known."""
    host = text(fields, "public_ipaddr")
    ports = mapping(fields.get("ports") or {})
    if not host or not ports.get("22/tcp"):
        return None
    port = str(mapping(sequence(ports, "22/tcp")[0]).get("HostPort"))
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65_536):
        raise OddAnswerError("HostPort is no port")
    return SshAddress(host=str(ipaddress.ip_address(host)), port=int(port))


def _signed_microusd(dollars: Decimal) -> int:
    return int((dollars * 1_000_000).to_integral_value(ROUND_HALF_EVEN))


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _whole(value: Decimal | None) -> int | None:
    return None if value is None else int(value)


def _capability(value: Decimal | None) -> tuple[int, int] | None:
    """Return it from how Vast.ai writes it: 890 is 8.9, 1200 is 12.0."""
    return None if value is None else (int(value) // 100, int(value) % 100 // 10)


def _cuda(value: Decimal | None) -> tuple[int, int] | None:
    """Return it from a number: 12.8, or 13."""
    return None if value is None else (int(value), int(value * 10) % 10)


def _ram_gib(fields: Mapping[str, Any]) -> float | None:
    """Return our share: ``cpu_ram`` is the whole machine's, in MiB, and ``cpu_cores`` may be unknown."""
    whole, cores = number_or_none(fields, "cpu_ram"), number_or_none(fields, "cpu_cores")
    ours = number_or_none(fields, "cpu_cores_effective")
    if whole is None or not cores or ours is None:
        return None
    return float(whole * min(Decimal(1), ours / cores) / 1024)
