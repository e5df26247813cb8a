"""Runs the sessions in a thread and a loop of their own: a stalled terminal never delays a stored record or a command.

Everyone else sees snapshots, and calls in from any other thread.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING, Any, TypeVar

from loratui.domain.run import CommandKind, RunView
from loratui.remote.groups import one_error
from loratui.sessions.commands import command
from loratui.sessions.followed import Followed
from loratui.sessions.minders import Minders
from loratui.sessions.rented import rental_label
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.targets import Targets
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui_protocol.errors import JobError, LoratuiError
from loratui_protocol.ids import new_id
from loratui_protocol.messages import CommandResult, RunEnd

if TYPE_CHECKING:
    from loratui.sessions.renting_end import Receipt

log = logging.getLogger(__name__)
START_TIMEOUT_S = 60.0
"""So long an agent that has to be started may take to answer."""
_STOP_TIMEOUT_S = 5.0
_CALL_TIMEOUT_S = 30.0
T = TypeVar("T")


class SessionHost:
    """The followed runs of this process. Its methods are for other threads than its own."""

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda _: None, *, minds: bool = False) -> None:
        """``say`` is told, in the host's thread, what a person should see of the way to a machine.

        With ``minds`` the rentals that runs are on are minded, and ended once everything is here.
        """
        self._minds = minds
        self._settings = settings
        self._say = say
        self._targets = Targets(settings, say=lambda text: self._say(text))
        self._client_id = new_id()
        self._thread = threading.Thread(target=self._run, name="sessions", daemon=True)
        self._started: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop
        self._closing: asyncio.Event
        self._store: Store
        self._tasks: asyncio.TaskGroup
        self._minders: Minders
        self._performing: dict[asyncio.Task[None], Future[Any]] = {}
        self._followed: dict[str, Followed] = {}
        self._news = threading.Condition()
        self._views: dict[str, RunView] = {}
        self._last_seqs: dict[str, int] = {}
        self._subscribers: list[Callable[[], None]] = []
        self._num_news = 0
        self._unanswered: set[Future[Any]] = set()
        """What was asked of the host's thread: if that ends first, whoever waits hears of it."""
        self._ended = False
        self._why_ended = ""

    def start(self) -> None:
        """Open the store and start following.

        Raises:
            StorageError: the store can't be opened.
        """
        self._thread.start()
        self._started.result()
        threading.Thread(target=self._notify, name="sessions-news", daemon=True).start()

    def close(self) -> None:
        """Let go of all runs, which go on; returns when nothing is written any more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join(_STOP_TIMEOUT_S)

    def follow(self, run_id: str) -> "Future[None]":
        """Follow a run that the store knows; its history is there at once.

        The returned future is done when the agent answered, and fails with the error of an attempt that shows that a
        new run can't start. Either way the run is followed until ``unfollow``.

        Raises:
            StorageError: the store does not know the run, or is damaged.
            UsageError: its target can't be reached by this version.
        """
        return self._call(lambda: self._follow(self._store.run(run_id)))

    def begin(self, run: StoredRun) -> "Future[None]":
        """Remember a new run and follow it, which starts it; the future is as of ``follow``."""

        def add() -> Future[None]:
            self._store.add_run(run)
            return self._follow(run)

        return self._call(add)

    def unfollow(self, run_id: str, *, forget: bool = False, is_lost: bool = False) -> bool:
        """Stop following a run; ``forget`` it too if no agent can have it. Return whether it was forgotten.

        ``is_lost``: whatever agent has it, its machine is about to end.
        """

        def remove() -> bool:
            followed = self._followed.pop(run_id)
            followed.end()
            forgotten = forget and (is_lost or not followed.session.is_known_to_agent)
            if forgotten:
                self._store.forget_run(run_id)
            return forgotten

        return self._call(remove)

    def view(self, run_id: str) -> RunView:
        """Return the newest snapshot of a followed run; nobody changes it.

        Raises:
            JobError: the host has ended.
        """
        self._check()
        return self._views[run_id]

    def last_view(self, run_id: str) -> RunView:
        """Return the newest snapshot there ever was of a run that is or was followed, though the host has ended."""
        return self._views[run_id]

    def wait(self, run_id: str, after_version: int, timeout_s: float) -> RunView:
        """Return a snapshot newer than ``after_version`` as soon as there is one, else after the timeout the newest."""
        with self._news:
            self._news.wait_for(lambda: self._ended or self._views[run_id].version > after_version, timeout_s)
        return self.view(run_id)

    def wait_for_record(self, run_id: str, after_seq: int, after_version: int, timeout_s: float) -> RunView:
        """Return as ``wait`` does, or as soon as a record after ``after_seq`` is stored: those are never held back."""
        with self._news:
            self._news.wait_for(
                lambda: (
                    self._ended or self._last_seqs[run_id] > after_seq or self._views[run_id].version > after_version
                ),
                timeout_s,
            )
        return self.view(run_id)

    def send(
        self, run_id: str, command_kind: CommandKind, seconds: float = 0, *, end: RunEnd | None = None
    ) -> "Future[CommandResult]":
        """Send a command once the agent is reached; the result comes when the run carried it out or refused it.

        Waits for nothing, and raises nothing: every error is the future's.
        """
        result: Future[CommandResult] = Future()

        def send() -> None:
            self._followed[run_id].session.send(message, result)

        try:
            message = command(command_kind, run_id, self._settings.author, seconds, end=end)
            label = rental_label(self.view(run_id).target)
            if command_kind == "extend" and label:
                # The rental's end first: a run that may go on longer than its machine would lose its last steps.
                self._extend(label, seconds, send, result)
            else:
                self._begin(send, result)
        except Exception as error:  # noqa: BLE001  handed to whoever waits for the result
            _hand(error, result)
        return result

    def _extend(self, label: str, seconds: float, then: Callable[[], None], result: "Future[Any]") -> None:
        """Do ``then`` in the host's loop once a rental's end is moved; what either raises is what ``result`` raises."""
        from loratui.sessions.moving import extend_rental

        async def extend(targets: Targets) -> None:
            await extend_rental(targets, self._settings, label, seconds)
            then()

        def pass_on(extended: "Future[None]") -> None:
            if extended.cancelled():
                result.cancel()
            elif (error := extended.exception()) is not None:
                _hand(error, result)

        self.perform(extend).add_done_callback(pass_on)

    def rental_ended(self, run_id: str) -> "Future[Receipt | None] | None":
        """Return what has the receipt once the rental of a followed run is over; None where it is not minded here."""
        target = self.view(run_id).target
        minder = self._call(lambda: self._minders.minder(target))
        return None if minder is None else minder.ended

    def expect_runs(self, label: str) -> None:
        """Know that runs are being started on a rental: until ``hand_over`` it does not end because they are over."""
        self._call(lambda: self._minders.expect(label))

    def hand_over(self, label: str, folder: RentalFolder) -> None:
        """Know that every run of a rental was started; whoever minds it holds its folder from now on."""
        self._call(lambda: self._minders.take(label, folder))

    def retry_now(self, run_id: str) -> None:
        """Try at once to reach an agent that is down; waits for nothing."""
        self._begin(lambda: self._followed[run_id].session.retry_now(), Future())

    def hush(self) -> None:
        """Say nothing more of the way to a machine."""
        self._say = lambda _: None

    def perform(self, work: Callable[[Targets], Coroutine[Any, Any, T]]) -> "Future[T]":
        """Do in the host's loop what needs the machines, over the connections that the runs use, until ``close``."""
        result: Future[T] = Future()

        async def perform() -> None:
            try:
                result.set_result(await work(self._targets))
            except asyncio.CancelledError:
                result.cancel()
                raise
            except BaseException as error:  # noqa: BLE001  handed to the calling thread
                _hand(error, result)

        def begin() -> None:
            task = self._tasks.create_task(perform(), name="perform")
            self._performing[task] = result
            task.add_done_callback(lambda task: self._performing.pop(task, None))

        self._begin(begin, result)
        return result

    def interrupt(self, result: "Future[Any]") -> None:
        """Cancel what ``perform`` does; its end, which may take a while, is that of the future.

        It has begun by then: work that ends a rental must not be cancelled before it could say that it goes on.
        """

        def cancel() -> None:
            for task, known in self._performing.items():
                if known is result:
                    # Behind the first step of a task that was created just now.
                    self._loop.call_soon(task.cancel)

        self._call(cancel)

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called after news, in a thread of its own, at most ten times a second for each run.

        One that takes its time delays other callbacks, and nothing else.
        """
        with self._news:
            self._subscribers.append(callback)

    def _follow(self, run: StoredRun) -> "Future[None]":
        if run.id not in self._followed:
            # With the connection to agents, which the first frame of the interface does not wait for.
            from loratui.sessions.session import RunSession

            followed = Followed(self._publish, self._stored)
            followed.session = RunSession(
                run,
                self._store,
                self._targets.way_to(run),
                folder=self._settings.run_folder(run.id),
                author=self._settings.author,
                client_id=self._client_id,
                changed=followed.changed,
                supplier=self._targets.supplier(run),
                policy=self._settings.downloads,
                entered=lambda state, ts: self._minders.entered(run, state, ts),
            )
            if self._minds:
                self._minders.mind(run)
            followed.publish()
            followed.task = self._tasks.create_task(followed.session.run(), name=f"follow {run.id}")
            self._followed[run.id] = followed
        return self._followed[run.id].session.answered

    def _stored(self, run_id: str, last_seq: int) -> None:
        with self._news:
            self._last_seqs[run_id] = last_seq
            self._news.notify_all()

    def _publish(self, view: RunView) -> None:
        with self._news:
            self._views[view.run_id] = view
            self._num_news += 1
            self._news.notify_all()

    def _notify(self) -> None:
        told = 0
        while True:
            with self._news:
                while not self._ended and self._num_news == told:
                    self._news.wait()
                told = self._num_news
                subscribers = list(self._subscribers)
                if self._ended:
                    return
            for callback in subscribers:
                callback()

    def _call(self, function: Callable[[], T]) -> T:
        """Call ``function`` in the host's thread and return what it returns."""
        result: Future[T] = Future()
        self._begin(lambda: result.set_result(function()), result)
        return result.result(_CALL_TIMEOUT_S)

    def _begin(self, function: Callable[[], None], result: "Future[Any]") -> None:
        """Call ``function`` in the host's thread, soon; what it raises, or that the host ends, is ``result``'s."""

        def run() -> None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001  handed to whoever waits for the result
                _hand(error, result)

        with self._news:
            self._check()
            self._unanswered.add(result)
        result.add_done_callback(self._unanswered.discard)
        # A loop that is closed by now ends the host, which then tells whoever waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(run)

    def _check(self) -> None:
        if self._ended:
            raise self._gone()

    def _gone(self) -> JobError:
        return JobError(
            f"nothing is followed here any more{self._why_ended}; runs go on, and what is rented bills on",
            fix="leave loratui and open it again",
            code="sessions.ended",
        )

    def _run(self) -> None:
        try:
            with one_error():
                asyncio.run(self._serve())
        except LoratuiError as error:
            self._fail(error, error.what)
        except Exception as error:
            # The thread's boundary: a bug of ours ends the host, and every caller hears of it.
            log.exception("the session host broke")
            self._fail(error, f"{type(error).__name__}: {error}")
        finally:
            with self._news:
                self._ended = True
                unanswered = self._unanswered.copy()
                self._news.notify_all()
            for result in unanswered:
                _hand(self._gone(), result)

    def _fail(self, error: Exception, what: str) -> None:
        if self._started.done():
            log.error("the session host ended: %s", what)
            self._why_ended = f" ({what})"
        else:
            self._started.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        with Store(self._settings.database) as self._store:
            try:
                async with asyncio.TaskGroup() as self._tasks:
                    self._minders = Minders(
                        self._settings, self._store, self._targets, self._tasks, self._followed, self._follow
                    )
                    self._started.set_result(None)
                    await self._closing.wait()
                    self._minders.close()
                    for followed in self._followed.values():
                        followed.end()
                    for task in self._performing:
                        task.cancel()
            finally:
                for followed in self._followed.values():
                    followed.session.close()
                await self._targets.close()


def _hand(error: BaseException, result: "Future[Any]") -> None:
    """Let a future fail, unless whoever waits has been told already, or waits no more."""
    with contextlib.suppress(InvalidStateError):
        result.set_exception(error)
