"""Follows one run, for as long as anyone wants: connects, resumes, stores, acknowledges, and begins again.

Start here to see how a record travels: ``_receive`` stores it, folds it into the view, and only then acknowledges it.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from loratui.domain.download_policy import EVERYTHING, DownloadPolicy
from loratui.domain.run import LinkState, RunView
from loratui.remote.agent_client import AgentClient, Transport, connected
from loratui.remote.file_stream import FileWay
from loratui.remote.groups import one_error
from loratui.sessions.clocks import Clocks
from loratui.sessions.commands import start_command
from loratui.sessions.downloads import Downloads
from loratui.sessions.recalled import fold_stored
from loratui.sessions.retrying import STEADY_S, fault, retry_after_s
from loratui.sessions.steady_clock import steady_ts
from loratui.sessions.supplying import Supplier, supply
from loratui.store import Store, StoredRun
from loratui_protocol.errors import AgentUnreachableError, HostError, JobError, LoratuiError
from loratui_protocol.ids import new_id
from loratui_protocol.link import Beat, Deliver, Started
from loratui_protocol.messages import Command, CommandResult, JobState, Refused, State, Stop

log = logging.getLogger(__name__)
_WATCH_EVERY_S = 0.5
_GPU_CHARS = 64
_FOR_A_PERSON = ("ssh.host_key", "ssh.host_key_changed", "rental.over")
"""Errors that end following: whoever answers may be someone else, and only a person can tell."""


class RunSession:
    """One followed run. Everything happens in the host's loop; ``changed`` is told when the view has news."""

    def __init__(
        self,
        run: StoredRun,
        store: Store,
        transport: Transport,
        *,
        folder: Path,
        author: str,
        client_id: str,
        changed: Callable[[], None],
        supplier: Supplier | None = None,
        policy: DownloadPolicy = EVERYTHING,
        entered: Callable[[JobState, float], None] = lambda _state, _ts: None,
    ) -> None:
        """``entered`` is told the states as they come, and when each began: ``steady_ts`` seconds."""
        self._run = run
        self._supplier = supplier
        self._store = store
        self._transport = transport
        self._author = author
        self._client_id = client_id
        self._changed = changed
        self._entered = entered
        way = FileWay(opened=transport.files, token=transport.token)
        self._downloads = Downloads(run, store, folder, author, changed, files=way, policy=policy)
        self._waiting: dict[str, tuple[Command, Future[CommandResult]]] = {}
        self._unsent: asyncio.Queue[Command] = asyncio.Queue()
        self._retry = asyncio.Event()
        self._failures = 0
        self._taken_up_s: float | None = None
        self._is_outdated = False
        """Whether another process has replaced the history that the view is of."""
        self._clocks = Clocks()
        self._is_closed = False
        self._gpu = run.gpu
        self.answered: Future[None] = Future()
        """Done when the agent has the run; failed when the first attempt shows that it never will."""
        self.view = self._recall()
        self.is_known_to_agent = self.view.last_seq > 0 or not run.is_ours
        """Whether the agent has the run, or may have it though its answer was lost."""

    async def run(self) -> None:
        """Follow the run until closed and cancelled, or until a person has to decide (``view.given_up``)."""
        while True:
            wait_s = 0.0
            try:
                with one_error():
                    await self._follow_once()
            except LoratuiError as error:
                wait_s = self._failed(error)
            except Exception as error:
                # The boundary of one run: whatever its host made us stumble over, the others go on.
                log.exception("run=%s", self._run.id)
                wait_s = self._failed(fault(error))
            # A task group that fails while it is being cancelled raises its error and forgets that it was cancelled.
            if self._is_closed or self.view.given_up is not None:
                return
            await self._pause(wait_s)

    def send(self, command: Command, result: "Future[CommandResult]") -> None:
        """Send a command, now or as soon as the agent is reached; the run's journal brings the result."""
        if self.view.given_up is not None:
            result.set_exception(self.view.given_up)
            return
        self._waiting[command.id] = (command, result)
        self._unsent.put_nowait(command)
        self.retry_now()

    def retry_now(self) -> None:
        """Try to reach the agent at once if it is down."""
        self._retry.set()

    def close(self) -> None:
        """Let whoever waits for the agent know that nobody is asking it any more; ``run`` must be cancelled too."""
        self._is_closed = True
        self.answered.cancel()
        for _, result in self._waiting.values():
            result.cancel()

    def _recall(self) -> RunView:
        """Return the view that the store remembers."""
        view = self._empty_view()
        view.journal = self._store.run(self._run.id).epoch
        fold_stored(view, self._store)
        self._downloads.recall(view)
        return view

    def _empty_view(self) -> RunView:
        run, now_s = self._run, time.monotonic()
        view = RunView(run_id=run.id, name=run.name, target=run.target, link_since_s=now_s)
        view.price_microusd_per_h = run.price_microusd_per_h
        view.clock_offset_s = now_s - time.time()
        return view

    async def _follow_once(self) -> None:
        if self._is_outdated:
            version, self.view = self.view.version, self._recall()
            self.view.version, self._is_outdated = version, False
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._drop_after_sleep(), name="clocks")
            async with connected(self._transport, self._client_id) as agent:
                await self._converse(agent)

    async def _converse(self, agent: AgentClient) -> None:
        """Do everything that goes on while connected; ends with an error, as every connection does."""
        self.view.clock_offset_s = time.monotonic() - agent.hello_ok.now_ts
        if self.view.last_seq == 0 and self._run.is_ours:
            self.is_known_to_agent = True
            await agent.command(start_command(self._run, self._author))
        await agent.follow(self._run.id, self.view.journal, self.view.last_seq)
        # What was sent on an earlier connection may be lost: everything unanswered goes again.
        self._unsent = asyncio.Queue()
        for command, result in list(self._waiting.values()):
            if result.cancelled():
                del self._waiting[command.id]
            else:
                self._unsent.put_nowait(command)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive(agent), name="receive")
            tasks.create_task(self._send_commands(agent), name="send")
            tasks.create_task(self._downloads.run(agent), name="downloads")
            tasks.create_task(self._watch(agent), name="watch")
            if self._supplier is not None and self.view.may_need_supply:
                tasks.create_task(self._supply(agent, self._supplier), name="supply")

    async def _receive(self, agent: AgentClient) -> None:
        while True:
            for event in await agent.receive():
                match event:
                    case Started():
                        self._start(event)
                    case Deliver():
                        await self._deliver(agent, event)
                    case Beat(heartbeat=heartbeat):
                        self.view.beat(heartbeat, time.monotonic())
                        self._note_gpu(heartbeat.telemetry.gpu_name)
                    case Refused():
                        self._refused(event)
            if self.view.link is LinkState.STALE:
                self.view.heard(LinkState.UP, time.monotonic())
            self._changed()

    def _note_gpu(self, name: str | None) -> None:
        """Remember what GPU trains: later estimates for that GPU take the speed of this run."""
        if name and not self._gpu:
            self._gpu = name[:_GPU_CHARS]
            self._store.note_gpu(self._run.id, self._gpu)

    def _start(self, started: Started) -> None:
        self._store.begin_history(self._run.id, started.epoch, reset=started.reset)
        if started.reset:
            log.warning("run=%s journal=%s the stored history was of another journal", self._run.id, started.epoch)
            version, self.view = self.view.version, self._empty_view()
            self.view.version = version
            self._downloads.recall(self.view)
        self.view.journal, self.view.head = started.epoch, started.head
        self._taken_up_s = time.monotonic()
        self.view.heard(LinkState.UP, self._taken_up_s)
        if not self.answered.done():
            self.answered.set_result(None)

    async def _deliver(self, agent: AgentClient, delivered: Deliver) -> None:
        self._store.append(self._run.id, delivered.epoch, delivered.records)
        for record in delivered.records:
            self.view.apply(record)
            if isinstance(record.event, State):
                self._entered(record.event.state, record.ts + self.view.clock_offset_s + steady_ts() - time.monotonic())
            if isinstance(record.event, CommandResult):
                self._resolve(record.event)
                self._downloads.answered(record.event)
        self._changed()
        self._downloads.wake()
        # Who follows a run that is over may leave any moment: what the agent does then waits for this.
        await agent.stored(self._run.id, delivered.records[-1].seq, at_once=self.view.state.is_final)

    async def _send_commands(self, agent: AgentClient) -> None:
        while True:
            await agent.command(await self._unsent.get())

    async def _supply(self, agent: AgentClient, supplier: Supplier) -> None:
        """Bring what the run needs of this machine; where that can't be done the run is stopped, not left waiting."""
        if not await supply(supplier, self.view, self._changed):
            await agent.command(Stop(id=new_id(), author=self._author, job=self._run.id))

    async def _watch(self, agent: AgentClient) -> None:
        """Give the connection up when the agent is silent for too long."""
        while True:
            await asyncio.sleep(_WATCH_EVERY_S)
            health = agent.health()
            if health == "dead":
                # What it leads over is as silent: the next attempt must not wait for it.
                self._transport.abandon()
                raise AgentUnreachableError("the agent has not been heard for a while", code="agent.silent")
            if health == "stale" and self.view.link is LinkState.UP:
                self.view.heard(LinkState.STALE, time.monotonic())
                self._changed()

    async def _drop_after_sleep(self) -> None:
        """Drop the connection, or the attempt to make one, when this machine slept: it may only look alive."""
        await self._clocks.slept()
        self._transport.abandon()
        raise AgentUnreachableError("this machine slept", code="agent.lost")

    def _refused(self, refused: Refused) -> None:
        """Tell whoever waits for the command; a run that the agent does not know ends the connection."""
        waiting = self._waiting.get(refused.id)
        if waiting is not None:
            command, _ = waiting
            self._resolve(
                CommandResult(
                    id=refused.id,
                    command=command.tag,
                    author=self._author,
                    ok=False,
                    code=refused.code,
                    message=refused.what,
                )
            )
        elif refused.id == self._run.id:
            self.is_known_to_agent = self.view.last_seq > 0
            raise JobError(refused.what, fix=refused.fix, code=refused.code)

    def _resolve(self, result: CommandResult) -> None:
        waiting = self._waiting.pop(result.id, None)
        # The caller may have given up meanwhile.
        if waiting is not None and waiting[1].set_running_or_notify_cancel():
            waiting[1].set_result(result)

    def _failed(self, error: LoratuiError) -> float:
        """Note why the agent can't be reached and return how long to wait before the next attempt."""
        if isinstance(error, HostError) and error.code in _FOR_A_PERSON:
            self.give_up(error)
            return 0.0
        now_s = time.monotonic()
        taken_up_s, self._taken_up_s = self._taken_up_s, None
        if taken_up_s is not None and now_s - taken_up_s >= STEADY_S:
            self._failures = 0
        # After a sleep the first attempt is made at once, however many failed before it.
        self._failures = 0 if self._clocks.take_slept() else self._failures + 1
        wait_s = retry_after_s(self._failures, random.random()) if self._failures else 0.0
        log.info("run=%s link=down failures=%d retry_s=%.2f %s", self._run.id, self._failures, wait_s, error)
        self._is_outdated |= error.code == "store.other_history"
        self.view.heard(LinkState.DOWN, now_s, detail=error.what, retry_at_s=now_s + wait_s)
        self._changed()
        # Where the request to start may have arrived the run may exist: then trying goes on.
        if not self.answered.done() and not self.is_known_to_agent:
            self.answered.set_exception(error)
        return wait_s

    def give_up(self, error: LoratuiError) -> None:
        """Let nobody wait for the agent any more; whoever calls it ends ``run``, too."""
        log.info("run=%s link=down given up: %s", self._run.id, error)
        self.view.given_up = error
        self.view.heard(LinkState.DOWN, time.monotonic(), detail=error.what)
        self.view.note(time.time(), "ERROR", f"[{error.code}] {error.what}")
        if not self.answered.done():
            self.answered.set_exception(error)
        waiting, self._waiting = self._waiting, {}
        for _, result in waiting.values():
            if result.set_running_or_notify_cancel():
                result.set_exception(error)
        self._changed()

    async def _pause(self, wait_s: float) -> None:
        self._retry.clear()
        await self._clocks.pause(wait_s, self._retry)
