"""RunPod on loopback: REST v2 and GraphQL as its documents describe them, and its faults on request.

Pods walk through their states as the clock goes: a step is one state. Without a clock of its own, ``step`` is the only
thing that moves time. Who starts real machines gives ``on_start``, which says where a pod's SSH server is, and
``on_end``.
"""

import contextlib
import json
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from loratui.domain.offers import Offer
from support.replies import Reply, handler_of, problem, said
from support.runpod_schema import ACTIONS, FakePod, broken_rule, catalog, country, version, violations

NO_CAPACITY = (
    "There are no longer any instances available with the requested specifications. Please refresh and try again."
)
BLOCKED = b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head></html>"


class FakeRunPod:
    """The server. ``clock`` and ``step_s`` say how fast time goes; the hooks are called in threads of the server.

    ``on_start`` is called once a pod's container starts and returns host, port and user of its SSH server;
    ``on_end`` once the pod is gone, whoever ended it. Neither is called with the server's lock held.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        clock: Callable[[], float] | None = None,
        step_s: float = 60.0,
        quota_per_minute: int = 60,
        on_start: Callable[[FakePod], tuple[str, int, str]] | None = None,
        on_end: Callable[[FakePod], None] | None = None,
    ) -> None:
        self.key = "rpa_FAKEACCOUNTKEY"
        self.account_id: str | None = "user_2abCdEf"
        self.gpus = catalog()
        self.pods: dict[str, FakePod] = {}
        self.ended: dict[str, FakePod] = {}
        self.balance = Decimal("25.00")
        self.spend_limit: int | None = 80
        self.ssh_keys = ["ssh-ed25519 AAAA the-users-own"]
        """Of the account. Nobody has any business here."""
        self.bodies: list[Any] = []
        """What was asked to be created."""
        self.scoped_may_delete = True
        """Whether a pod's own key may DELETE; some may only use the action."""
        self.shows_terminated = False
        """A pod that is gone is shown as TERMINATED once, before it is not found."""
        self.page_size = 0
        """More than 0: listings have pages of this size, as newer servers have."""
        self.window: tuple[int, int] | None = None
        """What the RateLimit header says instead of what is true: remaining, and seconds."""
        self.keeps_logs_open = False
        self.on_created: Callable[[], object] = lambda: None
        """Called once a pod was made, before anyone is answered."""
        self.no_delete: str = ""
        """A reason why DELETE is answered with 409."""
        self._now_s = 0.0
        self._clock = clock or (lambda: self._now_s)
        self._has_own_clock = clock is not None
        self._step_s = step_s
        self._quota = quota_per_minute
        self._window_start_s, self._num_in_window = time.monotonic(), 0
        self._on_start = on_start or (lambda pod: ("127.0.0.1", 30_000 + len(self.ended) + len(self.pods), "root"))
        self._on_end = on_end or (lambda pod: None)
        self._lock = threading.RLock()
        self._calling = threading.Lock()
        self._due: list[Callable[[], None]] = []
        self._canned: dict[str, list[Reply]] = defaultdict(list)
        self._lost: dict[str, list[bool]] = defaultdict(list)
        self._num_requests: Counter[str] = Counter()
        self._num_made = 0
        self.closing = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), handler_of(self))
        self._http.daemon_threads = True
        origin = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.url, self.graphql_url = f"{origin}/v2", f"{origin}/graphql"
        self._threads = [threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})]
        if self._has_own_clock:
            self._threads.append(threading.Thread(target=self._tick))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.closing.set()
        self._http.shutdown()
        for thread in self._threads:
            thread.join()
        self._http.server_close()

    # What tests do to it.

    def step(self) -> None:
        self._now_s += self._step_s
        self._advance()

    def lose_answers(self, kind: str, *, carried_out: bool) -> None:
        self._lost[kind].append(carried_out)

    def answer(
        self,
        kind: str,
        status: int,
        content: bytes,
        *,
        times: int = 1,
        content_type: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        self._canned[kind] += [Reply(status, content, content_type, headers or {})] * times

    def refuse(self, kind: str, status: int, detail: str, **headers: str) -> None:
        """Answer the next request of a kind with a problem."""
        self._canned[kind].append(problem(status, "Refused", detail, **headers))

    def take_away(self, offer: Offer) -> None:
        cloud, row = self._of(offer)
        row.setdefault("none_in", set()).add(cloud)

    def raise_price(self, offer: Offer, microusd_per_h: int) -> None:
        cloud, row = self._of(offer)
        row["price"][cloud.lower()] = microusd_per_h / 1_000_000

    def cling(self, instance_id: str, times: int) -> None:
        self.pods[instance_id].num_clings = times

    def fail_start(self, instance_id: str) -> None:
        pod = self.pods[instance_id]
        pod.is_failing = True
        pod.log.append(f"failed to pull image: manifest for {pod.request['image']} not found")

    def empty_account(self) -> None:
        self.balance = Decimal("0.02")

    def num_living(self) -> int:
        return len(self.pods)

    def num_requests(self, kind: str) -> int:
        return self._num_requests[kind]

    # What the server answers.

    def reply(self, method: str, target: str, headers: Any, content: bytes) -> Reply | None:
        """Return the answer to a request, None for a connection that breaks instead."""
        parts = urlsplit(target)
        kind, call = self._route(method, parts.path)
        with self._lock:
            self._num_requests[kind] += 1
            if self._canned[kind]:
                return self._canned[kind].pop(0)
            lost = self._lost[kind].pop(0) if self._lost[kind] else None
        if lost is False:
            return None
        self._advance()
        with self._lock:
            reply = self._checked(headers) or call(parse_qs(parts.query), content, headers["Authorization"][7:])
        self._run_due()
        return reply if lost is None else None

    def _route(self, method: str, path: str) -> tuple[str, Callable[..., Reply]]:
        name, _, rest = path.removeprefix("/v2/pods").removeprefix("/").partition("/")
        match method, path:
            case "GET", "/v2/catalog/gpus":
                return "offers", self._offers
            case "GET", "/v2/billing/pods":
                return "charges", self._charges
            case "POST", "/graphql":
                return "account", self._graphql
            case "GET", "/v2/pods":
                return "list", self._list
            case "POST", "/v2/pods":
                return "create", self._create
            case "GET", "/v2/account/ssh-keys":
                return "keys", lambda query, content, key: said({"keys": self.ssh_keys})
        match method, rest:
            case _ if not path.startswith("/v2/pods/"):
                pass
            case "GET", "":
                return "get", lambda query, content, key: self._get(name, key)
            case "DELETE", "":
                return "end", lambda query, content, key: self._delete(name, key)
            case "POST", "action":
                return "end", lambda query, content, key: self._act(name, content, key)
            case "GET", "logs":
                return "logs", lambda query, content, key: self._logs(name, query, key)
        return "other", lambda query, content, key: problem(404, "Not Found", "no such path")

    def _checked(self, headers: Any) -> Reply | None:
        if headers.get("User-Agent", "").startswith("Python-urllib"):
            return Reply(403, BLOCKED, "text/html; charset=UTF-8")
        key = headers.get("Authorization", "").removeprefix("Bearer ")
        if not key:
            return problem(401, "Unauthorized", "missing bearer token")
        if key != self.key and self._owner(key) is None:
            return problem(401, "Unauthorized", "invalid bearer token")
        now_s = time.monotonic()
        if now_s - self._window_start_s >= 60:
            self._window_start_s, self._num_in_window = now_s, 0
        self._num_in_window += 1
        if self._num_in_window > self._quota:
            wait = {"Retry-After": str(int(60 - (now_s - self._window_start_s)) + 1)}
            return problem(429, "Too Many Requests", "rate limit exceeded for the minute window", **wait)
        return None

    def rate_headers(self) -> dict[str, str]:
        """Return what every authenticated answer says about the quota."""
        remaining, reset_s = self.window or (
            max(0, self._quota - self._num_in_window),
            int(60 - (time.monotonic() - self._window_start_s)),
        )
        limit = f'"minute";r={remaining};t={reset_s}, "hour";r=2800;t=1812, "day";r=49500;t=45012'
        policy = f'"minute";q={self._quota};w=60, "hour";q=3000;w=3600, "day";q=50000;w=86400'
        return {"RateLimit": limit, "RateLimit-Policy": policy}

    def _offers(self, query: dict[str, list[str]], content: bytes, key: str) -> Reply:
        if key != self.key:
            return _scoped()
        asked = {name: values[0] for name, values in query.items()}
        if ("include" in asked) != ("product" in asked):
            return problem(400, "Bad Request", "include=AVAILABILITY requires product, and product requires it")
        cloud, floor = asked.get("cloud", "SECURE"), asked.get("minCudaVersion")
        countries = asked["countryCodes"].split(",") if "countryCodes" in asked else []
        rows = []
        for gpu in self.gpus:
            row = {name: value for name, value in gpu.items() if name != "none_in"}
            centers = [it for it in row["dataCenters"] if not countries or country(it["id"]) in countries]
            if countries and not centers:
                continue
            is_new = floor is None or any(version(it["version"]) >= version(floor) for it in row["cudaVersions"])
            if cloud in gpu.get("none_in", ()) or not row[cloud.lower()] or not is_new:
                row["availability"] = "NONE"
                del row["dataCenters"]
            else:
                row["dataCenters"] = centers
            rows.append(row)
        return said({"gpus": rows})

    def _list(self, query: dict[str, list[str]], content: bytes, key: str) -> Reply:
        if key != self.key:
            return _scoped()
        pods = [pod.seen() for pod in self.pods.values()]
        if not self.page_size:
            return said({"pods": pods})
        start = int(query.get("cursor", ["0"])[0])
        end = start + self.page_size
        more = end < len(pods)
        pages = {"hasNextPage": more, "nextCursor": str(end) if more else None}
        return said({"pods": pods[start:end], "pagination": pages})

    def _create(self, query: dict[str, list[str]], content: bytes, key: str) -> Reply:
        if key != self.key:
            return _scoped()
        body = json.loads(content)
        self.bodies.append(body)
        if wrong := violations(body):
            return problem(422, "Unprocessable Entity", "Request validation failed.", wrong)
        if broken := broken_rule(body):
            return problem(400, "Bad Request", broken)
        row = next((gpu for gpu in self.gpus if gpu["id"] == body["gpu"]["id"]), None)
        cloud = body.get("cloud", "SECURE")
        if row is None:
            return problem(400, "Bad Request", "unknown gpu type")
        if cloud in row.get("none_in", ()) or not row[cloud.lower()]:
            return problem(400, "Bad Request", NO_CAPACITY)
        price = Decimal(str(row["price"][cloud.lower()]))
        if self._left() < price:
            return problem(402, "Payment Required", "insufficient balance to deploy")
        self._num_made += 1
        pod = FakePod(f"pod{self._num_made:04d}x", body, price, self._clock(), f"rpa_POD{self._num_made:04d}")
        self.pods[pod.id] = pod
        self.on_created()
        return said(pod.seen(), 201)

    def _get(self, name: str, key: str) -> Reply:
        if self._bars(name, key):
            return _scoped()
        if name in self.pods:
            return said(self.pods[name].seen())
        if self.shows_terminated and name in self.ended and self.ended[name].status != "TERMINATED":
            self.ended[name].status = "TERMINATED"
            return said(self.ended[name].seen())
        return problem(404, "Not Found", "pod not found")

    def _delete(self, name: str, key: str) -> Reply:
        if self._bars(name, key) or (key != self.key and not self.scoped_may_delete):
            return _scoped()
        if self.no_delete:
            return problem(409, "Conflict", self.no_delete)
        return self._terminate(name)

    def _act(self, name: str, content: bytes, key: str) -> Reply:
        if self._bars(name, key):
            return _scoped()
        action = json.loads(content).get("action")
        pod = self.pods.get(name)
        if pod is None:
            return problem(404, "Not Found", "pod not found")
        if action not in ACTIONS[pod.status]:
            return problem(409, "Conflict", f"cannot {action} a pod that is {pod.status}")
        if action == "terminate":
            return self._terminate(name)
        pod.status, pod.is_direct, pod.uptime_s, pod.born_s = "PROVISIONING", False, 0, self._clock()
        if action == "stop":
            pod.status = "EXITED"
        return said(pod.seen())

    def _terminate(self, name: str) -> Reply:
        pod = self.pods.get(name)
        if pod is None:
            return problem(404, "Not Found", "pod not found")
        if pod.num_clings:
            pod.num_clings -= 1
        else:
            self._end(pod)
        return Reply(204)

    def _logs(self, name: str, query: dict[str, list[str]], key: str) -> Reply:
        if self._bars(name, key):
            return _scoped()
        if name not in self.pods:
            return problem(404, "Not Found", "pod not found")
        events = (
            f"id: 2026-11-23T12:00:0{number % 10}Z/000000000001\n"
            f"data: {json.dumps({'source': 'system', 'line': line, 'ts': '2026-11-23T12:00:00Z'})}\n\n"
            for number, line in enumerate(self.pods[name].log[-int(query.get("tail", ["100"])[0]) :])
        )
        return Reply(200, "".join(events).encode(), "text/event-stream", stays_open=self.keeps_logs_open)

    def _charges(self, query: dict[str, list[str]], content: bytes, key: str) -> Reply:
        if key != self.key:
            return _scoped()
        pod_id = query["podId"][0]
        pod = self.pods.get(pod_id) or self.ended.get(pod_id)
        records = []
        if pod is not None and (gpu := self._spent(pod)):
            half, disk = gpu / 2, Decimal("0.005")
            for _ in range(2):  # two days
                amounts = {"totalAmount": half + disk, "gpuAmount": half, "cpuAmount": Decimal(0), "diskAmount": disk}
                records.append({"podId": pod_id, **{name: float(amount) for name, amount in amounts.items()}})
        return said({"records": records, "metadata": {"recordCount": len(records), "uniquePodCount": 1}})

    def _graphql(self, query: dict[str, list[str]], content: bytes, key: str) -> Reply:
        asked = json.loads(content)["query"]
        ends = re.search(r'podTerminate\(input:\s*\{\s*podId:\s*"([^"]+)"', asked)
        if ends:
            if self._bars(ends[1], key) or self._terminate(ends[1]).status != 204:
                return said({"errors": [{"message": "pod not found to terminate"}], "data": {"podTerminate": None}})
            return said({"data": {"podTerminate": None}})
        if key != self.key:
            return said({"errors": [{"message": "Unauthorized", "extensions": {"code": "FORBIDDEN"}}]})
        known = {
            "id": self.account_id,
            "clientBalance": float(self._left()),
            "currentSpendPerHr": 0.0,
            "spendLimit": self.spend_limit,
        }
        names = re.findall(r"\w+", asked.partition("myself")[2])
        for name in names:
            if known.get(name) is None:
                code = {"code": "GRAPHQL_VALIDATION_FAILED"}
                message = f'Cannot query field "{name}" on type "User".'
                return said({"errors": [{"message": message, "extensions": code}]})
        return said({"data": {"myself": {name: known[name] for name in names}}})

    # How time goes.

    def _tick(self) -> None:
        while not self.closing.wait(min(0.05, self._step_s / 4)):
            self._advance()

    def _advance(self) -> None:
        """Let every pod be what it is by now, and end all when the money is gone, as RunPod does."""
        with self._lock:
            for pod in list(self.pods.values()):
                self._walk(pod)
            if self._left() <= 0:
                for pod in list(self.pods.values()):
                    self._end(pod)
        self._run_due()

    def _walk(self, pod: FakePod) -> None:
        if pod.status in ("EXITED", "ERROR"):
            return
        num_steps = int((self._clock() - pod.born_s) / self._step_s + 1e-9)
        was_running = pod.status == "RUNNING"
        pod.status = ("PROVISIONING", "STARTING", "RUNNING")[min(num_steps, 2)]
        if pod.status != "RUNNING" or pod.is_failing:
            return
        if not was_running:
            pod.log.append("start container")
            self._due.append(lambda: self._start(pod))
        pod.uptime_s = 0 if num_steps < 3 else int((num_steps - 2) * self._step_s) or 1
        pod.is_direct = num_steps >= 3 and not pod.has_proxy_only and "22/tcp" in pod.request.get("ports", [])

    def _start(self, pod: FakePod) -> None:
        pod.address = self._on_start(pod)

    def _end(self, pod: FakePod) -> None:
        pod.ended_s = self._clock()
        self.ended[pod.id] = self.pods.pop(pod.id)
        self._due.append(lambda: self._on_end(pod))

    def _run_due(self) -> None:
        """Call the hooks that are due, one after another. Whoever calls them meanwhile calls the new ones too."""
        while self._due and self._calling.acquire(blocking=False):
            try:
                with self._lock:
                    hook = self._due.pop(0) if self._due else None
                if hook is not None:
                    hook()
            finally:
                self._calling.release()

    def _spent(self, pod: FakePod) -> Decimal:
        until_s = self._clock() if pod.ended_s is None else pod.ended_s
        return pod.price * Decimal(str(max(0.0, until_s - pod.born_s))) / 3600

    def _left(self) -> Decimal:
        return self.balance - sum(map(self._spent, [*self.pods.values(), *self.ended.values()]), Decimal(0))

    def _of(self, offer: Offer) -> tuple[str, dict[str, Any]]:
        cloud, gpu, *_ = offer.id.split("|")
        return cloud, next(row for row in self.gpus if row["id"] == gpu)

    def _owner(self, key: str) -> str | None:
        both = [*self.pods.values(), *self.ended.values()]
        return next((pod.id for pod in both if pod.scoped_key == key), None)

    def _bars(self, name: str, key: str) -> bool:
        return key != self.key and self._owner(key) != name


def _scoped() -> Reply:
    return problem(403, "Forbidden", "Pod-scoped API key cannot access this resource")


@contextlib.contextmanager
def fake_runpod(**options: Any) -> Iterator[FakeRunPod]:
    with FakeRunPod(**options) as fake:
        yield fake
