"""A client reads a state to its end although the trainer has removed it meanwhile."""

import shutil
from pathlib import Path

from loratui_agent.offered_state import offered_file
from loratui_protocol.state_files import STATE_PARTS, state_file_id, state_folder


def save(job: Path, step: int) -> None:
    folder = job / "ckpt" / state_folder(step)
    folder.mkdir(parents=True)
    for part in STATE_PARTS:
        (folder / part).write_text(f"{part} of {step}", "utf-8")


def read(job: Path, step: int, part: str) -> str:
    path = offered_file(job, state_file_id(step, part))
    assert path is not None
    return path.read_text("utf-8")


def test_the_state_that_is_read_stays_whole_until_another_one_is_read(tmp_path: Path) -> None:
    save(tmp_path, 10)
    save(tmp_path, 20)
    assert read(tmp_path, 10, STATE_PARTS[0]) == f"{STATE_PARTS[0]} of 10"
    shutil.rmtree(tmp_path / "ckpt" / state_folder(10))
    for part in STATE_PARTS:
        assert read(tmp_path, 10, part) == f"{part} of 10"
    assert read(tmp_path, 20, STATE_PARTS[0]) == f"{STATE_PARTS[0]} of 20"
    assert [path.name for path in (tmp_path / "held").iterdir()] == [state_folder(20)]


def test_what_is_gone_is_not_there_and_takes_nothing_along(tmp_path: Path) -> None:
    save(tmp_path, 20)
    read(tmp_path, 20, STATE_PARTS[0])
    path = offered_file(tmp_path, state_file_id(10, STATE_PARTS[0]))
    assert path is not None
    assert not path.exists()
    shutil.rmtree(tmp_path / "ckpt" / state_folder(20))
    assert read(tmp_path, 20, STATE_PARTS[1]) == f"{STATE_PARTS[1]} of 20"


def test_other_ids_are_none_of_its_business(tmp_path: Path) -> None:
    for text in ("lora.safetensors", "state-10-lora.safetensors", "state-00000010-../spec.json", "state-00000010-x"):
        assert offered_file(tmp_path, text) is None
