"""``check`` and the pictures: every broken one is told, and the rest of what there is to say is said, too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from loratui.sessions.checking import DatasetRefusedError, check_config
from loratui_protocol.config_file import to_toml
from support.drawn_pictures import photo
from support.local_cli import LocalCli, local_cli
from support.small_dataset import small_config


@pytest.fixture
def cli(tmp_path: Path):
    with local_cli(tmp_path) as cli:
        yield cli


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures" / "1_cat"
    folder.mkdir(parents=True)
    for seed in range(4):
        photo(seed, (96, 64)).save(folder / f"{seed}.png")
        (folder / f"{seed}.txt").write_text("a cat\n", "utf-8")
    path = tmp_path / "job.toml"
    path.write_text(to_toml(small_config(folder.parent, enable_bucket=False)), "utf-8")
    return path


def break_some(config: Path) -> Path:
    folder = config.parent / "pictures" / "1_cat"
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:800])
    (folder / "2.png").write_bytes(b"")
    (folder / "no_caption.png").write_bytes((folder / "0.png").read_bytes())
    return folder


def test_all_broken_pictures_are_found_at_once_and_everything_else_beside_them(cli: LocalCli, config: Path) -> None:
    folder = break_some(config)
    for path in (config, config.parent / "pictures"):
        check = cli.run("check", path, "--json")
        assert check.process.returncode == 1
        document = json.loads(check.lines[0])
        found = {each["code"]: each for each in document["findings"]}
        assert {"picture.truncated", "picture.empty_file", "picture.duplicate", "dataset.no_caption"} <= set(found)
        assert found["picture.truncated"]["path"] == str(folder / "1.png")
        # A folder by itself has no plan; a config's is of the pictures that there are.
        assert (document["plan"] is not None) == (path == config)


def test_a_run_with_a_broken_picture_is_refused_by_name(config: Path) -> None:
    break_some(config)
    with pytest.raises(DatasetRefusedError) as caught:
        check_config(config)
    assert caught.value.exit_status == 3
    assert "1.png" in caught.value.what
    assert "2.png" in caught.value.what
    assert caught.value.fix


def test_what_could_be_trained_in_spite_of_all_is_refused_until_it_is_accepted_by_name(config: Path) -> None:
    Image.new("I;16", (96, 64), 9000).save(config.parent / "pictures" / "1_cat" / "deep.png")
    with pytest.raises(DatasetRefusedError, match=r"deep\.png") as caught:
        check_config(config)
    assert "--accept picture.sixteen_bit" in caught.value.fix
    assert check_config(config, accepted=["picture.sixteen_bit"]).plan.steps
    break_some(config)
    with pytest.raises(DatasetRefusedError, match=r"1\.png"):
        check_config(config, accepted=["picture.sixteen_bit", "picture.truncated"])


def test_a_folder_of_nothing_but_broken_pictures_is_told_as_one(cli: LocalCli, config: Path) -> None:
    folder = config.parent / "pictures" / "1_cat"
    for path in folder.glob("*.png"):
        path.write_bytes(b"")
    for path in (config, config.parent / "pictures"):
        check = cli.run("check", path, "--json")
        assert check.process.returncode == 1
        [error] = [each for each in json.loads(check.lines[0])["findings"] if each["severity"] == "error"]
        assert error["what"].startswith("4 pictures have no bytes at all")


def test_a_mask_that_is_broken_is_found(config: Path) -> None:
    masks = config.parent / "masks"
    masks.mkdir()
    for seed in range(4):
        Image.new("L", (96, 64), 255).save(masks / f"{seed}.png")
    (masks / "3.png").write_bytes((masks / "3.png").read_bytes()[:50])
    made = small_config(
        config.parent / "pictures", enable_bucket=False, masked_loss=True, conditioning_data_dir=str(masks)
    )
    config.write_text(to_toml(made), "utf-8")
    with pytest.raises(DatasetRefusedError, match="1 mask ends too early"):
        check_config(config)


def test_the_bucket_table_says_what_is_cropped_and_enlarged(cli: LocalCli, config: Path) -> None:
    photo(9, (32, 32)).save(config.parent / "pictures" / "1_cat" / "9.png")
    [row] = json.loads(cli.run("check", config, "--json").lines[0])["buckets"]
    assert (row["width"], row["height"], row["num_pictures"], row["num_cropped"]) == (64, 64, 5, 4)
    assert (row["most_enlarged"], row["most_enlarged_by"]) == ("1_cat/9.png", 2.0)
    [buckets] = [line for line in cli.run("plan", config).lines if line.startswith("buckets")]
    assert "64x64: 5 in 3 batches (4 cropped by up to 33%, 1 enlarged up to 2.0 times)" in buckets


def test_crops_are_drawn_where_they_are_asked_for(cli: LocalCli, config: Path) -> None:
    sheet = config.parent / "crops.jpg"
    check = cli.run("check", config, "--crops", sheet)
    assert check.process.returncode == 0
    assert any(str(sheet) in line and "4 pictures" in line for line in check.errors)
    with Image.open(sheet) as drawn:
        assert drawn.format == "JPEG"


@pytest.mark.parametrize("name", ["crops.png", "none/crops.jpg", "pictures/1_cat/crops.jpg"])
def test_crops_are_not_drawn_where_they_would_do_harm(cli: LocalCli, config: Path, name: str) -> None:
    check = cli.run("check", config, "--crops", config.parent / name)
    assert check.process.returncode == 2
    assert any("[usage.crops]" in line for line in check.errors)
    assert not (config.parent / name).exists()


def test_a_folder_by_itself_has_no_crops(cli: LocalCli, config: Path) -> None:
    check = cli.run("check", config.parent / "pictures", "--crops", config.parent / "crops.jpg")
    assert check.process.returncode == 0
    assert any("no crops are drawn" in line for line in check.errors)


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of our own")
@pytest.mark.parametrize(("options", "shows"), [([], True), (["--json"], False)])
def test_progress_is_one_line_on_a_terminal_and_nothing_elsewhere(
    config: Path, options: list[str], shows: bool
) -> None:
    import pty

    terminal, line = pty.openpty()
    environment = {
        **os.environ,
        "TERM": "xterm",
        "LORATUI_STATE_DIR": str(config.parent / "state"),
        "LORATUI_CONFIG_DIR": str(config.parent / "settings"),
    }
    argv = [sys.executable, "-m", "loratui.cli", "check", str(config), *options]
    subprocess.run(argv, stderr=line, stdout=subprocess.PIPE, env=environment, check=True)
    # So that there is something to read in any case.
    os.write(line, b"the end")
    written = os.read(terminal, 65536)
    os.close(line)
    os.close(terminal)
    assert (b"\rlooking at pictures: 1 of 4" in written) == shows
    piped = subprocess.run(argv, capture_output=True, env=environment, check=True)
    assert b"looking at" not in piped.stderr
