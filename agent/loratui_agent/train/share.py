"""Which pictures of a step each process does, and how what they did becomes the step: the same, however many there are.

Only gradients of LoRA parameters are exchanged, once a step, in one piece: see docs/decisions.md.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from loratui_protocol.errors import JobError

_LOST_WAIT_S = 60.0
"""Longer than it takes to notice that a process has died."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Pictures of one micro-batch that go through the model together."""

    micro: int
    rows: slice
    share: float
    """What they count for of their step, 0 to 1."""


def share_of(sizes: Sequence[int], index: int, count: int, at_once: int) -> list[Piece]:
    """Return what process ``index`` of ``count`` does of a step whose micro-batches have these sizes.

    The pictures of all micro-batches in a row are cut into as many parts, which differ by one picture at most, and a
    part into pieces of one micro-batch with at most ``at_once`` pictures. A step is the mean over its micro-batches,
    each of them the mean over its pictures, whoever does them.
    """
    total = sum(sizes)
    first, end = total * index // count, total * (index + 1) // count
    pieces, start = [], 0
    for micro, size in enumerate(sizes):
        stop = min(end - start, size)
        for row in range(max(first - start, 0), stop, at_once):
            rows = slice(row, min(row + at_once, stop))
            pieces.append(Piece(micro, rows, (rows.stop - rows.start) / size / len(sizes)))
        start += size
    return pieces


def add_up(accelerator: Accelerator, parameters: Sequence[nn.Parameter], losses: Sequence[Tensor]) -> Tensor:
    """Give the parameters the gradients of the whole step, and return its loss; ``losses`` are this process's part.

    Raises:
        JobError: as ``exchanging``.
    """
    loss = torch.stack(list(losses)).sum() if losses else torch.zeros((), device=accelerator.device)
    if accelerator.num_processes == 1:
        return loss
    # Optimizers pass over a parameter without a gradient: it must have none everywhere, or one.
    has_grad = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32, device=loss.device)
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([*(grad.flatten() for grad in grads), has_grad, loss.reshape(1)])
    summed = total(accelerator, flat)
    sizes = [*(p.numel() for p in parameters), len(parameters), 1]
    *grads, has_grad, loss = torch.split(summed, sizes)
    for parameter, grad, has in zip(parameters, grads, has_grad.tolist(), strict=True):
        parameter.grad = grad.view_as(parameter) if has else None
    return loss.squeeze(0)


def total(accelerator: Accelerator, part: Tensor) -> Tensor:
    """Return the sum of the parts of all processes.

    Raises:
        JobError: as ``exchanging``.
    """
    with exchanging():
        summed: Tensor = accelerator.reduce(part, "sum")
        return summed


def check_equal(accelerator: Accelerator, digest: bytes) -> None:
    """Check that all processes start from the same: 32 bytes that stand for it.

    Raises:
        JobError: they do not (code ``process.differs``), or as ``exchanging``.
    """
    own = torch.tensor(list(digest), dtype=torch.int32, device=accelerator.device)
    with exchanging():
        everyones = accelerator.gather(own).view(-1, len(own))
    if not bool((everyones == own).all()):
        raise JobError(
            "the processes of the training did not start with the same weights, dataset or base model",
            fix="see that nothing changes these files, and start again; or train with num_processes = 1",
            code="process.differs",
        )


@contextlib.contextmanager
def exchanging() -> Iterator[None]:
    """Name what goes wrong between processes.

    Raises:
        JobError: they lost each other (code ``process.lost``).
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        # Another one has died. Who watches it knows why, and ends this one as well.
        time.sleep(_LOST_WAIT_S)
        raise JobError(
            f"the processes of the training lost each other: {str(error)[:200]}",
            fix="resume the run; if that happens again, train with num_processes = 1",
            code="process.lost",
        ) from error
