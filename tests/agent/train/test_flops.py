"""The count of operations is torch's own, without what is computed twice."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from loratui_agent.train import gradients
from loratui_agent.train.run import Run
from support.tiny_run import new_run, take_steps

pytestmark = [pytest.mark.torch, pytest.mark.timeout(200), pytest.mark.usefixtures("one_thread")]


def prepared(folder: Path, **changes: Any) -> Run:
    shutil.rmtree(folder / "ckpt", ignore_errors=True)
    run = new_run(folder, **changes)
    take_steps(run, 0)
    return run


def counted_by_us(run: Run, batch_size: int) -> float:
    """Return what our count holds of a micro-batch."""
    with run.pace.step(2):
        gradients.of_batch(run, run.schedule.batch(1, 0))
    assert run.pace._step.num_pictures == batch_size
    return run.pace._step.flops


def counted_by_torch(run: Run) -> int:
    """Return torch's own count: with attention as plain products, since it knows no other on a CPU."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        gradients.of_batch(run, run.schedule.batch(1, 0))
    return counter.get_total_flops()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"network_train_unet_only": True},
        {"network_train_text_encoder_only": True},
        {"network_args": {"conv_dim": 2.0, "conv_alpha": 1.0}},
    ],
    ids=["both", "unet", "text encoder", "convolutions"],
)
def test_a_step_counts_as_many_operations_as_torch_counts(tmp_path: Path, changes: dict[str, Any]):
    run = prepared(tmp_path, **changes)
    # Ours under the kernel that trains: torch's count knows that for a GPU alone.
    assert counted_by_us(run, 2) == counted_by_torch(run)


def test_what_checkpointing_computes_again_is_no_work(tmp_path: Path):
    run = prepared(tmp_path, gradient_checkpointing=True)
    assert counted_by_us(run, 2) == counted_by_us(prepared(tmp_path), 2) < counted_by_torch(run)
