"""A file that is withdrawn leaves the list first and the disk after that; what a client has of it is not forgotten."""

from pathlib import Path

import pytest

from loratui_agent.artifact_list import ArtifactList
from loratui_agent.artifacts import opened
from loratui_agent.commands import Commands
from loratui_agent.headless import publish, withdraw
from loratui_agent.job import Job
from loratui_agent.job_queue import JobQueue
from loratui_protocol import messages
from loratui_protocol.errors import JobError
from loratui_protocol.ids import new_id
from loratui_protocol.messages import ArtifactKind, JobState
from support.files import artifact_of, safetensors

CONTENT = safetensors()


def new_job(tmp_path: Path) -> Job:
    start = messages.StartJob(id="S", author="me", job="job", name="n", config_toml="")
    return Job.create(tmp_path / "jobs" / "job", start)


def write(job: Job, content: bytes = CONTENT) -> messages.Artifact:
    """Write a file as a trainer does, and return the event that says so."""
    path = job.folder / "artifacts" / "lora"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return artifact_of(content, kind=ArtifactKind.CHECKPOINT_LORA)


def withdrawal(artifact: messages.Artifact) -> messages.Withdrawn:
    return messages.Withdrawn(id=artifact.id, name=artifact.name, sha256=artifact.sha256, why="newer ones are kept")


async def never(_: Job) -> None:
    raise AssertionError("nothing is to be run")


def said(origin: int, event: messages.Event) -> messages.TrainerEvent:
    return messages.TrainerEvent(origin=origin, ts=1.0, event=event)


def test_a_withdrawn_file_is_gone_and_whoever_reads_it_reads_on(tmp_path: Path):
    job = new_job(tmp_path)
    artifact = write(job)
    job.hear(said(1, artifact))
    with opened(job, artifact.id) as (descriptor, size):
        job.hear(said(2, withdrawal(artifact)))
        assert not (job.folder / "artifacts" / "lora").exists()
        with open(descriptor, "rb", closefd=False) as file:
            assert file.read() == CONTENT
        assert size == len(CONTENT)
    with pytest.raises(JobError) as refused, opened(job, artifact.id):
        pass
    assert refused.value.code == "artifact.unknown"
    assert Job.load(job.folder).artifacts == {}


def test_a_withdrawal_that_is_told_again_is_no_news(tmp_path: Path):
    job = new_job(tmp_path)
    artifact = write(job)
    job.hear(said(1, artifact))
    job.hear(said(2, withdrawal(artifact)))
    head = job.journal.head
    write(job)
    job.hear(said(3, withdrawal(artifact)))
    assert job.journal.head == head
    assert not (job.folder / "artifacts" / "lora").exists(), "though what a crash left there goes now"


def test_what_a_crash_left_goes_when_the_agent_is_back_and_no_trainer_may_write_it(tmp_path: Path):
    job = new_job(tmp_path)
    artifact = write(job)
    job.hear(said(1, artifact))
    job.hear(said(2, withdrawal(artifact)))
    write(job)
    assert Job.load(job.folder) is not None
    assert (job.folder / "artifacts" / "lora").exists(), "a trainer may be writing it anew"
    job.move(JobState.STOPPED)
    assert Job.load(job.folder) is not None
    assert not (job.folder / "artifacts" / "lora").exists()


def test_what_a_client_has_counts_until_another_version_comes(tmp_path: Path):
    job = new_job(tmp_path)
    artifact = write(job)
    job.hear(said(1, artifact))
    job.hear(said(2, withdrawal(artifact)))
    # It came before the client knew.
    commands = Commands({job.id: job}, JobQueue(never), lambda _: job)
    commands.execute(messages.AckArtifacts(id=new_id(), author="me", job=job.id, artifact_ids=[artifact.id]))
    job.hear(said(3, write(job)))
    assert job.facts.acked == [artifact.id]
    job.hear(said(4, withdrawal(artifact)))
    job.hear(said(5, write(job, CONTENT + b" ")))
    assert job.facts.acked == []


def test_no_id_leads_out_of_the_folder(tmp_path: Path):
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "job.toml").touch()
    ArtifactList(tmp_path / "artifacts").remove("../job.toml")
    assert (tmp_path / "job.toml").exists()


def test_in_the_foreground_the_copy_goes_too_unless_it_is_another_file(tmp_path: Path):
    job, out = new_job(tmp_path), tmp_path / "out"
    out.mkdir()
    artifact = write(job)
    job.hear(said(1, artifact))
    publish(job, artifact, out)
    job.hear(said(2, withdrawal(artifact)))
    copy = out / artifact.name
    withdraw(withdrawal(artifact), out)
    assert not copy.exists()
    publish(job, artifact, out)
    assert not copy.exists(), "it was withdrawn before it could be copied"
    copy.write_bytes(b"mine")
    withdraw(withdrawal(artifact), out)
    assert copy.exists()
