import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection

from loratui import settings
from loratui.domain.download_policy import DownloadPolicy
from loratui.domain.run import RunView
from loratui.remote import transfer
from loratui.remote.transfer import MAX_ARTIFACT_BYTES
from loratui.sessions.downloads import BULK_FROM_BYTES, MAX_EXPORTED
from loratui.sessions.host import SessionHost
from loratui.sessions.start_run import start_run
from loratui.settings import Settings
from loratui.store import Store
from loratui_protocol.link import MAX_CHUNK_BYTES
from loratui_protocol.messages import AckArtifacts, Artifact, ArtifactKind, GetArtifact, JobState, State, Withdrawn
from loratui_protocol.paths import FILES_SOCKET, socket_path
from support.agent_process import wait_until
from support.fake_agent import FakeAgent, fake_agent
from support.files import artifact_of, safetensors
from support.pickles import detonate, live_pickles

CONFIG = """
pretrained_model_name_or_path = "builtin:tiny"
train_data_dir = "/nowhere"
output_dir = {folder!r}
"""
LORA = safetensors()


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return settings.load({"state_dir": str(tmp_path / "state")}, {"LORATUI_CONFIG_DIR": str(tmp_path)})


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with fake_agent(tmp_path / "home") as started:
        yield started


@pytest.fixture
def host(here: Settings, agent: FakeAgent) -> Iterator[SessionHost]:
    """Ends before the agent does, lest it starts a real one."""
    started = SessionHost(here)
    started.start()
    yield started
    started.close()


def start(host: SessionHost, agent: FakeAgent, output_dir: Path | None = None) -> str:
    config = CONFIG.format(folder=str(output_dir)) if output_dir else ""
    return start_run(host, name="n", target="local", config_toml=config, home=agent.home)


def publish(agent: FakeAgent, run_id: str, content: bytes, artifact: Artifact | None = None) -> Artifact:
    artifact = artifact or artifact_of(content)
    agent.jobs[run_id].files[artifact.id] = content
    agent.emit(run_id, artifact)
    return artifact


def settled(host: SessionHost, agent: FakeAgent, run_id: str) -> RunView:
    agent.emit(run_id, State(state=JobState.DONE))
    wait_until(lambda: host.view(run_id).is_settled, "everything to be here, or known to be lost")
    return host.view(run_id)


def acknowledged(agent: FakeAgent) -> list[str]:
    return [name for command in agent.commands if isinstance(command, AckArtifacts) for name in command.artifact_ids]


def test_file_is_fetched_verified_recorded_and_acknowledged(
    host: SessionHost, agent: FakeAgent, here: Settings
) -> None:
    run_id = start(host, agent)
    publish(agent, run_id, LORA)
    view = settled(host, agent, run_id)
    assert view.downloaded == {"lora": here.run_folder(run_id) / "style.safetensors"}
    assert view.downloaded["lora"].read_bytes() == LORA
    assert view.exported == {}
    with Store(here.database) as store:
        wait_until(lambda: store.downloads(run_id)["lora"].acknowledged, "the acknowledgement")
    assert acknowledged(agent) == ["lora"]


def test_file_that_is_here_is_not_fetched_again(host: SessionHost, agent: FakeAgent, here: Settings) -> None:
    run_id = start(host, agent)
    publish(agent, run_id, LORA)
    settled(host, agent, run_id)
    host.close()
    reads = len(agent.reads)
    again = SessionHost(here)
    again.start()
    again.follow(run_id).result(10)
    assert again.view(run_id).is_settled
    assert again.send(run_id, "resume").result(10).ok
    again.close()
    assert len(agent.reads) == reads


def test_file_that_was_deleted_here_is_fetched_again(host: SessionHost, agent: FakeAgent, here: Settings) -> None:
    run_id = start(host, agent)
    publish(agent, run_id, LORA)
    path = settled(host, agent, run_id).downloaded["lora"]
    host.close()
    path.unlink()
    again = SessionHost(here)
    again.start()
    again.follow(run_id)
    wait_until(path.exists, "the file")
    again.close()


def test_damaged_transfer_is_tried_again(host: SessionHost, agent: FakeAgent) -> None:
    run_id = start(host, agent)
    bad = iter([True, True])
    agent.spoil_file = lambda _, content: bytes(len(content)) if next(bad, False) else content
    publish(agent, run_id, LORA)
    view = settled(host, agent, run_id)
    assert view.downloaded["lora"].read_bytes() == LORA
    assert len(agent.reads) == 3


def test_file_that_keeps_arriving_damaged_is_given_up_and_said_so(
    host: SessionHost, agent: FakeAgent, here: Settings
) -> None:
    run_id = start(host, agent)
    agent.spoil_file = lambda _, content: bytes(len(content))
    publish(agent, run_id, LORA)
    view = settled(host, agent, run_id)
    assert "SHA-256" in view.download_failures["lora"]
    assert "not here" in view.log[-1].text
    assert view.downloaded == {}
    assert len(agent.reads) == 3
    assert list(here.run_folder(run_id).iterdir()) == []
    assert acknowledged(agent) == []


def test_pickle_under_a_trusted_name_is_refused_at_once(host: SessionHost, agent: FakeAgent, here: Settings) -> None:
    run_id = start(host, agent)
    publish(agent, run_id, b"\x80\x04\x95" + b"os.system" * 20)
    view = settled(host, agent, run_id)
    assert "safetensors" in view.download_failures["lora"]
    assert len(agent.reads) == 1
    assert list(here.run_folder(run_id).iterdir()) == []


@pytest.mark.parametrize("kind", ["raw", "text", "zip"])
def test_live_code_that_is_announced_as_a_lora_is_never_kept_and_never_runs(
    host: SessionHost, agent: FakeAgent, here: Settings, tmp_path: Path, kind: str
) -> None:
    marker = tmp_path / "it-ran"
    content = live_pickles(marker)[kind]
    run_id = start(host, agent, tmp_path / "out")
    publish(agent, run_id, content)
    checkpoint = artifact_of(content, "x", name="x.safetensors", kind=ArtifactKind.CHECKPOINT_LORA)
    publish(agent, run_id, content, checkpoint)
    view = settled(host, agent, run_id)
    assert view.downloaded == view.exported == {}
    assert set(view.download_failures) == {"lora", "x"}
    assert all("is no safetensors file" in why for why in view.download_failures.values())
    assert list(here.run_folder(run_id).iterdir()) == []
    assert acknowledged(agent) == []
    assert not marker.exists()
    (tmp_path / "x.safetensors").write_bytes(content)
    detonate(tmp_path / "x.safetensors")
    assert marker.exists(), "the file is what it should be: live"


def test_file_that_the_agent_announced_and_has_not_is_said_to_be_missing(host: SessionHost, agent: FakeAgent) -> None:
    run_id = start(host, agent)
    agent.emit(run_id, artifact_of(LORA))
    view = settled(host, agent, run_id)
    assert "artifact.unknown" in view.download_failures["lora"]
    publish(agent, run_id, LORA)
    agent.cut()
    wait_until(lambda: "lora" in host.view(run_id).downloaded, "another try on the next connection")
    assert host.view(run_id).download_failures == {}


def test_evil_names_stay_in_the_runs_folder_and_never_collide(
    host: SessionHost, agent: FakeAgent, here: Settings, tmp_path: Path
) -> None:
    run_id = start(host, agent)
    names = [
        "../../../evil.png",
        "/etc/evil.png",
        "con",
        "SAME.png",
        "same.png",
        "x" * 300,
        "a\x1b]52;c;x\x07.png",
        "..",
    ]
    for number, name in enumerate(names):
        content = f"picture {number}".encode()
        publish(agent, run_id, content, artifact_of(content, f"p{number}", name=name, kind=ArtifactKind.SAMPLE))
    view = settled(host, agent, run_id)
    folder = here.run_folder(run_id)
    assert len(view.downloaded) == len(names)
    assert {path.parent for path in view.downloaded.values()} == {folder}
    assert sorted(path.read_bytes() for path in folder.iterdir()) == sorted(
        f"picture {number}".encode() for number in range(len(names))
    )
    assert not list(tmp_path.glob("**/evil*"))


def test_version_that_a_resumed_run_wrote_anew_replaces_the_old_one(host: SessionHost, agent: FakeAgent) -> None:
    run_id = start(host, agent)
    publish(agent, run_id, LORA)
    path = settled(host, agent, run_id).downloaded["lora"]
    newer = safetensors(9)
    publish(agent, run_id, newer)
    wait_until(lambda: path.read_bytes() == newer and host.view(run_id).is_settled, "the new version")
    wait_until(lambda: len(acknowledged(agent)) == 2, "its acknowledgement")


def test_transfer_goes_on_after_the_connection_broke(host: SessionHost, agent: FakeAgent) -> None:
    run_id = start(host, agent)
    content = safetensors(5 * MAX_CHUNK_BYTES)
    cut = threading.Event()

    def cut_late(request: GetArtifact, part: bytes) -> bytes:
        if request.offset == 10 * MAX_CHUNK_BYTES and not cut.is_set():
            cut.set()
            agent._loop.call_soon(lambda: [each.transport.abort() for each in list(agent._connections)])
        return part

    agent.spoil_file = cut_late
    publish(agent, run_id, content)
    view = settled(host, agent, run_id)
    assert view.downloaded["lora"].read_bytes() == content
    assert cut.is_set()
    assert sum(request.offset == 0 for request in agent.reads) == 1


def test_lora_travels_before_pictures(host: SessionHost, agent: FakeAgent, here: Settings) -> None:
    run_id = start(host, agent)
    agent.jobs[run_id].files.update(lora=LORA, **{f"p{number}": b"x" for number in range(5)})
    pictures = [artifact_of(b"x", f"p{number}", name=f"{number}.png", kind=ArtifactKind.SAMPLE) for number in range(5)]
    agent.emit(run_id, *pictures, artifact_of(LORA))
    settled(host, agent, run_id)
    assert agent.reads[0].artifact_id == "lora"


def test_finished_files_are_copied_where_the_config_says(
    host: SessionHost, agent: FakeAgent, here: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "out" / "deep"
    run_id = start(host, agent, output_dir=folder)
    publish(agent, run_id, LORA)
    publish(agent, run_id, b"png", artifact_of(b"png", "s", name="s.png", kind=ArtifactKind.SAMPLE))
    publish(agent, run_id, b"png", artifact_of(b"png", "c", name="sheet.png", kind=ArtifactKind.CONTACT_SHEET))
    view = settled(host, agent, run_id)
    assert view.exported == {"lora": folder / "style.safetensors", "c": folder / "sheet.png"}
    assert sorted(path.name for path in folder.iterdir()) == ["sheet.png", "style.safetensors"]
    assert (folder / "style.safetensors").read_bytes() == LORA


def test_other_file_of_that_name_is_never_overwritten(host: SessionHost, agent: FakeAgent, tmp_path: Path) -> None:
    (tmp_path / "style.safetensors").write_text("mine")
    (tmp_path / "style-2.safetensors").write_bytes(LORA + b"older")
    run_id = start(host, agent, tmp_path)
    publish(agent, run_id, LORA)
    view = settled(host, agent, run_id)
    assert view.exported == {"lora": tmp_path / "style-3.safetensors"}
    assert (tmp_path / "style.safetensors").read_text() == "mine"
    assert "style-3.safetensors" in view.log[-1].text


def test_copy_that_is_there_already_is_not_made_twice(host: SessionHost, agent: FakeAgent, tmp_path: Path) -> None:
    (tmp_path / "style.safetensors").write_bytes(LORA)
    run_id = start(host, agent, tmp_path)
    publish(agent, run_id, LORA)
    assert settled(host, agent, run_id).exported == {"lora": tmp_path / "style.safetensors"}


def test_folder_that_can_not_be_written_is_said_and_costs_nothing_else(
    host: SessionHost, agent: FakeAgent, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    run_id = start(host, agent, tmp_path / "out")
    publish(agent, run_id, LORA)
    view = settled(host, agent, run_id)
    assert view.exported == {}
    assert view.downloaded["lora"].read_bytes() == LORA
    assert str(view.downloaded["lora"]) in view.log[-1].text


def test_client_killed_between_fetching_and_copying_copies_when_it_is_back(
    host: SessionHost, agent: FakeAgent, here: Settings, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("in the way")
    run_id = start(host, agent, tmp_path / "out")
    publish(agent, run_id, LORA)
    settled(host, agent, run_id)
    host.close()
    (tmp_path / "out").unlink()
    again = SessionHost(here)
    again.start()
    again.follow(run_id)
    wait_until((tmp_path / "out" / "style.safetensors").exists, "the copy")
    again.close()
    assert len(agent.reads) == 1


def hosting(here: Settings, **policy: object) -> SessionHost:
    host = SessionHost(replace(here, downloads=DownloadPolicy(**policy)))  # type: ignore[arg-type]
    host.start()
    return host


def publish_run(agent: FakeAgent, run_id: str) -> None:
    for number, kind in enumerate((ArtifactKind.SAMPLE, ArtifactKind.CHECKPOINT_LORA, ArtifactKind.LORA)):
        content = safetensors(4 + number)
        publish(agent, run_id, content, artifact_of(content, f"a{number}", name=f"{number}", kind=kind))


@pytest.mark.parametrize(("which", "fetched"), [("all", {"a0", "a1", "a2"}), ("final", {"a2"}), ("none", set())])
def test_only_what_the_settings_want_is_fetched_and_the_run_settles_all_the_same(
    agent: FakeAgent, here: Settings, which: str, fetched: set[str]
) -> None:
    host = hosting(here, which=which)
    run_id = start(host, agent)
    publish_run(agent, run_id)
    view = settled(host, agent, run_id)
    assert set(view.downloaded) == fetched
    assert set(view.declined) == {"a0", "a1", "a2"} - fetched
    wait_until(lambda: set(acknowledged(agent)) == fetched, "the acknowledgement")
    host.close()


def test_of_a_run_that_failed_without_a_result_the_newest_checkpoint_is_one(agent: FakeAgent, here: Settings) -> None:
    host = hosting(here, which="final")
    run_id = start(host, agent)
    for number in range(3):
        content = safetensors(4 + number)
        kind = ArtifactKind.CHECKPOINT_LORA
        publish(agent, run_id, content, artifact_of(content, f"a{number}", name=f"{number}", kind=kind))
    wait_until(lambda: set(host.view(run_id).declined) == {"a0", "a1", "a2"}, "the files to be left there")
    agent.emit(run_id, State(state=JobState.FAILED))
    wait_until(lambda: set(host.view(run_id).downloaded) == {"a2"}, "the newest one")
    assert set(host.view(run_id).declined) == {"a0", "a1"}
    host.close()


def test_agent_hears_which_files_nobody_wants_once_something_waits_for_that(agent: FakeAgent, here: Settings) -> None:
    host = hosting(here, which="final")
    run_id = start_run(host, name="n", target="local", config_toml="", home=agent.home, on_done="stop")
    publish_run(agent, run_id)
    settled(host, agent, run_id)
    wait_until(
        lambda: any(isinstance(each, AckArtifacts) and each.declined_ids == ["a0", "a1"] for each in agent.commands),
        "the word",
    )
    host.close()


@pytest.mark.parametrize("policy", [{"max_gib": 0.0}, {"which": "none"}])
def test_what_another_process_has_brought_is_here_whatever_is_fetched_unasked(
    agent: FakeAgent, here: Settings, policy: dict[str, object]
) -> None:
    host = hosting(here, **policy)
    run_id = start(host, agent)
    publish(agent, run_id, LORA)
    assert set(settled(host, agent, run_id).declined) == {"lora"}
    other = hosting(here)
    other.follow(run_id).result(10)
    wait_until(lambda: host.view(run_id).downloaded.keys() == {"lora"}, "the word of it")
    assert host.view(run_id).declined == {}
    other.close()
    host.close()


def test_run_that_announces_more_than_the_user_allows_is_told_of_and_its_result_comes(
    agent: FakeAgent, here: Settings
) -> None:
    host = hosting(here, max_gib=0.001)
    run_id = start(host, agent)
    huge = replace(artifact_of(b"x", "huge", kind=ArtifactKind.CHECKPOINT_LORA), size=5 << 30)
    agent.emit(run_id, huge)
    publish(agent, run_id, LORA)
    view = settled(host, agent, run_id)
    assert set(view.downloaded) == {"lora"}
    assert "downloads.max_gib" in view.declined["huge"]
    assert any("left on the agent" in line.text for line in view.log)
    host.close()


def withdraw(agent: FakeAgent, run_id: str, artifact: Artifact) -> None:
    del agent.jobs[run_id].files[artifact.id]
    why = "newer ones are kept"
    agent.emit(run_id, Withdrawn(id=artifact.id, name=artifact.name, sha256=artifact.sha256, why=why))


def checkpoint(agent: FakeAgent, run_id: str, number: int) -> Artifact:
    content = safetensors(4 + number)
    kind = ArtifactKind.CHECKPOINT_LORA
    return publish(agent, run_id, content, artifact_of(content, f"a{number}", name=f"{number}", kind=kind))


def test_what_was_withdrawn_stays_where_it_is_here_and_is_not_missed_where_it_is_not(
    agent: FakeAgent, here: Settings
) -> None:
    host = hosting(here)
    run_id = start(host, agent)
    first = checkpoint(agent, run_id, 0)
    wait_until(lambda: "a0" in host.view(run_id).downloaded, "the file")
    withdraw(agent, run_id, first)
    wait_until(lambda: "a0" in host.view(run_id).withdrawn, "the word of it")
    host.close()
    withdraw(agent, run_id, checkpoint(agent, run_id, 1))
    checkpoint(agent, run_id, 2)
    again = hosting(here)
    again.follow(run_id).result(10)
    view = settled(again, agent, run_id)
    assert list(view.artifacts) == ["a0", "a2"]
    assert (set(view.downloaded), view.download_failures, view.declined) == ({"a0", "a2"}, {}, {})
    wait_until(lambda: again.view(run_id).is_known_to_be_settled, "the agent to know")
    again.close()


def test_a_file_that_is_withdrawn_while_it_comes_is_no_failure_and_leaves_nothing(
    host: SessionHost, agent: FakeAgent, here: Settings
) -> None:
    run_id = start(host, agent)
    content = safetensors(BULK_FROM_BYTES // 8)
    kind = ArtifactKind.CHECKPOINT_LORA
    artifact = artifact_of(content, "a0", name="0", kind=kind)
    files = agent.jobs[run_id].files

    def once(_: GetArtifact, piece: bytes) -> bytes:
        files.pop("a0", None)
        return piece

    agent.spoil_file = once
    publish(agent, run_id, content, artifact)
    wait_until(lambda: "a0" in host.view(run_id).download_failures, "the rest to be refused")
    assert len(list(here.run_folder(run_id).glob("*.part"))) == 1
    files["a0"] = content
    withdraw(agent, run_id, artifact)
    view = settled(host, agent, run_id)
    assert (view.artifacts, view.download_failures) == ({}, {})
    wait_until(lambda: not list(here.run_folder(run_id).glob("*.part")), "what had come to be removed")


def test_a_small_picture_does_not_wait_for_a_large_file(host: SessionHost, agent: FakeAgent) -> None:
    run_id = start(host, agent)
    agent.silent_files = {"lora"}
    publish(agent, run_id, LORA)
    wait_until(lambda: agent.reads, "the file to be asked for")
    publish(agent, run_id, b"small", artifact_of(b"small", "s", name="s.jpg", kind=ArtifactKind.THUMBNAIL))
    wait_until(lambda: "s" in host.view(run_id).downloaded, "the picture")
    assert "lora" not in host.view(run_id).downloaded
    assert len(agent.links) == 1, "it came beside the file, not after the line was given up"


HOSTILE_NAMES = (
    "..", ".", "", "/", "../../x.png", "..\\..\\x.png", "/etc/passwd", "C:\\x.png", "~/.ssh/authorized_keys",
    "nul", "con.png", "aux.safetensors", "a\x00b.png", "x" * 300, "X" * 300, "a/b", "-rf", ".bashrc", "x.png.",
    "x.png ", "\u202egnp.exe", "x.exe", "x.desktop", "x.lnk", "\x1b[2J.png", "Ä.png", "a\u0308.png", "ä.png",
    "CASE.png", "case.png", "Case.PNG", "lora.safetensors.part",
)  # fmt: skip


def test_no_name_size_or_hash_of_a_hostile_agent_reaches_beyond_the_runs_folder(
    agent: FakeAgent, here: Settings, tmp_path: Path
) -> None:
    before = {path for path in tmp_path.rglob("*") if "state" not in path.parts}
    host = hosting(here, max_gib=1000)
    run_id = start(host, agent)
    good = 0
    for number, name in enumerate(HOSTILE_NAMES):
        content = f"{number}".encode()
        artifact = artifact_of(content, f"n{number}", name=name, kind=ArtifactKind.SAMPLE)
        match number % 4:
            case 1:
                artifact = replace(artifact, size=artifact.size + 1)
            case 2:
                artifact = replace(artifact, sha256="0" * 64)
            case 3:
                artifact = replace(artifact, size=MAX_ARTIFACT_BYTES + 1)
            case _:
                good += 1
        publish(agent, run_id, content, artifact)
    # The same id again, as another file.
    publish(agent, run_id, b"other", artifact_of(b"other", "n0", name="..", kind=ArtifactKind.SAMPLE))
    publish(agent, run_id, b"id", artifact_of(b"id", "../../evil", name="id.png", kind=ArtifactKind.SAMPLE))
    view = settled(host, agent, run_id)
    host.close()
    folder = here.run_folder(run_id)
    assert len(view.downloaded) == good + 1
    assert len(view.download_failures) == len(HOSTILE_NAMES) - good
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == good + 1
    assert all(path.parent == folder and path.suffix == ".png" and path.name.isascii() for path in files)
    assert len({path.name.lower() for path in files}) == len(files)
    assert {path for path in tmp_path.rglob("*") if "state" not in path.parts} == before


def test_name_of_a_verified_file_is_given_to_no_other_whatever_is_announced_later(
    host: SessionHost, agent: FakeAgent, here: Settings
) -> None:
    run_id = start(host, agent)
    first = artifact_of(b"first", "p1", name="x.png", kind=ArtifactKind.SAMPLE)
    publish(agent, run_id, b"first", first)
    wait_until(lambda: "p1" in host.view(run_id).downloaded, "the first file")
    host.close()
    # Another journal in which another file is announced before it, and wishes for the same name.
    agent.jobs[run_id].epoch, agent.jobs[run_id].records = "epoch-2", []
    publish(agent, run_id, b"other", artifact_of(b"other", "p0", name="x.png", kind=ArtifactKind.SAMPLE))
    publish(agent, run_id, b"first", first)
    again = hosting(here)
    again.follow(run_id)
    view = settled(again, agent, run_id)
    again.close()
    folder = here.run_folder(run_id)
    assert view.downloaded == {"p1": folder / "x.png", "p0": folder / "x-2.png"}
    assert (folder / "x.png").read_bytes() == b"first"
    assert (folder / "x-2.png").read_bytes() == b"other"


def publish_versions(host: SessionHost, agent: FakeAgent, run_id: str, num_values: range) -> None:
    for number in num_values:
        content = safetensors(number)
        artifact = publish(agent, run_id, content, artifact_of(content, name=f"style-{number}.safetensors"))

        def is_judged(artifact: Artifact = artifact) -> bool:
            view = host.view(run_id)
            return view.artifacts.get("lora") == artifact and "lora" in view.downloaded.keys() | view.declined.keys()

        wait_until(is_judged, "this version to be here, or to be declined")


def test_id_that_is_announced_again_and_again_fills_no_disk(agent: FakeAgent, here: Settings, tmp_path: Path) -> None:
    host = hosting(here, max_gib=0.001)
    run_id = start(host, agent, tmp_path / "out")
    publish_versions(host, agent, run_id, range(25_000, 25_015))
    assert "downloads.max_gib" in host.view(run_id).declined["lora"]
    host.close()
    assert [path.name for path in here.run_folder(run_id).iterdir()] == ["style-25000.safetensors"]
    assert 5 < len(list((tmp_path / "out").iterdir())) <= 10
    # A client that comes later counts what this one fetched.
    again = hosting(here, max_gib=0.001)
    again.follow(run_id)
    wait_until(lambda: "lora" in again.view(run_id).declined, "the quota")
    again.close()


def test_file_that_changes_without_end_is_copied_for_the_user_a_few_times(
    host: SessionHost, agent: FakeAgent, tmp_path: Path
) -> None:
    run_id = start(host, agent, tmp_path / "out")
    publish_versions(host, agent, run_id, range(1, MAX_EXPORTED + 4))
    view = host.view(run_id)
    assert len(list((tmp_path / "out").iterdir())) == MAX_EXPORTED
    assert view.exported == {}
    assert view.downloaded["lora"].read_bytes() == safetensors(MAX_EXPORTED + 3)
    assert "is not copied" in view.log[-1].text


def test_file_that_becomes_one_of_another_kind_is_refused(host: SessionHost, agent: FakeAgent) -> None:
    run_id = start(host, agent)
    publish(agent, run_id, b"png", artifact_of(b"png", name="x.png", kind=ArtifactKind.SAMPLE))
    wait_until(lambda: "lora" in host.view(run_id).downloaded, "the picture")
    publish(agent, run_id, b"\x80\x04no safetensors", artifact_of(b"\x80\x04no safetensors"))
    view = settled(host, agent, run_id)
    assert view.downloaded == {}
    assert "something else before" in view.download_failures["lora"]


def test_agent_that_never_answers_for_one_file_holds_up_no_other(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mute(FakeAgent):
        async def _read(self, connection: ServerConnection, request: GetArtifact) -> None:
            if request.artifact_id != "lora":
                await super()._read(connection, request)
            self.reads += [request] if request.artifact_id == "lora" else []

    monkeypatch.setattr(transfer, "ANSWER_S", 0.3)
    with Mute(tmp_path / "home") as agent:
        host = hosting(here)
        run_id = start(host, agent)
        agent.jobs[run_id].files["p"] = b"png"
        agent.emit(run_id, artifact_of(LORA), artifact_of(b"png", "p", name="p.png", kind=ArtifactKind.SAMPLE))
        view = settled(host, agent, run_id)
        host.close()
    assert set(view.downloaded) == {"p"}
    assert "does not answer" in view.download_failures["lora"]
    assert [request.artifact_id for request in agent.reads] == ["lora", "p", "lora", "lora"]


def test_large_file_comes_with_the_records_where_something_else_answers_for_files(
    host: SessionHost, agent: FakeAgent
) -> None:
    content = safetensors(BULK_FROM_BYTES)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_path(agent.home, FILES_SOCKET)))
        listener.listen()

        def answer() -> None:
            while True:
                with listener.accept()[0] as connection:
                    if not connection.recv(1 << 16):
                        return
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

        server = threading.Thread(target=answer)
        server.start()
        run_id = start(host, agent)
        publish(agent, run_id, content)
        view = settled(host, agent, run_id)
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(socket_path(agent.home, FILES_SOCKET)))
        server.join(10)
    assert view.downloaded["lora"].read_bytes() == content


def test_agent_that_did_not_hear_which_files_nobody_wants_is_told_on_the_next_connection(
    agent: FakeAgent, here: Settings
) -> None:
    def num_told() -> int:
        return sum(isinstance(each, AckArtifacts) and each.declined_ids == ["a0", "a1"] for each in agent.commands)

    host = hosting(here, which="final")
    run_id = start(host, agent)
    agent.silent_commands.add("ack_artifacts")
    publish_run(agent, run_id)
    settled(host, agent, run_id)
    wait_until(lambda: num_told() == 1, "the word")
    agent.silent_commands.clear()
    agent.cut()
    wait_until(lambda: num_told() == 2, "the word on the next connection")
    host.close()


def test_two_clients_fetch_a_file_once(host: SessionHost, agent: FakeAgent, here: Settings) -> None:
    run_id = start(host, agent)
    other = SessionHost(here)
    other.start()
    other.follow(run_id).result(10)
    content = safetensors(MAX_CHUNK_BYTES)
    publish(agent, run_id, content)
    settled(host, agent, run_id)
    wait_until(lambda: other.view(run_id).is_settled, "the other client to know")
    other.close()
    assert sum(request.offset == 0 for request in agent.reads) == 1
