"""The live set is run against the providers on loopback, so that it works on the day that somebody pays for it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.agent_process import wait_until
from support.fake_runpod import FakeRunPod
from support.fake_vast import FakeVast
from support.rental_market import runpod_with_machines, vast_with_machines
from support.sshd import needs_sshd

pytestmark = [needs_sshd, pytest.mark.timeout(400)]
ROOT = Path(__file__).parents[2]


@dataclass
class Accounts:
    vast: FakeVast
    runpod: FakeRunPod
    environment: dict[str, str]

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the live set, or a part of it."""
        argv = [sys.executable, "-m", "pytest", "tests/live", "-s", "-p", "no:cacheprovider", *arguments]
        wanted = {**self.environment, **environment}
        return subprocess.run(argv, cwd=ROOT, env=wanted, capture_output=True, text=True, check=False, timeout=380)

    def started(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "pytest", "tests/live", "-p", "no:cacheprovider", *arguments]
        wanted = {**self.environment, **environment}
        return subprocess.Popen(argv, cwd=ROOT, env=wanted, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def num_living(self) -> int:
        return self.vast.num_living() + self.runpod.num_living()


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Accounts]:
    with contextlib.ExitStack() as stack:
        vast, _ = stack.enter_context(vast_with_machines(tmp_path / "v"))
        runpod, _ = stack.enter_context(runpod_with_machines(tmp_path / "r"))
        environment = {
            **os.environ,
            "LORATUI_CONFIG_DIR": str(tmp_path / "config"),
            "LORATUI_PROVIDERS__VAST__URL": vast.url,
            "LORATUI_PROVIDERS__VAST__SPACING": "0",
            "LORATUI_PROVIDERS__RUNPOD__URL": runpod.url,
            "LORATUI_PROVIDERS__RUNPOD__GRAPHQL_URL": runpod.graphql_url,
            "LORATUI_VAST_API_KEY": vast.key,
            "LORATUI_RUNPOD_API_KEY": runpod.key,
        }
        environment.pop("LORATUI_LIVE", None)
        yield Accounts(vast, runpod, environment)


def test_all_of_it_passes_and_leaves_nothing_that_bills(accounts: Accounts) -> None:
    done = accounts.run("-m", "live", LORATUI_LIVE="1")
    assert done.returncode == 0, done.stdout[-5000:]
    assert "12 passed" in done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]
    for name in ("vast", "runpod"):
        assert f"observed: {name}: the machine ends its own rental; its key was tried" in done.stdout
        assert f"observed: {name}: its own key ended it" in done.stdout
        assert f"{name} has billed $" in done.stdout
        assert "in all, by our ledger" in done.stdout
    assert accounts.num_living() == 0
    assert (accounts.vast.num_requests("create"), accounts.runpod.num_requests("create")) == (2, 2)
    said = done.stdout + done.stderr
    assert accounts.vast.key not in said
    assert accounts.runpod.key not in said


def test_a_machine_that_can_not_be_armed_fails_the_set_and_is_ended_all_the_same(accounts: Accounts) -> None:
    accounts.vast.refuses_scoped_keys = True
    done = accounts.run("-m", "live", "-k", "vast and armed", LORATUI_LIVE="1")
    assert done.returncode == 1, done.stdout[-5000:]
    assert accounts.vast.num_requests("create") == 1
    assert accounts.num_living() == 0


@pytest.mark.long
def test_whoever_interrupts_it_leaves_nothing_that_bills(accounts: Accounts) -> None:
    with accounts.started("-m", "live", "-k", "vast and armed", LORATUI_LIVE="1") as process:
        # One that was never shown may only be too young to be listed: its end would be doubted for a minute.
        wait_until(lambda: accounts.vast.num_requests("get") > 0, "a machine to be rented and shown", 60)
        process.send_signal(signal.SIGINT)
        assert process.wait(150) != 0
    assert accounts.vast.num_requests("create") == 1
    assert accounts.num_living() == 0


@pytest.mark.parametrize(
    ("arguments", "environment", "status"),
    [((), {"LORATUI_LIVE": "1"}, 5), (("-m", "live"), {}, 0), (("-m", "live"), {"LORATUI_LIVE": "yes"}, 0)],
    ids=["not asked for", "not agreed to", "not agreed to in so many words"],
)
def test_nothing_of_it_runs_unless_it_is_asked_for_twice(
    accounts: Accounts, arguments: tuple[str, ...], environment: dict[str, str], status: int
) -> None:
    done = accounts.run(*arguments, **environment)
    assert done.returncode == status, done.stdout[-3000:]
    assert "passed" not in done.stdout
    assert accounts.vast.requests == []


def test_a_provider_without_a_key_is_left_out(accounts: Accounts) -> None:
    del accounts.environment["LORATUI_RUNPOD_API_KEY"]
    done = accounts.run("-m", "live", "-k", "account or listed", LORATUI_LIVE="1")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "there is no key of runpod: loratui keys runpod" in done.stdout
