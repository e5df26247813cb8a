"""Whether a run's files will fit on the disks they go to, asked before anything starts."""

import math
import shutil
from collections.abc import Iterable
from pathlib import Path

from loratui.domain import formatting
from loratui.domain.estimate_work import PICTURE_BYTES, UNIT_PX
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import StorageError
from loratui_protocol.plan import Plan
from loratui_protocol.save_points import most_at_once

FILE_BYTES_PER_RANK = 1_200_000
"""A file of Stable Diffusion 1.x with all modules in fp16 (38 MB at rank 32); the tiny model stays far below."""
_STATE_BYTES_PER_RANK = 6 * FILE_BYTES_PER_RANK
_NUM_STATES_KEPT = 2
_RESERVE_BYTES = 200_000_000


def needed_bytes(config: TrainingConfig, plan: Plan) -> tuple[int, int]:
    """Return about how much (the run's own folder, the files it hands over) will take."""
    width = 2 if config.save_precision == "float" else 1
    others = round(plan.num_sample_pictures * PICTURE_BYTES * math.prod(config.resolution) / UNIT_PX) + _RESERVE_BYTES
    file_bytes = config.network_dim * FILE_BYTES_PER_RANK * width
    # What was handed over stays where it is, whatever the run's own folder keeps.
    own = (most_at_once(config, plan.save_points) + 1) * file_bytes + others
    files = (len(plan.save_points) + 1) * file_bytes + others
    return own + _NUM_STATES_KEPT * config.network_dim * _STATE_BYTES_PER_RANK, files


def check_space(needs: Iterable[tuple[Path, int]]) -> None:
    """Refuse a run whose files won't fit; ``needs`` are folders of this machine and the bytes that go there.

    Raises:
        StorageError: with the folder, what is free and what is needed.
    """
    needed: dict[int, tuple[Path, int]] = {}
    for folder, num_bytes in needs:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        device = existing.stat().st_dev
        needed[device] = (existing, needed.get(device, (existing, 0))[1] + num_bytes)
    for folder, num_bytes in needed.values():
        free = shutil.disk_usage(folder).free
        if free < num_bytes:
            raise StorageError(
                f"the disk of {folder} has {formatting.size(free)} free, the run may take "
                f"{formatting.size(num_bytes)}: "
                "nothing was started",
                fix="free some space, write fewer files on the way (save_every_n_steps), lower network_dim, or set "
                "LORATUI_HOME and LORATUI_STATE_DIR to folders on a larger disk",
                code="disk.too_small",
            )
