"""A machine vanishes in the middle of a run, which goes on elsewhere from what is on the laptop."""

import hashlib
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest

from support.agent_process import wait_until
from support.local_cli import LocalCli, local_cli
from support.remote_cli import RemoteHost, remote_host
from support.rented_world import World, write_config
from support.sshd import needs_sshd
from support.terminal import Terminal
from support.tiny_training import demo_config

pytestmark = [needs_sshd, pytest.mark.torch, pytest.mark.timeout(400)]


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


def test_a_rental_that_is_over_goes_on_in_another_one_of_another_provider(world: World, tmp_path: Path) -> None:
    config = write_config(tmp_path, max_train_steps=400, checkpoint_every_n_steps=20)
    train = world.cli.start("train", config, "--on", "vast", "--budget", "1", "--yes", "--json")
    wait_until(lambda: states_on(world.cli), "a saved state to be on the laptop", 100)
    train.kill()
    ended = world.cli.run("terminate", "--all", "--yes")
    assert ended.finish() == 0, ended.errors
    gone = world.cli.run("resume")
    assert gone.finish() == 4
    said = "\n".join(gone.errors)
    assert "[rental.over]" in said
    assert "--on TARGET" in said
    again = ("resume", "--on", "runpod", "--budget", "1", "--yes", "--plain")
    # Somebody has touched a caption: no money is spent on what could not go on.
    [caption, *_] = sorted(tmp_path.glob("**/1_zorbix/*.txt"))
    text = caption.read_text("utf-8")
    caption.write_text("another\n", "utf-8")
    changed = world.cli.run(*again)
    assert changed.finish() == 1
    assert "[resume.changed]" in "\n".join(changed.errors)
    assert world.num_living() == 0
    caption.write_text(text, "utf-8")
    resume = world.cli.run(*again)
    assert resume.finish() == 0, resume.errors
    assert world.num_living() == 0
    [first, _] = [each.run_ids for each in reversed(world.rentals())]
    said = "\n".join(world.cli.run("status").lines)
    assert re.search(rf"^goes on from {first} at step \d+, on vast:loratui-", said, re.MULTILINE), said
    assert [line for line in resume.errors if line.startswith("goes on from step ")]
    assert list((tmp_path / "out").glob("*.safetensors"))


def test_a_machine_that_is_kept_is_ended_before_its_run_goes_on_elsewhere_or_nothing_is_started(
    world: World, tmp_path: Path
) -> None:
    config = write_config(tmp_path, max_train_steps=400, checkpoint_every_n_steps=20)
    options = ("--on", "vast", "--budget", "1", "--keep", "30m", "--yes", "--json")
    train = world.cli.start("train", config, *options)
    wait_until(lambda: states_on(world.cli), "a saved state to be on the laptop", 100)
    stop = world.cli.run("stop")
    assert stop.finish() == 0, stop.errors
    wait_until(lambda: train.said("the machine is kept"), "the word", 60)
    train.process.send_signal(signal.SIGINT)
    assert train.finish() == 130, train.errors
    unasked = world.cli.run("resume", "--on", "runpod", "--budget", "1", "--yes", "--plain")
    assert unasked.finish() == 5, unasked.errors
    assert "[resume.billing]" in "\n".join(unasked.errors)
    assert (world.num_living(), len(world.rentals())) == (1, 1)
    argv = [sys.executable, "-m", "loratui.cli", "resume", "--on", "local", "--plain"]
    with Terminal(argv, size=(200, 50), environ=world.cli.environment) as terminal:
        terminal.read_until(lambda received: b"End it first?" in received, 60)
        terminal.press("n\n")
        terminal.read_until(lambda received: b"pay for both?" in received)
        terminal.press("n\n")
        assert terminal.wait() == 0
        assert b"nothing was started" in terminal.received
    assert world.num_living() == 1
    with Terminal(argv, size=(200, 50), environ=world.cli.environment) as terminal:
        terminal.read_until(lambda received: b"End it first?" in received, 60)
        terminal.press("y\n")
        terminal.read_until(lambda received: b"goes on from step " in received, 60)
        assert world.num_living() == 0
        assert b"the rental is gone, as vast shows" in terminal.received
    [rental] = world.rentals()
    assert (rental.proven_gone, rental.why) == (True, "you ended it, to go on elsewhere")
