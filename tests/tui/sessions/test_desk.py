"""What the home screen is told of runs: by the records, and of those that go on by their agents."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui import settings
from loratui.domain.accounts import NOT_YET, Accounts
from loratui.domain.overview import RunLine
from loratui.sessions.desk import _MOST_FOLLOWED, HostDesk
from loratui.sessions.host import SessionHost
from loratui.sessions.overview import overview
from loratui.sessions.start_run import start_run
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui_protocol.messages import JobState, Record, State, Step
from support.agent_process import wait_until
from support.fake_agent import FakeAgent, fake_agent


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return settings.load({"state_dir": str(tmp_path / "state"), "author": "ann"}, {"LORATUI_CONFIG_DIR": str(tmp_path)})


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with fake_agent(tmp_path / "home") as started:
        yield started


@pytest.fixture
def host(here: Settings, agent: FakeAgent) -> Iterator[SessionHost]:
    started = SessionHost(here)
    started.start()
    yield started
    started.close()


def made(step: int) -> Step:
    return Step(step=step, total=50, epoch=1, loss=0.25, lr=1e-4, it_s=1.0, eta_s=50.0 - step)


def train_before(here: Settings, agent: FakeAgent) -> str:
    """Have a run that another loratui started and left at its third step; return its id."""
    earlier = SessionHost(here)
    earlier.start()
    run_id = start_run(earlier, name="n", target="local", config_toml="", home=agent.home, price_microusd_per_h=0)
    agent.emit(run_id, State(state=JobState.RUNNING), made(3))
    wait_until(lambda: earlier.view(run_id).step == 3, "the third step")
    earlier.close()
    return run_id


def only_line(desk: HostDesk) -> RunLine:
    [line] = desk.overview().runs
    return line


def test_a_run_that_goes_on_is_heard_without_being_opened(here: Settings, agent: FakeAgent, host: SessionHost) -> None:
    run_id = train_before(here, agent)
    agent.emit(run_id, made(7))
    with HostDesk(host, here) as desk:
        wait_until(lambda: desk.overview().runs and only_line(desk).is_live, "the run to be heard")
        desk.look()
        wait_until(lambda: only_line(desk).step == 7, "what was trained meanwhile")
        line = only_line(desk)

    assert (line.state, line.total, line.loss, line.eta_s) == (JobState.RUNNING, 50, 0.25, 43.0)


def test_what_is_not_heard_any_more_is_told_as_of_when_it_was(
    here: Settings, agent: FakeAgent, host: SessionHost
) -> None:
    run_id = train_before(here, agent)
    with HostDesk(host, here) as desk:
        wait_until(lambda: desk.overview().runs and only_line(desk).is_live, "the run to be heard")
        agent.vanish()
        wait_until(lambda: desk.look() or not only_line(desk).is_live, "the link to be down")
        line = only_line(desk)

    assert (line.id, line.step, line.heard_ts, line.is_live) == (run_id, 3, 1000.0, False)


def keep(here: Settings, number: int, *, is_heard: bool) -> None:
    run_id = f"01HZ{number:022}"
    with Store(here.database) as store:
        store.add_run(
            StoredRun(id=run_id, name=run_id, target="local", created_ts=number, config_toml="", home=Path("/nowhere"))
        )
        store.begin_history(run_id, "epoch", reset=False)
        if is_heard:
            store.append(run_id, "epoch", [Record(seq=1, ts=1.0, event=State(state=JobState.RUNNING))])


class Listening:
    """A host of which it is known what it was asked to follow."""

    def __init__(self, host: SessionHost) -> None:
        self.followed: list[str] = []
        self.view = host.view

    def follow(self, run_id: str) -> None:
        self.followed.append(run_id)


def test_only_the_newest_that_were_heard_are_followed_unasked(here: Settings, host: SessionHost) -> None:
    """To follow one that never was may start it."""
    for number in range(8):
        keep(here, number, is_heard=number != 6)
    listening = Listening(host)
    desk = HostDesk(listening, here)  # type: ignore[arg-type]
    desk._follow(overview(here))
    desk._follow(overview(here))

    assert listening.followed == [f"01HZ{number:022}" for number in (7, 5, 4, 3)]
    assert len(listening.followed) == _MOST_FOLLOWED


def test_the_records_are_told_though_the_host_has_ended(here: Settings, host: SessionHost) -> None:
    keep(here, 1, is_heard=True)
    host.close()
    with HostDesk(host, here) as desk:
        wait_until(lambda: desk.overview().runs, "the records")
        before = desk.overview()
        wait_until(lambda: desk.look() or desk.overview() is not before, "them to be read again")


def broken(*_: object) -> object:
    raise OSError(24, "Too many open files")


def test_what_was_read_is_kept_and_said_to_be_old_while_reading_breaks_and_read_again_after_that(
    here: Settings, host: SessionHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(here, 1, is_heard=False)
    with HostDesk(host, here) as desk:
        wait_until(lambda: desk.overview().runs, "the records")
        assert not desk.overview().trouble
        with monkeypatch.context() as patched:
            patched.setattr("loratui.sessions.desk.overview", broken)
            wait_until(lambda: desk.look() or desk.overview().trouble, "the trouble")
            told = desk.overview()
        wait_until(lambda: desk.look() or not desk.overview().trouble, "the end of it")

    assert told.trouble == "reading the records broke: OSError: [Errno 24] Too many open files"
    assert [line.id for line in told.runs] == [only_line(desk).id], "what is known is not gone"


def test_records_that_are_damaged_take_nothing_away_that_was_known(here: Settings, host: SessionHost) -> None:
    keep(here, 1, is_heard=False)
    with HostDesk(host, here) as desk:
        wait_until(lambda: desk.overview().runs, "the records")
        host.close()
        here.database.write_bytes(b"no database at all" * 100)
        for name in ("-wal", "-shm"):
            here.database.with_name(here.database.name + name).unlink(missing_ok=True)
        wait_until(lambda: desk.look() or desk.overview().trouble, "the trouble")
        assert only_line(desk).target == "local"


def test_until_a_provider_that_there_is_a_key_for_has_answered_it_is_unheard(
    here: Settings, host: SessionHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORATUI_VAST_API_KEY", "k" * 32)
    may_answer = threading.Event()

    def asked(_: Settings) -> Accounts:
        may_answer.wait()
        return Accounts(asked=frozenset({"vast"}))

    monkeypatch.setattr("loratui.sessions.accounts.look_at_accounts", asked)
    desk = HostDesk(host, here)
    assert not desk.overview().is_all_known, "nobody knows yet whom to ask"
    try:
        with desk:
            wait_until(lambda: desk.look() or desk.overview().unheard, "vast to be asked")
            assert desk.overview().unheard == {"vast": NOT_YET}
            may_answer.set()
            wait_until(lambda: desk.overview().is_all_known, "its answer")
            wait_until(lambda: desk.look() or desk.overview().is_all_known, "another round")
    finally:
        may_answer.set()


def test_providers_count_as_unheard_while_asking_them_breaks_and_are_asked_again(
    here: Settings, host: SessionHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HostDesk(host, here) as desk:
        with monkeypatch.context() as patched:
            patched.setattr("loratui.sessions.accounts.look_at_accounts", broken)
            wait_until(lambda: desk.look() or "broke" in str(desk.overview().unheard), "the trouble")
            unheard = desk.overview().unheard
        wait_until(lambda: desk.look() or not desk.overview().unheard, "the end of it")

    assert set(unheard) == {"vast", "runpod"}
