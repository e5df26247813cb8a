"""The whole way on another machine: a real sshd, a real trainer, links that break, laptops that are closed."""

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest

from loratui_agent.demo.job import write_demo
from loratui_agent.model_path import resolve_model
from loratui_protocol.config_file import to_toml
from support.local_cli import local_cli
from support.model_server import model_server
from support.remote_cli import RemoteHost, remote_host
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


def test_two_laptops_follow_one_run_and_a_command_of_either_is_told_to_both(host: RemoteHost, tmp_path: Path) -> None:
    config = write_config(tmp_path, max_train_steps=4000)
    with (
        host.laptop(tmp_path / "ann", LORATUI_AUTHOR="ann") as ann,
        host.laptop(tmp_path / "ben", LORATUI_AUTHOR="ben") as ben,
    ):
        detached = ann.run(*ann.on_host("train", config, "--yes", "--detach"))
        assert detached.finish() == 0, detached.errors
        run = detached.lines[-1]
        follows = ann.start("attach", run, "--json")
        follows.wait_for_step(2)
        taken_up = ben.start(*ben.on_host("attach", run, "--json"))
        taken_up.wait_for_step(2)
        stop = ben.run("stop", run)
        assert stop.finish() == 0, stop.errors
        for command in (follows, taken_up):
            assert command.finish() == 0, command.errors
            [result] = [each for each in command.events() if each.get("command") == "stop"]
            assert (result["author"], result["ok"]) == ("ben", True)
            assert [each["state"] for each in command.events() if each["event"] == "state"][-1] == "stopped"


def test_nothing_of_the_laptop_but_the_dataset_reaches_the_host(host: RemoteHost, tmp_path: Path) -> None:
    canary = "canary-4f1c9a77d2"
    config = write_config(tmp_path, max_train_steps=60)
    secrets = {"VAST_API_KEY": canary, "HF_TOKEN": canary, "LORATUI_RUNPOD_API_KEY": canary, "AWS_SECRET": canary}
    with host.laptop(tmp_path / "laptop", **secrets) as laptop:
        (laptop.folder / "config").mkdir()
        (laptop.folder / ".env").write_text(f"KEY={canary}\n", "utf-8")
        train = laptop.start(*laptop.on_host("train", config, "--json", "--yes"))
        train.wait_for_step(2)
        assert host.secrets_in(canary) == []
        assert train.finish() == 0, train.errors
        assert host.secrets_in(canary) == []
        marked = [path for path in host.box.home.rglob("*") if path.is_file() and b"a zorbix on" in path.read_bytes()]
    assert marked, "the search finds what is there: the captions"


def test_a_laptop_that_dies_while_it_uploads_goes_on_at_the_next_attach(host: RemoteHost, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    ballast = tmp_path / "dataset" / "1_zorbix" / "0.txt"
    ballast.write_text("a zorbix\n" + "x" * 40_000, "utf-8")
    with host.laptop(tmp_path / "laptop") as laptop:
        train = laptop.start(*laptop.on_host("train", config, "--json", "--yes"))
        train.wait_for(lambda line: json.loads(line)["event"] == "setup")
        train.kill()
        attach = laptop.run("attach", "--json")
        assert attach.finish() == 0, attach.errors
        assert [each["state"] for each in attach.events() if each["event"] == "state"][-1] == "done"


def test_what_a_host_is_told_to_do_in_the_end_happens_once_the_files_are_here(host: RemoteHost, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    mark = tmp_path / "mark"
    with host.laptop(tmp_path / "laptop") as laptop:
        train = laptop.run(*laptop.on_host("train", config, "--json", "--yes", "--on-done", f"touch {mark}"))
        assert train.finish() == 0, train.errors
        attach = laptop.run("attach", "--json")
        assert attach.finish() == 0, attach.errors
    [ended] = [each for each in attach.events() if each["event"] == "deadman"]
    assert (ended["action"], ended["reason"], ended["ok"]) == ("run", "done", True)
    assert mark.exists()


def test_the_host_downloads_a_gated_base_model_with_a_token_that_nobody_else_sees(
    host: RemoteHost, tmp_path: Path
) -> None:
    token = "hf_canary_20c4"
    config = write_config(tmp_path, pretrained_model_name_or_path="org/name")
    tiny = resolve_model("builtin:tiny")
    files = {path.relative_to(tiny).as_posix(): path.read_bytes() for path in tiny.rglob("*") if path.is_file()}
    with model_server() as hub, host.laptop(tmp_path / "laptop") as laptop:
        hub.model, hub.token = files, token
        laptop.environment["LORATUI_REMOTE__HUB_URL"] = hub.url
        refused = laptop.run(*laptop.on_host("train", config, "--json", "--yes"))
        assert refused.finish() == 3, refused.errors
        assert "[model.gated]" in "\n".join(refused.errors)
        assert laptop.run("ls").lines == [], "refused before there was a run"
        train = laptop.start(*laptop.on_host("train", config, "--json", "--yes", "--ask-token"), typed=f"{token}\n")
        train.wait_for_step(1)
        assert host.secrets_in(token) == []
        assert train.finish() == 0, train.errors
        [said] = [line for line in train.errors if line.startswith("base model: the host downloads org/name")]
        assert "speed just measured there" in said
    told = {each["phase"] for each in train.events() if each["event"] == "setup"}
    assert {"base_model", "environment", "dataset"} <= told


def test_a_changed_host_key_is_a_hard_stop(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with remote_host(tmp_path / "h") as host, host.laptop(tmp_path / "laptop") as laptop:
        laptop.run(*laptop.on_host("attach")).finish()
        host.box.swap_host_key()
        train = laptop.run(*laptop.on_host("train", config, "--yes", "--plain"))
        assert train.finish() == 4
        said = "\n".join(train.errors)
        assert "[ssh.host_key_changed]" in said
        assert host.box.fingerprint in said
        assert laptop.run("ls").lines == []


def test_a_host_that_does_not_know_the_key_says_which_line_it_needs(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with remote_host(tmp_path / "h") as host, host.laptop(tmp_path / "laptop") as laptop:
        train = laptop.run("train", config, "--on", host.target, "--yes", "--plain")
        assert train.finish() == 4
        said = "\n".join(train.errors)
        assert "[ssh.auth]" in said
        assert "ssh-ed25519 " in said


def test_the_laptop_keeps_its_pictures_where_the_host_can_not_train(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with remote_host(tmp_path / "h", tmpfs_home="40m") as host, host.laptop(tmp_path / "laptop") as laptop:
        train = laptop.run(*laptop.on_host("train", config, "--yes", "--plain"))
        assert train.finish() == 4
        assert "Nothing was sent" in "\n".join(train.errors)
