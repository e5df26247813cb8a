"""The whole way on this machine, with the real agent and the real trainer: a config goes in, a LoRA comes out."""

import json
import os
import signal
from pathlib import Path

import pytest
from safetensors import safe_open

from loratui_agent.facts import read_facts
from loratui_protocol.config_file import to_toml
from support.local_cli import LocalCli, local_cli
from support.tiny_training import tiny_config, write_pictures

pytestmark = [pytest.mark.torch, pytest.mark.timeout(240)]


@pytest.fixture
def cli(tmp_path):
    with local_cli(tmp_path) as cli:
        yield cli


def write_config(cli: LocalCli, **changes: object) -> Path:
    """Write dataset and config of the smallest real training and return the config's path."""
    config = tiny_config(write_pictures(cli.folder / "dataset"), output_dir=str(cli.folder / "out"), **changes)
    path = cli.folder / "tiny.toml"
    path.write_text(to_toml(config), "utf-8")
    return path


def assert_gapless(events: list[dict[str, object]]) -> None:
    """The journal's records are all there, each once."""
    numbers = [event["seq"] for event in events if event["event"] not in ("run", "report")]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_a_config_becomes_a_lora_file_and_every_event_is_told(cli):
    config = write_config(cli, sample_prompts=("a zorbix on a red background",), sample_every_n_steps=6)
    train = cli.run("train", config, "--on", "local", "--json", "--yes")
    assert train.finish() == 0, train.errors
    events = train.events()
    assert_gapless(events)
    assert all({"event", "ts", "seq"} <= event.keys() for event in events)
    told = {event["event"] for event in events}
    assert told >= {"run", "state", "setup", "step", "checkpoint", "sample", "artifact", "cost", "done", "report"}
    steps = [event for event in events if event["event"] == "step"]
    assert [step["step"] for step in steps] == list(range(1, 13))
    assert {"total", "loss", "lr", "it_s", "vram_gib", "eta_s"} <= steps[0].keys()

    [done] = [event for event in events if event["event"] == "done"]
    assert Path(done["lora"]) == cli.folder / "out" / "tiny.safetensors"
    with safe_open(done["lora"], framework="numpy") as lora:
        assert lora.metadata()["ss_network_dim"] == "4"
        names = list(lora.keys())
    assert any(name.startswith("lora_unet_") for name in names)
    for artifact in (event for event in events if event["event"] == "artifact"):
        assert Path(artifact["path"]).stat().st_size == artifact["size"]
    assert Path(events[-1]["path"]).read_text("utf-8").startswith("<!doctype html>")

    status = json.loads(cli.run("status", "--json").lines[0])
    assert (status["state"], status["step"], status["live"]) == ("done", 12, True)


def test_a_run_outlives_its_client_and_its_agent_and_attach_tells_it_from_the_beginning(cli):
    train = cli.start("train", write_config(cli, max_train_steps=40), "--on", "local", "--json", "--yes")
    train.wait_for_step(3)
    train.kill()
    trainer = trainer_pid(cli)
    os.kill(cli.agent_pid(), signal.SIGKILL)

    attach = cli.run("attach", "--json")
    assert attach.finish() == 0, attach.errors
    events = attach.events()
    assert_gapless(events)
    assert [event["step"] for event in events if event["event"] == "step"] == list(range(1, 41))
    states = [event["state"] for event in events if event["event"] == "state"]
    assert "resuming" not in states, "the trainer was started again though it lived"
    assert states[-1] == "done"
    assert trainer_pid(cli) in (None, trainer)


def trainer_pid(cli: LocalCli) -> int | None:
    """Return the pid of the only job's trainer."""
    [state] = cli.home.jobs.glob("*/state.json")
    trainer = read_facts(state).get("trainer")
    return trainer["pid"] if trainer else None


def test_a_trainer_that_is_killed_is_resumed_and_stop_ends_it_with_a_file(cli):
    train = cli.start("train", write_config(cli, max_train_steps=4000), "--on", "local", "--json", "--yes")
    train.wait_for_step(5)
    pid = trainer_pid(cli)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    train.wait_for(lambda line: json.loads(line).get("state") == "resuming")
    train.wait_for_step(8)

    stop = cli.run("stop")
    assert stop.finish() == 0, stop.errors
    assert train.finish() == 0
    events = train.events()
    assert_gapless(events)
    assert [event["state"] for event in events if event["event"] == "state"][-1] == "stopped"
    [lora] = [event for event in events if event["event"] == "artifact" and event["kind"] == "checkpoint_lora"]
    assert Path(lora["path"]).exists()
