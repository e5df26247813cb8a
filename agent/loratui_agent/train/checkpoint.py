"""The full training state on disk: safetensors and JSON, the manifest last, renamed into place.

A folder ``step-00000120`` exists only when it is complete; its manifest lists every file with size and sha256. The two
newest are kept, so a damaged newest one is no loss.

It holds weights, optimizer, schedule and loss scaler, how far the run is, and by name all that decides the weights:
base model, dataset, seed and every such setting. It holds no random generator and no place in the dataset: what a step
draws and shows is computed from (seed, step) alone.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from loratui_agent.files import disk_full_error, fsync_path, sha256_of
from loratui_protocol.errors import StorageError
from loratui_protocol.state_files import STATE_FORMAT, state_folder, step_of_folder

logger = logging.getLogger(__name__)

NUM_KEPT = 2
HASHED = ("base model", "dataset", "LoRA file that it started from")
"""What an identity has the hash of."""
_DAMAGE = (OSError, ValueError, KeyError, TypeError, SafetensorError)


@dataclass(frozen=True, slots=True)
class TrainingState:
    """What a resumed run needs besides its config: nothing random, since randomness is keyed by step."""

    step: int
    """Optimizer steps done."""
    num_steps: int
    """Optimizer steps that were planned: the schedule is for them."""
    identity: dict[str, str]
    """All that decides the weights, by name: a state only continues the run it comes from."""
    num_skipped: int
    """Steps skipped because of non-finite gradients, in a row."""
    num_cpu_threads: int
    """The same number again gives the same bits."""
    seed: int
    """The run's: another machine could not know one that the config leaves open."""
    tensors: dict[str, Tensor]
    """LoRA parameters by name."""
    optimizer: dict[str, Tensor]
    """Optimizer state, flattened to ``INDEX.KEY``."""
    optimizer_type: str
    """What keeps such a state: one of another kind begins anew."""
    lr_scheduler: dict[str, Any]
    scaler: dict[str, float]
    """State of the fp16 loss scaler; empty without one."""


_GROUP = "group."


def save_state(folder: Path, state: TrainingState) -> int:
    """Write ``state`` under ``folder`` and return its size in bytes; the oldest checkpoints beyond two are removed.

    Raises:
        StorageError: the disk is full; earlier checkpoints are untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / state_folder(state.step)
    if final.exists() and (size := _whole_size(final)):
        # The state of a step is what it is: writing it again could only lose it.
        return size
    temporary = folder / f".tmp-{state_folder(state.step)}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        save_file({k: v.detach().contiguous().cpu() for k, v in state.tensors.items()}, temporary / "lora.safetensors")
        save_file(
            {k: v.detach().contiguous().cpu() for k, v in state.optimizer.items()}, temporary / "optimizer.safetensors"
        )
        facts = {
            "format": STATE_FORMAT,
            "step": state.step,
            "num_steps": state.num_steps,
            "identity": state.identity,
            "num_skipped": state.num_skipped,
            "num_cpu_threads": state.num_cpu_threads,
            "seed": state.seed,
            "optimizer_type": state.optimizer_type,
            "lr_scheduler": state.lr_scheduler,
            "scaler": state.scaler,
        }
        (temporary / "state.json").write_text(json.dumps(facts), "utf-8")
        files = sorted(temporary.iterdir())
        for path in files:
            fsync_path(path)
        manifest = {path.name: {"size": path.stat().st_size, "sha256": sha256_of(path)} for path in files}
        (temporary / "manifest.json").write_text(json.dumps(manifest), "utf-8")
        fsync_path(temporary / "manifest.json")
        fsync_path(temporary)
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        fsync_path(folder)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        full = disk_full_error(error, temporary)
        if full is not None:
            raise full from error
        raise
    _prune(folder)
    return _size(final)


def _whole_size(path: Path) -> int:
    """Return the size of an undamaged checkpoint in bytes, 0 for a damaged one."""
    try:
        _load(path)
    except _DAMAGE:
        return 0
    return _size(path)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir())


def check_newest_state(folder: Path, identity: Mapping[str, str], num_steps: int) -> None:
    """Return if the newest state that says what it belongs to continues this run; the rest of it is not read.

    Raises:
        StorageError: it is of another run, or from beyond this one's last step (code ``resume.other_run``).
    """
    for path in sorted(_checkpoints(folder), reverse=True):
        try:
            facts = _facts(path)
            step, saved = facts["step"], dict(facts["identity"])
        except _DAMAGE:
            continue
        changed = _changed(saved, identity)
        if changed:
            raise StorageError(
                f"the saved state in {path} belongs to another run: {'; '.join(changed)}. It was left as it is",
                fix="undo the change, or start a new run",
                code="resume.other_run",
            )
        if step > num_steps:
            raise StorageError(
                f"the saved state in {path} is of step {step}, the run has {num_steps}; it was left as it is",
                fix="give the run more epochs, or start a new one",
                code="resume.other_run",
            )
        return


def _changed(saved: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return in words what differs. A setting that one side does not know is of another version, and as it was."""
    different = [name for name in now if name in saved and saved[name] != now[name]]
    return [
        f"the {name} is another one" if name in HASHED else f"{name} is {now[name]}, it was {saved[name]}"
        for name in different
    ]


def load_newest_state(folder: Path) -> TrainingState | None:
    """Return the newest undamaged state, None when there is none yet.

    Raises:
        StorageError: every one is damaged.
    """
    found = sorted(_checkpoints(folder), reverse=True)
    for path in found:
        try:
            state = _load(path)
        except _DAMAGE as error:
            logger.warning("checkpoint %s is damaged (%s), trying the one before", path.name, error)
            continue
        return state
    if found:
        raise StorageError(f"every saved state in {folder} is damaged", fix="start a new run", code="resume.damaged")
    return None


def _load(path: Path) -> TrainingState:
    manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    for name in ("lora.safetensors", "optimizer.safetensors", "state.json"):
        if sha256_of(path / name) != manifest[name]["sha256"]:
            raise ValueError(f"{name} does not match its sha256")
    facts = _facts(path)
    return TrainingState(
        step=facts["step"],
        num_steps=facts["num_steps"],
        identity=facts["identity"],
        num_skipped=facts["num_skipped"],
        num_cpu_threads=facts["num_cpu_threads"],
        seed=facts["seed"],
        tensors=load_file(path / "lora.safetensors"),
        optimizer=load_file(path / "optimizer.safetensors"),
        optimizer_type=facts["optimizer_type"],
        lr_scheduler=facts["lr_scheduler"],
        scaler=facts["scaler"],
    )


def _facts(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((path / "state.json").read_text("utf-8"))
    if facts["format"] != STATE_FORMAT:
        raise ValueError(f"format {facts['format']}")
    return facts


def _checkpoints(folder: Path) -> list[Path]:
    found = folder.glob("step-*") if folder.is_dir() else ()
    return [path for path in found if step_of_folder(path.name) is not None]


def _prune(folder: Path) -> None:
    """Remove all but the newest, and what an attempt that was killed left unfinished."""
    for path in (*sorted(_checkpoints(folder))[:-NUM_KEPT], *folder.glob(".tmp-step-*")):
        shutil.rmtree(path, ignore_errors=True)


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state as one flat dict: ``INDEX.KEY`` of parameters, ``group.INDEX.KEY`` of groups.

    Some, as Prodigy, keep what they have found out in their groups. Plain numbers are float64, which holds them all.
    """
    state = optimizer.state_dict()
    numbers = [{k: v for k, v in group.items() if type(v) in (int, float)} for group in state["param_groups"]]
    return {**_flat("", state["state"]), **_flat(_GROUP, dict(enumerate(numbers)))}


def restore_optimizer(optimizer: torch.optim.Optimizer, flat: dict[str, Tensor]) -> None:
    """Put back what ``flatten_optimizer`` returned; learning rates are set by the scheduler afterwards.

    What belongs to parameters that learn no more, which are the last ones, is left out.
    """
    state: dict[int, Any] = {}
    groups = optimizer.state_dict()["param_groups"]
    num_parameters = sum(len(group["params"]) for group in groups)
    for name, tensor in flat.items():
        index, *path = name.removeprefix(_GROUP).split(".")
        if int(index) >= (len(groups) if name.startswith(_GROUP) else num_parameters):
            continue
        place = groups[int(index)] if name.startswith(_GROUP) else state.setdefault(int(index), {})
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = _number(tensor) if tensor.dtype == torch.float64 and tensor.dim() == 0 else tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _flat(prefix: str, nested: Mapping[Any, Any]) -> dict[str, Tensor]:
    # bitsandbytes has a dict of its own within the state of a parameter.
    found: dict[str, Tensor] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            found |= _flat(f"{prefix}{key}.", value)
        else:
            found[f"{prefix}{key}"] = torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else torch.float64)
    return found


def _number(tensor: Tensor) -> float:
    number = float(tensor)
    return int(number) if number.is_integer() else number
