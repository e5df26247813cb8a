"""The agent: takes its home, finds the jobs there, runs the next one, and serves clients until nobody needs it."""

import asyncio
import contextlib
import logging
import logging.handlers
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loratui_agent import __version__
from loratui_agent.afterwards import Afterwards
from loratui_agent.ballast import keep_ballast
from loratui_agent.commands import Commands
from loratui_agent.deadman import CLIENT_ENDS_S, POWER_CHECK_S
from loratui_agent.facts import read_facts
from loratui_agent.file_server import file_socket
from loratui_agent.files import with_ballast, write_atomically, write_json
from loratui_agent.installed import own_bundle
from loratui_agent.job import Job, load_all
from loratui_agent.job_queue import JobQueue
from loratui_agent.life import Life
from loratui_agent.on_done_command import LIMIT_S
from loratui_agent.preparing import Surroundings
from loratui_agent.presence import show_clients
from loratui_agent.process import ProcessIdentity, identify, is_alive, is_locked, try_lock
from loratui_agent.rental import Armed, armed_as, read_rental
from loratui_agent.secrets import forget_secrets
from loratui_agent.server import Server
from loratui_agent.sign_of_life import SignOfLife
from loratui_agent.states import UNPREPARED, WITH_TRAINER
from loratui_agent.telemetry import TelemetrySource
from loratui_agent.trainer_link import trainer_socket
from loratui_agent.worker import TRAINER_ARGV, Patience, Worker
from loratui_protocol.errors import AgentRefusedError, StorageError
from loratui_protocol.link import HEARTBEAT_S
from loratui_protocol.messages import JobState
from loratui_protocol.paths import FILES_SOCKET, AgentHome, make_socket_folder, socket_path

log = logging.getLogger(__name__)
IDLE_EXIT_S = 600.0
SEND_TIMEOUT_S = 30.0
_LOCK_PATIENCE_S = 0.5
REAPER_CHECK_S = 10.0
_HUNG_REAPER_CHECKS = 3
_IDLE_CHECK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How an agent serves. ``idle_exit_s`` 0: it never ends by itself."""

    home: Path
    idle_exit_s: float = IDLE_EXIT_S
    send_timeout_s: float = SEND_TIMEOUT_S
    trainer_argv: Sequence[str] = TRAINER_ARGV
    patience: Patience = field(default_factory=Patience)
    restart_argv: Sequence[str] = ()
    """How the reaper starts this agent again; empty: without a reaper."""
    reaper_check_s: float = REAPER_CHECK_S
    power_check_s: float = POWER_CHECK_S
    """What the machine may take to go off before it counts as one that stays on."""
    command_limit_s: float = LIMIT_S
    """What a command after a job may take."""
    client_ends_s: float = CLIENT_ENDS_S
    """How long a client that has everything may take to end the rental, before the machine does."""


async def serve(options: ServeOptions) -> None:
    """Be the agent of a home until a signal or idleness ends it; trainers live on.

    Raises:
        AgentRefusedError: the home has an agent already, or its socket is held.
    """
    os.umask(0o077)
    home = AgentHome(options.home.absolute())
    with _owned(home, options.restart_argv), Life(home.beat) as life:
        trainers = socket_path(home.path, "trainer.sock")
        jobs = {job.id: job for job in load_all(home.jobs)}

        def is_unprepared(but: str = "") -> bool:
            return any(job.state in UNPREPARED and job.id != but for job in jobs.values())

        around = Surroundings(
            has_client=lambda job: server.num_leases(job) > 0, are_others_unprepared=lambda job: is_unprepared(but=job)
        )
        worker = Worker(trainers, argv=options.trainer_argv, patience=options.patience, around=around)
        queue = JobQueue(worker.run)
        for job in _in_order(jobs):
            queue.put(job)
        commands = Commands(
            jobs,
            queue,
            lambda command: Job.create(home.job(command.job), command),
            ends_rental=lambda: armed_as(read_rental(home.run)) is Armed.END,
        )
        telemetry = TelemetrySource(home.path, HEARTBEAT_S)
        token = home.token.read_text("ascii").strip()
        server = Server(jobs, queue, commands, telemetry, token=token, send_timeout_s=options.send_timeout_s)
        stopping = asyncio.Event()
        afterwards = Afterwards(
            jobs,
            server,
            is_idle=lambda: queue.is_idle,
            stop=stopping.set,
            power_check_s=options.power_check_s,
            command_limit_s=options.command_limit_s,
            client_ends_s=options.client_ends_s,
        )

        def is_needed() -> bool:
            return not queue.is_idle or server.num_clients > 0 or afterwards.is_waiting

        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, stopping.set)
        try:
            async with (
                trainer_socket(trainers, jobs.get),
                file_socket(socket_path(home.path, FILES_SOCKET), jobs.get, token) as transfers,
                server.listening(socket_path(home.path, "agent.sock")),
                asyncio.TaskGroup() as tasks,
            ):
                parts = [
                    tasks.create_task(queue.run(), name="queue"),
                    tasks.create_task(server.beat(), name="heartbeat"),
                    tasks.create_task(_keep_reaper(home, options.restart_argv, options.reaper_check_s), name="reaper"),
                    tasks.create_task(afterwards.run(), name="afterwards"),
                    tasks.create_task(life.turn(), name="life"),
                    tasks.create_task(show_clients(home, server, transfers), name="presence"),
                    tasks.create_task(_watch_idle(is_needed, options.idle_exit_s, stopping), name="idle"),
                ]
                log.info("serving home=%s pid=%d jobs=%d", home.path, os.getpid(), len(jobs))
                await stopping.wait()
                for part in parts:
                    part.cancel()
        finally:
            telemetry.close()
        if not is_unprepared():
            await asyncio.to_thread(forget_secrets, home)
        log.info("ended")


@contextlib.contextmanager
def _owned(home: AgentHome, restart_argv: Sequence[str]) -> Iterator[None]:
    """Hold the home's lock inside the block and say so in ``agent.json``, which an agent that crashes leaves there."""
    try:
        for folder in (home.path, home.run, home.jobs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
    except OSError as error:
        raise StorageError(
            f"{home.path} can't be the agent's home: {error.strerror}",
            fix="choose another with --home",
            code="agent.home",
        ) from error
    lock = _take(home)
    try:
        make_socket_folder(home.path)
        if not home.token.exists():
            write_atomically(home.token, lambda path: _write_private(path, secrets.token_hex(32)))
        me = identify(os.getpid())
        status = {
            "pid": os.getpid(),
            "mark": me.mark if me else "",
            "version": __version__,
            "bundle": own_bundle(),
            "started_ts": time.time(),
            "argv": list(restart_argv),
        }
        with_ballast(home.run, lambda: write_json(home.status, status))
        keep_ballast(home.run)
        with _logging_to(home.log):
            yield
        home.status.unlink(missing_ok=True)
    finally:
        os.close(lock)


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Write the log to a file inside the block, a crash included: an agent mostly has no terminal."""
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=2 << 20, backupCount=2, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    # On a full disk every line would leave a traceback on stderr, which nobody may read: the agent would wait for that.
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    except Exception:
        log.exception("crashed")
        raise
    finally:
        root.removeHandler(handler)
        handler.close()


def _take(home: AgentHome) -> int:
    deadline_s = time.monotonic() + _LOCK_PATIENCE_S
    # Someone who only asks whether an agent runs holds the lock for an instant.
    while (lock := try_lock(home.lock)) is None:
        if time.monotonic() > deadline_s:
            pid = read_facts(home.status).get("pid")
            raise AgentRefusedError(
                f"an agent already serves {home.path}" + (f" (pid {pid})" if pid else ""),
                fix="use it, end it, or give another --home",
                code="agent.already_running",
            )
        time.sleep(0.05)
    return lock


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)


def _in_order(jobs: dict[str, Job]) -> list[Job]:
    """Return the jobs that are not at their end: the one that has a trainer first, then by age."""
    open_jobs = [job for job in jobs.values() if job.state in WITH_TRAINER or job.state is JobState.QUEUED]
    return sorted(open_jobs, key=lambda job: (job.state is JobState.QUEUED, job.facts.created_ts, job.id))


async def _keep_reaper(home: AgentHome, restart_argv: Sequence[str], check_s: float) -> None:
    """Have a reaper beside this agent that does its rounds, for as long as the agent lives."""
    reaper: subprocess.Popen[bytes] | None = None
    sign_of_life = SignOfLife(home.reaper_beat, check_s)
    while restart_argv:
        if reaper is not None:
            reaper.poll()
        if not is_locked(home.reaper_lock):
            reaper = _start_reaper(home)
            sign_of_life.reset()
        elif sign_of_life.silent_s() > _HUNG_REAPER_CHECKS * check_s:
            _kill_reaper(home)
        await asyncio.sleep(check_s)


def _kill_reaper(home: AgentHome) -> None:
    facts = read_facts(home.run / "reaper.json")
    if not isinstance(facts.get("pid"), int):
        return
    identity = ProcessIdentity(pid=facts["pid"], mark=str(facts.get("mark")))
    if is_alive(identity):
        log.warning("reaper=%d killed: it hangs", identity.pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(identity.pid, signal.SIGKILL)


def _start_reaper(home: AgentHome) -> subprocess.Popen[bytes]:
    nothing = subprocess.DEVNULL
    argv = [sys.executable, "-m", "loratui_agent.reaper", "--home", str(home.path)]
    return subprocess.Popen(argv, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)


async def _watch_idle(is_needed: Callable[[], bool], idle_exit_s: float, stopping: asyncio.Event) -> None:
    """End the agent when nobody has needed it for long enough."""
    busy_s = time.monotonic()
    while idle_exit_s > 0:
        await asyncio.sleep(min(_IDLE_CHECK_S, idle_exit_s))
        if is_needed():
            busy_s = time.monotonic()
        elif time.monotonic() - busy_s >= idle_exit_s:
            log.info("idle for %.0f s", idle_exit_s)
            stopping.set()
            return
