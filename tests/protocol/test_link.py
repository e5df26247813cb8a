import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol import link
from loratui_protocol.errors import ProtocolError
from loratui_protocol.link import (
    AgentLink,
    Answer,
    Beat,
    ClientLink,
    Deliver,
    Execute,
    FollowFrom,
    Reply,
    Send,
    Started,
)
from loratui_protocol.messages import (
    Ack,
    Chunk,
    Following,
    GetArtifact,
    Heartbeat,
    Hello,
    HelloOk,
    Log,
    Pause,
    Record,
    Records,
    Refused,
    Telemetry,
)

GREETING = HelloOk(agent_version="1", now_ts=0.0, features=[], jobs=[])
BEAT = Heartbeat(now_ts=0.0, telemetry=Telemetry(source="psutil"))


def records(first: int, last: int, *, epoch: str = "e1") -> Records:
    made = [Record(seq=seq, ts=0.0, event=Log(level="INFO", line=str(seq))) for seq in range(first, last + 1)]
    return Records(job="j", epoch=epoch, records=made)


def welcomed(now_s: float = 0.0) -> ClientLink:
    client = ClientLink(client_id="c", client_version="1", now_s=now_s)
    client.receive(GREETING, now_s)
    return client


def following(*, after: int = 0, asked_epoch: str = "e1", epoch: str = "e1", now_s: float = 0.0) -> ClientLink:
    client = welcomed(now_s)
    client.follow("j", asked_epoch, after)
    client.receive(Following(job="j", epoch=epoch, head=100, after_seq=after), now_s)
    return client


def seqs(outputs: list[link.ClientOutput]) -> list[int]:
    return [record.seq for output in outputs if isinstance(output, Deliver) for record in output.records]


def test_client_introduces_itself_and_is_welcomed() -> None:
    client = ClientLink(client_id="c", client_version="1", now_s=0.0)
    assert client.hello() == Hello(client_id="c", client_version="1")
    assert client.receive(GREETING, 0.0) == [link.Welcome(hello_ok=GREETING)]


def test_agent_may_refuse_instead_of_greeting() -> None:
    refused = Refused(id="", code="agent.busy", what="no")
    assert ClientLink(client_id="c", client_version="1", now_s=0.0).receive(refused, 0.0) == [Answer(message=refused)]


def test_agent_that_does_not_greet_first_is_an_error() -> None:
    with pytest.raises(ProtocolError, match=r"protocol\.order"):
        ClientLink(client_id="c", client_version="1", now_s=0.0).receive(BEAT, 0.0)


def test_client_resumes_after_what_it_holds() -> None:
    client = following(after=7)
    assert seqs(client.receive(records(8, 9), 1.0)) == [8, 9]


def test_first_follow_of_a_run_starts_at_one_without_a_reset() -> None:
    client = welcomed()
    client.follow("j", "", 0)
    started = client.receive(Following(job="j", epoch="e9", head=3, after_seq=0), 0.0)
    assert started == [Started(job="j", epoch="e9", head=3, reset=False)]


@pytest.mark.parametrize(("epoch", "after"), [("other", 0), ("e1", 0)], ids=["another journal", "a shorter journal"])
def test_copy_of_another_history_is_dropped(epoch: str, after: int) -> None:
    client = welcomed()
    client.follow("j", "e1", 5)
    assert client.receive(Following(job="j", epoch=epoch, head=3, after_seq=after), 0.0) == [
        Started(job="j", epoch=epoch, head=3, reset=True)
    ]
    assert seqs(client.receive(records(1, 2, epoch=epoch), 0.0)) == [1, 2]


@pytest.mark.parametrize(("epoch", "after"), [("e1", 6), ("e1", 3), ("other", 5)])
def test_agent_that_starts_elsewhere_is_an_error(epoch: str, after: int) -> None:
    client = welcomed()
    client.follow("j", "e1", 5)
    with pytest.raises(ProtocolError, match=r"protocol\.gap"):
        client.receive(Following(job="j", epoch=epoch, head=9, after_seq=after), 0.0)


def test_request_for_a_history_is_answered_once_and_with_its_name() -> None:
    again = Following(job="j", epoch="e2", head=9, after_seq=0)
    client = following(asked_epoch="")
    with pytest.raises(ProtocolError, match="once"):
        client.receive(again, 0.0)
    client.follow("j", "e1", 0)
    assert client.receive(again, 0.0) == [Started(job="j", epoch="e2", head=9, reset=True)]
    with pytest.raises(ProtocolError):
        following(epoch="")


def test_records_seen_before_are_dropped() -> None:
    client = following()
    assert seqs(client.receive(records(1, 3), 0.0)) == [1, 2, 3]
    assert seqs(client.receive(records(2, 4), 0.0)) == [4]
    assert client.receive(records(1, 4), 0.0) == []


def test_missing_record_is_an_error() -> None:
    client = following()
    with pytest.raises(ProtocolError, match=r"protocol\.gap"):
        client.receive(records(2, 3), 0.0)


def test_records_nobody_asked_for_are_an_error() -> None:
    client = welcomed()
    with pytest.raises(ProtocolError, match=r"protocol\.order"):
        client.receive(records(1, 1), 0.0)
    with pytest.raises(ProtocolError, match=r"protocol\.order"):
        client.receive(Following(job="j", epoch="e1", head=0, after_seq=0), 0.0)
    client.follow("j", "", 0)
    with pytest.raises(ProtocolError, match=r"protocol\.order"):
        client.receive(records(1, 1), 0.0)
    with pytest.raises(ProtocolError, match=r"protocol\.order"):
        following().receive(records(1, 1, epoch="e2"), 0.0)


def test_message_that_only_a_client_sends_is_an_error() -> None:
    with pytest.raises(ProtocolError, match=r"protocol\.order"):
        welcomed().receive(Ack(job="j", epoch="e1", seq=1), 0.0)


def test_answers_are_handed_on_by_a_link_that_is_up() -> None:
    chunk = Chunk(id="r", offset=0, total=1, content=b"x")
    client = welcomed()
    assert client.receive(chunk, 1.0) == [Answer(message=chunk)]
    assert client.health(1.0) == "up"


def test_acknowledgements_come_at_most_once_a_second() -> None:
    client = following()
    client.receive(records(1, 3), 0.0)
    assert client.stored("j", 1, 0.5) == []
    assert client.stored("j", 2, 1.0) == [Send(message=Ack(job="j", epoch="e1", seq=2))]
    assert client.stored("j", 3, 1.5) == []
    assert client.stored("j", 3, 1.6, at_once=True) == [Send(message=Ack(job="j", epoch="e1", seq=3))]


def test_many_records_are_acknowledged_at_once() -> None:
    client = following()
    client.receive(records(1, link.ACK_EVERY_RECORDS), 0.0)
    assert client.stored("j", link.ACK_EVERY_RECORDS - 1, 0.1) == []
    assert len(client.stored("j", link.ACK_EVERY_RECORDS, 0.1)) == 1


def test_only_runs_with_news_are_acknowledged_between_heartbeats() -> None:
    client = following()
    client.follow("quiet", "", 0)
    client.receive(Following(job="quiet", epoch="e2", head=0, after_seq=0), 0.0)
    client.receive(records(1, 1), 0.0)
    assert client.stored("j", 1, 2.0) == [Send(message=Ack(job="j", epoch="e1", seq=1))]


def test_nothing_is_acknowledged_before_it_is_stored() -> None:
    client = following()
    client.receive(records(1, 50), 0.0)
    assert client.receive(BEAT, 5.0) == [Beat(heartbeat=BEAT), Send(message=Ack(job="j", epoch="e1", seq=0))]


def test_every_heartbeat_is_answered_with_an_acknowledgement_that_renews_the_lease() -> None:
    client = following()
    client.receive(records(1, 2), 0.0)
    client.stored("j", 2, 0.1)
    for now_s in (2.0, 4.0):
        assert client.receive(BEAT, now_s)[1:] == [Send(message=Ack(job="j", epoch="e1", seq=2))]


def test_run_whose_follow_is_unanswered_is_not_acknowledged() -> None:
    client = welcomed()
    client.follow("j", "", 0)
    assert client.receive(BEAT, 2.0) == [Beat(heartbeat=BEAT)]


def test_silence_makes_the_link_stale_and_then_dead() -> None:
    client = welcomed(now_s=100.0)
    assert client.health(100.0 + link.STALE_AFTER_S - 0.01) == "up"
    assert client.health(100.0 + link.STALE_AFTER_S) == "stale"
    assert client.health(100.0 + link.DEAD_AFTER_S) == "dead"
    client.receive(BEAT, 121.0)
    assert client.health(121.0) == "up"


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12), st.booleans()), max_size=12))
def test_history_has_no_gap_and_no_double_however_the_stream_is_cut(cuts: list[tuple[int, int, bool]]) -> None:
    """Each connection replays, overlaps by some records and breaks; ``stored`` may lag behind what was received."""
    disk: list[int] = []
    journal = records(1, 60).records
    for length, overlap, stored_all in [*cuts, (60, 0, True)]:
        client = following(after=len(disk))
        first = max(0, len(disk) - overlap)
        for start in range(first, min(len(journal), len(disk) + length), 7):
            batch = Records(job="j", epoch="e1", records=journal[start : min(start + 7, len(journal))])
            fresh = seqs(client.receive(batch, 0.0))
            if not stored_all and start > first:
                break
            disk += fresh
            client.stored("j", len(disk), 0.0)
    assert disk == list(range(1, 61))


def agent() -> AgentLink:
    made = AgentLink(GREETING, now_s=0.0)
    assert made.receive(Hello(client_id="c", client_version="1"), 1.0) == [Reply(message=GREETING)]
    return made


@pytest.mark.parametrize("message", [Pause(id="1", author="a", job="j"), Hello(client_id="", client_version="1")])
def test_agent_wants_a_greeting_first(message: Pause | Hello) -> None:
    with pytest.raises(ProtocolError, match=r"protocol\.order"):
        AgentLink(GREETING, now_s=0.0).receive(message, 0.0)


def test_agent_is_told_what_the_client_asks_for() -> None:
    made = agent()
    pause = Pause(id="1", author="a", job="j")
    assert made.receive(pause, 2.0) == [Execute(command=pause)]
    follow = welcomed().follow("j", "e1", 4)
    assert made.receive(follow, 2.0) == [FollowFrom(job="j", epoch="e1", after_seq=4)]
    read = GetArtifact(id="r", job="j", artifact_id="a", offset=0, length=link.MAX_CHUNK_BYTES)
    assert made.receive(read, 2.0) == [link.ReadArtifact(request=read)]


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, 0), (0, link.MAX_CHUNK_BYTES + 1)])
def test_impossible_artifact_range_is_refused(offset: int, length: int) -> None:
    read = GetArtifact(id="r", job="j", artifact_id="a", offset=offset, length=length)
    [reply] = agent().receive(read, 2.0)
    assert isinstance(reply, Reply)
    assert isinstance(reply.message, Refused)
    assert (reply.message.id, reply.message.code) == ("r", "artifact.range")


def test_agent_remembers_acknowledgements_and_when_the_client_was_heard() -> None:
    made = agent()
    assert made.receive(Ack(job="j", epoch="e1", seq=9), 7.0) == []
    assert made.acked == {"j": 9}
    assert (made.client_id, made.last_heard_s) == ("c", 7.0)


@pytest.mark.parametrize("message", [BEAT, Hello(client_id="c", client_version="1")])
def test_agent_refuses_what_only_an_agent_says_and_a_second_greeting(message: Heartbeat | Hello) -> None:
    with pytest.raises(ProtocolError, match=r"protocol\.order"):
        agent().receive(message, 2.0)


@pytest.mark.parametrize(
    ("epoch", "after", "starts_after"),
    [("e1", 5, 5), ("e1", 9, 9), ("e1", 10, 0), ("e2", 5, 0), ("", 0, 0), ("e1", -1, 0)],
)
def test_agent_starts_where_the_clients_copy_ends_if_it_is_of_this_journal(
    epoch: str, after: int, starts_after: int
) -> None:
    asked = FollowFrom(job="j", epoch=epoch, after_seq=after)
    assert AgentLink.following(asked, epoch="e1", head=9).after_seq == starts_after
