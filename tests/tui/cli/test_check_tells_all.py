"""One run of ``check`` tells everything that can be known of all that it is given, whatever else is wrong."""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from loratui.cli import main
from loratui.cli.finding_lines import by_severity, finding_lines
from loratui_protocol.config_file import to_toml
from loratui_protocol.findings import MOST_PATHS, Finding, with_paths
from support.drawn_pictures import photo
from support.small_dataset import small_config

needs_pipes = pytest.mark.skipif(sys.platform == "win32", reason="a pipe with a name in a folder")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a config beside its pictures, with a home of its own."""
    for name in ("STATE", "DATA", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pictures" / "1_cat"
    folder.mkdir(parents=True)
    for seed in range(4):
        photo(seed, (96, 64)).save(folder / f"{seed}.png")
        (folder / f"{seed}.txt").write_text("a cat\n", "utf-8")
    path = tmp_path / "job.toml"
    path.write_text(to_toml(small_config(folder.parent, enable_bucket=False)), "utf-8")
    return path


def told(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, dict[str, Any]]:
    """Return the exit status of a check and what it tells in JSON."""
    status = main(["check", *map(str, argv), "--json"])
    return status, json.loads(capsys.readouterr().out)


def by_code(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["code"]: finding for finding in document["findings"]}


def test_each_path_is_checked_though_one_is_not_there(config: Path, capsys: pytest.CaptureFixture[str]):
    status, document = told(capsys, config, "nosuch", config.parent / "pictures")
    assert status == 2
    assert by_code(document)["usage.path"]["path"] == "nosuch"
    assert {finding["path"] for finding in document["findings"]} > {"nosuch", str(config)}
    assert document["plan"] is not None
    (config.parent / "bad.toml").write_text("x = [", "utf-8")
    assert told(capsys, config, "bad.toml")[0] == 1


@needs_pipes
def test_what_is_no_file_is_named_and_never_opened(config: Path, capsys: pytest.CaptureFixture[str]):
    os.mkfifo("pipe")
    status, document = told(capsys, "pipe", "/dev/zero")
    assert status == 1
    whats = [finding["what"] for finding in document["findings"]]
    assert any("pipe is no training config: it is a named pipe" in what for what in whats)
    assert any("it is a device" in what for what in whats)
    folder = config.parent / "pictures"
    os.mkfifo(folder / "1_cat" / "b.png")
    os.mkfifo(folder / "1_cat" / "0.caption")
    (folder / "a.png").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as unheard:
        os.chdir(folder)
        unheard.bind("s.sock")
        status, document = told(capsys, config)
    assert status == 0
    named = " ".join(each["what"] for each in document["findings"] if each["code"] == "dataset.special_file")
    for name in ("b.png is a named pipe", "0.caption is a named pipe", "s.sock is a socket"):
        assert name in named


@needs_pipes
@pytest.mark.parametrize("key", ["dataset_config", "sample_prompts"])
def test_a_config_may_name_a_pipe(config: Path, key: str, capsys: pytest.CaptureFixture[str]):
    os.mkfifo("pipe")
    config.write_text(f'{config.read_text("utf-8")}\n[last]\n{key} = "pipe"\n', "utf-8")
    status, document = told(capsys, config)
    assert status == 1
    assert key in by_code(document)["config.value"]["what"]


def test_a_file_that_is_no_picture_is_named(config: Path, capsys: pytest.CaptureFixture[str]):
    (config.parent / "pictures" / "1_cat" / "0.png").write_text("no picture", "utf-8")
    assert main(["check", str(config)]) == 1
    said = capsys.readouterr().out
    assert "0.png (it holds no picture that can be read)" in said
    assert "BufferedReader" not in said


def test_every_problem_of_a_config_is_one_finding_and_the_rest_is_judged(
    config: Path, capsys: pytest.CaptureFixture[str]
):
    config.write_text(
        'pretrained_model_name_or_path = "nosuch.safetensors"\n'
        'train_data_dir = "pictures"\n'
        "learning_rat = 1e-4\n"
        "save_precision = 7\n"
        "network_dim = 0\n"
        'optimizer_type = "Adamm"\n'
        'optimizer_args = ["d_coef=2.0"]\n'
        "batch_size = 2\n",
        "utf-8",
    )
    (config.parent / "pictures" / "1_cat" / "0.png").write_bytes(b"")
    status, document = told(capsys, config)
    assert status == 1
    errors = [each for each in document["findings"] if each["severity"] == "error"]
    problems = [each for each in errors if each["code"].startswith("config.")]
    assert [(each["code"], each["what"].split()[0]) for each in problems] == [
        ("config.unknown_key", "learning_rat"),
        ("config.type", "save_precision"),
        ("config.value", "network_dim"),
        ("config.value", "optimizer_type"),
    ]
    assert all(f"line {number}" in each["what"] for number, each in zip((3, 4, 5, 6), problems, strict=True))
    assert all(each["fix"] and each["path"] == str(config) for each in problems)
    found = by_code(document)
    assert {"config.kohya_name", "model.missing", "picture.empty_file", "dataset.few_pictures"} <= set(found)
    # Of what is refused nothing else is said: it would be said of a default.
    assert "config.alpha" not in found
    assert "config.text_encoder_lr" not in found


def test_settings_of_datasets_and_folders_are_judged_each_by_itself(config: Path, capsys: pytest.CaptureFixture[str]):
    config.write_text(
        'pretrained_model_name_or_path = "builtin:tiny"\n'
        "[[datasets]]\nresolution = 8\n"
        '[[datasets.subsets]]\nimage_dir = "nosuch"\nnum_repeats = 0\n'
        '[[datasets.subsets]]\nimage_dir = "pictures/1_cat"\nkeep_tokens = "2"\n'
        "[[datasets]]\n[[datasets.subsets]]\nflip_aug = true\n",
        "utf-8",
    )
    _, document = told(capsys, config)
    whats = " ".join(each["what"] for each in document["findings"] if each["severity"] == "error")
    for said in ("dataset 1: resolution", "num_repeats = 0", "nosuch does not exist", "keep_tokens", "image_dir is"):
        assert said in whats
    assert "caption.trains_on" in by_code(document)


def test_a_missing_folder_for_regularisation_does_not_hide_the_pictures(
    config: Path, capsys: pytest.CaptureFixture[str]
):
    config.write_text(to_toml(small_config(config.parent / "pictures", reg_data_dir="nosuch")), "utf-8")
    status, document = told(capsys, config)
    assert status == 1
    assert "nosuch does not exist" in by_code(document)["dataset.missing"]["what"]
    assert "caption.trains_on" in by_code(document)


def test_missing_masks_do_not_hide_the_pictures(config: Path, capsys: pytest.CaptureFixture[str]):
    masks = config.parent / "masks"
    masks.mkdir()
    masked = small_config(config.parent / "pictures", masked_loss=True, conditioning_data_dir=str(masks))
    config.write_text(to_toml(masked), "utf-8")
    status, document = told(capsys, config)
    assert status == 1
    assert {"dataset.no_mask", "caption.trains_on"} <= set(by_code(document))


def test_a_broken_picture_does_not_hide_plan_and_buckets(config: Path, capsys: pytest.CaptureFixture[str]):
    (config.parent / "pictures" / "1_cat" / "3.png").write_bytes(b"")
    status, document = told(capsys, config)
    assert status == 1
    assert (document["left_out"], document["plan"]["num_pictures"]) == (1, 3)
    assert [row["num_pictures"] for row in document["buckets"]] == [3]
    main(["check", str(config)])
    said = capsys.readouterr().out
    assert "3 pictures, counted without 1 picture that can't be trained on" in said
    assert "buckets: 64x64: 3" in said


def test_captions_are_checked_for_the_trigger_that_is_given(config: Path, capsys: pytest.CaptureFixture[str]):
    for path in (config, config.parent / "pictures"):
        _, document = told(capsys, path, "--trigger", "zorbix")
        assert "'zorbix' is in none of the 4 captions" in by_code(document)["caption.trigger_missing"]["what"]


def test_what_is_for_fixing_alone_is_refused_without_it(config: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", str(config), "--dry-run"]) == 2
    assert "[usage.fix]" in capsys.readouterr().err


def test_a_finding_names_all_its_files_for_programs_and_the_first_for_people(
    config: Path, capsys: pytest.CaptureFixture[str]
):
    folder = config.parent / "pictures" / "1_cat"
    for number in range(6):
        photo(20 + number, (96, 64)).save(folder / f"x{number}.png")
        (folder / f"o{number}.txt").write_text("nobody's", "utf-8")
        (folder / f"b{number}.png").write_bytes(b"")
        (folder / f"h{number}.heic").write_bytes(b"x")
    uncaptioned = [f"1_cat/{name}{number}.png" for name in "bx" for number in range(6)]
    for path in (config, config.parent / "pictures"):
        found = by_code(told(capsys, path, "--trigger", "zorbix")[1])
        assert found["dataset.no_caption"]["paths"] == uncaptioned
        assert found["dataset.no_caption"]["num_paths"] == 12
        assert found["caption.orphan"]["paths"] == [f"1_cat/o{number}.txt" for number in range(6)]
        assert found["picture.empty_file"]["paths"] == uncaptioned[:6]
        assert found["dataset.kind_skipped"]["paths"] == [f"1_cat/h{number}.heic" for number in range(6)]
        assert found["caption.identical"]["paths"] == [f"1_cat/{number}.txt" for number in range(4)]
        assert len(found["caption.trigger_missing"]["paths"]) == 10
        assert found["dataset.few_pictures"]["paths"] == []
    main(["check", str(config)])
    said = capsys.readouterr().out
    assert "first: o0.txt, o1.txt, o2.txt and 3 more" in said
    assert "o5.txt" not in said


def test_the_files_of_a_finding_are_bounded_and_it_says_so():
    found = with_paths(Finding(code="a.b", severity="info", what="c"), [str(number) for number in range(5000)])
    assert len(found.paths) == MOST_PATHS
    assert found.num_paths == 5000


LONG = "word " * 40
SAID = [
    Finding(code="a.info", severity="info", what=LONG, fix="do that"),
    Finding(code="a.error", severity="error", what=f"{LONG}\x1b[2J", fix=LONG, path="/a/very/" + "long" * 20),
    Finding(code="a.warning", severity="warning", what="short"),
]


def test_on_a_terminal_findings_are_as_wide_as_that_and_infos_one_line():
    lines = list(finding_lines(by_severity(SAID), 60))
    assert [line.split()[1] for line in lines if line.startswith(("error", "warning", "info"))] == [
        "[a.error]",
        "[a.warning]",
        "[a.info]",
    ]
    assert all(len(line) <= 60 for line in lines if "long" not in line and "less" not in line)
    assert f"  (/a/very/{'long' * 20})" in lines
    assert lines[-2].endswith("…")
    assert "| less" in lines[-1]
    assert not any("\x1b" in line for line in lines)


def test_elsewhere_each_finding_is_one_line_and_its_fix_another():
    lines = list(finding_lines(SAID, None))
    assert len(lines) == 5
    assert lines[0] == f"info: [a.info] {LONG}"


def test_check_says_errors_first(config: Path, capsys: pytest.CaptureFixture[str]):
    (config.parent / "pictures" / "1_cat" / "0.png").write_bytes(b"")
    assert main(["check", str(config)]) == 1
    lines = capsys.readouterr().out.splitlines()
    severities = [line.split(":")[0] for line in lines if line.startswith(("error:", "warning:", "info:"))]
    assert severities == sorted(severities, key=["error", "warning", "info"].index)
    assert severities[0] == "error"
