"""The client's settings: flag > ``LORATUI_*`` environment > ``config.toml`` > default, each with where it came from."""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import platformdirs

from loratui.domain.download_policy import DownloadPolicy, read_amount, read_which
from loratui.domain.environment_choice import Preference
from loratui.domain.formatting import parse_microusd
from loratui.domain.offers import read_share
from loratui.install_settings import INSTALL, folders_of
from loratui.screen_settings import SCREEN, ScreenSettings, is_key, key_text, keys_of
from loratui.setting import (
    PORT_PROBE,
    Setting,
    author,
    endpoints,
    file_text,
    folder_there,
    minutes,
    path,
    refuse_unknown_variables,
    some_minutes,
    some_money,
    some_seconds,
    switch,
    text_there,
)
from loratui_protocol.errors import ConfigError, LoratuiError
from loratui_protocol.paths import default_home

FILE_NAME = "config.toml"


SETTINGS = (
    Setting(
        key="config_dir",
        meaning="folder of config.toml",
        read=path,
        default=lambda: str(platformdirs.user_config_path("loratui", appauthor=False)),
        in_file=False,
    ),
    Setting(
        key="state_dir",
        meaning="folder of the run database and of downloaded files",
        read=path,
        default=lambda: str(platformdirs.user_state_path("loratui", appauthor=False)),
    ),
    Setting(key="author", meaning="who commands are sent as", read=text_there, default=author),
    Setting(
        key="local.home",
        meaning="folder of the agent on this machine",
        read=path,
        default=lambda: str(default_home()),
        env="LORATUI_HOME",
    ),
    Setting(
        key="local.price_usd_per_h",
        meaning="what an hour of training on this machine costs, in dollars",
        read=parse_microusd,
        default=lambda: "0",
        is_number=True,
    ),
    Setting(
        key="ssh.price_usd_per_h",
        meaning="what an hour of a host that is reached through ssh:// costs, in dollars",
        read=parse_microusd,
        default=lambda: "0",
        is_number=True,
    ),
    Setting(
        key="ssh.home",
        meaning="folder of the agent on hosts that are reached through ssh://, from the root; by default one is found",
        read=folder_there,
        default=lambda: "",
    ),
    Setting(
        key="ssh.billing_floor_min",
        meaning="how many minutes of such a host are billed at least, however short a run is",
        read=minutes,
        default=lambda: "0",
        is_number=True,
    ),
    Setting(
        key="rental.min_reliability",
        meaning="what share of the time a rented machine must have been there, as far as its provider measured that",
        read=read_share,
        default=lambda: "0.98",
        is_number=True,
    ),
    Setting(
        key="rental.max_usd",
        meaning="what a rental may cost at most when no --budget is named, in dollars",
        read=some_money,
        default=lambda: "10",
        is_number=True,
    ),
    Setting(
        key="rental.boot_limit_min",
        meaning="after how many minutes without an address a rented machine is ended, and the next offer taken",
        read=some_minutes,
        default=lambda: "12",
        is_number=True,
    ),
    Setting(
        key="rental.connect_limit_min",
        meaning="after how many minutes of letting nobody in a rented machine is ended, and the next offer taken",
        read=some_minutes,
        default=lambda: "5",
        is_number=True,
    ),
    Setting(
        key="rental.lease_min",
        meaning="how many minutes a rented machine with nothing to do, and nobody there, stays",
        read=some_minutes,
        default=lambda: "30",
        is_number=True,
    ),
    Setting(
        key="network.port_probe",
        meaning="tried before a rental, since some networks block high ports (host:port, host:port): one of your own "
        "has to answer; none: nothing is tried",
        read=endpoints,
        default=lambda: PORT_PROBE,
    ),
    Setting(
        key="remote.index_url",
        meaning="package index that other machines install from",
        read=text_there,
        default=lambda: "https://pypi.org/simple",
    ),
    Setting(
        key="remote.torch_index_url",
        meaning="index with a folder for each build of torch (cu128, cpu)",
        read=text_there,
        default=lambda: "https://download.pytorch.org/whl",
    ),
    Setting(
        key="remote.environment",
        meaning="what other machines train in: overlay (over their own torch), clean (with one of ours), auto",
        read=Preference,
        default=lambda: "auto",
    ),
    Setting(
        key="remote.hub_url",
        meaning="model hub that other machines download base models from",
        read=text_there,
        default=lambda: "https://huggingface.co",
    ),
    Setting(
        key="providers.vast.url",
        meaning="where Vast.ai is asked",
        read=text_there,
        default=lambda: "https://console.vast.ai",
    ),
    Setting(
        key="providers.vast.spacing",
        meaning="share of the time between two requests that Vast.ai asks for; below 1 for a server of your own alone",
        read=read_share,
        default=lambda: "1",
        is_number=True,
    ),
    Setting(
        key="providers.runpod.url",
        meaning="where RunPod's REST API is asked",
        read=text_there,
        default=lambda: "https://api.runpod.io/v2",
    ),
    Setting(
        key="providers.runpod.graphql_url",
        meaning="where RunPod's GraphQL API is asked, which alone tells the balance",
        read=text_there,
        default=lambda: "https://api.runpod.io/graphql",
    ),
    Setting(
        key="rental.ask_every_s",
        meaning="how often a provider is asked what a followed rental costs, and whether it is there; in seconds",
        read=some_seconds,
        default=lambda: "60",
        is_number=True,
    ),
    Setting(
        key="rental.look_every_s",
        meaning="how often offers are looked at while a price is waited for; in seconds",
        read=some_seconds,
        default=lambda: "60",
        is_number=True,
    ),
    Setting(
        key="upload.copies",
        meaning="whether large pictures are sent as smaller copies, from which the same is learned; true or false",
        read=switch,
        default=lambda: "true",
        is_switch=True,
    ),
    Setting(
        key="downloads.policy",
        meaning="which files of a run are fetched as they appear: all, final (no samples but small ones, and no "
        "checkpoint but the last of a run that ended without a result), none; with final and none no saved state comes "
        "either, so a run whose machine vanishes begins anew",
        read=read_which,
        default=lambda: "all",
    ),
    Setting(
        key="downloads.max_mbit_s",
        meaning="how fast files of one run are fetched at most, in megabits a second; 0: as fast as it goes",
        read=read_amount,
        default=lambda: "0",
        is_number=True,
    ),
    Setting(
        key="downloads.max_gib",
        meaning="how much is fetched for one run at most, in GiB; results come before checkpoints and samples, "
        "and all of them before saved states",
        read=read_amount,
        default=lambda: "20",
        is_number=True,
    ),
    *INSTALL,
    *SCREEN,
)
_BY_KEY = {setting.key: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A setting as ``config show --origin`` prints it; ``origin`` is "default" or names flag, variable or file."""

    key: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, read and checked."""

    config_dir: Path
    state_dir: Path
    author: str
    local_home: Path
    local_price_microusd_per_h: int
    ssh_price_microusd_per_h: int
    ssh_home: str
    ssh_billing_floor_s: float
    rental_min_reliability: float
    rental_max_microusd: int
    rental_boot_limit_s: float
    rental_connect_limit_s: float
    rental_lease_s: float
    port_probe: tuple[tuple[str, int], ...]
    remote_index_url: str
    remote_torch_index_url: str
    remote_environment: Preference
    remote_hub_url: str
    vast_url: str
    vast_spacing: float
    runpod_url: str
    runpod_graphql_url: str
    rental_ask_every_s: float
    rental_look_every_s: float
    upload_copies: bool
    downloads: DownloadPolicy
    ui_folders: Mapping[str, Path] = field(default_factory=dict)
    """Where programs are that draw with LoRAs, by their names in ``install_settings``."""
    screen: ScreenSettings = field(default_factory=ScreenSettings)
    shown: tuple[Shown, ...] = ()

    @property
    def config_file(self) -> Path:
        """Return the settings file, which need not exist."""
        return self.config_dir / FILE_NAME

    @property
    def database(self) -> Path:
        """Return the file of the run database."""
        return self.state_dir / "loratui.sqlite3"

    def run_folder(self, run_id: str) -> Path:
        """Return where the files of a run are kept on this machine."""
        return self.state_dir / "runs" / run_id


def load(flags: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings; ``flags`` maps keys to the text given on the command line.

    Raises:
        ConfigError: the file can't be read or has an unknown key; a value is of a wrong type.
    """
    flags = flags or {}
    environ = os.environ if environ is None else environ
    refuse_unknown_variables(environ, [setting.env_name for setting in SETTINGS])
    texts: dict[str, tuple[str, str]] = {}
    config_dir = _outside_the_file(_BY_KEY["config_dir"], flags, environ)
    in_file = dict(_file_texts(path(config_dir[0]) / FILE_NAME))
    for setting in SETTINGS:
        outside = _outside_the_file(setting, flags, environ)
        from_file = in_file.get(setting.key)
        texts[setting.key] = from_file if outside[1] == "default" and from_file else outside
    values = {key: _read(_BY_KEY[key], text, origin) for key, (text, origin) in texts.items()}
    texts |= {key: of_action for key, of_action in in_file.items() if is_key(key)}
    return Settings(
        config_dir=values["config_dir"],
        state_dir=values["state_dir"],
        author=values["author"],
        local_home=values["local.home"],
        local_price_microusd_per_h=values["local.price_usd_per_h"],
        ssh_price_microusd_per_h=values["ssh.price_usd_per_h"],
        ssh_home=values["ssh.home"],
        ssh_billing_floor_s=values["ssh.billing_floor_min"],
        rental_min_reliability=values["rental.min_reliability"],
        rental_max_microusd=values["rental.max_usd"],
        rental_boot_limit_s=values["rental.boot_limit_min"],
        rental_connect_limit_s=values["rental.connect_limit_min"],
        rental_lease_s=values["rental.lease_min"],
        port_probe=values["network.port_probe"],
        remote_index_url=values["remote.index_url"],
        remote_torch_index_url=values["remote.torch_index_url"],
        remote_environment=values["remote.environment"],
        remote_hub_url=values["remote.hub_url"],
        vast_url=values["providers.vast.url"],
        vast_spacing=values["providers.vast.spacing"],
        runpod_url=values["providers.runpod.url"],
        runpod_graphql_url=values["providers.runpod.graphql_url"],
        rental_ask_every_s=values["rental.ask_every_s"],
        rental_look_every_s=values["rental.look_every_s"],
        upload_copies=values["upload.copies"],
        downloads=DownloadPolicy(
            which=values["downloads.policy"],
            max_mbit_s=values["downloads.max_mbit_s"],
            max_gib=values["downloads.max_gib"],
        ),
        screen=ScreenSettings(
            **{each.key.removeprefix("ui."): values[each.key] for each in SCREEN}, keys=keys_of(in_file)
        ),
        ui_folders=folders_of(values),
        shown=tuple(Shown(key=key, value=text, origin=origin) for key, (text, origin) in texts.items()),
    )


def _outside_the_file(setting: Setting, flags: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, str]:
    if setting.key in flags:
        return flags[setting.key], "flag"
    if environ.get(setting.env_name):
        return environ[setting.env_name], setting.env_name
    return setting.default(), "default"


def _read(setting: Setting, text: str, origin: str) -> Any:
    try:
        return setting.read(text)
    except (ValueError, LoratuiError) as error:
        raise ConfigError(
            f"{setting.key} = {text!r} (from {origin}) is not possible",
            fix=f"{setting.meaning}; change it where it is set",
            code="config.type",
        ) from error


def _file_texts(path: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield (key, (text, origin)) of everything in the file; no file is an empty one."""
    try:
        # Money is read as it is written, never through a binary fraction.
        content = tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
    except FileNotFoundError:
        return
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is no TOML: {error}", fix="correct or remove the line", code="config.syntax"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}", code="config.unreadable") from error
    known = [setting.key for setting in SETTINGS if setting.in_file]
    for key, value in _flat(content):
        if is_key(key):
            yield key, (key_text(key, value, path), str(path))
            continue
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.5)
            raise ConfigError(
                f"{path} has the unknown key {key!r}",
                fix=f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}",
                code="config.unknown_key",
            )
        yield key, (file_text(_BY_KEY[key], value, path), str(path))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
