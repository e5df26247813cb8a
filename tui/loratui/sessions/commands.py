"""The words of a user and the messages that carry them."""

from loratui.domain.run import CommandKind
from loratui.store import StoredRun
from loratui_protocol.codec import MAX_TEXT_CHARS
from loratui_protocol.errors import ConfigError
from loratui_protocol.ids import new_id
from loratui_protocol.messages import (
    CheckpointNow,
    Command,
    Extend,
    Pause,
    Resume,
    RunEnd,
    SampleNow,
    StartJob,
    Stop,
)

_PLAIN: dict[CommandKind, type[Pause | CheckpointNow | SampleNow | Stop]] = {
    "pause": Pause,
    "checkpoint": CheckpointNow,
    "sample": SampleNow,
    "stop": Stop,
}


def command(kind: CommandKind, run_id: str, author: str, seconds: float = 0, *, end: RunEnd | None = None) -> Command:
    """Return a new command; ``seconds`` is how far ``extend`` moves the auto-stop, ``end`` where ``resume`` goes to."""
    if kind == "resume":
        return Resume(id=new_id(), author=author, job=run_id, end=end)
    if kind == "extend":
        return Extend(id=new_id(), author=author, job=run_id, seconds=float(seconds))
    return _PLAIN[kind](id=new_id(), author=author, job=run_id)


def start_command(run: StoredRun, author: str) -> StartJob:
    """Return the command that starts a run. Its id is the run's: however often it is sent, it starts once.

    Raises:
        StorageError: what the run is to be sent is written down damaged.
        ConfigError: the config is too long.
    """
    from loratui.sessions.supply import Supply

    supply = Supply.from_json(run.supply) if run.supply else None
    config_toml = supply.config_toml if supply else run.config_toml
    if len(config_toml) > MAX_TEXT_CHARS:
        # The wire would cut it off without a word.
        raise ConfigError(
            f"the config has {len(config_toml)} characters, {MAX_TEXT_CHARS} is the limit; nothing was started",
            fix="give fewer or shorter sample_prompts",
            code="config.too_long",
        )
    return StartJob(
        id=run.id,
        author=author,
        job=run.id,
        name=run.name,
        config_toml=config_toml,
        price_microusd_per_h=run.price_microusd_per_h,
        max_runtime_s=run.max_runtime_s,
        evaluate_concept=run.evaluate_concept,
        inputs=supply.inputs if supply else None,
        on_done=run.on_done,
        keep_s=run.keep_s,
        state_dir=run.state_dir,
    )
