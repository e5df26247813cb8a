"""A machine vanishes in the middle of a run, which goes on elsewhere from what is on the laptop."""

import hashlib
import shutil
from pathlib import Path

import pytest

from loratui_agent.demo.job import write_demo
from support.agent_process import wait_until
from support.local_cli import LocalCli, local_cli
from support.remote_cli import RemoteHost, remote_host
from support.sshd import needs_sshd

pytestmark = [needs_sshd, pytest.mark.torch, pytest.mark.timeout(400)]


def demo_config(folder: Path, num_steps: int) -> Path:
    """Write the demo concept's dataset and a config whose state is saved every ten steps."""
    path = write_demo(folder, "demo", num_steps)
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("sample_")]
    lines = ["checkpoint_every_n_steps = 10" if line.startswith("checkpoint_every") else line for line in lines]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lora_of(lines: list[dict[str, object]]) -> Path:
    [done] = [event for event in lines if event["event"] == "done"]
    return Path(str(done["lora"]))


def states_on(laptop: LocalCli) -> list[Path]:
    return sorted(laptop.folder.glob("state/runs/*/states/step-*/manifest.json"))


def vanish(host: RemoteHost) -> None:
    """Have the machine gone for good: its server, all its processes, its disk."""
    host.box.stop()
    host.box.kill_everything()
    shutil.rmtree(host.box.home)


def test_a_host_dies_and_the_run_ends_on_another_one_with_the_weights_of_an_undisturbed_run(tmp_path: Path) -> None:
    config = demo_config(tmp_path, 60)
    with local_cli(tmp_path / "local") as here:
        undisturbed = here.run("train", config, "--on", "local", "--json", "--yes")
        assert undisturbed.finish() == 0, undisturbed.errors
    with remote_host(tmp_path / "a") as first, remote_host(tmp_path / "b") as second:
        with first.laptop(tmp_path / "laptop") as laptop:
            train = laptop.start(*laptop.on_host("train", config, "--json", "--yes"))
            wait_until(lambda: states_on(laptop), "a saved state to be on the laptop", 100)
            train.wait_for_step(15)
            vanish(first)
            train.kill()
        with second.laptop(tmp_path / "laptop") as laptop:
            gone = laptop.run("resume")
            assert gone.finish() == 4
            assert "--on TARGET" in gone.errors[-1]
            resume = laptop.run(*laptop.on_host("resume", "--json", "--yes"))
            assert resume.finish() == 0, resume.errors
    events = resume.events()
    [said] = [line for line in resume.errors if line.startswith("goes on from step ")]
    step = int(said.split()[4])
    assert step >= 10
    assert "of 60 (saved " in said
    assert {event["step"] for event in events if event["event"] == "step"} == set(range(step + 1, 61))
    assert sha256_of(lora_of(events)) == sha256_of(lora_of(undisturbed.events()))
