"""Faults injected for real while a run is on another machine: what is killed, vanishes or changes, and what holds."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from loratui_agent.facts import read_facts
from loratui_agent.process import is_locked
from loratui_protocol.config_file import to_toml
from support.agent_process import wait_until
from support.remote_cli import VENV_BIN, Command, RemoteHost, remote_host
from support.sshd import SLOW_AND_NOISY_RC, needs_sshd
from support.terminal import Terminal
from support.tiny_training import tiny_config, write_pictures

pytestmark = [needs_sshd, pytest.mark.torch, pytest.mark.timeout(400)]

PATIENCE_S = 120.0
"""For what takes a few seconds on an idle machine."""
NUM_STEPS = 120
"""Some seconds of training: what is broken in the middle is broken while it trains."""
NOT_HEARD, HEARD_AGAIN = "the agent is not heard", "the agent is heard again"
FINAL = {"done", "stopped", "failed"}
OLD_NVIDIA_SMI = """\
#!/bin/sh
case $* in *compute_cap*) echo 'Field "compute_cap" is not a valid field to query.' ; exit 2 ;; esac
echo '450.80.02, 11178, GeForce GTX 1080 Ti'
"""


@dataclass(frozen=True)
class Undisturbed:
    """A config, and the hash of the file that it becomes when nothing happens meanwhile."""

    config: Path
    sha256: str


@pytest.fixture(scope="module")
def one_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteHost]:
    # Short: sockets below it must have room for their path. Verbose: the server's log says who signed in.
    with remote_host(tmp_path_factory.mktemp("f"), config=("LogLevel VERBOSE",)) as host:
        yield host


@pytest.fixture
def host(one_host: RemoteHost) -> Iterator[RemoteHost]:
    """Lend the host that has its environment already, as it should be, whatever the test before left behind."""
    yield one_host
    one_host.way.set(refuses=False, frozen=False, bytes_per_s=0)
    jobs = one_host.home / "jobs"
    if any(read_facts(path).get("state") not in FINAL for path in jobs.glob("*/state.json")):
        one_host.box.stop()
        one_host.box.kill_everything()
        shutil.rmtree(jobs)
        one_host.box.start()


@pytest.fixture(scope="module")
def undisturbed(one_host: RemoteHost, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    config = write_config(folder, max_train_steps=NUM_STEPS, checkpoint_every_n_steps=20)
    with one_host.laptop(folder / "laptop") as laptop:
        train = laptop.run(*laptop.on_host("train", config, "--json", "--yes"))
        assert train.finish() == 0, "\n".join(train.errors)
        return Undisturbed(config, lora_sha256(train.events()))


def write_config(folder: Path, **changes: object) -> Path:
    """Write dataset and config of the smallest real training."""
    path = folder / "tiny.toml"
    path.write_text(to_toml(tiny_config(write_pictures(folder / "dataset"), **changes)), "utf-8")
    return path


def run_of(command: Command) -> str:
    """Return the id of the run that ``train --json`` has started."""
    return str(json.loads(command.wait_for(lambda line: json.loads(line)["event"] == "run"))["run"])


def job_facts(host: RemoteHost, run: str) -> dict[str, Any]:
    """Return what the agent has on its disk about a run."""
    return read_facts(host.home / "jobs" / run / "state.json")


def trainer_pid(host: RemoteHost, run: str) -> int | None:
    """Return the pid of a run's trainer, None when it has none."""
    trainer = job_facts(host, run).get("trainer")
    return int(trainer["pid"]) if trainer else None


def wait_until_told(command: Command, text: str, times: int = 1) -> None:
    """Return once standard error has said ``text`` so many times."""
    wait_until(lambda: sum(text in line for line in command.errors) >= times, f"{text!r}, {times} times", PATIENCE_S)


def last_step(command: Command) -> int:
    """Return the last step that was told so far."""
    return max((event["step"] for event in command.events() if event["event"] == "step"), default=0)


def leave(terminal: Terminal) -> bool:
    """Press the key that lets the run go on; right after the question it does nothing. Return whether that did it."""
    terminal.press("d")
    terminal.read(0.1)
    return not terminal.is_running


def states(events: list[dict[str, Any]]) -> list[str]:
    return [event["state"] for event in events if event["event"] == "state"]


def assert_whole(events: list[dict[str, Any]]) -> None:
    """The journal's records are all there, each once, and so are the steps."""
    numbers = sorted(event["seq"] for event in events if event["event"] not in ("run", "report"))
    assert numbers == list(range(1, len(numbers) + 1))
    steps = {event["step"] for event in events if event["event"] == "step"}
    assert steps == set(range(1, max(steps) + 1))


def lora_sha256(events: list[dict[str, Any]]) -> str:
    """Return the hash of the finished file, as it is on the laptop."""
    [lora] = [event["path"] for event in events if event["event"] == "artifact" and event["kind"] == "lora"]
    return hashlib.sha256(Path(lora).read_bytes()).hexdigest()


def test_an_agent_that_is_killed_comes_back_and_its_trainer_never_notices(
    host: RemoteHost, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    with host.laptop(tmp_path / "laptop") as laptop, host.laptop(tmp_path / "another") as another:
        train = laptop.start(*laptop.on_host("train", undisturbed.config, "--json", "--yes"))
        run = run_of(train)
        train.wait_for_step(3)
        trainer, agent = trainer_pid(host, run), host.agent_pid()
        reaper_log = host.home / "run" / "reaper.log"
        before = reaper_log.read_text("utf-8")
        # Who follows would start an agent too: with the way closed it is the reaper that does.
        host.way.set(refuses=True)
        assert host.way.cut() > 0
        os.kill(agent, signal.SIGKILL)
        wait_until(lambda: host.agent_pid() != agent, "another agent", PATIENCE_S)
        assert trainer_pid(host, run) in (trainer, None), "None: it has finished meanwhile"
        assert f"agent pid={agent} is gone: started" in reaper_log.read_text("utf-8").removeprefix(before)
        host.way.set(refuses=False)
        assert train.finish() == 0, "\n".join(train.errors)
        attach = another.run(*another.on_host("attach", run, "--json"))
        assert attach.finish() == 0, "\n".join(attach.errors)

    for events in (train.events(), attach.events()):
        assert_whole(events)
        assert [event["step"] for event in events if event["event"] == "step"] == list(range(1, NUM_STEPS + 1))
        assert not {"interrupted", "resuming"} & set(states(events)), "the trainer was started again though it lived"
        assert states(events)[-1] == "done"
        assert lora_sha256(events) == undisturbed.sha256


def test_after_a_restart_of_the_container_attach_goes_on_from_the_last_checkpoint_to_the_same_file(
    host: RemoteHost, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    with host.laptop(tmp_path / "laptop") as laptop:
        train = laptop.start(*laptop.on_host("train", undisturbed.config, "--json", "--yes"))
        run = run_of(train)
        train.wait_for_step(45)
        train.kill()
        host.box.stop()
        host.box.kill_everything()
        assert job_facts(host, run)["state"] == "running", "nobody was left to write down that it ended"
        saved = sorted((host.home / "jobs" / run / "ckpt").iterdir())
        host.box.start()
        attach = laptop.run("attach", run, "--json")
        assert attach.finish() == 0, "\n".join(attach.errors)
        events = attach.events()

    assert saved
    assert_whole(events)
    assert states(events).count("resuming") == 1
    assert states(events)[-1] == "done"
    steps = [event["step"] for event in events if event["event"] == "step"]
    assert steps.count(1) == 1, "it began anew instead of going on"
    assert lora_sha256(events) == undisturbed.sha256


def test_of_a_host_that_vanished_nothing_is_claimed_and_what_is_stored_here_is_told(
    host: RemoteHost, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    with host.laptop(tmp_path / "laptop") as laptop, host.laptop(tmp_path / "another") as another:
        train = laptop.start(*laptop.on_host("train", undisturbed.config, "--json", "--yes"))
        run = run_of(train)
        train.wait_for_step(3)
        host.way.set(refuses=True)
        host.box.stop()
        host.box.kill_everything()
        wait_until_told(train, NOT_HEARD)
        logs = laptop.start("logs", run)
        status, listed = laptop.run("status", run, "--json"), laptop.run("ls", "--json")
        attach = another.run(*another.on_host("attach", run, "--json"))

        assert (status.finish(), listed.finish(), logs.finish()) == (0, 0, 0)
        now = json.loads(status.lines[0])
        assert (now["state"], now["live"], now["ended_ts"]) == ("running", False, None)
        assert 3 <= now["step"] < NUM_STEPS
        [row] = json.loads(listed.lines[0])
        assert (row["state"], row["live"]) == ("running", False)
        assert any("  running" in line for line in logs.lines)
        assert any("only what is stored here" in line for line in logs.errors)
        assert not [line for line in logs.lines if any(f"  {word}" in line for word in FINAL)]
        assert attach.finish() == 4
        assert "[ssh.unreachable]" in "\n".join(attach.errors)

        assert train.process.poll() is None, "who follows gives nothing up"
        assert not FINAL & set(states(train.events()))
        host.box.start()
        host.way.set(refuses=False)
        assert train.finish() == 0, "\n".join(train.errors)

    wait_until_told(train, HEARD_AGAIN)
    assert_whole(train.events())
    assert states(train.events())[-1] == "done"
    assert lora_sha256(train.events()) == undisturbed.sha256


def test_a_host_key_that_changes_under_way_ends_following_until_a_person_has_decided(
    host: RemoteHost, tmp_path: Path
) -> None:
    config = write_config(tmp_path, max_train_steps=4000, checkpoint_every_n_steps=1000)
    with host.laptop(tmp_path / "laptop") as laptop:
        train = laptop.start(*laptop.on_host("train", config, "--json", "--yes"))
        run = run_of(train)
        train.wait_for_step(1)
        interface = [str(VENV_BIN / "python"), "-m", "loratui.cli", "attach", run]
        with Terminal(interface, size=(140, 40), environ=laptop.environment) as terminal:
            terminal.read_until_text("TRAINING", PATIENCE_S)
            before = host.box.fingerprint
            host.box.swap_host_key()
            signed_in = host.box.log().count("Accepted publickey")
            assert train.finish() == 4
            terminal.read_until_text("given up", PATIENCE_S)
            terminal.read_until_text("[ssh.host_key_changed]", PATIENCE_S)
            terminal.press("q")
            terminal.read_until_text("LEAVE tiny", PATIENCE_S)
            wait_until(lambda: leave(terminal), "the interface to close", PATIENCE_S)
            assert terminal.wait() == 4

        said = "\n".join(train.errors)
        assert "[ssh.host_key_changed]" in said
        assert before in said
        assert host.box.fingerprint in said
        assert not FINAL & set(states(train.events()))
        # A command that is given now neither signs in nor waits.
        stop = laptop.run("stop", run)
        assert stop.finish() == 4
        assert "[ssh.host_key_changed]" in "\n".join(stop.errors)
        assert host.box.log().count("Accepted publickey") == signed_in

        attach = laptop.start(*laptop.on_host("attach", run, "--json", "--host-key", host.box.fingerprint))
        attach.wait_for_step(last_step(train) + 1)
        assert laptop.run("stop", run).finish() == 0
        assert attach.finish() == 0, "\n".join(attach.errors)

    assert_whole(attach.events())
    assert states(attach.events())[-1] == "stopped"


def test_a_partition_and_a_path_that_dies_silently_are_noticed_and_lose_nothing(
    host: RemoteHost, tmp_path: Path
) -> None:
    config = write_config(tmp_path, max_train_steps=4000, checkpoint_every_n_steps=1000)
    with host.laptop(tmp_path / "laptop") as laptop:
        train = laptop.start(*laptop.on_host("train", config, "--json", "--yes"))
        run = run_of(train)
        train.wait_for_step(3)
        refused = host.way.passed().refused
        host.way.set(refuses=True)
        assert host.way.cut() > 0
        wait_until(lambda: host.way.passed().refused >= refused + 4, "several attempts", PATIENCE_S)
        wait_until_told(train, NOT_HEARD)
        host.way.set(refuses=False)
        wait_until_told(train, HEARD_AGAIN)
        train.wait_for_step(last_step(train) + 1)

        host.way.freeze()
        wait_until_told(train, NOT_HEARD, times=2)
        host.way.cut()
        host.way.thaw()
        wait_until_told(train, HEARD_AGAIN, times=2)
        train.wait_for_step(last_step(train) + 1)
        assert laptop.run("stop", run).finish() == 0
        assert train.finish() == 0, "\n".join(train.errors)

    assert_whole(train.events())
    assert "resuming" not in states(train.events())
    assert states(train.events())[-1] == "stopped"


def test_a_laptop_that_is_killed_while_it_uploads_sends_at_its_next_attach_only_what_is_missing(
    host: RemoteHost, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    config = write_config(tmp_path)
    pictures = [tmp_path / "dataset" / "1_zorbix" / f"{index}.png" for index in range(4)]
    for picture, width in zip(pictures, (64, 128, 640, 800), strict=True):
        # Noise, which no compression makes smaller.
        noise = random.Random(width).randbytes(width * width * 3)
        Image.frombytes("RGB", (width, width), noise).save(picture)
    blobs = {host.home / "blobs" / hashlib.sha256(each.read_bytes()).hexdigest(): each for each in pictures}
    parts = [blob.with_name(f"{blob.name}.part") for blob in blobs]

    def complete() -> dict[Path, tuple[int, int]]:
        return {blob: (blob.stat().st_ino, blob.stat().st_mtime_ns) for blob in blobs if blob.exists()}

    def is_half_there(part: Path) -> bool:
        # Enough to see whether it travels twice; once complete it has another name.
        with contextlib.suppress(FileNotFoundError):
            return part.stat().st_size > 200_000
        return False

    # Smaller copies would be there before anybody could be killed.
    with host.laptop(tmp_path / "laptop", LORATUI_UPLOAD__COPIES="false") as laptop:
        # The way is measured before anything is sent, which takes long where it is slow; then it gets slower: there
        # must be time for the kill.
        host.way.set(bytes_per_s=1_000_000)
        train = laptop.start(*laptop.on_host("train", config, "--json", "--yes"))
        run = run_of(train)
        host.way.set(bytes_per_s=200_000)
        wait_until(lambda: len(complete()) >= 2 and any(map(is_half_there, parts)), "a file half there", PATIENCE_S)
        train.kill()
        host.way.cut()
        wait_until(lambda: not is_locked(host.home / "blobs" / "receive.lock"), "the receiver's end", PATIENCE_S)
        before = complete()
        [part] = [part for part in parts if part.exists()]
        begun, inode = part.stat().st_size, part.stat().st_ino
        size = blobs[part.with_suffix("")].stat().st_size
        assert 2 <= len(before) < len(blobs)
        assert 200_000 < begun < size
        assert job_facts(host, run)["state"] == "preparing"

        host.way.set(bytes_per_s=0)
        sent = host.way.passed().to_target
        attach = laptop.run("attach", run, "--json")
        assert attach.finish() == 0, "\n".join(attach.errors)
        sent = host.way.passed().to_target - sent

    after = complete()
    assert len(after) == len(blobs)
    assert {blob: after[blob] for blob in before} == before
    assert after[part.with_suffix("")][0] == inode, "the half file grew on"
    missing = sum(picture.stat().st_size for blob, picture in blobs.items() if blob not in before) - begun
    # What travels beside the missing bytes is the protocol's own.
    assert missing < sent < missing + begun
    assert states(attach.events())[-1] == "done"
    assert_whole(attach.events())


def test_a_host_without_forwarding_and_sftp_whose_shell_is_slow_and_noisy_trains_all_the_same(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    rc = SLOW_AND_NOISY_RC.replace("sleep 0.4", "sleep 1.2")
    assert rc != SLOW_AND_NOISY_RC
    with (
        remote_host(tmp_path / "h", streamlocal=False, sftp=False, rc=rc) as host,
        host.laptop(tmp_path / "laptop") as laptop,
    ):
        train = laptop.run(*laptop.on_host("train", config, "--json", "--yes"))
        assert train.finish() == 0, "\n".join(train.errors)
        events = train.events()
        assert_whole(events)
        assert states(events)[-1] == "done"
        [lora] = [event for event in events if event["event"] == "artifact" and event["kind"] == "lora"]
        assert Path(lora["path"]).is_relative_to(laptop.folder)
        assert lora_sha256(events) == lora["sha256"]


def test_a_host_whose_driver_is_too_old_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    programs, kernel = tmp_path / "bin", tmp_path / "sys" / "module" / "nvidia"
    programs.mkdir()
    (programs / "nvidia-smi").write_text(OLD_NVIDIA_SMI)
    (programs / "nvidia-smi").chmod(0o755)
    kernel.mkdir(parents=True)
    (kernel / "version").write_text("450.80.02\n")
    path = os.pathsep.join(map(str, (programs, VENV_BIN, "/usr/bin", "/bin")))
    environment = {"PATH": path, "LORATUI_PROBE_SYS": str(tmp_path / "sys")}
    with remote_host(tmp_path / "h", environment=environment) as host, host.laptop(tmp_path / "laptop") as laptop:
        train = laptop.run(*laptop.on_host("train", config, "--json", "--yes"))
        assert train.finish() == 4
        said = "\n".join(train.errors)
        assert "[host.driver]" in said
        assert "450.80.02" in said
        assert "GeForce GTX 1080 Ti" in said
        assert "Nothing was sent" in said
        assert train.lines == []
        assert list(host.box.home.iterdir()) == []
        assert laptop.run("ls").lines == []
