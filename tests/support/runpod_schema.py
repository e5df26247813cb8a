"""Pods as RunPod's documents describe them, what a request to create one may hold, and a catalog to choose from."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

CLOUDS = ("SECURE", "COMMUNITY")
_CUDA = re.compile(r"\d+\.\d+")
_PORT = re.compile(r"\d{1,5}/(tcp|http)")
ACTIONS = {
    "PROVISIONING": ["stop", "terminate"],
    "STARTING": ["stop", "terminate"],
    "RUNNING": ["stop", "restart", "terminate"],
    "EXITED": ["start", "terminate"],
    "ERROR": ["start", "terminate"],
}


@dataclass
class FakePod:
    """A pod. ``request`` is what it was created with; ``scoped_key`` is what RunPod gives it as RUNPOD_API_KEY."""

    id: str
    request: dict[str, Any]
    price: Decimal
    born_s: float
    scoped_key: str
    status: str = "PROVISIONING"
    address: tuple[str, int, str] | None = None
    """Host, port and user of its own SSH server."""
    is_direct: bool = False
    """Its port has been published: the address is told."""
    uptime_s: int = 0
    log: list[str] = field(default_factory=list)
    is_failing: bool = False
    has_proxy_only: bool = False
    num_clings: int = 0
    ended_s: float | None = None

    @property
    def env(self) -> dict[str, str]:
        """What its processes see, what RunPod adds included."""
        scoped = {"RUNPOD_POD_ID": self.id, "RUNPOD_API_KEY": self.scoped_key, "RUNPOD_DC_ID": "EU-RO-1"}
        return {**self.request.get("env", {}), **scoped}

    def seen(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        asked, ssh = self.request, None
        if self.is_direct and self.address:
            host, port, user = self.address
            ssh = {"host": host, "port": port, "username": user, "command": f"ssh {user}@{host} -p {port}"}
        proxy_user = f"{self.id}-64411eb2"
        command = f"ssh {proxy_user}@ssh.runpod.io"
        return {
            "id": self.id,
            "name": asked["name"],
            "image": asked["image"],
            "args": asked.get("args", ""),
            "disk": asked.get("disk", 50),
            "ports": asked.get("ports", []),
            "env": asked.get("env", {}),
            "registry": None,
            "status": self.status,
            "actions": ACTIONS.get(self.status, []),
            "mounts": {},
            "gpu": {"id": asked["gpu"]["id"], "count": 1, "vcpuCount": 16, "memory": 64},
            "cloud": asked.get("cloud", "SECURE"),
            "dataCenterId": "EU-RO-1",
            "cudaVersion": "12.8",
            "ssh": {
                "proxy": {"host": "ssh.runpod.io", "port": 22, "username": proxy_user, "command": command},
                "direct": ssh,
            },
            "template": None,
            "cost": float(self.price) if self.status not in ("EXITED", "TERMINATED") else 0.0,
            "locked": False,
            "globalNetworking": {"enabled": False},
            "runtime": {"uptime": self.uptime_s, "ports": []} if self.uptime_s else None,
            "createdAt": "2026-11-23T12:00:00Z",
            "startedAt": None,
        }


def _gpu(
    gpu_id: str, memory: int, secure: float, community: float, *centers: str, cuda: str = "12.8"
) -> dict[str, Any]:
    return {
        "id": gpu_id,
        "name": re.sub(r"^(NVIDIA|AMD) (GeForce )?", "", gpu_id),
        "pool": None,
        "manufacturer": gpu_id.split()[0],
        "memory": memory,
        "secure": secure > 0,
        "community": community > 0,
        "price": {"secure": secure, "community": community},
        "maxCount": {"secure": 8, "community": 4},
        "availability": "HIGH",
        "dataCenters": [{"id": center, "name": center, "availability": "HIGH"} for center in centers],
        "cudaVersions": [{"version": cuda, "available": True}, {"version": "12.4", "available": True}],
    }


def catalog() -> list[dict[str, Any]]:
    """Return kinds of GPUs as the catalog has them, fields for availability included."""
    return [
        _gpu("NVIDIA GeForce RTX 4090", 24, 0.69, 0.34, "EU-RO-1", "US-TX-3"),
        _gpu("NVIDIA GeForce RTX 3090", 24, 0.46, 0.22, "EU-SE-1", cuda="12.7"),
        _gpu("NVIDIA RTX A5000", 24, 0.27, 0.16, "EU-RO-1", "EU-SE-1"),
        _gpu("NVIDIA RTX 4000 Ada Generation", 20, 0.26, 0.0, "EU-RO-1"),
        _gpu("NVIDIA L40S", 48, 0.86, 0.0, "US-TX-3"),
        _gpu("AMD Instinct MI300X OAM", 192, 2.49, 0.0, "EU-RO-1"),
    ]


def country(center: str) -> str:
    """Return the country that a data center's id tells of: EU-RO-1 is in Romania, US-TX-3 in the States."""
    first, second, _ = center.split("-")
    return second if first == "EU" else first


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def violations(body: Any) -> list[str]:
    """Return what makes a body no CreatePodRequest: answered with 422."""
    if not isinstance(body, dict):
        return ["$: got no object"]
    return [*_unknown(body), *_wrong(body)]


def broken_rule(body: dict[str, Any]) -> str:
    """Return which rule a body breaks that the schema can't state, empty if none: answered with 400."""
    if ("gpu" in body) == ("cpu" in body):
        return "exactly one of gpu or cpu must be set"
    if "gpu" in body and body["gpu"].get("allowedCudaVersions") and "minCudaVersion" in body["gpu"]:
        return "allowedCudaVersions and minCudaVersion are mutually exclusive"
    if len(body.get("mounts", {})) > 1:
        return "persistent and network mounts are mutually exclusive"
    return ""


def _unknown(body: dict[str, Any]) -> Iterator[str]:
    known = {
        "$": "name image args disk env ports registry cloud cpu gpu dataCenterIds globalNetworking mounts startJupyter"
        " startSsh templateId",
        "$.gpu": "id count allowedCudaVersions minCudaVersion minRamPerGpu minVcpuCountPerGpu",
        "$.mounts": "persistent network",
    }
    for place, part in (("$", body), ("$.gpu", body.get("gpu")), ("$.mounts", body.get("mounts"))):
        if isinstance(part, dict):
            yield from (
                f"{place}: additional properties '{name}' not allowed"
                for name in part
                if name not in known[place].split()
            )


def _wrong(body: dict[str, Any]) -> Iterator[str]:
    kinds = {"name": str, "image": str, "args": str, "disk": int, "env": dict, "ports": list, "gpu": dict}
    kinds |= {"startSsh": bool, "startJupyter": bool, "dataCenterIds": list, "mounts": dict, "cloud": str}
    for name, kind in kinds.items():
        if name in body and type(body[name]) is not kind:
            yield f"$.{name}: got {type(body[name]).__name__}, want {kind.__name__}"
            return
    yield from (f"$: missing property '{name}'" for name in ("name", "image") if not body.get(name))
    if body.get("disk", 1) < 1:
        yield "$.disk: minimum: got 0, want 1"
    if body.get("cloud", "SECURE") not in CLOUDS:
        yield "$.cloud: value must be one of 'SECURE', 'COMMUNITY'"
    if any(not isinstance(value, str) for value in body.get("env", {}).values()):
        yield "$.env: got number, want string"
    if any(not _PORT.fullmatch(str(port)) for port in body.get("ports", [])):
        yield "$.ports: no port/protocol"
    gpu = body.get("gpu", {"id": "x"})
    if not isinstance(gpu.get("id"), str):
        yield "$.gpu: missing property 'id'"
    if "minCudaVersion" in gpu and not _CUDA.fullmatch(str(gpu["minCudaVersion"])):
        yield "$.gpu.minCudaVersion: does not match pattern"
