"""A step whose loss or gradient is no number changes nothing, is counted and told, and never reaches a file."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from loratui_agent.train import loop, saving
from loratui_agent.train.checkpoint import flatten_optimizer
from loratui_agent.train.controls import Controls
from loratui_agent.train.run import Run
from loratui_protocol.errors import JobError
from loratui_protocol.messages import ArtifactKind
from support.tiny_run import new_run, take_steps, trained, warnings_of

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]


def everything_learned(run: Run) -> dict[str, Tensor]:
    """Return copies of weights and optimizer state."""
    tensors = {**trained(run), **flatten_optimizer(run.optimizer)}
    return {name: tensor.clone() for name, tensor in tensors.items()}


def are_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def shown(run: Run, step: int) -> set[int]:
    """Return the pictures of a step."""
    batches = [run.schedule.batch(step, micro) for micro in range(run.schedule.num_micro(step))]
    return {exposure.picture_index for batch in batches for exposure in batch}


def new_started_run(folder: Path, **changes: object) -> Run:
    (folder / "artifacts").mkdir(exist_ok=True)
    run = new_run(folder, **changes)
    take_steps(run, 0)
    return run


@pytest.mark.parametrize(("value", "accumulated"), [(torch.nan, 1), (torch.inf, 2)])
def test_a_poisoned_picture_spoils_its_steps_and_no_others(tmp_path: Path, value: float, accumulated: int):
    run = new_started_run(tmp_path, train_batch_size=1, gradient_accumulation_steps=accumulated)
    picture = min({0, 1, 2, 3} - shown(run, 1))
    run.latents.plain[picture].mean[0, 0, 0] = value
    spoiled = in_a_row = 0
    for step in range(1, 5):
        before = everything_learned(run)
        _, grad_norm = loop.take_step(run)
        poisoned = picture in shown(run, step)
        spoiled += poisoned
        in_a_row = in_a_row + 1 if poisoned else 0
        assert are_equal(everything_learned(run), before) == poisoned
        assert run.num_skipped == in_a_row
        assert (grad_norm < torch.inf) != poisoned
    assert run.step == 4
    assert warnings_of(run) == ["step.skipped"] * spoiled
    assert 0 < spoiled < 4
    saved = saving.save_lora(run, "tiny.safetensors", ArtifactKind.LORA)
    saving.save_checkpoint(run)
    for file in (run.job.artifacts / saved.id, *run.job.checkpoints.rglob("*.safetensors")):
        assert all(torch.isfinite(tensor).all() for tensor in load_file(file).values())


def test_a_gradient_that_is_no_number_is_found_whatever_the_loss_says(tmp_path: Path):
    run = new_started_run(tmp_path)
    loop.take_step(run)
    before = everything_learned(run)
    hook = run.parameters[-1].register_hook(lambda gradient: gradient * torch.nan)
    loss, _ = loop.take_step(run)
    hook.remove()
    assert math.isfinite(loss)
    assert are_equal(everything_learned(run), before)
    assert warnings_of(run) == ["step.skipped"]


def test_ten_in_a_row_end_the_run_and_leave_what_was_saved(tmp_path: Path):
    run = new_started_run(tmp_path, max_train_steps=40, save_every_n_steps=4, checkpoint_every_n_steps=4)
    controls = Controls(run.reporter)
    for _ in range(4):
        loop.take_step(run)
        saving.save_what_is_due(run, controls)
    good, files = everything_learned(run), sorted(run.job.artifacts.iterdir())
    contents = [file.read_bytes() for file in files]
    for latents in run.latents.plain:
        latents.mean.fill_(torch.nan)
    with pytest.raises(JobError) as caught:
        loop.train_steps(run, controls)
    assert caught.value.code == "nan_loss"
    assert run.num_skipped == loop.MAX_SKIPPED_IN_A_ROW == 10
    assert warnings_of(run) == ["step.skipped"] * 9
    assert are_equal(everything_learned(run), good)
    assert [file.read_bytes() for file in files] == contents
    resumed = new_started_run(tmp_path, max_train_steps=40, save_every_n_steps=4, checkpoint_every_n_steps=4)
    state = saving.load_state(resumed)
    assert state is not None
    saving.restore(resumed, state)
    assert are_equal(everything_learned(resumed), good)
    loop.take_step(resumed)
    assert not are_equal(trained(resumed), trained(run)), "with the cause gone it goes on"
