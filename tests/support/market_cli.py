"""The command line of a user with keys of both providers, which are on loopback."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loratui_protocol.config_file import to_toml
from support.fake_runpod import FakeRunPod
from support.fake_vast import FakeVast
from support.local_cli import LocalCli, local_cli
from support.small_dataset import small_config, write_small_dataset


@contextlib.contextmanager
def market_cli(folder: Path, vast: FakeVast, runpod: FakeRunPod, **environment: str) -> Iterator[LocalCli]:
    with local_cli(
        folder,
        LORATUI_PROVIDERS__VAST__URL=vast.url,
        LORATUI_PROVIDERS__VAST__SPACING="0",
        LORATUI_PROVIDERS__RUNPOD__URL=runpod.url,
        LORATUI_PROVIDERS__RUNPOD__GRAPHQL_URL=runpod.graphql_url,
        LORATUI_VAST_API_KEY=vast.key,
        LORATUI_RUNPOD_API_KEY=runpod.key,
        **environment,
    ) as cli:
        yield cli


def config_file(cli: LocalCli, **changes: Any) -> Path:
    """Write a config of a run of some minutes, whose base model is built in."""
    usual = {"resolution": (512, 512), "train_batch_size": 4, "max_train_steps": 1500}
    config = small_config(write_small_dataset(cli.folder / "pictures"), **{**usual, **changes})
    path = cli.folder / "job.toml"
    path.write_text(to_toml(config), "utf-8")
    return path
