"""``caption --with`` as it is typed: real pictures, a real onnxruntime, a small tagger, a hub on loopback."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from loratui.preflight.draft_marks import FILE_NAME, unreviewed
from support.local_cli import LocalCli, local_cli
from support.model_server import model_server
from support.tiny_tagger import write_tagger

COLOURS = {"a": "red", "b": "blue", "c": "green"}


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[LocalCli]:
    with local_cli(tmp_path / "user", LORATUI_REMOTE__HUB_URL="http://127.0.0.1:9") as cli:
        yield cli


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (16, 16), (0, 255, 0) if colour == "green" else colour).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tagger(tmp_path / "tagger")


def test_pictures_without_captions_get_drafts_and_a_broken_one_is_named(
    cli: LocalCli, pictures: Path, model: Path
) -> None:
    (pictures / "b.txt").write_text("the sea", "utf-8")
    (pictures / "d.png").write_bytes(b"no picture")
    command = cli.run("caption", pictures, "--with", "wd14", "--model", model, "--trigger", "sks")
    assert command.process.returncode == 1
    assert command.lines == ["2 drafted, 1 of yours kept, 1 failed"]
    assert (pictures / "a.txt").read_text("utf-8") == "sks, red background, >_<, little red riding hood\n"
    assert (pictures / "b.txt").read_text("utf-8") == "the sea"
    assert command.said("4/4 d.png: left alone: d.png can't be read")
    assert command.said("2/4 b.png: left alone: it has a caption of yours")
    assert sorted(unreviewed(pictures)) == ["a.txt", "c.txt"]


def test_captions_of_a_person_go_when_that_is_said_and_a_threshold_counts(
    cli: LocalCli, pictures: Path, model: Path
) -> None:
    (pictures / "b.txt").write_text("the sea", "utf-8")
    command = cli.run(
        "caption",
        pictures,
        "--with",
        "wd14",
        "--model",
        model / "model.onnx",
        "--overwrite",
        "--threshold",
        "0.995",
        "--json",
    )
    assert command.process.returncode == 0, command.errors
    document = json.loads(command.lines[0])
    assert [each["caption"] for each in document["drafted"]] == [
        "red background",
        "blue background",
        "green background",
    ]
    assert document["kept"] == document["failed"] == []
    assert (pictures / "b.txt").read_text("utf-8") == "blue background\n"


def test_where_every_picture_has_a_caption_no_model_is_looked_for(cli: LocalCli, pictures: Path) -> None:
    for name in COLOURS:
        (pictures / f"{name}.txt").write_text("mine", "utf-8")
    command = cli.run("caption", pictures, "--with", "wd14")
    assert command.process.returncode == 0
    assert command.lines == ["0 drafted, 3 of yours kept, 0 failed"]


def test_a_model_is_downloaded_once_and_only_when_somebody_agreed(cli: LocalCli, pictures: Path, model: Path) -> None:
    with model_server() as server:
        server.hub_id = "org/tagger"
        server.model = {path.name: path.read_bytes() for path in model.iterdir()}
        cli.environment["LORATUI_REMOTE__HUB_URL"] = server.url
        asked = cli.run("caption", pictures, "--with", "wd14", "--model", "org/tagger")
        assert asked.process.returncode == 2
        assert asked.said("[usage.unasked]")
        assert asked.said("B) from http://127.0.0.1")
        assert not list(pictures.glob("*.txt"))
        command = cli.run("caption", pictures, "--with", "wd14", "--model", "org/tagger", "--yes")
        assert command.process.returncode == 0, command.errors
        assert command.said("no checksum of org/tagger was known")
        server.requests.clear()
        again = cli.run("caption", pictures, "--with", "wd14", "--model", "org/tagger")
        assert again.lines == ["3 drafted, 0 of yours kept, 0 failed"]
        assert not server.requests


def test_what_cant_be_meant_is_refused(cli: LocalCli, pictures: Path, model: Path) -> None:
    for arguments, status in (
        (["--with", "blip", "--threshold", "0.5"], 2),
        (["--with", "wd14", "--model", model, "--trigger", "a, b"], 2),
        (["--with", "none"], 2),
        (["--with", "wd14", "--model", "nowhere"], 3),
        (["--with", "wd14", "--model", pictures], 3),
    ):
        command = cli.run("caption", pictures, *arguments)
        assert command.process.returncode == status, command.errors
        assert command.said("fix: ")
    assert cli.run("caption", model, "--with", "wd14").process.returncode == 3


def test_an_interruption_leaves_whole_captions_alone(cli: LocalCli, pictures: Path, model: Path) -> None:
    for number in range(400):
        (pictures / f"{number}.png").write_bytes((pictures / "a.png").read_bytes())
    command = cli.start("caption", pictures, "--with", "wd14", "--model", model)
    command.wait_for(lambda line: "/403 " in line, on_stderr=True)
    command.process.send_signal(signal.SIGINT)
    assert command.finish() == 130
    written = list(pictures.glob("*.txt"))
    assert 0 < len(written) < 403
    assert command.said("captions were drafted, and stay as drafts; none of yours was touched")
    assert all(path.read_text("utf-8").endswith("\n") for path in written)
    assert set(unreviewed(pictures)) == {path.name for path in written}
    assert {path.suffix for path in pictures.iterdir()} == {".png", ".txt", Path(FILE_NAME).suffix}
