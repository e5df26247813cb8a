"""Brings a run's saved states home while nothing else is fetched: should its machine vanish, the run goes on elsewhere.

One whole state is kept, the newest that was verified. What is on its way is finished before a newer one is begun, since
else a slow line would never have a whole one; the box holds it for so long.
"""

import asyncio
import collections
import contextlib
import hashlib
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from loratui.domain.download_policy import DownloadPolicy
from loratui.domain.ledger import Rates, traffic_microusd
from loratui.domain.read_ahead import ReadAhead
from loratui.domain.run import RunView
from loratui.domain.saved_states import EVERY_S, Rhythm, newest_offered, pays_in_s
from loratui.remote.agent_client import AgentClient
from loratui.remote.file_stream import FileWay
from loratui.remote.in_thread import in_thread
from loratui.remote.transfer import download
from loratui.store import Store
from loratui_protocol.errors import AgentUnreachableError, HostError, LoratuiError, ProtocolError, StorageError
from loratui_protocol.messages import Artifact
from loratui_protocol.state_files import MANIFEST, SavedState, state_folder, states_in, step_of_folder, verified_state

log = logging.getLogger(__name__)
STATES = "states"
"""The folder below that of the run."""
BULK_FROM_BYTES = 2 << 20
"""From this size on a file comes over a connection of its own, lest what happens in the run waits behind it."""
_COUNT_BYTES = 16 << 20
"""Whoever is killed has not counted so many."""
_UNKNOWN_S = 2.0
_BULK_ATTEMPTS = 2
_ATTEMPTS = 3
_PAUSE_S = 0.5
_NUM_FAILED = 16


def newest_state(run_folder: Path) -> SavedState | None:
    """Return the newest state of a run that is whole on this machine, None where there is none. Reads all of it."""
    for folder in states_in(run_folder / STATES):
        try:
            return verified_state(folder)
        except StorageError as error:
            log.warning("%s", error.what)
    return None


class SavedStates:
    """The saved states of one run, below ``folder``. ``note`` tells the user what a setting keeps from coming."""

    def __init__(
        self,
        run_id: str,
        store: Store,
        folder: Path,
        *,
        files: FileWay,
        policy: DownloadPolicy,
        note: Callable[[str], None],
        is_rented: bool = False,
        rhythm: Rhythm | None = None,
    ) -> None:
        self._run_id = run_id
        self._store = store
        self._folder = folder / STATES
        self._files = files
        self._policy = policy
        self._note = note
        self._is_rented = is_rented
        self._rhythm = rhythm or Rhythm()
        self._under_way: tuple[int, dict[str, Artifact]] | None = None
        self._given_up: collections.deque[str] = collections.deque(maxlen=_NUM_FAILED)
        """Hashes of the manifests of states that could not be had."""
        self._attempts = 0
        self._bulk_failures = 0
        self._noted = ""
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def recall(self, view: RunView) -> None:
        """Note in a new view of the run what is here already."""
        view.kept_step = next((step_of_folder(folder.name) for folder in states_in(self._folder)), None)

    async def hold(self) -> None:
        """Let others have the line; what has come stays, and is gone on from."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def go_on(self, tasks: asyncio.TaskGroup, agent: AgentClient, ahead: ReadAhead, view: RunView) -> None:
        """Fetch what there is to fetch, in a task of its own, until ``hold``."""
        self._news.set()
        if (self._task is None or self._task.done()) and self._wanted(view) is not None:
            self._task = tasks.create_task(self._bring_all(agent, ahead, view), name="saved states")

    def _wanted(self, view: RunView) -> tuple[int, dict[str, Artifact]] | None:
        """Return step and parts of the state to fetch: the one that is under way, else the newest."""
        if self._policy.which != "all":
            return None
        found = self._under_way or newest_offered(view.offered)
        if found is None or found[1][MANIFEST].sha256 in self._given_up or self._is_here(*found):
            return None
        return found

    def _is_here(self, step: int, parts: dict[str, Artifact]) -> bool:
        try:
            content = (self._folder / state_folder(step) / MANIFEST).read_bytes()
        except OSError:
            return False
        return hashlib.sha256(content).hexdigest() == parts[MANIFEST].sha256

    async def _bring_all(self, agent: AgentClient, ahead: ReadAhead, view: RunView) -> None:
        while (wanted := self._wanted(view)) is not None:
            if wait_s := self._wait_s(wanted[1], view):
                await self._sleep(min(wait_s, EVERY_S))
                continue
            step, parts = self._under_way = wanted
            began_s = time.monotonic()
            try:
                self._check_policy(parts)
                for part, artifact in parts.items():
                    await self._fetch(agent, artifact, self._folder / state_folder(step) / part, ahead)
                await in_thread(self._keep, step)
                view.kept_step = step
                self._under_way, self._attempts = None, 0
                self._rhythm.came(began_s, time.monotonic())
            except LoratuiError as error:
                if isinstance(error, AgentUnreachableError | HostError):
                    raise
                self._failed(error, parts)
                await asyncio.sleep(_PAUSE_S)

    def _wait_s(self, parts: dict[str, Artifact], view: RunView) -> float:
        """Return how long to wait before a state is begun: for others' sake, and until it is paid for."""
        if self._under_way is not None:
            return 0.0
        wait_s = 0.0 if view.state.is_final else self._rhythm.wait_s(time.monotonic())
        if not self._is_rented:
            return wait_s
        if view.rental is None:
            # Nobody minds the rental here, or not yet: what it may cost is not known.
            return _UNKNOWN_S
        rental, size = view.rental, sum(artifact.size for artifact in parts.values())
        paid_s = pays_in_s(
            rental.states_microusd,
            traffic_microusd(
                Rates(running_microusd_per_h=0, sent_microusd_per_gb=rental.sent_microusd_per_gb), size, 0
            ),
            rental.time_microusd,
            rental.price_microusd_per_h,
            is_last=view.state.is_final,
        )
        return max(wait_s, paid_s)

    async def _sleep(self, wait_s: float) -> None:
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._news.wait()

    async def _fetch(self, agent: AgentClient, artifact: Artifact, path: Path, ahead: ReadAhead) -> None:
        """Have the file here, verified; one that is here already is the same: the ids of its versions differ."""
        while not await in_thread(_is, path, artifact):
            if artifact.size < BULK_FROM_BYTES or self._bulk_failures >= _BULK_ATTEMPTS:
                await self._download(agent, artifact, path, ahead)
                return
            try:
                await self._download(self._files, artifact, path, ahead)
                self._bulk_failures = 0
                return
            except (AgentUnreachableError, HostError) as error:
                self._bulk_failures += 1
                log.info("run=%s states=down failures=%d %s", self._run_id, self._bulk_failures, error)
                await asyncio.sleep(_PAUSE_S)

    async def _download(self, way: AgentClient | FileWay, artifact: Artifact, path: Path, ahead: ReadAhead) -> None:
        """Fetch it, and count what comes, as it comes: it may be billed, whatever becomes of it."""
        counted = here = _size(path.with_name(path.name + ".part"), artifact.size)

        def arrived(num_bytes: int, at_least: int = _COUNT_BYTES) -> None:
            nonlocal counted, here
            here = num_bytes
            if here - counted < at_least:
                return
            try:
                self._store.add_state_bytes(self._run_id, here - counted)
                counted = here
            except StorageError as error:
                # It is counted with what comes next.
                log.warning("run=%s states: %d bytes are not counted: %s", self._run_id, here - counted, error.what)

        try:
            await download(way, self._run_id, artifact, path, progress=arrived, ahead=ahead)
        finally:
            arrived(here, at_least=1)

    def _check_policy(self, parts: dict[str, Artifact]) -> None:
        """Return if the state may come.

        Raises:
            StorageError: a setting of the user's is against it.
        """
        kept = sum(path.stat().st_size for path in self._folder.glob("*/*") if path.is_file())
        size = sum(artifact.size for artifact in parts.values())
        why = self._policy.declines_state(kept + size, self._store.files(self._run_id))
        if why:
            raise StorageError(why, code="transfer.declined")

    def _keep(self, step: int) -> None:
        """Take the state as the one that is kept, and remove all others.

        Raises:
            StorageError: its files are not what its manifest says.
        """
        folder = self._folder / state_folder(step)
        try:
            verified_state(folder)
        except StorageError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        for other in self._folder.iterdir():
            if other != folder and step_of_folder(other.name) is not None:
                shutil.rmtree(other, ignore_errors=True)

    def _failed(self, error: LoratuiError, parts: dict[str, Artifact]) -> None:
        self._attempts += 1
        if isinstance(error, ProtocolError) and self._attempts < _ATTEMPTS:
            log.warning("run=%s state %s", self._run_id, error.what)
            return
        log.warning("run=%s state given up: %s", self._run_id, error)
        if error.code != "transfer.elsewhere":
            # Another process of ours has it in hand; that it has come shows on the disk.
            self._given_up.append(parts[MANIFEST].sha256)
        if error.code.startswith(("disk.", "transfer.declined")):
            self._tell(error)
        self._under_way, self._attempts = None, 0
        self._rhythm.came(time.monotonic(), time.monotonic())

    def _tell(self, error: LoratuiError) -> None:
        if error.what != self._noted:
            self._noted = error.what
            self._note(f"no newer saved state comes here, to go on from elsewhere: {error.what}")


def _size(part: Path, most: int) -> int:
    """Return what an earlier attempt has left; what is too long is fetched anew."""
    try:
        size = part.stat().st_size
    except OSError:
        return 0
    return size if size <= most else 0


def _is(path: Path, artifact: Artifact) -> bool:
    try:
        if path.stat().st_size != artifact.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256
    except OSError:
        return False
