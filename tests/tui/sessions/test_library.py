"""The library of LoRAs: what the records and the disk say of each file."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain.library import FileState, LibraryFile, matches, ordered
from loratui.sessions.library import Library, delete_local, verify
from loratui.settings import Settings
from loratui.store import Store
from loratui.store.ratings import rate, ratings
from loratui_protocol.messages import Artifact, ArtifactKind, Record, Withdrawn
from support.ui_effects.files import content, library_run, lora, preferences_in


@pytest.fixture
def preferences(tmp_path: Path) -> Settings:
    return preferences_in(tmp_path)


def states(library: Library) -> dict[str, FileState]:
    return {file.artifact_id: file.state for file in library.files()}


def one(library: Library, artifact_id: str) -> LibraryFile:
    return next(file for file in library.files() if file.artifact_id == artifact_id)


def test_each_file_has_the_state_that_the_disk_shows(preferences: Settings) -> None:
    run_id = library_run(preferences, 1, files=("100", "200", "300", "400", "500", "final"))
    folder = preferences.run_folder(run_id)
    (folder / "zog-1-step200.safetensors").unlink()
    (folder / "zog-1-step300.safetensors").write_bytes(b"short")
    part = content("zog-1", "400")[:2000]
    (folder / "zog-1-step400.safetensors.part").write_bytes(part)
    library = Library(preferences)

    assert states(library) == {
        "100": FileState.HERE,
        "200": FileState.MISSING,
        "300": FileState.CHANGED,
        "400": FileState.PARTLY,
        "500": FileState.AWAY,
        "final": FileState.AWAY,
    }
    assert one(library, "400").why == f"{100 * len(part) // len(content('zog-1', '400'))} %"
    assert one(library, "100").base == "stable-diffusion-xl-base-1.0"


def test_files_that_are_announced_later_are_found_and_others_not_read_again(preferences: Settings) -> None:
    run_id = library_run(preferences, 1, files=("100", "200"))
    library = Library(preferences)
    assert set(states(library)) == {"100", "200"}
    with Store(preferences.database) as store:
        store._database.execute("DELETE FROM records")
        store.append(run_id, "e", [Record(seq=3, ts=5.0, event=lora("zog-1", "final"))])
    assert states(library) == {"100": FileState.HERE, "200": FileState.AWAY, "final": FileState.AWAY}
    assert "200" not in states(Library(preferences)), "it was not read again"


def test_a_file_that_is_withdrawn_leaves_unless_it_is_here(preferences: Settings) -> None:
    run_id = library_run(preferences, 1, files=("100", "200"))
    with Store(preferences.database) as store:
        gone = [
            Withdrawn(id=which, name="n", sha256=lora("zog-1", which).sha256, why="newer ones")
            for which in ("100", "200")
        ]
        store.append(run_id, "e", [Record(seq=3 + at, ts=9.0, event=event) for at, event in enumerate(gone)])
    library = Library(preferences)
    assert states(library) == {"100": FileState.HERE}
    assert not one(library, "100").can_come


def test_a_file_that_was_written_anew_is_not_the_one_that_is_here(preferences: Settings) -> None:
    run_id = library_run(preferences, 1, files=("100",))
    rate(preferences.database, run_id, "100", lora("zog-1", "100").sha256, 4)
    library = Library(preferences)
    assert one(library, "100").stars == 4
    with Store(preferences.database) as store:
        again = replace(lora("zog-1", "100"), sha256="f" * 64)
        store.append(run_id, "e", [Record(seq=2, ts=9.0, event=again)])
    file = one(library, "100")
    assert (file.state, file.why, file.stars) == (FileState.AWAY, "an older version is here", 0)


def test_what_was_fetched_of_a_history_that_is_gone_is_still_there(preferences: Settings) -> None:
    run_id = library_run(preferences, 1, files=("100",))
    with Store(preferences.database) as store:
        store.begin_history(run_id, "another", reset=True)
    assert states(Library(preferences)) == {"100": FileState.HERE}


def test_other_files_of_a_run_are_no_loras(preferences: Settings) -> None:
    run_id = library_run(preferences, 1)
    picture = Artifact(id="p", kind=ArtifactKind.SAMPLE, name="p.png", size=1, sha256="0" * 64)
    with Store(preferences.database) as store:
        store.append(run_id, "e", [Record(seq=1, ts=1.0, event=picture)])
    assert Library(preferences).files() == []


def test_verifying_reads_the_whole_file(preferences: Settings) -> None:
    library_run(preferences, 1, files=("100",))
    file = one(Library(preferences), "100")
    seen: list[int] = []
    assert verify(file, seen.append, lambda: True) == ""
    assert seen[-1] == file.size
    assert file.path is not None
    damaged = bytearray(file.path.read_bytes())
    damaged[-1] ^= 1
    file.path.write_bytes(damaged)
    assert "its sha256 is" in verify(file, seen.append, lambda: True)
    file.path.unlink()
    assert "can't be read" in verify(file, seen.append, lambda: True)


def test_a_deleted_file_can_come_again_and_its_copy_stays(preferences: Settings, tmp_path: Path) -> None:
    run_id = library_run(preferences, 1, files=("100",))
    file = one(Library(preferences), "100")
    assert file.path is not None
    copy = tmp_path / "out.safetensors"
    os.link(file.path, copy)
    with Store(preferences.database) as store:
        store.note_export(run_id, "100", copy)
    file = one(Library(preferences), "100")
    assert file.copy == copy
    delete_local(preferences, file)
    assert (file.path is not None and file.path.exists(), copy.exists()) == (False, True)
    assert states(Library(preferences)) == {"100": FileState.AWAY}


def test_a_rating_is_kept_until_it_is_taken_back(preferences: Settings) -> None:
    run_id = library_run(preferences, 1, files=("100",))
    for stars in (2, 5):
        rate(preferences.database, run_id, "100", "abc", stars)
    assert ratings(preferences.database) == {(run_id, "100", "abc"): 5}
    rate(preferences.database, run_id, "100", "abc", 0)
    assert ratings(preferences.database) == {}
    rate(preferences.database, run_id, "100", "abc", 1)
    with Store(preferences.database) as store:
        store.forget_run(run_id)
    assert ratings(preferences.database) == {}


def a_file(**changes: object) -> LibraryFile:
    file = {
        "run_id": "01HX1",
        "run_name": "Zog",
        "target": "local",
        "artifact_id": "a",
        "name": "zog-step400.safetensors",
        "kind": ArtifactKind.CHECKPOINT_LORA,
        "size": 10,
        "sha256": "0" * 64,
        "ts": 1.0,
        "state": FileState.HERE,
        "step": 400,
        "base": "sdxl-base",
        "stars": 4,
    }
    return LibraryFile(**(file | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("zog", True),
        ("STEP400", True),
        ("here rated>=4", True),
        ("here rated>4", False),
        ("rated", True),
        ("rated=4 step<500", True),
        ("step>=500", False),
        ("missing", False),
        ("failed", False),
        ("final", False),
        ("run:zo base:sdxl", True),
        ("run:step", False),
        ("run:01hx", True),
        ("base:flux", False),
        ("zog nothing", False),
        ("rated>=999999999999999999999", False),
    ],
)
def test_the_filter_finds(query: str, found: bool) -> None:
    assert matches(a_file(), query) is found


def test_steps_in_names_are_ordered_as_numbers() -> None:
    files = [a_file(name=f"zog-step{step}") for step in (1000, 200)]
    assert [file.name for file in ordered(files, "name")] == ["zog-step200", "zog-step1000"]


def test_files_are_ordered_as_asked() -> None:
    files = [
        a_file(name="b", ts=1.0, stars=5, step=3),
        a_file(name="A", ts=2.0, stars=0, step=9),
        a_file(name="c", ts=3.0),
    ]
    assert {
        order: "".join(file.name for file in ordered(files, order)) for order in ("newest", "name", "rating", "step")
    } == {
        "newest": "cAb",
        "name": "Abc",
        "rating": "bcA",
        "step": "bAc",
    }
