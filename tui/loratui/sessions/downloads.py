"""Brings a run's files home as they appear: fetched, verified, recorded, copied for the user, acknowledged."""

import asyncio
import collections
import logging
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from loratui.domain.download_policy import DownloadPolicy, LocalFile
from loratui.domain.local_names import LocalNames, may_be
from loratui.domain.read_ahead import ReadAhead
from loratui.domain.run import RunView
from loratui.domain.run_files import take_back
from loratui.domain.transfer_cost import Arrivals
from loratui.remote.agent_client import AgentClient
from loratui.remote.file_stream import FileWay
from loratui.remote.transfer import download
from loratui.sessions.export import EXPORTED_KINDS, export, output_folder
from loratui.sessions.rented import rental_label
from loratui.sessions.saved_states import BULK_FROM_BYTES, SavedStates
from loratui.store import Download, Store, StoredRun
from loratui_protocol.errors import AgentUnreachableError, HostError, LoratuiError, ProtocolError, StorageError
from loratui_protocol.ids import new_id
from loratui_protocol.messages import AckArtifacts, Artifact, ArtifactKind, CommandResult

log = logging.getLogger(__name__)
ATTEMPTS = 3
MAX_EXPORTED = 20
"""Versions of one file that are copied for the user; a run that is resumed makes a few."""
_BULK_ATTEMPTS = 2
_BULK_PAUSE_S = 0.5
_ELSEWHERE_S = 0.5
_AGAIN = ("artifact.corrupt", "artifact.silent")
"""What the next attempt may do better; other files come before that."""
_NO_FILES = "protocol.handshake"
_FIRST = (
    ArtifactKind.THUMBNAIL,
    ArtifactKind.LORA,
    ArtifactKind.CONTACT_SHEET,
    ArtifactKind.EVALUATION,
    ArtifactKind.JUDGEMENT,
    ArtifactKind.CHECKPOINT_LORA,
    ArtifactKind.SAMPLE,
    ArtifactKind.CONFIG,
)
"""What is fetched first where several files wait: the result before pictures of the way to it."""


class Downloads:
    """The files of one run. ``view`` is where what is here, and what could not be had, is noted.

    ``files`` is the way that large ones take.
    """

    def __init__(
        self,
        run: StoredRun,
        store: Store,
        folder: Path,
        author: str,
        changed: Callable[[], None],
        *,
        files: FileWay,
        policy: DownloadPolicy,
    ) -> None:
        self._files = files
        self._bulk_failures = 0
        self._policy = policy
        self._told_declined: set[str] = set()
        self._discarded: set[str] = set()
        """Of the withdrawn ones: what was begun of them is gone."""
        self._attempts: collections.Counter[tuple[str, str]] = collections.Counter()
        """By id and version."""
        self._run = run
        self._is_rented = bool(rental_label(run.target))
        self._store = store
        self._folder = folder
        self._author = author
        self._changed = changed
        self._output_folder = output_folder(run.config_toml)
        self._news, self._small_news = asyncio.Event(), asyncio.Event()
        self._acks: dict[str, tuple[list[str], set[str]]] = {}
        self._arrivals = Arrivals()
        self._names = LocalNames()
        for file in store.files(run.id).values():
            self._names.take(file.name)
        self._states = SavedStates(
            run.id,
            store,
            folder,
            files=files,
            policy=policy,
            note=lambda text: self._note("WARNING", text),
            is_rented=bool(rental_label(run.target)),
        )
        self._judged_seq = -1
        """How far the view had come when it was last looked at for what is declined."""
        self.view = RunView(run_id=run.id, name=run.name, target=run.target)

    def recall(self, view: RunView) -> None:
        """Take over a new view of the run, and note in it what is here already."""
        self.view = view
        self._judged_seq = -1
        self._states.recall(view)
        for artifact_id, known in self._store.downloads(self._run.id).items():
            artifact = view.artifacts.get(artifact_id) or view.withdrawn.get(artifact_id)
            if artifact is None or not _is(artifact, known):
                continue
            take_back(view, artifact)
            if known.acknowledged:
                view.acknowledged.add(artifact_id)
            if known.exported is not None:
                view.exported[artifact_id] = known.exported
            if known.exported is not None or not self._is_exported(artifact):
                view.downloaded[artifact_id] = known.path

    def wake(self) -> None:
        """Look again whether there is something to fetch."""
        self._news.set()
        self._small_news.set()

    def answered(self, result: CommandResult) -> None:
        """Note that the agent knows what is here."""
        here, declined = self._acks.pop(result.id, ([], set()))
        if result.ok:
            self._store.note_acknowledged(self._run.id, here)
            self._told_declined |= declined
            self.view.acknowledged |= {*here, *declined}

    async def run(self, agent: AgentClient) -> None:
        """Fetch what the run has and we have not, for as long as the connection lives."""
        self.view.download_failures.clear()
        self._acks.clear()
        self._told_declined.clear()
        self._attempts.clear()
        self._bulk_failures = 0
        # Anew for every connection: the way to the host may be another one.
        ahead = ReadAhead(self._policy.max_bytes_per_s)
        self.wake()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bring_small(agent), name="small pictures")
            while True:
                await self._news.wait()
                self._news.clear()
                if self._next() is not None:
                    await self._states.hold()
                while (artifact := self._next()) is not None:
                    if artifact.size < BULK_FROM_BYTES or self._bulk_failures >= _BULK_ATTEMPTS:
                        await self._bring(agent, artifact, ahead)
                    else:
                        await self._bring_in_bulk(artifact, ahead)
                await self._acknowledge(agent)
                self._states.go_on(tasks, agent, ahead, self.view)

    async def _bring_small(self, agent: AgentClient) -> None:
        """Fetch small pictures beside everything else: on a slow line a large file would keep them back for minutes."""
        ahead = ReadAhead(self._policy.max_bytes_per_s)
        while True:
            await self._small_news.wait()
            self._small_news.clear()
            while (artifact := self._next(small=True)) is not None:
                await self._bring(agent, artifact, ahead)
                self._news.set()

    async def _bring_in_bulk(self, artifact: Artifact, ahead: ReadAhead) -> None:
        """Fetch a large file over a way of its own. Where that can't be had, the other one has to do."""
        try:
            await self._bring(self._files, artifact, ahead)
            self._bulk_failures = 0
        except (AgentUnreachableError, HostError, ProtocolError) as error:
            self._bulk_failures += 1
            log.info("run=%s files=down failures=%d %s", self._run.id, self._bulk_failures, error)
            await asyncio.sleep(_BULK_PAUSE_S)

    def _next(self, *, small: bool = False) -> Artifact | None:
        """Return the file to fetch next, of small pictures or of all others."""
        view = self.view
        self._decline()
        missing = [
            artifact
            for artifact_id, artifact in view.artifacts.items()
            if (artifact.kind is ArtifactKind.THUMBNAIL) is small
            and artifact_id not in view.downloaded
            and artifact_id not in view.download_failures
            and artifact_id not in view.declined
        ]
        return min(missing, key=lambda each: (self._attempts[_version(each)], _FIRST.index(each.kind)), default=None)

    def _decline(self) -> None:
        """Note what the settings keep from being fetched; what is here already stays."""
        if self._judged_seq == self.view.last_seq:
            # What is fetched changes nothing: whether it is to come or was begun, it counts the same.
            return
        self._judged_seq = self.view.last_seq
        view, here, files = self.view, self._store.downloads(self._run.id), self._store.files(self._run.id)
        self._discard(files)
        missing = [each for each_id, each in view.artifacts.items() if each_id not in view.downloaded]
        # What another process has brought meanwhile, `loratui download` for one, counts whatever is wanted here.
        brought = {each.id for each in missing if each.id in here and _is(each, here[each.id])}
        for artifact_id in brought:
            view.download_failures.pop(artifact_id, None)
        stands_in = _stand_in(view)
        declined = self._policy.declined(
            (each for each in missing if each.id not in brought),
            files,
            stands_in=stands_in,
        )
        for why in sorted(set(declined.values()) - set(view.declined.values())):
            if self._policy.which == "all":
                fetch = f"; loratui download {shlex.quote(self._run.name)} fetches them"
                self._note("WARNING", f"files are left on the agent: {why}{fetch}")
        view.declined = declined
        # A machine of one's own keeps what is left there; a rented one is gone with it, so that somebody has to say so.
        view.unwanted = {
            each_id
            for each_id in declined
            if not self._is_rented or (self._policy.is_unwanted(view.artifacts[each_id]) and each_id != stands_in)
        }

    async def _bring(self, agent: AgentClient | FileWay, artifact: Artifact, ahead: ReadAhead) -> None:
        view = self.view
        try:
            file, path = await self._fetch(agent, artifact, ahead)
            copy = await self._export(artifact, file, path) if self._is_current(artifact, view) else None
            if self._is_current(artifact, view):
                take_back(view, artifact)
                view.downloaded[artifact.id] = path
                view.exported |= {artifact.id: copy} if copy is not None else {}
        except LoratuiError as error:
            if isinstance(error, AgentUnreachableError | HostError) or error.code == _NO_FILES:
                raise
            # Of a version that was replaced meanwhile it says nothing about the new one.
            if self._is_current(artifact, view) and artifact.id in view.artifacts:
                self._failed(artifact, error)
        finally:
            if artifact.kind is not ArtifactKind.THUMBNAIL:
                self.view.fetching = None
            self._changed()

    def _discard(self, files: Mapping[str, LocalFile]) -> None:
        """Remove what has come so far of files that can't be had any more."""
        gone = self.view.withdrawn.keys() - self.view.artifacts.keys()
        for artifact_id in (gone - self._discarded) & files.keys():
            (self._folder / f"{files[artifact_id].name}.part").unlink(missing_ok=True)
        self._discarded = gone

    def _is_current(self, artifact: Artifact, view: RunView) -> bool:
        """Return whether this is still what the run has under its id; another journal brings another view."""
        known = view.artifacts.get(artifact.id) or view.withdrawn.get(artifact.id)
        return view is self.view and known is not None and known.sha256 == artifact.sha256

    def _failed(self, artifact: Artifact, error: LoratuiError) -> None:
        self._attempts[_version(artifact)] += 1
        if error.code in _AGAIN and self._attempts[_version(artifact)] < ATTEMPTS:
            log.warning("run=%s artifact=%s %s", self._run.id, artifact.id, error.what)
            return
        self._note("WARNING", f"{artifact.name} is not here: {error.what}")
        self.view.download_failures[artifact.id] = error.what

    async def _fetch(
        self, agent: AgentClient | FileWay, artifact: Artifact, ahead: ReadAhead
    ) -> tuple[LocalFile, Path]:
        """Return the verified file and where it is; an earlier or another process may be the one that fetched it.

        Raises:
            LoratuiError: it can't be had.
        """
        file = self._begin(artifact)
        path = self._folder / file.name
        while True:
            known = self._store.download(self._run.id, artifact.id)
            if known is not None and _is(artifact, known):
                return file, known.path
            try:
                await self._download(agent, artifact, path, ahead)
                self._store.add_download(self._run.id, artifact.id, path, artifact.sha256)
            except StorageError as error:
                if error.code != "transfer.elsewhere":
                    raise
                await asyncio.sleep(_ELSEWHERE_S)

    async def _download(self, agent: AgentClient | FileWay, artifact: Artifact, path: Path, ahead: ReadAhead) -> None:
        came: list[tuple[float, int]] = []

        def progress(here: int) -> None:
            came[1:] = [(time.monotonic(), here)]
            self._progress(artifact, here)

        await download(agent, self._run.id, artifact, path, progress, ahead)
        # A host of the user's own may be next door, and a cap of theirs says nothing of the line.
        if artifact.size < BULK_FROM_BYTES or not rental_label(self._run.target) or self._policy.max_bytes_per_s:
            return
        (asked_s, had), (here_s, here) = came[0], came[-1]
        self._arrivals.add(here - had, here_s - asked_s)
        speed = self._arrivals.bytes_per_s()
        if speed is not None:
            self._store.note_downlink(self._run.id, speed)

    def _begin(self, artifact: Artifact) -> LocalFile:
        """Return the file that is this artifact's for good, and have this version of it count.

        Raises:
            ProtocolError: it was a file of another kind before.
        """
        file = None
        while file is None:
            known = self._store.file(self._run.id, artifact.id)
            name = self._names.choose(artifact) if known is None else known.name
            file = self._store.begin_file(self._run.id, artifact, name)
        if not may_be(file.name, artifact.kind):
            raise ProtocolError(
                f"the host says that it is a {artifact.kind}, and said something else before", code="artifact.kind"
            )
        return file

    def _is_exported(self, artifact: Artifact) -> bool:
        return self._output_folder is not None and artifact.kind in EXPORTED_KINDS

    async def _export(self, artifact: Artifact, file: LocalFile, path: Path) -> Path | None:
        if self._output_folder is None or not self._is_exported(artifact):
            return None
        if file.num_versions > MAX_EXPORTED:
            self._note("WARNING", f"{artifact.name} has changed {file.num_versions} times and is not copied: {path}")
            return None
        try:
            copy = await asyncio.to_thread(export, path, artifact.sha256, self._output_folder)
        except StorageError as error:
            self._note("WARNING", f"{error.what}; {error.fix}")
            return None
        self._store.note_export(self._run.id, artifact.id, copy)
        if copy.name != path.name:
            self._note("WARNING", f"{self._output_folder / path.name} is another file: the copy is {copy.name}")
        return copy

    async def _acknowledge(self, agent: AgentClient) -> None:
        """Tell the agent what is here, once it is."""
        waiting = {artifact_id for here, declined in self._acks.values() for artifact_id in (*here, *declined)}
        known = self._store.downloads(self._run.id)
        news = [
            artifact_id
            for artifact_id in self.view.downloaded
            if artifact_id in known and not known[artifact_id].acknowledged and artifact_id not in waiting
        ]
        # What happens after the run may wait for these; whether anything does, another laptop may have said.
        unwanted = self.view.unwanted - self._told_declined - waiting if self.view.state.is_final else set()
        if news or unwanted:
            acknowledgement = AckArtifacts(
                id=new_id(), author=self._author, job=self._run.id, artifact_ids=news, declined_ids=sorted(unwanted)
            )
            self._acks[acknowledgement.id] = (news, unwanted)
            await agent.command(acknowledgement)

    def _progress(self, artifact: Artifact, here: int) -> None:
        if artifact.kind is not ArtifactKind.THUMBNAIL:
            self.view.fetching = (artifact.id, here)
            self._changed()

    def _note(self, level: str, text: str) -> None:
        self.view.note(time.time(), level, text)
        log.log(logging.getLevelNamesMapping()[level], "run=%s %s", self._run.id, text)


def _stand_in(view: RunView) -> str:
    """Return the id of the newest checkpoint of a run that is over and has no LoRA: it failed, and that is left."""
    if not view.state.is_final or any(each.kind is ArtifactKind.LORA for each in view.artifacts.values()):
        return ""
    checkpoints = [each.id for each in view.artifacts.values() if each.kind is ArtifactKind.CHECKPOINT_LORA]
    return checkpoints[-1] if checkpoints else ""


def _version(artifact: Artifact) -> tuple[str, str]:
    return artifact.id, artifact.sha256


def _is(artifact: Artifact, known: Download) -> bool:
    """Return whether the file that was fetched is this version of the artifact, and still there."""
    try:
        return known.sha256 == artifact.sha256 and known.path.stat().st_size == artifact.size
    except OSError:
        return False
