"""Machines that are rented from the fakes on loopback, each with the key that it would have of its own."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from loratui_agent.clock import now
from loratui_agent.rental import Rental
from loratui_protocol.framing import FrameFinder, new_nonce
from support.fake_runpod import FakeRunPod, fake_runpod
from support.fake_vast import FakeVast, fake_vast


@dataclass
class Rented:
    """A machine; ``fake`` says whether it still bills."""

    fake: FakeVast | FakeRunPod
    provider: str
    url: str
    graphql_url: str
    instance_id: str
    key: str

    @property
    def is_gone(self) -> bool:
        fake = self.fake
        living = fake.instances if isinstance(fake, FakeVast) else fake.pods
        return self.instance_id not in map(str, living)

    def asked(self, **fields: Any) -> dict[str, Any]:
        """Return what a client tells the machine on standard input."""
        own = {name: getattr(self, name) for name in ("provider", "url", "graphql_url", "instance_id", "key")}
        return {**own, "deadline_s": 3600.0, "lease_s": None, "setup_s": None, **fields}

    def rental(self, **fields: Any) -> Rental:
        return Rental(**{**self.asked(), "nonce": new_nonce(), "armed": now(), **fields})


@contextlib.contextmanager
def rented_at(provider: str) -> Iterator[Rented]:
    with rented_at_vast() if provider == "vast" else rented_at_runpod() as machine:
        yield machine


@contextlib.contextmanager
def rented_at_vast() -> Iterator[Rented]:
    with fake_vast() as fake:
        yield _from_vast(fake, 101)


@contextlib.contextmanager
def rented_at_runpod() -> Iterator[Rented]:
    with fake_runpod() as fake:
        yield _from_runpod(fake)


def another(machine: Rented) -> Rented:
    """Rent another machine from the same account."""
    fake = machine.fake
    return _from_vast(fake, 102) if isinstance(fake, FakeVast) else _from_runpod(fake)


def _from_vast(fake: FakeVast, ask: int) -> Rented:
    body = {"image": "x", "disk": 40, "runtype": "ssh_direct"}
    made = _ask(f"{fake.url}/api/v0/asks/{ask}/", "PUT", fake.key, body)
    return Rented(fake, "vast", fake.url, "", str(made["new_contract"]), made["instance_api_key"])


def _from_runpod(fake: FakeRunPod) -> Rented:
    gpu = {"id": "NVIDIA GeForce RTX 4090", "count": 1}
    made = _ask(fake.url + "/pods", "POST", fake.key, {"name": "x", "image": "x", "gpu": gpu, "ports": ["22/tcp"]})
    return Rented(fake, "runpod", fake.url, fake.graphql_url, made["id"], fake.pods[made["id"]].scoped_key)


def _ask(url: str, method: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}", "User-Agent": "test"}
    response = httpx.request(method, url, json=body, headers=headers)
    return response.raise_for_status().json()


class Arming:
    """A ``loratui-agent arm`` at work; ``answer`` is what it says in the end."""

    def __init__(self, home: Path, asked: dict[str, Any]) -> None:
        self._nonce = new_nonce()
        argv = [sys.executable, "-m", "loratui_agent.cli", "arm", "--home", str(home), "--nonce", self._nonce]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked).encode())
        self.process.stdin.close()
        self.process.stdin = None

    def answer(self) -> dict[str, Any]:
        printed, _ = self.process.communicate(timeout=60)
        [frame] = FrameFinder(self._nonce).feed(printed)
        return frame


def arm(home: Path, asked: dict[str, Any]) -> dict[str, Any]:
    return Arming(home, asked).answer()


def change(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change facts in place, as no program of ours does."""
    facts = json.loads(path.read_text())
    edit(facts)
    path.write_text(json.dumps(facts))
