"""A client that is killed at any state of a rental: nothing bills past the deadline, and no finished file is lost."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from loratui.domain.rental import RentalState
from loratui.store.rentals import StoredRental
from support.agent_process import wait_until
from support.fake_runpod import FakeRunPod
from support.fake_vast import FakeVast
from support.local_cli import Command
from support.rental_market import Machines
from support.rented_world import World, write_config
from support.sshd import Sshd, needs_sshd

pytestmark = [needs_sshd, pytest.mark.torch, pytest.mark.timeout(200)]
REACTION_S = 10.0
"""So much later than at its deadline a machine may be seen to be gone: it looks every few seconds, and tests share
this one."""


@dataclass
class Me:
    """Who rents at one of the providers, and what there is of it."""

    world: World
    provider: str
    folder: Path

    @property
    def fake(self) -> FakeVast | FakeRunPod:
        return self.world.at(self.provider)[0]

    @property
    def machines(self) -> Machines:
        return self.world.at(self.provider)[1]

    @property
    def box(self) -> Sshd:
        [box] = self.machines.running.values()
        return box

    @property
    def rental(self) -> StoredRental:
        [rental] = self.world.rentals()
        return rental

    def begin(self, *options: str, **changes: object) -> Command:
        config = write_config(self.folder, **changes)
        return self.world.cli.start(
            "train", config, "--on", self.provider, "--budget", "1", "--yes", "--json", *options
        )

    def come_back(self) -> Command:
        return self.world.cli.start("attach", "--json")

    def finished(self) -> dict[str, str]:
        """Return the names of the files that are finished on the machine, by their hashes."""
        return hashes(path for box in self.machines.running.values() for path in results_on(box))

    def has_fetched(self, finished: dict[str, str]) -> bool:
        """Fetch what there is, and return whether these files are among it."""
        fetched = self.world.cli.run("download")
        assert fetched.finish() == 0, fetched.errors
        return finished.keys() <= hashes(path for path in self.world.cli.folder.rglob("*") if path.is_file()).keys()


def results_on(box: Sshd) -> list[Path]:
    return [path for path in box.home.glob(".loratui/jobs/*/artifacts/*") if not path.name.startswith(".")]


def hashes(paths: Iterable[Path]) -> dict[str, str]:
    found = {}
    for path in paths:
        # What is not finished yet may be gone, or have another name, by now.
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            found[hashlib.sha256(path.read_bytes()).hexdigest()] = path.name
    return found


# Each brings a client to the state that it is named for, and returns it.


def creating(me: Me) -> Command:
    """The machine is rented, and the answer that says so never arrives."""
    client = me.begin("--deadline", "8s")
    me.fake.on_created = client.process.kill
    wait_until(lambda: client.process.poll() is not None, "the machine to be made", 60)
    return client


def booting(me: Me) -> Command:
    """Its container never starts: nothing there knows of a deadline."""
    me.world.vast.holds_starts = True
    client = me.begin()
    wait_until(lambda: client.said(": booting"), "it to boot", 60)
    return client


def connecting(me: Me) -> Command:
    me.machines.lines.append({"frozen": True})
    client = me.begin()
    wait_until(lambda: client.said(": connecting"), "an address", 60)
    return client


def arming(me: Me) -> Command:
    client = me.begin()
    wait_until(lambda: client.said("KiB sent"), "the agent to be brought", 60)
    return client


def uploading(me: Me) -> Command:
    me.machines.environments = None
    me.machines.lines.append({"bytes_per_s": 1_000_000})
    client = me.begin()
    wait_until(lambda: me.machines.running and list(me.box.home.glob(".loratui/jobs/*/job.toml")), "the job", 60)
    return client


def installing(me: Me) -> Command:
    """Whoever comes back goes on with the upload, which this needs."""
    me.machines.proxies[-1].set(bytes_per_s=0)
    me.world.index.is_open.clear()
    client = me.come_back()
    client.wait_for(lambda line: '"phase": "environment"' in line and "installing" in line)
    return client


def training(me: Me) -> Command:
    client = me.begin(max_train_steps=2000, save_every_n_steps=10)
    wait_until(me.finished, "a file to be finished", 100)
    return client


def downloading(me: Me) -> Command:
    me.world.cli.environment["LORATUI_DOWNLOADS__MAX_MBIT_S"] = "0.2"
    client = me.begin(max_train_steps=4, checkpoint_every_n_steps=100)
    wait_until(lambda: list(me.world.cli.folder.rglob("tiny*.part")), "its file to be on its way", 100)
    return client


def ending(me: Me) -> Command:
    """Everything has come home, and the provider does not hear that it is to end."""
    del me.world.cli.environment["LORATUI_DOWNLOADS__MAX_MBIT_S"]
    me.fake.answer("end", 500, b"")
    client = me.come_back()
    wait_until(lambda: me.rental.state is RentalState.ENDING, "the end to be begun", 60)
    return client


# Each returns once the machine is gone, by the one that is left to end it.


def by_its_start_script(me: Me) -> None:
    """Nobody has signed in there yet; its deadline is the one that the user gave."""
    deadline_ts = me.rental.deadline_ts
    assert deadline_ts is not None
    gone_at(me, deadline_ts)
    listed = me.world.cli.run("rentals")
    assert listed.finish() == 5, "it was asked for only now, and nobody here knows its id: it may yet appear"
    assert "look again in a minute" in listed.lines[0]


def by_its_reaper(me: Me) -> None:
    # The hours until then are left out; key, instance and reaper are those of the rental.
    argv = [sys.executable, "-m", "loratui_agent.cli", "arm", "--home", str(me.box.home / ".loratui")]
    urls = {"url": me.fake.url} | ({"graphql_url": me.world.runpod.graphql_url} if me.provider == "runpod" else {})
    sooner = json.dumps({"provider": me.provider, **urls, "deadline_s": 3}).encode()
    deadline_ts = time.time() + 3
    told = subprocess.run(
        argv, input=sooner, env={**os.environ, "LORATUI_ALLOW_LOOPBACK": "1"}, capture_output=True, check=False
    )
    assert b'"armed": "end"' in told.stdout, told
    gone_at(me, deadline_ts)
    assert not me.rental.proven_gone, "nobody has looked yet"
    see_that_nothing_is_left(me)


def by_coming_back(me: Me) -> None:
    back = me.world.cli.run("attach", "--plain")
    assert back.finish() == 0, back.errors
    assert f"the rental is gone, as {me.provider} shows" in "\n".join(back.errors)
    see_that_nothing_is_left(me)


def by_the_next_start(me: Me) -> None:
    assert me.fake.num_living() == 1
    listed = me.world.cli.run("ls")
    assert f"{me.provider} " in listed.errors[0], "whatever is started says that something bills"
    swept = me.world.cli.run("rentals", "sweep", "--yes")
    assert swept.finish() == 0, swept.errors
    assert swept.lines == ["1 ended, and shown gone by the provider"]
    see_that_nothing_is_left(me)


def gone_at(me: Me, deadline_ts: float) -> None:
    wait_until(lambda: me.fake.num_living() == 0, "the machine to end its own rental", 60)
    # Shells count whole seconds, of two clocks: what is cut off makes it early, never late.
    assert -2 < time.time() - deadline_ts < REACTION_S


def see_that_nothing_is_left(me: Me) -> None:
    listed = me.world.cli.run("rentals")
    assert (listed.finish(), listed.lines) == (0, ["nothing is rented"]), listed.errors
    assert (me.rental.proven_gone, me.rental.is_tidy) == (True, True)
    assert me.world.vast.account_keys == {}


@pytest.mark.parametrize(
    ("provider", "states", "ended"),
    [
        ("vast", [creating], by_the_next_start),
        ("runpod", [creating], by_its_start_script),
        ("vast", [booting], by_the_next_start),
        ("runpod", [connecting], by_the_next_start),
        ("vast", [arming], by_the_next_start),
        ("runpod", [uploading, installing], by_its_reaper),
        ("vast", [training], by_its_reaper),
        ("vast", [downloading, ending], by_coming_back),
    ],
    ids=lambda value: "-".join(each.__name__ for each in value) if isinstance(value, list) else None,
)
def test_a_client_that_is_killed_costs_nothing_past_the_deadline_and_no_finished_file(
    world: World,
    tmp_path: Path,
    provider: str,
    states: list[Callable[[Me], Command]],
    ended: Callable[[Me], None],
) -> None:
    me = Me(world, provider, tmp_path)
    finished: dict[str, str] = {}
    for state in states:
        client = state(me)
        finished |= me.finished()
        client.kill()
    if training in states:
        # A file is there a moment before it is announced.
        wait_until(lambda: me.has_fetched(finished), "everything that was finished to be fetched", 60)
    ended(me)
    assert world.num_living() == 0
    assert not {*me.machines.running}
    assert bool(finished) == ({training, downloading} & {*states} != set())
    here = hashes(path for path in world.cli.folder.rglob("*") if path.is_file())
    assert [name for sha256, name in finished.items() if sha256 not in here] == []
