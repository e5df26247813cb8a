"""Settings of a user whose providers are on loopback, with keys kept in files, and a config to be trained there."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui import settings
from loratui.settings import Settings
from loratui_protocol.config_file import to_toml
from support.fake_runpod import FakeRunPod, fake_runpod
from support.fake_vast import FakeVast, fake_vast
from support.small_dataset import small_config, write_small_dataset


@dataclass
class MarketHere:
    """A market, and who looks at it."""

    folder: Path
    vast: FakeVast
    runpod: FakeRunPod

    @property
    def preferences(self) -> Settings:
        return settings.load(environ=self.environment)

    @property
    def environment(self) -> dict[str, str]:
        names = {"CONFIG_DIR": "config", "STATE_DIR": "state", "HOME": "home"}
        return {f"LORATUI_{name}": str(self.folder / part) for name, part in names.items()}

    @property
    def config(self) -> Path:
        return self.folder / "job.toml"

    def write_config(self, **changes: Any) -> Path:
        """Write a config of a run of some minutes, whose base model is built in."""
        usual = {"resolution": (512, 512), "train_batch_size": 4, "max_train_steps": 1500}
        config = small_config(write_small_dataset(self.folder / "pictures"), **{**usual, **changes})
        self.config.write_text(to_toml(config), "utf-8")
        return self.config

    def keep_key(self, provider: str, text: str) -> None:
        path = self.folder / "config" / "keys" / provider
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)


@contextlib.contextmanager
def market_here(
    folder: Path, keys: Sequence[str] = ("vast", "runpod"), *, hub_url: str = "http://127.0.0.1:9"
) -> Iterator[MarketHere]:
    """Lend a market; at the usual ``hub_url`` nobody answers."""
    with fake_vast() as vast, fake_runpod() as runpod:
        here = MarketHere(folder, vast, runpod)
        (folder / "config").mkdir(parents=True)
        (folder / "config" / "config.toml").write_text(
            f'[providers.vast]\nurl = "{vast.url}"\nspacing = 0\n'
            f'[providers.runpod]\nurl = "{runpod.url}"\ngraphql_url = "{runpod.graphql_url}"\n'
            f'[remote]\nhub_url = "{hub_url}"\n'
        )
        for name, text in {"vast": vast.key, "runpod": runpod.key}.items():
            if name in keys:
                here.keep_key(name, text)
        here.write_config()
        yield here
