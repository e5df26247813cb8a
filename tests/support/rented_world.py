"""A user with keys of both providers, whose machines are real and on loopback."""

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.settings import load
from loratui.store import Store, StoredRun
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.config_file import to_toml
from support.fake_runpod import FakeRunPod
from support.fake_vast import FakeVast
from support.local_cli import LocalCli, local_cli
from support.rental_market import Machines, runpod_with_machines, vast_with_machines
from support.sshd import Sshd
from support.tiny_training import tiny_config, write_pictures
from support.wheel_index import WheelIndex, locked_wheels, wheel_index


@dataclass
class World:
    """A user with keys, and the two providers."""

    cli: LocalCli
    vast: FakeVast
    runpod: FakeRunPod
    vast_machines: Machines
    runpod_machines: Machines
    index: WheelIndex

    @property
    def database(self) -> Path:
        return load(environ=self.cli.environment).database

    def at(self, provider: str) -> tuple[FakeVast | FakeRunPod, Machines]:
        """Return a provider and the machines there."""
        return (self.vast, self.vast_machines) if provider == "vast" else (self.runpod, self.runpod_machines)

    def num_living(self) -> int:
        return self.vast.num_living() + self.runpod.num_living()

    def rentals(self) -> list[StoredRental]:
        with Rentals(self.database) as ledger:
            return ledger.rentals()

    def runs(self) -> list[StoredRun]:
        with Store(self.database) as store:
            return store.runs()

    def now_ts(self) -> float:
        return time.time()

    def raise_prices(self, microusd_per_h: int) -> None:
        """Have every machine of Vast.ai that is rented cost so much more from now on."""
        for instance in self.vast.instances.values():
            instance.ask["dph_base"] += microusd_per_h / 1e6

    def vanish(self) -> None:
        """Take Vast.ai's machines away, as a host does that is switched off and taken off the market."""
        for rental_id in list(self.vast_machines.running):
            self.vast_machines.end(rental_id)
        self.vast.instances.clear()

    def armed_on(self, box: Sshd) -> dict[str, Any]:
        """Return what a machine says that it is armed with."""
        argv = [sys.executable, "-m", "loratui_agent.cli", "status", "--home", str(box.home / ".loratui")]
        environment = {**os.environ, "LORATUI_ALLOW_LOOPBACK": "1"}
        told = subprocess.run(argv, env=environment, capture_output=True, check=True).stdout
        rental: dict[str, Any] = json.loads(told)["rental"]
        return rental


def rented_world(stack: contextlib.ExitStack, folder: Path, environments: Path | None = None) -> World:
    """Return a world that lives as long as the stack. ``environments``: its machines share what they train in there."""
    index = stack.enter_context(wheel_index(locked_wheels()))
    vast, vast_machines = stack.enter_context(vast_with_machines(folder / "v"))
    runpod, runpod_machines = stack.enter_context(runpod_with_machines(folder / "r"))
    vast_machines.environments = runpod_machines.environments = environments
    laptop = folder / "laptop"
    laptop.mkdir()
    cli = stack.enter_context(
        local_cli(
            laptop,
            LORATUI_PROVIDERS__VAST__URL=vast.url,
            LORATUI_PROVIDERS__VAST__SPACING="0",
            LORATUI_PROVIDERS__RUNPOD__URL=runpod.url,
            LORATUI_PROVIDERS__RUNPOD__GRAPHQL_URL=runpod.graphql_url,
            LORATUI_VAST_API_KEY=vast.key,
            LORATUI_RUNPOD_API_KEY=runpod.key,
            LORATUI_REMOTE__INDEX_URL=index.url,
        )
    )
    return World(cli, vast, runpod, vast_machines, runpod_machines, index)


def write_config(folder: Path, **changes: object) -> Path:
    """Write dataset and config of the smallest real training."""
    config = tiny_config(write_pictures(folder / "dataset"), output_dir=str(folder / "out"), **changes)
    path = folder / "tiny.toml"
    path.write_text(to_toml(config), "utf-8")
    return path
