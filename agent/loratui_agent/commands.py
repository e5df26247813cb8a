"""Carries out what clients ask for, once per command id however often it is sent."""

import math
from collections.abc import Callable

from loratui_agent.afterwards import is_on_done
from loratui_agent.deeds import DEEDS
from loratui_agent.going_on import set_end
from loratui_agent.job import Job
from loratui_agent.job_queue import JobQueue
from loratui_agent.rental import END
from loratui_agent.states import WITH_TRAINER
from loratui_protocol import messages
from loratui_protocol.errors import ConfigError, JobError, ProtocolError
from loratui_protocol.ids import is_id
from loratui_protocol.inputs import JobInputs, ModelKind, ModelPurpose, check_name, is_sha256
from loratui_protocol.messages import JobState, RunEnd

_NOT_RUNNING = "job.not_running"


class Commands:
    """``jobs`` are the agent's jobs by id; ``create`` makes the job of a new id.

    ``ends_rental`` says whether this machine can end its own rental.
    """

    def __init__(
        self,
        jobs: dict[str, Job],
        queue: JobQueue,
        create: Callable[[messages.StartJob], Job],
        ends_rental: Callable[[], bool] = lambda: False,
    ) -> None:
        self._jobs = jobs
        self._queue = queue
        self._create = create
        self._ends_rental = ends_rental

    def execute(self, command: messages.Command) -> None:
        """Carry the command out. What came of it is an event of the job, unless there is no job to tell it to.

        Raises:
            JobError: the job is unknown, or can't be made of what the command says.
            StorageError: the disk is full.
        """
        if not is_id(command.id):
            raise JobError("a command needs an id", fix="send a ULID with every command", code="command.id")
        if isinstance(command, messages.StartJob):
            self._start(command)
            return
        job = self._jobs.get(command.job)
        if job is None:
            raise JobError(
                f"there is no run {command.job} on this agent", fix="list the runs: loratui ls", code="job.unknown"
            )
        if command.id in job.results or any(command.id == waiting.id for waiting in job.pending()):
            return
        self._execute(command, job)

    def _start(self, command: messages.StartJob) -> None:
        job = self._jobs.get(command.job)
        if job is None:
            _check(command)
            if command.on_done == END and not self._ends_rental():
                raise JobError(
                    "this machine can't end its own rental after the run: nothing is armed for that here",
                    fix="arm it first, or start the run without that",
                    code="job.no_rental",
                )
            job = self._jobs[command.job] = self._create(command)
            self._queue.put(job)
        if command.id not in job.results:
            job.answer(command, ok=True)

    def _execute(self, command: messages.Command, job: Job) -> None:
        match command:
            case messages.AckArtifacts(artifact_ids=ids, declined_ids=declined):
                known = job.files.known
                job.update(
                    acked=sorted({*job.facts.acked, *ids} & known),
                    declined=sorted({*job.facts.declined, *declined} & known),
                )
                job.answer(command, ok=True)
            case messages.Extend():
                _extend(command, job)
            case messages.Stop() if job.state is JobState.QUEUED:
                self._queue.remove(job)
                job.move(JobState.STOPPED, reason="user")
                job.answer(command, ok=True)
            case messages.Resume() if job.state.is_final and (job.state is not JobState.DONE or command.end):
                self._resume(command, job)
            case messages.Resume(end=RunEnd()):
                job.answer(command, ok=False, code="job.running", message=f"the run is {job.state}: stop it first")
            case _ if job.state in WITH_TRAINER:
                job.forward(command)
            case _:
                job.answer(command, ok=False, code=_NOT_RUNNING, message=f"the run is {job.state}")

    def _resume(self, command: messages.Resume, job: Job) -> None:
        if job.meter().left_s() == 0:
            job.answer(command, ok=False, code="job.deadline", message="the run's time is used up: extend it first")
            return
        try:
            set_end(job.folder, command.end)
        except ConfigError as error:
            job.answer(command, ok=False, code=error.code, message=error.what)
            return
        (job.folder / DEEDS).unlink(missing_ok=True)
        job.move(JobState.QUEUED, reason="resume", interruptions_ts=[], hangs=0, afterwards="", ended=None)
        self._queue.put(job)
        job.answer(command, ok=True)


def _extend(command: messages.Extend, job: Job) -> None:
    if job.state is JobState.DONE:
        job.answer(command, ok=False, code=_NOT_RUNNING, message="the run is done")
    elif job.facts.stop_reason:
        job.answer(command, ok=False, code="job.stopping", message="the run is stopping; extend and resume it then")
    elif job.meter().limit_s is None:
        job.answer(command, ok=False, code="job.no_deadline", message="the run has no auto-stop")
    elif not math.isfinite(command.seconds):
        job.answer(command, ok=False, code="command.value", message="an auto-stop moves by a number of seconds")
    else:
        job.update(meter=job.meter().extended(command.seconds))
        job.answer(command, ok=True)
        job.record_cost()


def _check(command: messages.StartJob) -> None:
    limit_s = command.max_runtime_s
    problem = (
        "its id is no ULID"
        if not is_id(command.job)
        else "its price is below zero"
        if command.price_microusd_per_h < 0
        else "its auto-stop is not a positive number of seconds"
        if limit_s is not None and not 0 < limit_s < math.inf
        else "what is to happen after it is unknown"
        if not is_on_done(command.on_done)
        else "it can't be kept for less than no time"
        if command.keep_s is not None and not 0 <= command.keep_s < math.inf
        else _inputs_problem(command.inputs)
    )
    if problem:
        raise JobError(f"the run can't be started: {problem}", fix="correct the request", code="job.invalid")


def _inputs_problem(inputs: JobInputs | None) -> str:
    if inputs is None:
        return ""
    hashes = [inputs.manifest_sha256, *inputs.environment.lock_sha256s]
    if not all(map(is_sha256, hashes)) or (inputs.model.sha256 and not is_sha256(inputs.model.sha256)):
        return "one of its hashes is no SHA-256"
    purposes = [source.purpose for source in inputs.features]
    if ModelPurpose.BASE in purposes or len(set(purposes)) != len(purposes):
        return "it has two models for one purpose"
    if any(source.kind is not ModelKind.HUB for source in inputs.features):
        return "a model that it measures with is no hub's"
    for source in (inputs.model, *inputs.features):
        try:
            check_name(source.name)
        except ProtocolError as error:
            return error.what
        if "/" in source.name:
            return "its model's name is a path"
    return ""
