"""The whole way on another machine: a real sshd, a real trainer, links that break, laptops that are closed."""

import base64
import contextlib
import hashlib
import json
import os
import secrets
import signal
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from loratui.remote.ssh import Instance, host_folder, parse_target
from loratui.report.judgement_zip import open_judgement
from loratui_agent.facts import read_facts
from loratui_agent.model_path import resolve_model
from loratui_protocol.config_file import to_toml
from loratui_protocol.judging.judgement import DOCUMENT, parse_judgement
from support.agent_process import wait_until
from support.canary import CanaryWatch
from support.feature_models import files_in, write_clip, write_dino
from support.local_cli import DEADLINE_S, local_cli
from support.model_server import model_server
from support.remote_cli import Laptop, RemoteHost, remote_host
from support.sshd import needs_sshd
from support.tiny_training import demo_config, tiny_config, write_pictures

pytestmark = [needs_sshd, pytest.mark.torch, pytest.mark.timeout(400)]


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_config(folder: Path, **changes: object) -> Path:
    """Write dataset and config of the smallest real training."""
    config = tiny_config(write_pictures(folder / "dataset"), output_dir=str(folder / "out"), **changes)
    path = folder / "tiny.toml"
    path.write_text(to_toml(config), "utf-8")
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


@pytest.mark.timeout(600)
def test_files_are_judged_where_they_were_trained_each_picture_drawn_once_and_all_of_it_is_told_here(
    host: RemoteHost, tmp_path: Path
) -> None:
    config = write_config(
        tmp_path,
        max_train_steps=2,
        checkpoint_every_n_steps=2,
        save_every_n_steps=1,
        trigger_word="zorbix",
        evaluate_checkpoints=2,
        evaluate_weights=(0.0, 1.0),
        evaluate_seeds=2,
        evaluate_prompts=("{trigger} on a red background",),
        evaluate_dino=str(write_dino(tmp_path / "dino")),
        evaluate_clip=str(write_clip(tmp_path / "clip")),
    )
    with host.laptop(tmp_path / "laptop") as laptop:
        train = laptop.start(*laptop.on_host("train", config, "--json", "--yes"))
        run = train.wait_for(lambda line: json.loads(line)["event"] == "run")
        job = host.home / "jobs" / json.loads(run)["run"]
        wait_until(lambda: any((job / "judge").glob("*.png")), "the first pictures", DEADLINE_S)
        os.kill(read_facts(job / "state.json")["trainer"]["pid"], signal.SIGKILL)
        drawn = {path: path.stat().st_mtime_ns for path in (job / "judge").glob("*.png")}
        assert train.finish() == 0, train.errors
        events = train.events()
        assert {path: path.stat().st_mtime_ns for path in drawn} == drawn
        # Three prompts, two seeds, two files and the base model.
        assert len(drawn) < len(list((job / "judge").glob("*.png"))) == 18

        [sent] = [each for each in events if each.get("kind") == "judgement"]
        assert sha256_of(Path(sent["path"])) == sent["sha256"] == sha256_of(job / "artifacts" / "judgement.zip")
        with open_judgement(Path(sent["path"])) as judged:
            assert len(judged.judgement.pictures) == 18
            assert all(judged.picture(each.cell) for each in judged.judgement.pictures)
            assert {"likeness", "prompt", "copying", "diversity", "bleed", "artefacts"} <= {
                name for each in judged.judgement.pictures for name in each.scores
            }
        advice = json.loads("".join(laptop.run("advice", "--json").lines))
        [*sheets, report] = map(Path, laptop.run("report").lines)
    assert advice["advised"]["name"] in ("tiny-step00000001.safetensors", "tiny.safetensors")
    assert {path.name for path in sheets} == {"tiny-step00000001.png", "tiny.png", "weight-1.png"}
    for path in sheets:
        with Image.open(path) as sheet:
            assert sheet.format == "PNG"
    page = report.read_text("utf-8")
    for section in ("The files tried out", "Scores", "Scores over steps and weights", "Settings", "Cost"):
        assert f"<h2>{section}</h2>" in page
    assert page.count("data:image/jpeg") == 18


def plant(laptop: Laptop, host: RemoteHost, pictures: Path, canary: str) -> list[bytes]:
    """Put secrets wherever a laptop has some; return all the texts that must not leave it, the key among them."""
    for path in (
        "user/.netrc", "user/.cache/huggingface/token", "user/.huggingface/token", "user/.ssh/id_ed25519",
        "user/.ssh/config", "user/.config/loratui/config.toml", "user/.config/vastai/vast_api_key", "user/.bashrc",
        "config/config.toml", "config/secrets.toml", "state/note", "state/cache/note", "state/runs/note", ".env",
    ):  # fmt: skip
        (laptop.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (laptop.folder / path).write_text(f"# {canary}\n", "utf-8")
    (laptop.folder / "config" / "config.toml").write_text(f'local.home = "/nowhere/{canary}"  # {canary}\n', "utf-8")
    # Beside the pictures, but no captions of theirs.
    for name in ("../notes.txt", "notes.txt", "1_zorbix/notes.md", "1_zorbix/notes.txt", "1_zorbix/0.json", ".env"):
        (pictures / name).write_text(canary, "utf-8")
    # The key that is made for this host alone, and that signs in.
    instance = Instance(host_folder(laptop.folder / "state", parse_target(host.target)))
    key = instance.key()
    host.box.authorize(key)
    of_key = instance.key_path.read_bytes().splitlines()[-3:-1]
    return [canary.encode(), base64.b64encode(canary.encode())[:-4], *of_key, key.pyca_key.private_bytes_raw()]


def test_nothing_of_the_laptop_but_the_dataset_reaches_the_host(host: RemoteHost, tmp_path: Path) -> None:
    canary, control = f"canary-{secrets.token_hex(12)}", f"control-{secrets.token_hex(12)}"
    config = write_config(tmp_path, max_train_steps=60)
    names = ("VAST_API_KEY", "LORATUI_VAST_API_KEY", "HF_TOKEN", "LORATUI_RUNPOD_API_KEY", "AWS_SECRET_ACCESS_KEY")
    # Its folders have the name too: what they are called is nobody's business.
    with host.laptop(tmp_path / canary, **dict.fromkeys(names, canary)) as laptop:
        laptop.environment["HOME"] = laptop.environment["TMPDIR"] = str(laptop.folder / "user")
        planted = plant(laptop, host, tmp_path / "dataset", canary)
        assert len(set(planted)) == len(planted) == 5
        with CanaryWatch(host.box, [*planted, control.encode(), b"a zorbix on"]) as watch:
            watch.whole_round()
            train = laptop.start("train", config, "--on", host.target, "--json", "--yes")
            train.wait_for_step(2)
            show_for_a_moment(watch, host, control)
            assert train.finish() == 0, train.errors
            assert laptop.run("ls", "--on", host.target).finish() == 0
            watch.whole_round()
    assert watch.places(*planted) == set()
    assert any("/blobs/" in place for place in watch.places(b"a zorbix on")), "the search finds what is there"


def show_for_a_moment(watch: CanaryWatch, host: RemoteHost, control: str) -> None:
    """Have a text on the host in each way in which one could be there; return once every one was seen, and is gone."""
    text = control.encode()
    with contextlib.ExitStack() as stack:
        for folder in (host.box.home, Path("/dev/shm"), Path(tempfile.gettempdir())):
            file = stack.enter_context(tempfile.NamedTemporaryFile(dir=folder))
            file.write(b"." * 1000 + text)
            file.flush()
            wait_until(lambda place=file.name: place in watch.seen[text], f"{folder} to be looked at")
        for variables, words in (({"SECRET": control}, []), ({}, [control])):
            watch.seen[text].discard("process cat")
            argv = ["/bin/cat", "-", *words]
            environment = {"HOME": str(host.box.home), **variables}
            process = stack.enter_context(subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE))
            wait_until(lambda: "process cat" in watch.seen[text], "the processes to be looked at")
            process.kill()


def test_what_a_host_is_told_to_do_in_the_end_happens_once_the_files_are_here(host: RemoteHost, tmp_path: Path) -> None:
    config = write_config(tmp_path, rights_statement="All mine")
    mark = tmp_path / "mark"
    with host.laptop(tmp_path / "laptop") as laptop:
        train = laptop.run(*laptop.on_host("train", config, "--json", "--yes", "--on-done", f"touch {mark}"))
        assert train.finish() == 0, train.errors
        wait_until(mark.exists, "the command")
        said = json.loads(laptop.run("status", "--json").lines[0])["rights"]
        assert said == "stated in the config: All mine", "it stands in the run's record"

        def deeds() -> list[dict[str, object]]:
            attach = laptop.run("attach", "--json")
            assert attach.finish() == 0, attach.errors
            return [each for each in attach.events() if each["event"] == "deadman"]

        # It comes after the end of the run, which is all that a follower waits for.
        wait_until(deeds, "word of it", 60)
        [ended] = deeds()
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


def test_the_host_downloads_what_files_are_judged_with_and_judges_with_it(host: RemoteHost, tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        trigger_word="zorbix",
        max_train_steps=2,
        evaluate_checkpoints=1,
        evaluate_weights=(0.0, 1.0),
        evaluate_seeds=2,
        evaluate_prompts=("a {trigger}",),
        evaluate_dino="org/dino",
        evaluate_clip="org/clip@refs/pr/15",
    )
    with model_server() as hub, host.laptop(tmp_path / "laptop") as laptop:
        hub.others["org/dino"] = files_in(write_dino(tmp_path / "dino"))
        hub.others["org/clip"] = files_in(write_clip(tmp_path / "clip"))
        laptop.environment["LORATUI_REMOTE__HUB_URL"] = hub.url
        here = laptop.run("train", config, "--on", "local", "--json", "--yes")
        assert here.finish() == 3, here.errors
        assert "only other machines download a hub id" in "\n".join(here.errors)
        train = laptop.run(*laptop.on_host("train", config, "--json", "--yes"))
        assert train.finish() == 0, train.errors
        for key, address in (("evaluate_dino", "org/dino"), ("evaluate_clip", "org/clip")):
            [said] = [line for line in train.errors if line.startswith(f"{key}: the host downloads {address}")]
            assert "speed just measured there" in said
        [judged] = [event for event in train.events() if event["event"] == "artifact" and event["kind"] == "judgement"]
        with zipfile.ZipFile(judged["path"]) as archive:
            judgement = parse_judgement(archive.read(DOCUMENT))
        assert judgement.features == {"dino": "dino", "clip": "clip"}
        measured = {name for picture in judgement.pictures for name in picture.scores}
        assert {"likeness", "prompt"} <= measured
        told = {each["phase"] for each in train.events() if each["event"] == "setup"}
        assert {"dino_model", "clip_model"} <= told
        assert any("refs%2Fpr%2F15" in path for path, _, _ in hub.requests)


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
