"""``new`` as it is typed, and as it asks at a terminal."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from loratui.store import Store, StoredRun
from loratui_protocol.config_file import read_config
from loratui_protocol.messages import JobState, Record, State
from support.local_cli import LocalCli, local_cli
from support.terminal import Terminal


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[LocalCli]:
    with local_cli(tmp_path) as cli:
        pictures = cli.folder / "pictures"
        pictures.mkdir()
        for number in range(3):
            Image.new("RGB", (64, 64)).save(pictures / f"{number}.png")
            (pictures / f"{number}.txt").write_text("sks, a cat", "utf-8")
        yield cli


def test_a_config_is_written_and_what_comes_next_is_said(cli: LocalCli) -> None:
    command = cli.run(
        *("new", "--preset", "style", "--base", "sdxl", "--data", "pictures", "--trigger", "zwx"),
        *("--name", "ink", "--gpu", "12GB", "-o", "ink.toml"),
    )
    assert command.process.returncode == 0, command.errors
    assert command.lines == ["ink.toml"]
    assert command.said("next: loratui check ink.toml")
    assert command.said("dataset.small")
    config = read_config(cli.folder / "ink.toml").config
    assert (config.output_name, config.trigger_word, config.gradient_checkpointing) == ("ink", "zwx", True)
    assert config.train_data_dir == str(cli.folder / "pictures")


def test_a_file_that_is_there_is_never_overwritten(cli: LocalCli) -> None:
    (cli.folder / "pictures.toml").write_text("mine", "utf-8")
    command = cli.run("new", "--yes")
    assert command.process.returncode == 2
    assert command.said("[usage.exists]")
    assert (cli.folder / "pictures.toml").read_text("utf-8") == "mine"


def test_without_a_word_everything_is_as_usual(cli: LocalCli) -> None:
    command = cli.run("new")
    assert command.lines == ["pictures.toml"]
    config = read_config(cli.folder / "pictures.toml").config
    assert (config.output_name, config.trigger_word) == ("pictures", "sks")
    assert (config.max_train_epochs, config.network_dim) == (100, 16), "as a first run"


def test_the_trigger_is_told_with_the_command_that_brings_it_into_captions(cli: LocalCli) -> None:
    (cli.folder / "pictures").rename(cli.folder / "my 'new' pictures")
    for text in (cli.folder / "my 'new' pictures").glob("*.txt"):
        text.write_text(f"1girl, solo, picture {text.stem}, standing", "utf-8")
    told = cli.run("new", "--yes", "--data", "my 'new' pictures", "-o", "a.toml")
    trigger = read_config(cli.folder / "a.toml").config.trigger_word
    assert trigger not in (None, "1girl")
    assert told.said("made up")
    assert told.said("missing from 3 of 3 captions")
    command = next(line for line in told.errors if line.strip().startswith("loratui caption"))
    typed = shlex.split(command.partition("   puts")[0])
    assert cli.run(*typed[1:], "--yes").process.returncode == 0
    again = cli.run("new", "--yes", "--data", "my 'new' pictures", "-o", "b.toml")
    assert again.said(f"{trigger} (most captions begin with it), in all 3 captions")
    assert read_config(cli.folder / "b.toml").config.trigger_word == trigger


@pytest.mark.parametrize(("trigger", "code"), [("1girl", "caption.trigger_common"), ("חתול", "caption.trigger_script")])
def test_a_trigger_that_was_given_and_can_hardly_be_taught_is_warned_of(cli: LocalCli, trigger: str, code: str) -> None:
    told = cli.run("new", "--yes", "--trigger", trigger)
    assert told.process.returncode == 0, told.errors
    assert told.said(f"warning: [{code}]")


def test_pictures_without_captions_are_drafted_by_what_suits_the_base(cli: LocalCli) -> None:
    for text in (cli.folder / "pictures").glob("*.txt"):
        text.unlink()
    for base, captioner in (("sdxl-anime", "wd14"), ("sdxl", "florence2")):
        told = cli.run("new", "--yes", "--base", base, "--trigger", "zorbix", "-o", f"{base}.toml")
        assert told.said(f"loratui caption pictures --with {captioner} --trigger zorbix")


def test_what_cant_be_meant_is_refused(cli: LocalCli) -> None:
    for arguments, status in (
        (["--preset", "no-such"], 2),
        (["--base", "org/name"], 2),
        (["--name", "../evil"], 2),
        (["--base", "nothing"], 2),
        (["--trigger", "a, b"], 2),
        (["-o", "pictures"], 2),
        (["--gpu", "RTX 9999"], 2),
        (["--save-preset", "mine"], 2),
        (["--data", "nowhere"], 3),
    ):
        command = cli.run("new", "--yes", *arguments)
        assert command.process.returncode == status, command.errors
        assert command.said("fix: ")
    assert not list(cli.folder.glob("*.toml"))
    assert cli.run("new", "--yes", "--base", "org/name", "--kind", "sdxl").process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")
def test_at_a_terminal_it_asks_again_after_a_wrong_answer_and_takes_what_is_usual_for_nothing(cli: LocalCli) -> None:
    argv = [
        sys.executable,
        "-m",
        "loratui.cli",
        "new",
        "--data",
        str(cli.folder / "pictures"),
        "-o",
        str(cli.folder / "a.toml"),
    ]
    with Terminal(argv, environ=cli.environment) as terminal:
        for question, answer in (
            ("What do they show?", "no such thing\n"),
            ("there is no preset", "character\n"),
            ("which base model?", "nothing\n"),
            ("is no base model", "org/name\n"),
            ("What kind of model", "sdx\n"),
            ("be told from here", "\n"),
            ("What is the LoRA called?", "../cat\n"),
            ("be the name of a file", "cat\n"),
            ("Which word calls it? [sks]", "a, b\n"),
            ("be a trigger", "\n"),
        ):
            terminal.read_until(lambda received, question=question: question.encode() in received)
            terminal.press(answer)
        assert terminal.wait() == 0
    config = read_config(cli.folder / "a.toml").config
    assert (config.output_name, config.trigger_word, config.pretrained_model_name_or_path) == ("cat", "sks", "org/name")
    assert config.unet_lr == 1e-4


def test_a_finished_run_is_saved_as_a_preset_and_comes_first(cli: LocalCli) -> None:
    assert cli.run("new", "--yes", "--preset", "face").process.returncode == 0
    text = (cli.folder / "pictures.toml").read_text("utf-8").replace('"pictures"', f'"{cli.folder / "pictures"}"', 1)
    run = StoredRun(
        id="01J" + "A" * 23, name="cat", target="local", created_ts=1.0, config_toml=text, home=cli.home.path
    )
    with Store(cli.folder / "state" / "loratui.sqlite3") as store:
        store.add_run(run)
    early = cli.run("new", "--from-run", "cat", "--save-preset", "mine")
    assert early.process.returncode == 2
    assert early.said(f"cat is {JobState.QUEUED}")
    with Store(cli.folder / "state" / "loratui.sqlite3") as store:
        store.append(run.id, "", [Record(seq=1, ts=2.0, event=State(state=JobState.DONE))])
    saved = cli.run("new", "--from-run", "cat", "--save-preset", "mine")
    assert saved.lines == [str(cli.folder / "config" / "presets" / "mine.toml")]
    assert cli.run("new", "--list").lines[0].split()[0] == "mine"
    used = cli.run("new", "--preset", "mine", "--trigger", "zwx", "-o", "b.toml")
    assert used.process.returncode == 0, used.errors
    before, after = (read_config(cli.folder / name).config for name in ("pictures.toml", "b.toml"))
    assert (after.unet_lr, after.network_dim, after.max_train_epochs) == (before.unet_lr, 32, before.max_train_epochs)
    assert after.sample_prompts[0].startswith("photo of zwx")
