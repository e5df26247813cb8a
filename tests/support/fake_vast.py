"""Vast.ai on loopback: what its documents and clients say of it, its traps, and faults on request.

Nothing happens by itself: ``step`` is time. Whoever wants real machines behind it gives ``on_running``, which starts
one and returns where its SSH server is, and ``on_gone``, which ends it.
"""

import base64
import contextlib
import json
import re
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from loratui.domain.offers import Offer
from support.vast_schema import CREATE, RUNTYPES, violations, wrong_search

KEY = "vast-account-key-0123456789abcdef"
STATUSES = (None, "created", "loading", "running")
DEFAULT_DISK_GB = 8
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 -- what it says, not where anything listens
MAX_START_SCRIPT_CHARS = 4096
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda have, want: have == want,
    "neq": lambda have, want: have != want,
    "gt": lambda have, want: have > want,
    "lt": lambda have, want: have < want,
    "gte": lambda have, want: have >= want,
    "lte": lambda have, want: have <= want,
    "in": lambda have, want: have in want,
    "notin": lambda have, want: have not in want,
}
_CONTROLS = ("limit", "type", "order", "allocated_storage", "q", "target_reliability")
_DROPPED = ("rented", "datacenter", "external")
"""Filters that the server does not know: it says nothing about them."""

Answer = tuple[int, bytes, str]
"""Status, content, its type."""
Reply = Callable[[int, Any], tuple[int, Any]]


def ask(number: int, gpu_name: str, gpu_ram: int, dph_base: float, **changes: Any) -> dict[str, Any]:
    """Return an offer as it is listed, without what depends on the disk."""
    return {
        "id": number,
        "ask_contract_id": number,
        "bundle_id": number + 1000,
        "machine_id": number + 2000,
        "host_id": 104411,
        "gpu_name": gpu_name,
        "num_gpus": 1,
        "gpu_ram": gpu_ram,
        "gpu_frac": 0.25,
        "gpu_mem_bw": 869.6,
        "gpu_arch": "nvidia",
        "compute_cap": 890,
        "cuda_max_good": 12.8,
        "driver_version": "570.133.20",
        "cpu_cores": 128,
        "cpu_cores_effective": 32.0,
        "cpu_ram": 515896,
        "cpu_arch": "amd64",
        "disk_space": 812.4,
        "inet_up": 713.2,
        "inet_down": 842.9,
        "inet_up_cost": 0.00390625,
        "inet_down_cost": 0.001953125,
        "direct_port_count": 249,
        "static_ip": True,
        "public_ipaddr": "203.0.113.42",
        "geolocation": "Sweden, SE",
        "hosting_type": 0,
        "reliability": 0.9971,
        "verification": "verified",
        "verified": True,
        "rentable": True,
        "rented": False,
        "is_bid": False,
        "min_bid": round(dph_base / 2, 4),
        "dph_base": dph_base,
        "storage_cost": 0.15,
        "duration": 1987200.0,
        "external": None,
        **changes,
    }


def market() -> list[dict[str, Any]]:
    """Return what is offered: five machines that fit, and one of everything that must never be taken."""
    return [
        ask(101, "RTX 4090", 24564, 0.3403),
        ask(102, "RTX 3090", 24576, 0.1622, compute_cap=860, geolocation="Norway, NO", cpu_cores=None),
        ask(103, "RTX 5090", 32607, 0.5111, compute_cap=1200, cuda_max_good=13.0, storage_cost=0.3),
        ask(104, "RTX A6000", 49140, 0.4525, compute_cap=860, gpu_mem_bw=652.2, hosting_type=1, geolocation="US"),
        ask(105, "RTX 4090", 24564, 0.3001, storage_cost=0.9, inet_up_cost=0.02),
        # What follows costs next to nothing: whoever takes it in is found out.
        ask(201, "RTX 4090", 24564, 0.0201, rented=True),
        ask(202, "RTX 4090", 24564, 0.0202, num_gpus=2),
        ask(203, "RTX 4090", 24564, 0.0203, verification="unverified", verified=False),
        ask(204, "RTX 4090", 24564, 0.0204, direct_port_count=1),
        ask(205, "GH200", 97871, 0.0205, cpu_arch="arm64"),
        ask(206, "RX 7900 XTX", 24560, 0.0206, gpu_arch="amd"),
        ask(207, "RTX 4090", 24564, 0.0207, disk_space=12.0),
        ask(208, "RTX 4090", 24564, 0.0208, reliability=0.71),
        ask(209, "RTX 4090", 24564, 0.0209, rentable=False),
    ]


@dataclass
class FakeInstance:
    """A rental. ``stage`` is its place in ``STATUSES``; one more, and its ports are known."""

    id: int
    ask: dict[str, Any]
    label: str | None
    disk_gb: float
    image: str
    start_script: str
    environment: dict[str, str]
    api_key: str
    created_s: float
    running_s: float | None = None
    stage: int = 0
    changes: dict[str, Any] = field(default_factory=dict)
    """Of what it says of itself, over all that follows from its stage."""
    public_keys: list[str] = field(default_factory=list)
    """What it lets in: the account's keys at its start, and what was attached."""
    ssh: tuple[str, int] | None = None
    num_clings: int = 0
    ended_s: float | None = None

    def shown(self) -> dict[str, Any]:
        status = STATUSES[min(self.stage, len(STATUSES) - 1)]
        per_hour = self.ask["dph_base"] + _disk_per_h(self.ask, self.disk_gb)
        bound = self.ssh is not None and self.stage >= len(STATUSES)
        host, port = self.ssh or ("", 0)
        # A text, not the number that the reference has.
        bindings = [{"HostIp": address, "HostPort": str(port)} for address in (ANY_ADDRESS, "::")]
        return {
            "id": self.id,
            "actual_status": status,
            "intended_status": "running",
            "cur_state": "running",
            "next_state": "running",
            "label": self.label,
            "status_msg": f"success, running {self.image}/ssh" if status == "running" else "6ce9: Pull complete ",
            "image_uuid": self.image,
            "image_runtype": "ssh_direct",
            "ssh_host": "ssh4.vast.ai",
            "ssh_port": 15678,
            # As it comes.
            "public_ipaddr": f"{host}\n" if status == "running" else None,
            "ports": {"22/tcp": bindings} if bound else None,
            "machine_id": self.ask["machine_id"],
            "gpu_name": self.ask["gpu_name"],
            "num_gpus": 1,
            "dph_base": self.ask["dph_base"],
            "dph_total": round(per_hour, 6),
            "is_bid": False,
            "start_date": self.created_s,
            "extra_env": [list(pair) for pair in self.environment.items()],
            "onstart": self.start_script,
            **self.changes,
        }


@dataclass
class FakeVast:
    """The account, the market and what was rented. Every answer is given under one lock."""

    url: str = ""
    key: str = KEY
    account_id: int = 123456
    credit: float = 25.0
    asks: dict[int, dict[str, Any]] = field(default_factory=lambda: {each["id"]: each for each in market()})
    instances: dict[int, FakeInstance] = field(default_factory=dict)
    ended: dict[int, FakeInstance] = field(default_factory=dict)
    account_keys: dict[int, str] = field(default_factory=dict)
    intervals_s: dict[str, float] = field(default_factory=dict)
    """The least time between two requests of a kind; what comes sooner is too frequent."""
    retry_after_s: int = 0
    """What "too frequent" asks for; as a rule it asks for nothing."""
    per_page: int = 2
    wrong_key: tuple[int, str] = (401, "Invalid user key")
    lacks_scopes: set[str] = field(default_factory=set)
    """Kinds of requests that the account's key may not make."""
    refuses_scoped_keys: bool = False
    """An instance's own key opens nothing."""
    ignores_filters: bool = False
    ignores_disk: bool = False
    is_team: bool = False
    creates_and_refuses: bool = False
    """The next create says no, and has made an instance."""
    holds_starts: bool = False
    """No machine gets further than being loaded: nothing of ours runs there, and it bills."""
    on_created: Callable[[], object] = lambda: None
    """Called once an instance was made, before anyone is answered."""
    on_running: Callable[[FakeInstance], tuple[str, int]] | None = None
    on_gone: Callable[[FakeInstance], None] | None = None
    clock_s: Callable[[], float] = time.time
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    """Kind, path with its query, body."""
    user_agents: set[str] = field(default_factory=set)
    _counts: Counter[str] = field(default_factory=Counter)
    _canned: defaultdict[str, deque[Answer]] = field(default_factory=lambda: defaultdict(deque))
    _lost: dict[str, bool] = field(default_factory=dict)
    _last_s: dict[str, float] = field(default_factory=dict)
    _next_id: int = 12_345_678
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # What the suite and tests do to it.

    def step(self) -> None:
        with self._lock:
            for each in list(self.instances.values()):
                if self.holds_starts and STATUSES[each.stage : each.stage + 1] == ("loading",):
                    continue
                each.stage += 1
                if each.stage == STATUSES.index("running"):
                    each.running_s = self.clock_s()
                    each.ssh = self.on_running(each) if self.on_running else ("203.0.113.42", 40_000 + each.id % 1000)

    def lose_answers(self, kind: str, *, carried_out: bool) -> None:
        self._lost[kind] = carried_out

    def answer(self, kind: str, status: int, content: bytes, *, times: int = 1, content_type: str = "") -> None:
        self._canned[kind].extend([(status, content, content_type)] * times)

    def take_away(self, offer: Offer) -> None:
        del self.asks[int(offer.id)]

    def raise_price(self, offer: Offer, microusd_per_h: int) -> None:
        taken = self.asks[int(offer.id)]
        taken["dph_base"] = microusd_per_h / 1e6 - _disk_per_h(taken, offer.disk_gb)

    def cling(self, instance_id: str, times: int) -> None:
        self.instances[int(instance_id)].num_clings = times

    def fail_start(self, instance_id: str) -> None:
        said = "Error response from daemon: manifest for \x1b[31mno/such:image\x1b[0m not found: manifest unknown\n"
        self.instances[int(instance_id)].changes |= {"actual_status": "created", "status_msg": said}

    def empty_account(self) -> None:
        self.credit = 0.02

    def num_living(self) -> int:
        return len(self.instances)

    def num_requests(self, kind: str) -> int:
        return self._counts[kind]

    # What arrives.

    def take(self, method: str, target: str, key: str, content: bytes) -> Answer | None:
        """Return the answer to a request, None when the connection is to break instead."""
        path = urlsplit(target).path
        for kind, wanted, pattern, reply in self._routes():
            found = re.fullmatch(pattern, path)
            if method == wanted and found:
                return self._reply(kind, int(found[1]) if found.groups() else 0, reply, target, key, content)
        return 404, b"<html>404 Not Found</html>", "text/html"

    def _reply(self, kind: str, number: int, reply: Reply, target: str, key: str, content: bytes) -> Answer | None:
        with self._lock:
            body = json.loads(content) if content else None
            self._counts[kind] += 1
            self.requests.append((kind, target, body))
            if self._canned[kind]:
                return self._canned[kind].popleft()
            if self._lost.get(kind) is False:
                del self._lost[kind]
                return None
            if too_frequent := self._too_frequent(kind):
                return too_frequent
            query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
            status, said = self._refusal(kind, key, number) or reply(number, body if body is not None else query)
            if self._lost.pop(kind, False):
                return None
        return status, json.dumps(said).encode(), "application/json"

    def _routes(self) -> tuple[tuple[str, str, str, Reply], ...]:
        one = r"/api/v0/instances/(\d+)/"
        return (
            ("offers", "POST", "/api/v0/bundles/", self._offers),
            ("create", "PUT", r"/api/v0/asks/(\d+)/", self._create),
            ("get", "GET", one, self._get),
            ("end", "DELETE", one, self._end),
            ("stop", "PUT", one, self._stop),
            ("list", "GET", "/api/v1/instances/", self._list),
            ("attach", "POST", one + "ssh/", self._attach),
            ("keys", "GET", "/api/v0/ssh/", self._keys),
            ("new_key", "POST", "/api/v0/ssh/", self._new_key),
            ("end_key", "DELETE", r"/api/v0/ssh/(\d+)/", self._end_key),
            ("account", "GET", "/api/v0/users/current/", self._account),
            ("charges", "GET", "/api/v0/charges/", self._charges),
        )

    def _too_frequent(self, kind: str) -> Answer | None:
        least_s, now_s = self.intervals_s.get(kind, 0.0), time.monotonic()
        last_s = self._last_s.get(kind, -1e9)
        self._last_s[kind] = now_s
        if now_s - last_s >= least_s:
            return None
        return 429, f"API requests too frequent: endpoint threshold={least_s}".encode(), "text/plain"

    def _refusal(self, kind: str, key: str, number: int) -> tuple[int, Any] | None:
        if kind == "offers" and not key:
            return None
        for each in (*self.instances.values(), *self.ended.values()):
            if key == each.api_key:
                if kind in ("get", "end", "stop") and number == each.id and not self.refuses_scoped_keys:
                    return None
                return 401, _no("auth_error", "This key may not do that")
        if key != self.key:
            status, words = (404, "Invalid user key") if kind == "offers" else self.wrong_key
            return status, _no("auth_error", words)
        if kind in self.lacks_scopes:
            return 403, {"msg": "Your key lacks the permission for this endpoint"}
        return None

    def _offers(self, _: int, wanted: Any) -> tuple[int, Any]:
        if wrong := wrong_search(wanted):
            return 400, _no("invalid_request", f"error 400: {'; '.join(wrong)}")
        disk_gb = DEFAULT_DISK_GB if self.ignores_disk else wanted.get("allocated_storage", DEFAULT_DISK_GB)
        listed = [{**each, **_totals(each, disk_gb)} for each in self.asks.values()]
        if wanted.get("type") not in ("on-demand", "ondemand") or self.ignores_filters:
            bids = [{**each, "is_bid": True, "dph_base": each["min_bid"]} for each in self.asks.values()]
            listed += [{**each, **_totals(each, disk_gb)} for each in bids]
        if not self.ignores_filters:
            listed = [each for each in listed if _matches(each, wanted)]
        for column, direction in reversed(wanted.get("order", [])):
            listed.sort(key=lambda each: each[column], reverse=direction == "desc")
        # Searched by, and not among what is answered.
        shown = [{name: each[name] for name in each if name != "verified"} for each in listed]
        return 200, {"offers": shown[: wanted.get("limit", 64)]}

    def _create(self, number: int, body: Any) -> tuple[int, Any]:
        args_chars = len(body.get("onstart", "")) + len(body.get("args_str", ""))
        if (
            violations(body, CREATE)
            or args_chars > MAX_START_SCRIPT_CHARS
            or len(body.get("label", "")) > 256
            or body.get("disk", 10) < 8
            or body.get("runtype") not in RUNTYPES
        ):
            return 400, {**_no("invalid_args", "error 400/3467: Invalid args"), "ask_id": number}
        taken = self.asks.get(number)
        if taken is None:
            words = f"error 404/3603: no_such_ask Instance type by id {number} is not available."
            return 404, {**_no("invalid_args", words), "ask_id": number}
        if not taken["rentable"] or taken["disk_space"] < body["disk"]:
            return 410, _no(
                "no_such_ask", f"error 410/3907: no_such_ask Instance type {number} is no longer available."
            )
        if self.credit < taken["dph_base"]:
            return 400, _no("insufficient_credit", "Your account lacks credit; see the billing page.")
        self._next_id += 1
        made = FakeInstance(
            id=self._next_id,
            ask=taken,
            label=body.get("label"),
            disk_gb=body["disk"],
            image=body["image"],
            start_script=body.get("onstart", ""),
            environment=body.get("env", {}),
            api_key=f"instance-key-{self._next_id}",
            created_s=self.clock_s(),
            public_keys=list(self.account_keys.values()),
        )
        self.instances[made.id] = made
        taken["rentable"] = False
        if "price" in body or self.creates_and_refuses:
            self.creates_and_refuses = False
            made.changes |= dict.fromkeys(("actual_status", "intended_status", "cur_state", "next_state"), "stopped")
            return 400, {**_no("invalid_price", "the bid is below the minimum"), "new_contract": made.id}
        self.on_created()
        return 200, {"success": True, "new_contract": made.id, "instance_api_key": made.api_key}

    def _get(self, number: int, _: Any) -> tuple[int, Any]:
        found = self.instances.get(number)
        return 200, {"instances": found.shown() if found else None}

    def _list(self, _: int, query: Any) -> tuple[int, Any]:
        filters = json.loads(query.get("select_filters", "{}"))
        found = [each.shown() for each in self.instances.values()]
        found = [each for each in found if _matches(each, filters)]
        start = json.loads(base64.b64decode(query["after_token"]))["start"] if "after_token" in query else 0
        end = start + min(self.per_page, int(query.get("limit", 25)))
        token = base64.b64encode(json.dumps({"start": end}).encode()).decode() if end < len(found) else None
        counts = Counter(each["label"] or "" for each in found)
        page = {"instances_found": len(found), "total_instances": len(self.instances), "label_counts": counts}
        return 200, {"success": True, **page, "next_token": token, "instances": found[start:end]}

    def _end(self, number: int, _: Any) -> tuple[int, Any]:
        found = self.instances.get(number)
        if found is None:
            return 404, _no("no_such_instance", f"Instance {number} not found.")
        if found.num_clings:
            found.num_clings -= 1
            return 200, {"success": True}
        del self.instances[number]
        found.ended_s = self.clock_s()
        self.ended[number] = found
        found.ask["rentable"] = True
        if self.on_gone and found.ssh:
            self.on_gone(found)
        return 200, {"success": True}

    def _stop(self, number: int, body: Any) -> tuple[int, Any]:
        found = self.instances.get(number)
        if found is None:
            return 404, _no("no_such_instance", f"Instance {number} not found.")
        if body != {"state": "stopped"}:
            return 400, _no("invalid_args", "error 400: Invalid args")
        found.changes |= {"actual_status": "exited", "intended_status": "stopped", "cur_state": "stopped"}
        return 200, {"success": True}

    def _attach(self, number: int, body: Any) -> tuple[int, Any]:
        found = self.instances.get(number)
        if found is None:
            return 404, _no("no_such_instance", f"Instance {number} not found.")
        if body["ssh_key"] not in found.public_keys:
            found.public_keys.append(body["ssh_key"])
        return 200, {"success": True, "msg": "SSH key attached successfully"}

    def _keys(self, _: int, __: Any) -> tuple[int, Any]:
        rows = [
            {"id": number, "user_id": 456, "key": line, "deleted_at": None}
            for number, line in self.account_keys.items()
        ]
        return 200, [
            *rows,
            {"id": 1, "user_id": 456, "key": "ssh-ed25519 OLD gone", "deleted_at": "2026-01-01T00:00:00Z"},
        ]

    def _new_key(self, _: int, body: Any) -> tuple[int, Any]:
        if self.is_team:
            return 400, _no("team_ssh_keys_not_supported", "Teams have no SSH keys")
        number = 100 + len(self.account_keys)
        self.account_keys[number] = body["ssh_key"]
        return 200, {
            "success": True,
            "key": {"id": number, "user_id": 456, "public_key": body["ssh_key"], "deleted_at": None},
        }

    def _end_key(self, number: int, _: Any) -> tuple[int, Any]:
        if self.account_keys.pop(number, None) is None:
            return 400, _no("no_ssh_key", "No ssh key provided")
        return 200, {"success": True}

    def _account(self, _: int, __: Any) -> tuple[int, Any]:
        return 200, {
            "id": self.account_id,
            "email": "you@example.com",
            "credit": self.credit,
            "balance": 0,
            "ssh_key": "ssh-rsa AA",
        }

    def _charges(self, _: int, query: Any) -> tuple[int, Any]:
        filters = json.loads(query.get("select_filters", "{}"))
        if not {"gte", "lte"} <= set(filters.get("day", {})):
            return 400, {"success": False, "msg": "Must provide both 'day' gte and lte filters for instance charges"}
        rows = [_row(each, self.clock_s()) for each in (*self.ended.values(), *self.instances.values())]
        start = int(query.get("after_token", 0))
        end = start + min(self.per_page, int(query.get("limit", 100)))
        token = str(end) if end < len(rows) else None
        return 200, {
            "success": True,
            "count": end - start,
            "total": len(rows),
            "next_token": token,
            "results": rows[start:end],
        }


def _no(error: str, words: str) -> dict[str, Any]:
    return {"success": False, "error": error, "msg": words}


def _disk_per_h(offered: dict[str, Any], disk_gb: float) -> float:
    return offered["storage_cost"] * disk_gb / 720


def _totals(offered: dict[str, Any], disk_gb: float) -> dict[str, float]:
    disk_per_h = _disk_per_h(offered, disk_gb)
    return {"storage_total_cost": disk_per_h, "dph_total": round(offered["dph_base"] + disk_per_h, 9)}


def _matches(each: dict[str, Any], filters: dict[str, Any]) -> bool:
    for name, conditions in filters.items():
        if name in _CONTROLS or name in _DROPPED:
            continue
        have = each[name]
        if name == "geolocation":
            have = have[-2:]
        if not all(have is not None and _OPERATORS[operator](have, want) for operator, want in conditions.items()):
            return False
    return True


def _row(each: FakeInstance, now_s: float) -> dict[str, Any]:
    end_s = each.ended_s or now_s
    disk = _disk_per_h(each.ask, each.disk_gb) * (end_s - each.created_s) / 3600
    gpu = each.ask["dph_base"] * (end_s - (each.running_s or end_s)) / 3600
    amounts = {"gpu": gpu, "disk": disk, "bwd": each.ask["inet_down_cost"] * 6, "bwu": each.ask["inet_up_cost"] * 0.5}
    items = [{"type": kind, "amount": round(amount, 3), "items": []} for kind, amount in amounts.items()]
    return {
        "start": int(each.created_s),
        "end": int(end_s),
        "type": "instance",
        "source": f"instance-{each.id}",
        "description": f"Instance {each.id} Charges",
        "amount": round(sum(amounts.values()), 3),
        "metadata": {"label": each.label},
        "items": items,
    }


def _handler(fake: FakeVast) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and content in one piece: else every answer waits for the other side's delayed ACK.
        wbufsize = -1

        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            fake.user_agents.add(self.headers.get("User-Agent", ""))
            answer = fake.take(self.command, self.path, key, content)
            if answer is None:
                self.close_connection = True
                return
            status, said, content_type = answer
            self.send_response(status)
            if status == 429 and fake.retry_after_s:
                self.send_header("Retry-After", str(fake.retry_after_s))
            self.send_header("Content-Length", str(len(said)))
            if content_type:
                self.send_header("Content-Type", content_type)
            if 300 <= status < 400:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(said)

        def do_POST(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            self.do_GET()

        def do_DELETE(self) -> None:
            self.do_GET()

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@contextlib.contextmanager
def fake_vast(fake: FakeVast | None = None, port: int = 0) -> Iterator[FakeVast]:
    """Serve it until the block ends."""
    fake = fake or FakeVast()
    http = ThreadingHTTPServer(("127.0.0.1", port), _handler(fake))
    http.daemon_threads = True
    fake.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
