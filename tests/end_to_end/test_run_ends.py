"""A run that was stopped to look at it, and one that is done, go on: here, in the same run, and as a new one."""

import json
import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loratui_protocol.config_file import to_toml
from support.agent_process import wait_until
from support.local_cli import LocalCli, local_cli
from support.rented_world import World
from support.rented_world import write_config as write_rented_config
from support.sshd import needs_sshd
from support.tiny_training import tiny_config, write_pictures

pytestmark = [pytest.mark.torch, pytest.mark.timeout(240)]


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[LocalCli]:
    with local_cli(tmp_path) as cli:
        yield cli


def write_config(cli: LocalCli, name: str, **changes: Any) -> Path:
    """Write a config of two steps an epoch."""
    dataset = cli.folder / "dataset"
    pictures = dataset if dataset.exists() else write_pictures(dataset)
    path = cli.folder / f"{name}.toml"
    path.write_text(to_toml(tiny_config(pictures, output_name=name, **changes)), "utf-8")
    return path


def attached(cli: LocalCli) -> list[dict[str, Any]]:
    attach = cli.run("attach", "cat", "--json")
    assert attach.finish() == 0, attach.errors
    return attach.events()


def state_of(cli: LocalCli) -> tuple[str, int]:
    status = json.loads(cli.run("status", "cat", "--json").lines[0])
    return status["state"], status["step"]


def test_a_run_stops_to_be_looked_at_and_goes_on_within_its_plan_and_beyond(cli: LocalCli) -> None:
    cosine: dict[str, Any] = {"max_train_epochs": 4, "lr_scheduler": "cosine", "num_cpu_threads": 1}
    train = cli.run("train", write_config(cli, "cat", **cosine), "--on", "local", "--stop-at-epoch", "1", "--plain")
    assert train.finish() == 0, train.errors
    said = "\n".join((*train.lines, *train.errors))
    assert "run " in said
    assert "cat, 2 steps on this machine" in said
    assert "stopped: stopped at epoch 1 of 4 planned, after step 2 of 8 [stop_at_epoch]" in said
    assert "to go on: loratui resume cat --epochs 4" in said
    assert "stopped at epoch 1 of 4 planned, after step 2 of 8 [stop_at_epoch]" in cli.run("status", "cat").lines

    there = cli.run("resume", "cat", "--epochs", "1")
    assert there.finish() == 2
    assert "it is at step 2, in epoch 1" in "\n".join(there.errors)
    assert state_of(cli) == ("stopped", 2)

    # Another agent has to know what was agreed on.
    os.kill(cli.agent_pid(), signal.SIGKILL)
    resume = cli.run("resume", "cat", "--epochs", "3")
    assert resume.finish() == 0, resume.errors
    assert resume.errors[:2] == [
        "goes on to step 6, epoch 3 of 4 planned",
        "the schedule stays that of 8 steps: the result is that of a run that was never stopped",
    ]
    attached(cli)
    assert state_of(cli) == ("stopped", 6)
    assert cli.run("resume", "cat").finish() == 0
    events = attached(cli)
    assert state_of(cli) == ("done", 8)
    assert [event["step"] for event in events if event["event"] == "step"] == list(range(1, 9))

    longer = cli.run("resume", "cat", "--epochs", "6")
    assert longer.finish() == 0, longer.errors
    assert (
        "was planned for 8 steps and is planned anew for 12: after step 8 the learning rate was 0" in (longer.errors[1])
    )
    events = attached(cli)
    assert state_of(cli) == ("done", 12)
    assert [event["code"] for event in events if event["event"] == "warn"] == ["plan.anew"]
    assert max(event["step"] for event in events if event["event"] == "step") == 12
    elsewhere = cli.run("resume", "cat", "--epochs", "7", "--on", "local", "--json", "--yes")
    assert elsewhere.finish() == 0, elsewhere.errors
    assert [event["step"] for event in elsewhere.events() if event["event"] == "step"] == [13, 14]
    assert "goes on from step 12 of 12" in "\n".join(elsewhere.errors)


def test_a_run_that_is_done_is_advised_to_go_on_by_a_command_that_does_what_it_says(cli: LocalCli) -> None:
    train = cli.run("train", write_config(cli, "cat", max_train_epochs=4), "--on", "local", "--plain")
    assert train.finish() == 0, train.errors
    [further] = json.loads(cli.run("advice", "cat", "--json").lines[0])["remedies"]
    assert further["what"] == "the run itself can go on from its saved state of step 8, with 4 steps more"
    assert (further["steps"], further["cost"]["where"], further["microusd"]) == (4, "here", None)
    said = cli.run("advice", "cat").lines
    assert "   -max_train_epochs = 4" in said
    assert "   +max_train_epochs = 6" in said
    assert "   loratui resume cat --epochs 6 does it" in said
    refused = cli.run("advice", "cat", "--write", "1")
    assert refused.finish() == 2
    assert "  fix: loratui resume cat --epochs 6" in refused.errors

    program, *command = shlex.split(further["command"])
    assert program == "loratui"
    resume = cli.run(*command)
    assert resume.finish() == 0, resume.errors
    events = attached(cli)
    assert state_of(cli) == ("done", 12)
    assert [event["step"] for event in events if event["event"] == "step"] == list(range(1, 13))


@needs_sshd
def test_a_machine_that_is_kept_trains_further_what_was_done_there(world: World, tmp_path: Path) -> None:
    config = write_rented_config(tmp_path, max_train_epochs=6, lr_scheduler="linear")
    train = world.cli.start("train", config, "--on", "vast", "--budget", "1", "--keep", "30m", "--yes", "--plain")
    wait_until(lambda: train.said("the machine is kept"), "the run to be done", 100)
    wait_until(lambda: list(world.cli.folder.glob("state/runs/*/states/step-*/manifest.json")), "its state", 30)
    train.process.send_signal(signal.SIGINT)
    assert train.finish() == 130, train.errors
    [run] = world.runs()
    assert (run.state, run.step) == ("done", 12)
    resume = world.cli.run("resume", "--epochs", "8")
    assert resume.finish() == 0, resume.errors
    assert "goes on at" in "\n".join(resume.errors)
    attach = world.cli.start("attach", "--json")
    attach.wait_for_step(16)
    attach.wait_for(lambda line: (event := json.loads(line))["event"] == "done" and event["steps"] == 16)
    attach.kill()
    assert [each.id for each in world.runs()] == [run.id]
    assert (world.num_living(), len(world.rentals())) == (1, 1)
