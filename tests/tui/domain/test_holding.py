"""A rented machine is kept for what is nowhere else, and for nothing else."""

from dataclasses import replace
from pathlib import Path

from loratui.domain.holding import held
from loratui.domain.run import RunView
from loratui_protocol.messages import Artifact, ArtifactKind, JobState

LORA = Artifact(id="lora", kind=ArtifactKind.LORA, name="x.safetensors", size=1, sha256="0" * 64)


def run(state: JobState = JobState.DONE, name: str = "x") -> RunView:
    view = RunView(run_id=name, name=name, target="vast:loratui-x", state=state)
    view.artifacts["lora"] = LORA
    return view


def test_what_is_here_or_not_wanted_keeps_nothing() -> None:
    view = run()
    view.downloaded["lora"] = Path("x.safetensors")
    view.artifacts["s"] = replace(LORA, id="s", kind=ArtifactKind.SAMPLE)
    view.declined["s"] = "downloads.policy is final"
    view.unwanted.add("s")
    assert held([view]) is None


def test_what_goes_on_or_is_on_its_way_is_not_spoken_of() -> None:
    assert held([run(JobState.RUNNING), run()]) is None


def test_files_are_named_with_why_they_are_not_here_and_each_run_has_its_command() -> None:
    one, two = run(name="my cat"), run(JobState.STOPPED, "dog")
    one.download_failures["lora"] = "its hash is wrong"
    two.declined["lora"] = "too much"
    found = held([one, two])
    assert found is not None
    assert found.what == "x.safetensors (its hash is wrong) of my cat and 1 more file"
    assert found.fetch == ("loratui download 'my cat'", "loratui download dog")


def test_a_run_that_is_done_and_never_named_its_result_has_one_all_the_same() -> None:
    view = run()
    view.artifacts.clear()
    found = held([view])
    assert found is not None
    assert found.what == "the LoRA (its agent never said that it has one) of x"
    view.state = JobState.FAILED
    assert held([view]) is None
