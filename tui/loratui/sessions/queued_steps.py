"""How long runs that wait will be, as far as their configs say it by themselves."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from loratui.settings import Settings
from loratui.store import Store
from loratui_protocol.config_file import parse_config
from loratui_protocol.errors import ConfigError, StorageError


def queued_steps(preferences: Settings, run_ids: Iterable[str]) -> Mapping[str, int]:
    """Return the steps of each run by id, 0 where they follow from epochs and pictures, or nobody knows.

    Raises:
        StorageError: the records can't be read.
    """
    with Store(preferences.database) as store:
        return {run_id: _steps(store, run_id) for run_id in run_ids}


def _steps(store: Store, run_id: str) -> int:
    try:
        config = parse_config(store.run(run_id).config_toml, Path("/")).config
    except (ConfigError, StorageError) as error:
        if isinstance(error, StorageError) and error.code != "store.unknown_run":
            raise
        return 0
    return 0 if config.max_train_epochs else config.max_train_steps
