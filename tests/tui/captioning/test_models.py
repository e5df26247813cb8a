"""Where a captioner's model comes from: folders, and a hub on loopback that breaks off, lies, and changes its mind."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.captioning import models
from loratui.captioning.captioner import KINDS, Kind, check_installed
from loratui.captioning.download import Hub
from loratui_protocol.errors import ExtraMissingError, ModelError
from support.model_server import COMMIT, ModelServer, model_server

TAGGER, BLIP = KINDS["wd14"], KINDS["blip"]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server() as server:
        server.model = {
            "model.onnx": b"onnx" * 50_000,
            "selected_tags.csv": b"name,category\n",
            "model.safetensors": b"x",
        }
        yield server


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def brought(server: ModelServer, cache: Path, named: str = "org/name") -> Path:
    folder, hub = models.folder_of(named, cache), Hub(server.url)
    model = models.recorded(named, folder) or models.on_hub(named, TAGGER, hub)
    models.fetch(model, folder, hub)
    return folder


def test_a_hubs_model_is_fetched_once_file_by_file_and_its_checksums_are_written_down(
    server: ModelServer, tmp_path: Path
) -> None:
    hub, folder = Hub(server.url), models.folder_of("org/name", tmp_path)
    assert models.recorded("org/name", folder) is None
    model = models.on_hub("org/name", TAGGER, hub)
    assert model.size == 200_000 + 14
    told: list[tuple[str, int, int]] = []
    models.fetch(model, folder, hub, lambda *each: told.append(each))
    assert told[-1] == ("selected_tags.csv", 14, 14)
    assert (folder / "model.onnx").read_bytes() == server.model["model.onnx"]
    known = models.recorded("org/name", folder)
    assert known is not None
    assert known.commit == COMMIT
    assert [file.sha256 for file in known.files] == [sha256(server.model[file.name]) for file in known.files]
    assert not known.is_pinned
    server.requests.clear()
    assert models.missing(known, folder) == []
    assert brought(server, tmp_path) == folder
    assert not server.requests
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.onnx", "selected_tags.csv"]


def test_a_download_that_breaks_off_goes_on_from_where_it_was(server: ModelServer, tmp_path: Path) -> None:
    server.cut_after = 70_000
    folder = brought(server, tmp_path)
    assert (folder / "model.onnx").read_bytes() == server.model["model.onnx"]
    ranges = [ranged for path, ranged, _ in server.requests if path.endswith("/store/model.onnx")]
    assert ranges[0] == ""
    assert len(ranges) >= 3
    assert all(ranged.startswith("bytes=") for ranged in ranges[1:])


def test_what_an_ended_attempt_left_is_gone_on_from_and_thrown_away_where_it_is_damaged(
    server: ModelServer, tmp_path: Path
) -> None:
    content = server.model["model.onnx"]
    file = models.ModelFile(name="model.onnx", size=len(content), sha256=sha256(content))
    model = models.HubModel(hub_id="org/name", commit=COMMIT, files=(file,), is_pinned=True)
    for name, left in (("good", content[:1000]), ("damaged", b"?" * 1000), ("too long", content + b"?")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.onnx.part").write_bytes(left)
        models.fetch(model, folder, Hub(server.url))
        assert (folder / "model.onnx").read_bytes() == content
    assert not (tmp_path / "good" / "model.json").exists()


def test_a_file_that_is_not_the_pinned_one_is_thrown_away(server: ModelServer, tmp_path: Path) -> None:
    file = models.ModelFile(name="model.onnx", size=200_000, sha256="0" * 64)
    model = models.HubModel(hub_id="org/name", commit=COMMIT, files=(file,), is_pinned=True)
    with pytest.raises(ModelError) as caught:
        models.fetch(model, tmp_path, Hub(server.url))
    assert caught.value.code == "model.corrupt"
    assert list(tmp_path.iterdir()) == []


def test_a_later_download_must_be_what_the_first_one_was(server: ModelServer, tmp_path: Path) -> None:
    folder = brought(server, tmp_path)
    (folder / "model.onnx").unlink()
    good, server.model["model.onnx"] = server.model["model.onnx"], b"evil" * 50_000
    with pytest.raises(ModelError, match="another file than it should be"):
        brought(server, tmp_path)
    server.model["model.onnx"] = good
    assert (brought(server, tmp_path) / "model.onnx").read_bytes() == good


def test_large_files_are_checked_against_what_the_hub_says_of_them_the_first_time_too(
    server: ModelServer, tmp_path: Path
) -> None:
    server.model |= {"config.json": b"{}", "preprocessor_config.json": b"{}", "vocab.txt": b"a"}
    hub = Hub(server.url)
    model = models.on_hub("org/name", BLIP, hub)
    assert [file.name for file in model.files] == [
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "vocab.txt",
    ]
    server.model["model.safetensors"] = b"y"
    with pytest.raises(ModelError, match="another file than it should be"):
        models.fetch(model, tmp_path, hub)


def test_a_model_without_safetensors_is_refused_before_anything_is_fetched(server: ModelServer) -> None:
    server.model = {"config.json": b"{}", "preprocessor_config.json": b"{}", "pytorch_model.bin": b"pickle"}
    with pytest.raises(ModelError, match=r"has no model\.safetensors") as caught:
        models.on_hub("org/name", BLIP, Hub(server.url))
    assert BLIP.hub_id in caught.value.fix


def test_a_hub_that_is_no_hub_or_lacks_the_model_is_an_error(server: ModelServer) -> None:
    with pytest.raises(ModelError, match="not there, or not for everyone") as caught:
        models.on_hub("org/other", TAGGER, Hub(server.url))
    assert caught.value.code == "model.missing"
    server.listed = {"size": -1}
    with pytest.raises(ModelError, match="does not answer like a model hub"):
        models.on_hub("org/name", TAGGER, Hub(server.url))
    with pytest.raises(ModelError, match="does not answer"):
        models.on_hub("org/name", TAGGER, Hub("http://127.0.0.1:9"))
    with pytest.raises(ModelError, match="no https address"):
        models.on_hub("org/name", TAGGER, Hub("http://hub.example"))


def test_a_server_that_sends_more_or_nothing_ends_the_download(server: ModelServer, tmp_path: Path) -> None:
    model = models.on_hub("org/name", TAGGER, Hub(server.url))
    short = replace(model, files=(replace(model.files[0], size=10),))
    with pytest.raises(ModelError, match="longer than the 10 bytes"):
        models.fetch(short, tmp_path, Hub(server.url))
    long = replace(model, files=(replace(model.files[0], size=300_000),))
    with pytest.raises(ModelError, match="200000 of 300000 bytes are here and stay"):
        models.fetch(long, tmp_path / "long", Hub(server.url))


def test_a_record_that_is_damaged_is_named(tmp_path: Path) -> None:
    for content in ("", "[]", "{}", json.dumps({"hub_id": "a/b", "commit": "c", "files": [1]})):
        (tmp_path / "model.json").write_text(content, "utf-8")
        with pytest.raises(ModelError, match=r"model\.json can't be read"):
            models.recorded("org/name", tmp_path)


def test_pinned_models_have_a_commit_and_a_checksum_for_every_file(tmp_path: Path) -> None:
    assert TAGGER.hub_id in models.PINNED
    for hub_id, model in models.PINNED.items():
        assert models.recorded(hub_id, tmp_path) == model
        assert len(model.commit) == 40
        assert all(len(file.sha256) == 64 and file.size > 0 for file in model.files)
        # What is asked for at another revision is another model.
        assert models.recorded(f"{hub_id}@main", tmp_path) is None


def test_a_name_is_a_path_or_a_hub_id(tmp_path: Path) -> None:
    assert models.local_model(str(tmp_path)) == tmp_path
    assert models.local_model("org/name@v1") is None
    for wrong in ("nothing", "../name", "a/b/c", "org/na me", "/no/where"):
        with pytest.raises(ModelError, match="there is no model"):
            models.local_model(wrong)
    assert models.folder_of("org/name@v/1", tmp_path).parent == tmp_path / "captioners"


def test_what_is_not_installed_is_named_with_the_command() -> None:
    with pytest.raises(ExtraMissingError) as caught:
        check_installed(Kind(name="wd14", hub_id="a/b", packages=("no_such_package",), extra="caption"))
    assert caught.value.exit_status == 69
    assert caught.value.fix.endswith('-m pip install "loratui[caption]"')
