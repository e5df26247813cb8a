"""A state that another machine saved: verified, and put where this job's own are, before its first attempt."""

import json
import logging
import shutil
from pathlib import Path

from loratui_agent.files import fsync_path, full_disk_named, write_atomically
from loratui_agent.train.job import SEED_FILE, Job
from loratui_protocol.state_files import SavedState, states_in, verified_state

logger = logging.getLogger(__name__)


def take_in(job: Job) -> None:
    """Have the state that the job is to go on from among its own, or leave everything as it was.

    Nothing happens where the job has none to go on from, or has saved one itself. Whether it belongs to this base
    model, dataset and config shows before any of them is loaded.

    Raises:
        StorageError: it is damaged or incomplete (``state.damaged``), or the disk is full.
    """
    named = str(json.loads((job.folder / "spec.json").read_text("utf-8")).get("state_dir") or "")
    if not named or any(states_in(job.checkpoints)):
        return
    state = verified_state(job.folder / named)
    with full_disk_named(job.checkpoints):
        _copy(state, job.checkpoints)
    if job.config.seed is None:
        # Drawn once, where the run began.
        write_atomically(job.folder / SEED_FILE, lambda path: _write(path, str(state.seed)))
    logger.info("going on from step %d, saved on another machine", state.step)


def _copy(state: SavedState, folder: Path) -> None:
    unfinished = folder / f".tmp-{state.folder.name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        for source in state.paths:
            shutil.copyfile(source, unfinished / source.name)
            fsync_path(unfinished / source.name)
        fsync_path(unfinished)
        unfinished.rename(folder / state.folder.name)
        fsync_path(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
