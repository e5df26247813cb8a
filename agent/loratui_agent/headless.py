"""Trains one job in the foreground, without an agent or a client: config in, LoRA out.

The job's folder lies under the output folder. The trainer is a process of its own here too, so a hang-up or a kill of
this process leaves it training, and ``--resume`` joins it.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loratui_agent.files import sha256_of, write_atomically, write_text
from loratui_agent.job import Job
from loratui_agent.journal import Cursor
from loratui_agent.process import try_lock
from loratui_agent.progress import LORA_KINDS, Progress, narrate
from loratui_agent.trainer_link import trainer_socket
from loratui_agent.worker import TRAINER_ARGV, Patience, Worker
from loratui_protocol.codec import decode_record
from loratui_protocol.config import KEYS, TrainingConfig
from loratui_protocol.config_file import parse_config, read_config, to_toml
from loratui_protocol.errors import AgentRefusedError, StorageError, UsageError
from loratui_protocol.ids import new_id
from loratui_protocol.messages import Artifact, JobState, StartJob, Stop, Withdrawn
from loratui_protocol.paths import AgentHome, make_socket_folder, socket_path
from loratui_protocol.run_end import ENDS, STOP_AT_EPOCH

_INTERRUPTED = 130
_HUNG_UP = 129
_STATUS_OF_CODE = {"config.": 3, "dataset.": 3, "model.": 3, "extra.": 69}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What to train and where to. ``out`` None: the config's ``output_dir``, else a folder beside the config."""

    config: Path
    out: Path | None = None
    resume: bool = False
    json: bool = False
    trainer_argv: Sequence[str] = TRAINER_ARGV
    patience: Patience = field(default_factory=Patience)


def run(options: RunOptions) -> int:
    """Train, print progress, return the exit status.

    That is 0 done or at ``stop_at_epoch``, 1 failed, 3 refused, 69 an extra is missing, 130 stopped by a signal with
    everything saved, 129 hung up while the training goes on.

    Raises:
        UsageError: the output folder is not empty, or holds a job of another config.
        ConfigError: the config is refused; nothing was written.
        AgentRefusedError: another process runs this job.
    """
    loaded = read_config(options.config)
    for finding in loaded.findings:
        narrate(f"{finding.severity}: [{finding.code}] {finding.what}")
    out = (options.out or _default_out(loaded.config, options.config)).absolute()
    is_new = not out.exists()
    if not is_new and not options.resume and any(out.iterdir()):
        raise UsageError(
            f"the output folder {out} is not empty; nothing was started",
            fix="give another --out, or --resume to go on with what is there",
            code="out.not_empty",
        )
    folder = out / "job"
    with _owned(folder):
        job = _open(folder, loaded.config, to_toml(loaded.config))
        if job.state is JobState.DONE:
            narrate(f"this run is done already, its files are in {out}")
        try:
            status = asyncio.run(_Run(job, out, Progress(job.folder, out, as_json=options.json), options).run())
        finally:
            job.journal.close()
    if status in _STATUS_OF_CODE.values() and not job.last_step:
        # Refused before the first step: once that is corrected, the same command must not find a folder in its way.
        shutil.rmtree(out if is_new else folder)
    return status


@contextlib.contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Hold the job's lock inside the block."""
    make_socket_folder(folder)
    lock = try_lock(AgentHome(folder).lock)
    if lock is None:
        raise AgentRefusedError(
            f"another loratui-agent runs the job in {folder}",
            fix="wait for it, or give another --out",
            code="agent.already_running",
        )
    try:
        yield
    finally:
        os.close(lock)


def _open(folder: Path, config: TrainingConfig, text: str) -> Job:
    """Return the folder's job, ready to be run: a new one, or the one that is there."""
    job = Job.load(folder) if (folder / "state.json").exists() else None
    if job is None:
        start = StartJob(id=new_id(), author="headless", job=new_id(), name=config.output_name, config_toml=text)
        return Job.create(folder, start)
    path = folder / "job.toml"
    known = parse_config(path.read_text("utf-8"), folder).config
    changed = {key for key in KEYS if getattr(known, key) != getattr(config, key)}
    if not changed <= set(ENDS):
        raise UsageError(
            "the config has changed since this run began; it can only go on to another end, with all else as it was",
            fix="undo the change, or give another --out to start anew",
            code="resume.config_changed",
        )
    if changed:
        write_text(path, text)
    if job.state in (JobState.STOPPED, JobState.FAILED) or (job.state is JobState.DONE and changed):
        job.move(JobState.QUEUED, reason="resume", interruptions_ts=[], hangs=0)
    return job


class _Run:
    """One run in the foreground."""

    def __init__(self, job: Job, out: Path, progress: Progress, options: RunOptions) -> None:
        self._job = job
        self._out = out
        self._progress = progress
        self._socket = socket_path(job.folder, "trainer.sock")
        self._worker = Worker(self._socket, argv=options.trainer_argv, patience=options.patience)
        self._hung_up = False

    async def run(self) -> int:
        """Train to the end, or until a hang-up; return the exit status."""
        job = self._job
        cursor = job.journal.cursor(job.journal.head if job.facts.attempt else 0)
        for artifact in list(job.artifacts.values()):
            await asyncio.to_thread(publish, job, artifact, self._out)
        async with (
            # A trainer knows its job by the name of the folder.
            trainer_socket(self._socket, {job.folder.name: job}.get),
            asyncio.TaskGroup() as tasks,
        ):
            parts = [
                tasks.create_task(self._worker.run(job), name="worker"),
                tasks.create_task(self._show(cursor), name="progress"),
            ]
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, self._hang_up, parts)
            for signum in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(signum, self._stop)
        return _HUNG_UP if self._hung_up else _status(job)

    async def _show(self, cursor: Cursor) -> None:
        """Print what happens and bring finished files out, until the job has ended and all is shown."""
        job = self._job
        while not job.state.is_final or cursor.seq < job.journal.head:
            changed = job.changed
            batch = job.journal.read(cursor)
            for stored in batch:
                record = decode_record(stored)
                if isinstance(record.event, Artifact):
                    await asyncio.to_thread(publish, job, record.event, self._out)
                elif isinstance(record.event, Withdrawn):
                    await asyncio.to_thread(withdraw, record.event, self._out)
                self._progress.show(record)
            if not batch:
                await changed.wait()

    def _stop(self) -> None:
        """Save and end at the first signal; kill at the second."""
        if self._job.facts.stop_reason:
            self._worker.hurry()
        elif not self._job.state.is_final:
            self._job.forward(Stop(id=new_id(), author="signal", job=self._job.id))

    def _hang_up(self, parts: list[asyncio.Task[None]]) -> None:
        """Leave: the trainer goes on by itself and ``--resume`` finds it."""
        self._hung_up = True
        for part in parts:
            part.cancel()


def publish(job: Job, artifact: Artifact, out: Path) -> None:
    """Copy a LoRA file to the output folder, verified; other kinds stay in the job's folder.

    Raises:
        StorageError: the disk is full, or the file is not what the trainer said.
    """
    if artifact.kind not in LORA_KINDS or artifact.id not in job.artifacts:
        return
    target = out / Path(artifact.name).name

    def copy(temporary: Path) -> None:
        shutil.copyfile(job.folder / "artifacts" / artifact.id, temporary)
        if sha256_of(temporary) != artifact.sha256:
            raise StorageError(
                f"{artifact.name} is damaged: its sha256 is not what the trainer wrote down",
                fix="check the disk, then --resume",
                code="artifact.corrupt",
            )

    if not target.exists() or sha256_of(target) != artifact.sha256:
        try:
            write_atomically(target, copy)
        except FileNotFoundError:
            # Withdrawn at this moment, unless it is missed.
            if artifact.id in job.artifacts:
                raise


def withdraw(gone: Withdrawn, out: Path) -> None:
    """Remove the copy of a file that the config does not keep; what has another content is not ours."""
    target = out / Path(gone.name).name
    if target.is_file() and sha256_of(target) == gone.sha256:
        target.unlink()


def _default_out(config: TrainingConfig, path: Path) -> Path:
    return Path(config.output_dir) if config.output_dir else path.parent / config.output_name


def _status(job: Job) -> int:
    if job.state is JobState.DONE or (job.state is JobState.STOPPED and job.facts.reason == STOP_AT_EPOCH):
        return 0
    if job.state is JobState.STOPPED:
        return _INTERRUPTED
    narrate(f"[{job.facts.reason}] {job.facts.detail}")
    return next((status for prefix, status in _STATUS_OF_CODE.items() if job.facts.reason.startswith(prefix)), 1)
