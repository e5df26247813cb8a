"""Before a run goes to another machine: what that is, what it needs of this one, and whether it can train at all.

Nothing of the user's is sent here. The agent's program goes there only where the host is to download a model: it
looks how large that is and how fast it comes. What can't work is refused.
"""

import asyncio
import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from loratui.domain.base_kinds import LARGE_FEATURE_BYTES
from loratui.domain.box import BoxFacts, Disk
from loratui.domain.box_home import choose_home
from loratui.domain.environment_choice import EnvironmentChoice, EnvironmentSettings, choose_environment
from loratui.domain.formatting import size
from loratui.remote.address import agent_argv
from loratui.remote.bootstrap import agent_python, raise_if_error, run_program
from loratui.remote.box import Box
from loratui.remote.environment_files import environment_files
from loratui.sessions.copies import copies_for
from loratui.sessions.judging import feature_sources
from loratui.sessions.machine import Machine
from loratui.sessions.model_source import model_source, token_for, token_source
from loratui.sessions.supply import Supply, plan_supply
from loratui.settings import Settings
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import HostError, ModelError
from loratui_protocol.framing import MARK, new_nonce
from loratui_protocol.inputs import MAX_FILE_BYTES, ModelSource
from loratui_protocol.state_files import SavedState

_DOWNLOADED_MODEL_BYTES = 7 << 30
"""Room for a base model whose size only its hub knows: of SDXL 6.94 GB in 16 bits are downloaded."""


_POWER_SCRIPT = (
    "command -v poweroff || command -v shutdown || command -v systemctl || exit 3; "
    '[ "$(id -u)" = 0 ] || sudo -n true || exit 4; '
    "if [ -e /.dockerenv ] || [ -e /run/.containerenv ]; then exit 5; fi"
)
_POWER_ANSWERS = {
    3: "it has no poweroff, shutdown or systemctl",
    4: "this user is not root there, and sudo asks for a password",
    5: "it is a container, which has no power to switch off: a rental goes on, and bills",
}
_FASTEST_BYTES_PER_S = 1e12
_WORTH_MEASURING_BYTES = 20_000_000
_MEASURED_BYTES = (128 << 10, 512 << 10, 2 << 20, 8 << 20)
_MEASURED_S = 0.5
_MEASURE_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run that a machine can do. ``supply`` is what travels to it."""

    facts: BoxFacts
    home: str
    environment: EnvironmentChoice
    model: ModelSource | None
    """None: the base model travels with the dataset."""
    weighed: "WeighedModel | None"
    """The base model as the host sees it; None where it downloads none, or can't look before it got a Python."""
    features: "Mapping[ModelSource, WeighedModel | ModelError | None]"
    """Models to measure with that the host downloads, seen the same way; or why it will not have them."""
    supply: Supply
    upload_bytes_per_s: float | None
    """Measured just now; None where so little travels that nobody asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighedModel:
    """A model that a host is to download. What is None nobody knows."""

    is_there: bool
    """It was downloaded before."""
    size: int | None
    bytes_per_s: float | None
    """Measured just now, there."""


async def prepare(
    machine: Machine,
    config: TrainingConfig,
    settings: Settings,
    run_bytes: int,
    *,
    token: str = "",
    state: SavedState | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Prepared:
    """Look at the machine and plan what it is sent; ``run_bytes`` is what checkpoints and files will take there.

    ``token`` is for the base model, where the host downloads that, or else for what it measures with: it is shown to
    that server, and kept nowhere.
    ``state`` is what the run goes on from.
    ``progress`` is told, in another thread, how many bytes of what travels were looked at, of how many.

    Raises:
        HostError: it can't be reached, or can't train.
        DatasetError, ModelError: what would have to travel is not here; the base model can't be had there.
    """
    facts = await machine.agent.probe()
    machine.remember_options()
    choice = choose_environment(
        facts,
        EnvironmentSettings(
            preference=settings.remote_environment,
            index_url=settings.remote_index_url,
            torch_index_url=settings.remote_torch_index_url,
        ),
    )
    model = model_source(config.pretrained_model_name_or_path, settings.remote_hub_url)
    features = feature_sources(config, settings.remote_hub_url)
    files = await environment_files(choice, facts, settings.state_dir / "cache")
    # Made before anything was rented; now they are found again, of the pictures as they are now.
    copies = await asyncio.to_thread(copies_for, config, settings)
    supply = await asyncio.to_thread(
        plan_supply,
        config,
        environment=files.spec,
        model=model,
        features=features,
        extra_blobs=files.blobs,
        state=state,
        copies=copies.by_original,
        progress=progress,
    )
    needed = supply.size + run_bytes + choice.disk_bytes
    downloaded = len(features) * LARGE_FEATURE_BYTES + (_DOWNLOADED_MODEL_BYTES if model else 0)
    home = settings.ssh_home or choose_home(facts, needed + downloaded)
    if model is not None or features:
        _check_room(facts, home, needed)
    weighed = None
    if model is not None:
        weighed = await _weigh(machine.box, facts, home, model, token)
        needed += _DOWNLOADED_MODEL_BYTES if weighed is None or weighed.size is None else weighed.size
    owner, seen = token_source(model, features), {}
    for source in features:
        seen[source] = found = await _weigh_features(machine.box, facts, home, source, token_for(source, token, owner))
        if not isinstance(found, ModelError):
            needed += LARGE_FEATURE_BYTES if found is None or found.size is None else found.size
    _check_room(facts, home, needed)
    machine.agent.use_home(home)
    speed = await upload_speed(machine.box) if supply.size >= _WORTH_MEASURING_BYTES else None
    return Prepared(
        facts=facts,
        home=home,
        environment=choice,
        model=model,
        weighed=weighed,
        features=seen,
        supply=supply,
        upload_bytes_per_s=speed,
    )


async def may_power_off(box: Box) -> str:
    """Return why a machine could not be powered off by this user; empty when nothing speaks against it.

    Raises:
        HostError: it can't be reached.
    """
    async with box.process(["/bin/sh", "-c", _POWER_SCRIPT]) as process:
        return _POWER_ANSWERS.get(await process.wait(), "")


async def give_token(machine: Machine, host: str, token: str) -> None:
    """Hand the machine the token that it downloads a base model from ``host`` with: through a pipe, to memory.

    Raises:
        HostError: it did not take it.
    """
    nonce = new_nonce()
    argv = agent_argv(await machine.agent.ensure(), "secret", "--host", host, "--nonce", nonce)
    async with machine.box.process(argv, nonce) as process:
        await process.write(token.encode() + b"\n")
        await process.write_eof()
        raise_if_error(machine.box, await process.frame())


async def _weigh(box: Box, facts: BoxFacts, home: str, model: ModelSource, token: str) -> WeighedModel | None:
    """Have the host look how large a model is, and how fast it comes there.

    Raises:
        ModelError: it can't be had there.
        HostError: the host can't be reached, or answers nonsense.
    """
    if not agent_python(facts):
        return None
    question = json.dumps({**dataclasses.asdict(model), "token": token}).encode("ascii") + b"\n"
    told = await run_program(box, facts, home, "weigh", typed=question)
    size, speed = told.get("size"), told.get("bytes_per_s")
    return WeighedModel(
        is_there=told.get("here") is True,
        size=size if type(size) is int and 0 <= size <= MAX_FILE_BYTES else None,
        bytes_per_s=float(speed) if isinstance(speed, int | float) and 0 < speed < _FASTEST_BYTES_PER_S else None,
    )


async def _weigh_features(
    box: Box, facts: BoxFacts, home: str, source: ModelSource, token: str
) -> WeighedModel | ModelError | None:
    try:
        return await _weigh(box, facts, home, source, token)
    except ModelError as error:
        # It trains all the same.
        return error


async def upload_speed(box: Box) -> float:
    """Return how fast the machine takes bytes in, which are thrown away there; bytes a second.

    Raises:
        HostError: it can't be reached, or takes in next to nothing (``host.line``).
    """
    nonce = new_nonce()
    sizes = " ".join(map(str, _MEASURED_BYTES))
    script = f"for n in {sizes}; do head -c $n >/dev/null; echo; echo {MARK} $1 {{}}; done"
    argv = ["/bin/sh", "-c", script, "sh", nonce]
    try:
        async with asyncio.timeout(_MEASURE_LIMIT_S), box.process(argv, nonce) as process:
            # What is on its way can't be taken back: more of it is sent only where the line has shown that it is fast.
            for size in _MEASURED_BYTES:
                started_s = time.monotonic()
                await process.write(bytes(size))
                await process.frame()
                took_s = time.monotonic() - started_s
                if took_s > _MEASURED_S:
                    break
    except TimeoutError as error:
        raise HostError(
            f"{box.name} took in less than {size >> 10} KiB in {_MEASURE_LIMIT_S:.0f} s: nothing can be sent there",
            fix="use a faster line or another machine",
            code="host.line",
        ) from error
    return size / took_s


def _check_room(facts: BoxFacts, home: str, needed: int) -> None:
    below = [disk for disk in facts.disks if home == disk.path or home.startswith(disk.path.rstrip("/") + "/")]
    disk: Disk | None = max(below, key=lambda each: len(each.path), default=None)
    if disk is not None and disk.free_bytes < needed:
        raise HostError(
            f"{disk.path} on the host has {size(disk.free_bytes)} free, the run may take {size(needed)} with its "
            "environment, base model and checkpoints. Nothing of yours was sent",
            fix="free some space there, or name a folder on a larger disk (setting ssh.home)",
            code="host.disk",
        )
