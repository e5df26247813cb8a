"""The rules of one connection between client and agent, without any I/O: greeting, resuming, acknowledging, health.

A driver owns the socket and the clock. It hands every message that arrives to ``receive`` and carries out what comes
back; the link decides, so both ends can be tested at any cut of the stream without a network. A link lives as long
as its connection: after a reconnection the driver makes a new one and follows from what it has stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from loratui_protocol.errors import ProtocolError
from loratui_protocol.messages import (
    Ack,
    AckArtifacts,
    CheckpointNow,
    Chunk,
    Command,
    Extend,
    Follow,
    Following,
    GetArtifact,
    Heartbeat,
    Hello,
    HelloOk,
    Message,
    Pause,
    Record,
    Records,
    Refused,
    Resume,
    SampleNow,
    StartJob,
    Stop,
)

HEARTBEAT_S = 2.0
"""How often the agent says that it lives."""
STALE_AFTER_S = 6.0
"""Silence after which numbers on a screen get their age."""
DEAD_AFTER_S = 17.0
"""Silence after which the client gives the connection up and makes a new one: three heartbeats are missing."""
ACK_EVERY_S = 1.0
ACK_EVERY_RECORDS = 500
MAX_BATCH_RECORDS = 256
"""Records in one message, at most."""
MAX_CHUNK_BYTES = 256 << 10
"""Artifact bytes in one message, at most."""

Health = Literal["up", "stale", "dead"]


# --- what the client's driver is told to do --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """The agent took us in."""

    hello_ok: HelloOk


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Records of ``job`` come next; with ``reset`` the copy held so far is of another history and must be dropped."""

    job: str
    epoch: str
    head: int
    reset: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """New records, consecutive and each for the first time: store them, then call ``stored``."""

    job: str
    epoch: str
    records: list[Record]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The agent lives."""

    heartbeat: Heartbeat


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to the request whose id it carries."""

    message: Chunk | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send this."""

    message: Message


ClientOutput = Welcome | Started | Deliver | Beat | Answer | Send


@dataclass(slots=True)
class _Followed:
    """How far one job's history has come on this connection."""

    asked_epoch: str
    received: int
    stored: int
    acked: int
    epoch: str = ""
    """Empty until the agent answered."""


class ClientLink:
    """The client's end. ``now_s`` is monotonic seconds, everywhere."""

    def __init__(self, *, client_id: str, client_version: str, now_s: float) -> None:
        self._client_id = client_id
        self._client_version = client_version
        self._welcomed = False
        self._followed: dict[str, _Followed] = {}
        self._last_heard_s = now_s
        self._last_ack_s = now_s

    def hello(self) -> Hello:
        """Return the first message of the connection."""
        return Hello(client_id=self._client_id, client_version=self._client_version)

    def follow(self, job: str, epoch: str, after_seq: int) -> Follow:
        """Return the request for the records of ``job`` after ``after_seq`` of the stored copy of ``epoch``."""
        self._followed[job] = _Followed(asked_epoch=epoch, received=after_seq, stored=after_seq, acked=after_seq)
        return Follow(job=job, epoch=epoch, after_seq=after_seq)

    def receive(self, message: Message, now_s: float) -> list[ClientOutput]:
        """Return what to do about a message from the agent, in order.

        Raises:
            ProtocolError: the message breaks the rules; the connection is of no more use.
        """
        self._last_heard_s = now_s
        if not self._welcomed:
            if isinstance(message, HelloOk):
                self._welcomed = True
                return [Welcome(hello_ok=message)]
            if isinstance(message, Refused):
                return [Answer(message=message)]
            raise ProtocolError(f"the agent sent {message.tag} before its greeting", code="protocol.order")
        match message:
            case Following():
                return [self._start(message)]
            case Records():
                return self._deliver(message)
            case Heartbeat():
                return [Beat(heartbeat=message), *self._acks(now_s, renew=True)]
            case Chunk() | Refused():
                return [Answer(message=message)]
            case _:
                raise ProtocolError(f"the agent sent {message.tag}, which only a client sends", code="protocol.order")

    def stored(self, job: str, seq: int, now_s: float, *, at_once: bool = False) -> list[Send]:
        """Note that everything up to ``seq`` is on our disk; return the acknowledgement when one is due, or wanted."""
        self._followed[job].stored = seq
        pending = sum(followed.stored - followed.acked for followed in self._followed.values())
        if at_once or pending >= ACK_EVERY_RECORDS or now_s - self._last_ack_s >= ACK_EVERY_S:
            return self._acks(now_s, renew=False)
        return []

    def health(self, now_s: float) -> Health:
        """Return whether the agent is heard, late, or to be given up."""
        silence_s = now_s - self._last_heard_s
        if silence_s >= DEAD_AFTER_S:
            return "dead"
        return "stale" if silence_s >= STALE_AFTER_S else "up"

    def _start(self, message: Following) -> Started:
        followed = self._followed.get(message.job)
        if followed is None:
            raise ProtocolError("the agent answers for a run that nobody asked for", code="protocol.order")
        if followed.epoch or not message.epoch:
            # Each answer may make the copy held here begin anew: there is one, and it names its history.
            raise ProtocolError("the agent does not answer once, and for a journal", code="protocol.order")
        asked = followed.received
        same_history = message.epoch == followed.asked_epoch and message.after_seq == asked
        if not same_history and message.after_seq != 0:
            raise ProtocolError(
                f"asked for records after {asked}, the agent starts after {message.after_seq}", code="protocol.gap"
            )
        if not same_history:
            followed.received = followed.stored = followed.acked = 0
        followed.epoch = message.epoch
        return Started(
            job=message.job,
            epoch=message.epoch,
            head=message.head,
            reset=not same_history and followed.asked_epoch != "",
        )

    def _deliver(self, message: Records) -> list[ClientOutput]:
        followed = self._followed.get(message.job)
        if followed is None or not followed.epoch or followed.epoch != message.epoch:
            raise ProtocolError("records arrived that belong to no history followed here", code="protocol.order")
        fresh = [record for record in message.records if record.seq > followed.received]
        for record in fresh:
            if record.seq != followed.received + 1:
                raise ProtocolError(
                    f"record {followed.received + 1} of run {message.job} is missing, {record.seq} came instead",
                    code="protocol.gap",
                )
            followed.received = record.seq
        return [Deliver(job=message.job, epoch=message.epoch, records=fresh)] if fresh else []

    def _acks(self, now_s: float, *, renew: bool) -> list[Send]:
        """Return an ack for every run with news; with ``renew`` for every run, since acks renew the lease."""
        self._last_ack_s = now_s
        acks = []
        for job, followed in self._followed.items():
            if followed.epoch and (renew or followed.stored > followed.acked):
                followed.acked = followed.stored
                acks.append(Send(message=Ack(job=job, epoch=followed.epoch, seq=followed.stored)))
        return acks


# --- what the agent's driver is told to do ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Send this."""

    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowFrom:
    """The client wants a job's records: answer with ``AgentLink.following``, then send them."""

    job: str
    epoch: str
    after_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Execute:
    """Carry this command out, once per id; its result goes to the journal."""

    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadArtifact:
    """Answer with a ``Chunk`` or a ``Refused`` of the request's id."""

    request: GetArtifact


AgentOutput = Reply | FollowFrom | Execute | ReadArtifact


class AgentLink:
    """The agent's end, one for each client. ``greeting`` is what a client is told first."""

    def __init__(self, greeting: HelloOk, *, now_s: float) -> None:
        self._greeting = greeting
        self._acked: dict[str, int] = {}
        self.client_id = ""
        self.last_heard_s = now_s
        """When the client last said anything: its lease runs from here."""

    @property
    def acked(self) -> Mapping[str, int]:
        """Return how far each followed job is on the client's disk."""
        return MappingProxyType(self._acked)

    def receive(self, message: Message, now_s: float) -> list[AgentOutput]:
        """Return what to do about a message from the client, in order.

        Raises:
            ProtocolError: the message breaks the rules; the connection has to be closed.
        """
        self.last_heard_s = now_s
        if not self.client_id:
            if isinstance(message, Hello) and message.client_id:
                self.client_id = message.client_id
                return [Reply(message=self._greeting)]
            raise ProtocolError(f"the client sent {message.tag} before its greeting", code="protocol.order")
        match message:
            case Follow():
                return [FollowFrom(job=message.job, epoch=message.epoch, after_seq=message.after_seq)]
            case Ack():
                self._acked[message.job] = message.seq
                return []
            case GetArtifact():
                return [self._read(message)]
            case StartJob() | Pause() | Resume() | CheckpointNow() | SampleNow() | Stop() | Extend() | AckArtifacts():
                return [Execute(command=message)]
            case _:
                raise ProtocolError(f"the client sent {message.tag}, which only an agent sends", code="protocol.order")

    @staticmethod
    def following(asked: FollowFrom, *, epoch: str, head: int) -> Following:
        """Return the answer to a follow request, for a journal ``epoch`` that ends at ``head``.

        Send the records after the answer's ``after_seq``. It is 0 when the client's copy is of another history, or
        longer than ours: then our newest records were lost with the machine, and its copy can't be continued.
        """
        ours = asked.epoch == epoch and 0 <= asked.after_seq <= head
        return Following(job=asked.job, epoch=epoch, head=head, after_seq=asked.after_seq if ours else 0)

    @staticmethod
    def _read(request: GetArtifact) -> ReadArtifact | Reply:
        if request.offset < 0 or not 0 < request.length <= MAX_CHUNK_BYTES:
            return Reply(
                message=Refused(
                    id=request.id,
                    code="artifact.range",
                    what=f"{request.length} bytes at {request.offset} can't be read",
                    fix=f"ask for 1 to {MAX_CHUNK_BYTES} bytes",
                )
            )
        return ReadArtifact(request=request)
