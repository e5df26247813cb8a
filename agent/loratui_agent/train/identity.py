"""What makes a run the run that it is: a saved state only continues its own, and all processes of one agree on it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import fields

from torch import Tensor

from loratui_agent.train.checkpoint import HASHED
from loratui_protocol.config import KEYS, TrainingConfig
from loratui_protocol.dataset import Dataset, fingerprint
from loratui_protocol.run_end import ENDS
from loratui_protocol.subsets import subsets_of

# What a config may change between a run and its resume without being another run.
_OUTSIDE_IDENTITY = frozenset(
    {
        "output_dir",
        "output_name",
        "save_precision",
        "save_format",
        "save_every_n_steps",
        "save_every_n_epochs",
        "save_last_n_steps",
        "save_last_n_epochs",
        "keep_every_n_steps",
        "keep_every_n_epochs",
        "keep_best",
        "checkpoint_every_n_steps",
        "validate_every_n_steps",
        "validate_every_n_epochs",
        "sample_prompts",
        "sample_every_n_steps",
        "sample_every_n_epochs",
        "sample_at_first",
        *(key for key in KEYS if key.startswith("evaluate_")),
        "trigger_word",
        "training_comment",
        "metadata_title",
        "metadata_author",
        "metadata_description",
        "metadata_license",
        "metadata_tags",
        "rights_statement",
        "no_metadata",
        "num_cpu_threads",
        "min_resolution",
        "num_processes",
        "seed",
        # A run may go on to another end (``run_end``); its state says which one it was planned for.
        *ENDS,
        # Their content counts, whatever they are called on this machine.
        "pretrained_model_name_or_path",
        "train_data_dir",
        "reg_data_dir",
        "conditioning_data_dir",
        "network_weights",
        # The ranks that come of it count.
        "dim_from_weights",
        # What is in effect for each subset counts.
        "datasets",
    }
)


def identity_of(
    config: TrainingConfig, dataset: Dataset, base_sha256: str, seed: int, start_sha256: str
) -> dict[str, str]:
    """Return all that decides the weights: a saved state only continues its own run.

    It is the same on every machine: neither paths nor a precision that the config leaves open are part of it.
    """
    hashes = dict(zip(HASHED, (base_sha256, fingerprint(dataset), start_sha256), strict=True))
    decisive = {f.name: repr(getattr(config, f.name)) for f in fields(config) if f.name not in _OUTSIDE_IDENTITY}
    subsets = [subset.in_effect() for subset in subsets_of(config)] if config.datasets else []
    return {**hashes, "seed": str(seed), **decisive, "datasets": repr(subsets)}


def digest_of(identity: Mapping[str, str], step: int, parameters: Iterable[Tensor]) -> bytes:
    """Return 32 bytes that stand for where a run is: what it trains on, its step and its weights."""
    whole = hashlib.sha256(f"{identity}\n{step}".encode())
    for parameter in parameters:
        whole.update(parameter.detach().cpu().numpy().tobytes())
    return whole.digest()
