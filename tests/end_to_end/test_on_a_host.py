"""The whole way on another machine: a real sshd, a real trainer, links that break, laptops that are closed."""

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest

from loratui_agent.demo.job import write_demo
from loratui_protocol.config_file import to_toml
from support.local_cli import local_cli
from support.remote_cli import Laptop, RemoteHost, remote_host
from support.sshd import needs_sshd
from support.tiny_training import tiny_config, write_pictures

pytestmark = [needs_sshd, pytest.mark.torch, pytest.mark.timeout(400)]


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_config(folder: Path, **changes: object) -> Path:
    """Write dataset and config of the smallest real training."""
    config = tiny_config(write_pictures(folder / "dataset"), output_dir=str(folder / "out"), **changes)
    path = folder / "tiny.toml"
    path.write_text(to_toml(config), "utf-8")
    return path


def demo_config(folder: Path, num_steps: int) -> Path:
    """Write the demo concept's dataset and config, without pictures on the way."""
    path = write_demo(folder, "demo", num_steps)
    text = path.read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("sample_")]
    lines = ["checkpoint_every_n_steps = 10" if line.startswith("checkpoint_every") else line for line in lines]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory):
    # Short: sockets below it must have room for their path.
    with remote_host(tmp_path_factory.mktemp("h")) as host:
        yield host


def test_links_break_the_trainer_is_killed_the_laptop_is_closed_and_the_file_is_that_of_an_undisturbed_run(
    tmp_path: Path,
) -> None:
    config = demo_config(tmp_path, 60)
    with remote_host(tmp_path / "h") as host, local_cli(tmp_path / "local") as here:
        undisturbed = here.start("train", config, "--on", "local", "--json", "--yes")
        with host.laptop(tmp_path / "first") as laptop:
            train = laptop.start(*laptop.on_host("train", config, "--json", "--yes"))
            train.wait_for_step(5)
            assert host.way.cut() > 0
            train.wait_for_step(15)
            os.kill(host.facts()["trainer"]["pid"], signal.SIGKILL)
            train.wait_for(lambda line: json.loads(line).get("state") == "resuming")
            assert host.way.cut() > 0
            train.wait_for_step(30)
            train.kill()
        with host.laptop(tmp_path / "second") as another:
            attach = another.run(*another.on_host("attach", "--json"))
            assert attach.finish() == 0, attach.errors
            events = attach.events()
            [lora] = [event for event in events if event["event"] == "artifact" and event["kind"] == "lora"]
        assert undisturbed.finish() == 0, undisturbed.errors
        [reference] = [event for event in undisturbed.events() if event["event"] == "done"]

    numbers = sorted(event["seq"] for event in events if event["event"] not in ("run", "report"))
    assert numbers == list(range(1, len(numbers) + 1))
    states = [event["state"] for event in events if event["event"] == "state"]
    assert states.count("resuming") == 1
    assert states[-1] == "done"
    assert {event["step"] for event in events if event["event"] == "step"} == set(range(1, 61))
    assert Path(lora["path"]).is_relative_to(tmp_path / "second")
    assert sha256_of(Path(lora["path"])) == sha256_of(Path(reference["lora"]))
