"""A machine vanishes in the middle of a run, which goes on elsewhere from what is on the laptop."""

import hashlib
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest
from PIL import Image

from loratui_protocol.config_file import to_toml
from support.agent_process import wait_until
from support.local_cli import LocalCli, local_cli
from support.remote_cli import RemoteHost, remote_host
from support.rented_world import World, write_config
from support.sshd import needs_sshd
from support.terminal import Terminal
from support.tiny_training import demo_config, tiny_config, write_pictures

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
    config = write_config(tmp_path, max_train_steps=160, checkpoint_every_n_steps=20)
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


def large_pictures(folder: Path) -> Path:
    """Write pictures that are far larger than what is trained of them; return the parent of their folder."""
    concept = write_pictures(folder) / "1_zorbix"
    for index, path in enumerate(sorted(concept.glob("*.png"))):
        with Image.open(path) as opened:
            large = opened.resize((640, 500 + 40 * index))
        path.unlink()
        if index:
            large.save(path.with_suffix(".bmp"))
        else:
            exif = Image.Exif()
            exif[0x0112] = 6
            grain = Image.effect_noise(large.size, 90)
            Image.merge("RGB", [grain, *large.split()[1:]]).save(path.with_suffix(".jpg"), quality=97, exif=exif)
    return folder


@pytest.mark.long
def test_a_host_that_is_sent_smaller_copies_learns_what_the_originals_teach_and_hands_over_to_them(
    tmp_path: Path,
) -> None:
    pictures = large_pictures(tmp_path / "dataset")
    settings = {"max_train_steps": 120, "checkpoint_every_n_steps": 10, "flip_aug": True, "output_dir": None}
    config = tmp_path / "tiny.toml"
    config.write_text(to_toml(tiny_config(pictures, **settings)), "utf-8")
    before = {path: path.read_bytes() for path in pictures.rglob("*.*")}
    with (
        local_cli(tmp_path / "local") as here,
        remote_host(tmp_path / "h") as host,
        host.laptop(tmp_path / "laptop") as laptop,
    ):
        undisturbed = here.start("train", config, "--on", "local", "--json", "--yes")
        train = laptop.start(*laptop.on_host("train", config, "--json", "--yes"))
        wait_until(lambda: states_on(laptop), "a saved state to be on the laptop", 100)
        assert laptop.run("stop").finish() == 0
        assert train.finish() == 0, train.errors
        [told] = [line for line in train.errors if "as smaller copies" in line]
        assert told.startswith("to send: 4 pictures, 4 as smaller copies: ")
        sent = [path for path in host.home.glob("jobs/*/inputs/train/*/1_zorbix/*") if path.suffix in (".bmp", ".jpg")]
        assert len(sent) == 4
        assert sum(path.stat().st_size for path in sent) < 100_000
        resume = laptop.run("resume", "--on", "local", "--json", "--yes")
        assert resume.finish() == 0, resume.errors
        assert undisturbed.finish() == 0, undisturbed.errors
    trained = {event["step"] for event in resume.events() if event["event"] == "step"}
    assert max(trained) == 120
    assert min(trained) > 10
    assert sha256_of(lora_of(resume.events())) == sha256_of(lora_of(undisturbed.events()))
    assert {path: path.read_bytes() for path in pictures.rglob("*.*")} == before
