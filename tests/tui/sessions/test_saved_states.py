"""A run's saved states come home whole, last of all, and nothing waits for them."""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from loratui import settings
from loratui.domain.download_policy import DownloadPolicy
from loratui.domain.ledger import Phase
from loratui.domain.rental import RentalState
from loratui.domain.rental_cost import RentalCost
from loratui.domain.run import RunView
from loratui.sessions.host import SessionHost
from loratui.sessions.saved_states import newest_state
from loratui.sessions.start_run import start_run
from loratui.settings import Settings
from loratui.store import Store
from loratui_protocol.messages import Artifact, ArtifactKind, JobState, Log, State
from loratui_protocol.state_files import MANIFEST, STATE_FORMAT, STATE_PARTS, state_file_id, state_folder
from support.agent_process import wait_until
from support.fake_agent import FakeAgent, fake_agent
from support.files import artifact_of, safetensors

LORA = safetensors()


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return settings.load({"state_dir": str(tmp_path / "state")}, {"LORATUI_CONFIG_DIR": str(tmp_path)})


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with fake_agent(tmp_path / "home") as started:
        yield started


@pytest.fixture
def host(here: Settings) -> Iterator[SessionHost]:
    started = SessionHost(here)
    started.start()
    yield started
    started.close()


def start(host: SessionHost, agent: FakeAgent) -> str:
    return start_run(host, name="n", target="local", config_toml="", home=agent.home)


def parts_of(step: int) -> dict[str, bytes]:
    """Return the files of a state as a box has them."""
    facts = {"format": STATE_FORMAT, "step": step, "seed": 7}
    parts = {
        "lora.safetensors": safetensors(step),
        "optimizer.safetensors": safetensors(2 * step),
        "state.json": json.dumps(facts).encode(),
    }
    listed = {name: {"size": len(part), "sha256": hashlib.sha256(part).hexdigest()} for name, part in parts.items()}
    return {**parts, MANIFEST: json.dumps(listed).encode()}


def offer(agent: FakeAgent, run_id: str, step: int, **changed: bytes) -> None:
    """Have a box offer a state; ``changed`` are parts that are other than the manifest says, by their stem."""
    events = []
    for name, part in parts_of(step).items():
        artifact_id = state_file_id(step, name)
        content = changed.get(name.partition(".")[0], part)
        agent.jobs[run_id].files[artifact_id] = content
        events.append(artifact_of(content, artifact_id, name=artifact_id, kind=ArtifactKind.STATE, step=step))
    agent.emit(run_id, *events)


def kept(host: SessionHost, run_id: str, step: int) -> RunView:
    wait_until(lambda: host.view(run_id).kept_step == step, f"the state of step {step} to be here")
    return host.view(run_id)


def folders(here: Settings, run_id: str) -> list[str]:
    return sorted(path.name for path in (here.run_folder(run_id) / "states").glob("*"))


def test_a_state_comes_home_whole_and_is_no_file_of_the_run(
    host: SessionHost, agent: FakeAgent, here: Settings
) -> None:
    run_id = start(host, agent)
    offer(agent, run_id, 10)
    view = kept(host, run_id, 10)
    state = newest_state(here.run_folder(run_id))
    assert state is not None
    assert (state.step, state.seed) == (10, 7)
    assert {path.name: path.read_bytes() for path in state.paths} == parts_of(10)
    assert view.artifacts == {}
    assert agent.reads[-1].artifact_id == state_file_id(10, MANIFEST), "what makes it whole comes last"


def test_the_newest_replaces_what_is_here_and_states_between_are_not_fetched(
    host: SessionHost, agent: FakeAgent, here: Settings
) -> None:
    run_id = start(host, agent)
    offer(agent, run_id, 10)
    kept(host, run_id, 10)
    # Soon after the first one none is begun, until the run has ended.
    offer(agent, run_id, 20)
    offer(agent, run_id, 30)
    agent.emit(run_id, State(state=JobState.STOPPED))
    kept(host, run_id, 30)
    assert folders(here, run_id) == [state_folder(30)]
    assert not [read for read in agent.reads if read.artifact_id.startswith("state-00000020")]


def test_a_run_is_settled_without_its_state_and_its_lora_travels_first(host: SessionHost, agent: FakeAgent) -> None:
    run_id = start(host, agent)
    agent.jobs[run_id].files["lora"] = LORA
    # A box that never answers for it.
    named = [
        Artifact(id=state_file_id(10, part), kind=ArtifactKind.STATE, name="n", size=9, sha256="0" * 64, step=10)
        for part in STATE_PARTS
    ]
    agent.emit(run_id, *named, artifact_of(LORA), State(state=JobState.STOPPED))
    wait_until(lambda: host.view(run_id).is_known_to_be_settled, "the run to be settled")
    view = host.view(run_id)
    assert view.downloaded.keys() == {"lora"}
    assert view.kept_step is None
    assert view.declined == view.download_failures == {}
    assert agent.reads[0].artifact_id == "lora"


def test_the_state_of_a_run_that_is_done_is_kept_and_its_lora_travels_first(
    host: SessionHost, agent: FakeAgent, here: Settings
) -> None:
    run_id = start(host, agent)
    agent.jobs[run_id].files["lora"] = LORA
    offer(agent, run_id, 12)
    agent.emit(run_id, artifact_of(LORA), State(state=JobState.DONE))
    kept(host, run_id, 12)
    assert folders(here, run_id) == [state_folder(12)]
    read = [each.artifact_id for each in agent.reads]
    assert "lora" in read[:2], "at most a part that was on its way comes before it"


@pytest.mark.parametrize("part", ["lora", "state", "manifest"])
def test_a_state_that_contradicts_itself_is_not_kept_and_the_one_before_stays(
    host: SessionHost, agent: FakeAgent, here: Settings, part: str
) -> None:
    run_id = start(host, agent)
    offer(agent, run_id, 10)
    kept(host, run_id, 10)
    facts = b'{"format": %d, "step": 9, "seed": 7}' % STATE_FORMAT
    wrong = {"lora": safetensors(3), "state": facts, "manifest": b'{"../x": {}}'}
    offer(agent, run_id, 20, **{part: wrong[part]})
    agent.emit(run_id, State(state=JobState.STOPPED))
    wait_until(
        lambda: state_file_id(20, MANIFEST) in {read.artifact_id for read in agent.reads}, "all of it to be fetched"
    )
    wait_until(lambda: folders(here, run_id) == [state_folder(10)], "it to be removed")
    state = newest_state(here.run_folder(run_id))
    assert state is not None
    assert state.step == 10


def test_pickles_and_endless_json_are_no_state(host: SessionHost, agent: FakeAgent, here: Settings) -> None:
    run_id = start(host, agent)
    offer(agent, run_id, 10, optimizer=b"\x80\x04cos\nsystem\n")
    wait_until(lambda: agent.reads and "optimizer" in agent.reads[-1].artifact_id, "it to be asked for")
    offer(agent, run_id, 20, state=b" " * (2 << 20))
    agent.jobs[run_id].files["lora"] = LORA
    agent.emit(run_id, artifact_of(LORA), State(state=JobState.STOPPED))
    wait_until(lambda: host.view(run_id).is_settled, "the run to be settled")
    assert newest_state(here.run_folder(run_id)) is None
    assert not [read for read in agent.reads if read.artifact_id.startswith("state-00000020")]


@pytest.mark.parametrize("which", ["final", "none"])
def test_who_wants_no_files_on_the_way_gets_no_state(agent: FakeAgent, here: Settings, which: str) -> None:
    host = SessionHost(replace(here, downloads=DownloadPolicy(which=which)))
    host.start()
    run_id = start(host, agent)
    offer(agent, run_id, 10)
    agent.emit(run_id, State(state=JobState.STOPPED))
    wait_until(lambda: host.view(run_id).is_settled, "the run to be settled")
    host.close()
    assert agent.reads == []


def test_what_the_quota_has_no_room_for_stays_on_the_box_and_that_is_said(agent: FakeAgent, here: Settings) -> None:
    host = SessionHost(replace(here, downloads=DownloadPolicy(max_gib=1e-6)))
    host.start()
    run_id = start(host, agent)
    offer(agent, run_id, 1000)
    wait_until(
        lambda: any("downloads.max_gib" in line.text for line in host.view(run_id).log), "word of what does not come"
    )
    host.close()
    assert agent.reads == []


def test_a_state_goes_on_from_where_a_client_was_closed(agent: FakeAgent, here: Settings) -> None:
    host = SessionHost(here)
    host.start()
    run_id = start(host, agent)
    offer(agent, run_id, 10)
    kept(host, run_id, 10)
    host.close()
    reads = len(agent.reads)
    again = SessionHost(here)
    again.start()
    again.follow(run_id).result(10)
    assert again.view(run_id).kept_step == 10
    assert again.send(run_id, "resume").result(10).ok
    again.close()
    assert len(agent.reads) == reads, "what is here is not fetched again"


def test_a_lora_interrupts_a_state_which_then_goes_on_from_where_it_was(agent: FakeAgent, here: Settings) -> None:
    host = SessionHost(replace(here, downloads=DownloadPolicy(max_mbit_s=4.0)))
    host.start()
    run_id = start(host, agent)
    # 1.2 MB at half a megabyte a second.
    offer(agent, run_id, 100_000)
    part = state_file_id(100_000, "optimizer.safetensors")
    wait_until(lambda: [read for read in agent.reads if read.artifact_id == part and read.offset], "some of it to come")
    agent.jobs[run_id].files["lora"] = LORA
    agent.emit(run_id, artifact_of(LORA))
    wait_until(lambda: "lora" in host.view(run_id).downloaded, "the file")
    assert host.view(run_id).kept_step is None
    kept(host, run_id, 100_000)
    host.close()
    assert sum(read.artifact_id == part and read.offset == 0 for read in agent.reads) == 1
    with Store(here.database) as store:
        assert store.state_bytes(run_id) == sum(map(len, parts_of(100_000).values())), "every byte counts once"


def test_bytes_of_a_state_that_came_in_vain_count(host: SessionHost, agent: FakeAgent, here: Settings) -> None:
    run_id = start(host, agent)
    offer(agent, run_id, 10, manifest=b'{"../x": {}}')
    wait_until(lambda: state_file_id(10, MANIFEST) in {read.artifact_id for read in agent.reads}, "all of it")
    expected = sum(len(part) for name, part in parts_of(10).items() if name != MANIFEST)
    with Store(here.database) as store:
        wait_until(lambda: store.state_bytes(run_id) >= expected, "them to be counted")


def test_a_state_of_a_rented_machine_comes_once_its_traffic_is_within_its_share(
    host: SessionHost, agent: FakeAgent, here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loratui.sessions.downloads.rental_label", lambda _: "loratui-x")
    run_id = start(host, agent)
    view = host._followed[run_id].session.view

    def look() -> None:
        agent.emit(run_id, Log(level="INFO", line="x"))
        seq = len(agent.jobs[run_id].records)
        wait_until(lambda: host.view(run_id).last_seq >= seq, "the news")
        time.sleep(0.2)

    offer(agent, run_id, 10)
    look()
    assert agent.reads == [], "nobody minds the rental: what a state may cost is not known"
    size = sum(map(len, parts_of(10).values()))
    price = 1000
    view.rental = RentalCost(
        label="loratui-x",
        provider="vast",
        state=RentalState.READY,
        at_s=0.0,
        price_microusd_per_h=price,
        spent_microusd=0,
        # A state costs a quarter of an hour.
        sent_microusd_per_gb=250 * 10**9 // size,
    )
    look()
    assert agent.reads == [], "a twentieth of two hours does not pay for it"
    view.rental = replace(view.rental, phases={Phase.TRAINING: 4 * price})
    look()
    kept(host, run_id, 10)
