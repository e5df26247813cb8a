"""A path of another machine is named as one, whatever program wrote it, and never taken for one of this machine."""

import json
import sys
from pathlib import Path

import pytest

from loratui_protocol.config_draft import draft
from loratui_protocol.config_file import parse_config, read_config, read_partial
from loratui_protocol.errors import ConfigError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there they are paths of this machine")
CORPUS = Path(__file__).parent / "corpus"
ELSEWHERE = {
    "pretrained_model_name_or_path": "D:/models/v1-5.safetensors",
    "train_data_dir": "C:\\Users\\me\\pics",
    "reg_data_dir": "\\\\server\\share\\reg",
    "network_weights": "e:\\old.safetensors",
    "conditioning_data_dir": "//server/share/masks\\cat",
    "sample_prompts": "C:\\prompts.txt",
    "dataset_config": "C:\\sets\\cats.toml",
}
GIVEN = {"pretrained_model_name_or_path": "builtin:tiny", "train_data_dir": ".", "network_module": "networks.lora"}


def toml(**settings: str) -> str:
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in {**GIVEN, **settings}.items())


@pytest.mark.parametrize("key", [key for key in ELSEWHERE if key != "conditioning_data_dir"])
def test_a_path_of_windows_is_refused_once_with_what_to_write(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(toml(**{key: ELSEWHERE[key]}), tmp_path)
    assert caught.value.code == "config.other_machine"
    assert caught.value.what.count(ELSEWHERE[key]) == 1
    assert str(tmp_path) not in caught.value.what
    name = ELSEWHERE[key].replace("\\", "/").rpartition("/")[2]
    assert f'write {key} = "{name}"' in caught.value.fix


def test_a_folder_of_results_elsewhere_stops_nothing(tmp_path: Path) -> None:
    loaded = parse_config(toml(output_dir="D:\\loras"), tmp_path)
    assert loaded.config.output_dir is None
    assert [each.what for each in loaded.findings if each.code == "config.other_machine"] == [
        "output_dir (line 4) is D:\\loras, a path of another machine, which has Windows: "
        "the files stay in the run's own folder"
    ]


def test_folders_of_a_dataset_are_looked_at_one_by_one(tmp_path: Path) -> None:
    text = (
        'pretrained_model_name_or_path = "builtin:tiny"\n[[datasets]]\n'
        "[[datasets.subsets]]\nimage_dir = 'C:\\a'\n[[datasets.subsets]]\nimage_dir = 'b'\n"
    )
    with pytest.raises(ConfigError, match="image_dir in dataset 1, subset 1 is C:\\\\a") as caught:
        parse_config(text, tmp_path)
    assert "subset 2" not in caught.value.what


def test_a_relative_path_with_backslashes_is_one_here_too(tmp_path: Path) -> None:
    (tmp_path / "pictures" / "cats").mkdir(parents=True)
    loaded = parse_config(toml(train_data_dir="pictures\\cats"), tmp_path)
    assert loaded.config.train_data_dir == str(tmp_path / "pictures" / "cats")
    assert "config.backslash" in {each.code for each in loaded.findings}


def test_a_folder_with_a_backslash_in_its_name_stays_one(tmp_path: Path) -> None:
    (tmp_path / "a\\b").mkdir()
    loaded = parse_config(toml(train_data_dir="a\\b"), tmp_path)
    assert loaded.config.train_data_dir == str(tmp_path / "a\\b")
    assert "config.backslash" not in {each.code for each in loaded.findings}


@pytest.mark.parametrize("value", ["a:b/c", "org/model", "https://example.com/a.safetensors", "./c:d"])
def test_what_only_looks_a_little_like_a_drive_is_none(tmp_path: Path, value: str) -> None:
    parse_config(toml(pretrained_model_name_or_path=value), tmp_path)


def test_a_file_of_the_gui_becomes_a_draft_with_its_paths_as_they_are(tmp_path: Path) -> None:
    given = json.loads((CORPUS / "gui_standard.json").read_text("utf-8"))
    path = tmp_path / "gui.json"
    path.write_text(json.dumps({**given, "train_data_dir": "C:\\pics", "output_dir": "D:\\loras"}), "utf-8")
    with pytest.raises(ConfigError, match="train_data_dir"):
        read_config(path)
    written = draft(read_partial(path))
    assert written is not None
    assert 'train_data_dir = "C:\\\\pics"' in written
    assert "D:" not in written
    # Until somebody says where they are here, it is no config to train.
    with pytest.raises(ConfigError, match="another machine"):
        parse_config(written, tmp_path)


def test_a_concept_of_onetrainer_elsewhere_is_named(tmp_path: Path) -> None:
    given = json.loads((CORPUS / "onetrainer_sd15.json").read_text("utf-8"))
    path = tmp_path / "onetrainer.json"
    path.write_text(json.dumps({**given, "concepts": [{"path": "F:/pics/cat"}]}), "utf-8")
    with pytest.raises(ConfigError, match="image_dir in dataset 1, subset 1 is F:/pics/cat"):
        read_config(path)
