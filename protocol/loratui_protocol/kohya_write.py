"""Writes a training config for sd-scripts: its keys, its types, and what a setting means here written out there.

What sd-scripts has no word for is left out, and told. Datasets and prompts are files of their own there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loratui_protocol.architecture import SDXL
from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.config import KEYS, SECTIONS, TrainingConfig
from loratui_protocol.config_write import toml_value
from loratui_protocol.findings import Finding, Severity
from loratui_protocol.known_models import current_address, known_architecture
from loratui_protocol.kohya_datasets import dataset_tables, datasets_text
from loratui_protocol.sd_scripts_arguments import ARGUMENTS

_DEFAULTS = {name: field.default for name, field in TrainingConfig.__dataclass_fields__.items()}
_ELSEWHERE = ("datasets", "sample_prompts", "network_args", "optimizer_args", "lr_scheduler_args", "trigger_word")
_ALWAYS = {
    "model": {"no_half_vae": True},
    "dataset": {"cache_latents": True},
    "training": {"sdpa": True},
    "save": {"save_state": True},
}
"""What is done here whatever a config says, and there only if it says so."""
_WHOLE = ("conv_dim", "block_dims", "conv_block_dims")
_SHORTEST_TOKENS = 75
"""What no ``max_token_length`` means, and what can't be said there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A config for sd-scripts, the files that it names, and what there is to say of what differs."""

    text: str
    others: Mapping[Path, str] = field(default_factory=dict)
    """Text by file."""
    findings: tuple[Finding, ...] = ()


def to_kohya(config: TrainingConfig, place: Path) -> Written:
    """Return the config as a file for sd-scripts. Those that it needs are to lie beside ``place``, where it will lie.

    They are named by their whole paths if that is one: sd-scripts looks for others where it was started.
    """
    findings = [*_told(config)]
    tables, told = dataset_tables(config)
    findings += told
    prompts = [line for line in (prompt_line(prompt) for prompt in config.sample_prompts) if line]
    others, named = {}, {}
    if tables:
        named["dataset"] = "dataset_config", place.with_name(f"{place.stem}.dataset.toml")
        others[named["dataset"][1]] = datasets_text(tables)
    if prompts:
        named["sample"] = "sample_prompts", place.with_name(f"{place.stem}.prompts.txt")
        others[named["sample"][1]] = "\n".join([*prompts, ""])
    lines: list[str] = []
    for section, (first, last) in SECTIONS.items():
        lines.append(f"[{section}]")
        for key in KEYS[KEYS.index(first) : KEYS.index(last) + 1]:
            lines += [f"{name} = {toml_value(value)}" for name, value in _settings(config, key)]
            if key not in ARGUMENTS and key not in _ELSEWHERE and getattr(config, key) != _DEFAULTS[key]:
                lines.append(f"# {key} is no key of sd-scripts")
        lines += [f"{key} = {toml_value(value)}" for key, value in _ALWAYS.get(section, {}).items()]
        if section in named:
            key, file = named[section]
            lines.append(f"{key} = {toml_value(str(file))}")
        lines.append("")
    return Written(text="\n".join(lines), others=others, findings=tuple(findings))


def prompt_line(prompt: str) -> str:
    """Return a prompt as a line of a file; empty: it can't be one."""
    line = " ".join(prompt.split())
    return "" if line.startswith("#") else line


def _settings(config: TrainingConfig, key: str) -> Iterator[tuple[str, object]]:
    """Yield how a key is written there: nothing where it is unset, or the default of both and the same."""
    value = _written_out(config, key)
    if key == "network_args":
        items: list[str] = [_argument(name, given) for name, given in config.network_args.items()]
        if items:
            yield key, items
    elif key == "optimizer_args":
        if config.optimizer_args:
            yield key, [f"{name}={_literal(given)}" for name, given in config.optimizer_args.items()]
    elif key == "lr_scheduler_args":
        if config.lr_scheduler_args:
            yield key, [_quoted(item) for item in config.lr_scheduler_args]
    elif key == "trigger_word":
        if value:
            yield "metadata_trigger_phrase", value
    elif key in ARGUMENTS and key != "sample_prompts" and value is not None and not _is_default(key, value):
        yield key, value


def _is_default(key: str, value: object) -> bool:
    """Return whether the value is what is taken without it, here and there."""
    return value == _DEFAULTS[key] and value == ARGUMENTS[key].default


def _written_out(config: TrainingConfig, key: str) -> Any:
    """Return a value as sd-scripts wants it, where unset is something else there, what unset means here."""
    value = getattr(config, key)
    match key:
        case "resolution":
            return ",".join(map(str, value))
        case "network_alpha":
            return config.alpha if config.network_weights is None else value
        case "text_encoder_lr":
            return None if value is None else list(value if isinstance(value, tuple) else (value,))
        case "caption_extension":
            return value or ".txt"
        case "mixed_precision":
            return value or "bf16"
        case "output_dir":
            return value or "output"
        case "max_token_length":
            return None if value == _SHORTEST_TOKENS else value
        # A bucket may be no longer than these there, and no shorter.
        case "min_bucket_reso":
            return min(value, *config.resolution) if config.enable_bucket else value
        case "max_bucket_reso":
            return max(value, *config.resolution) if config.enable_bucket else value
    return value


def _argument(name: str, given: float | tuple[float, ...]) -> str:
    numbers = given if isinstance(given, tuple) else (given,)
    # int("8.0") is an error there.
    return f"{name}={','.join(str(int(each)) if name in _WHOLE else repr(each) for each in numbers)}"


def _literal(value: object) -> str:
    return ",".join(map(repr, value)) if isinstance(value, tuple) else repr(value)


def _quoted(item: str) -> str:
    """Return an argument of a schedule: there its value is a literal of Python."""
    name, _, value = item.partition("=")
    return f"{name}={value.strip()!r}"


def _told(config: TrainingConfig) -> Iterator[Finding]:
    for key in KEYS:
        if key not in ARGUMENTS and key not in _ELSEWHERE and getattr(config, key) != _DEFAULTS[key]:
            what = f"{key} = {toml_value(getattr(config, key))} is left out: sd-scripts has no such key"
            fix = "start it with `accelerate launch --num_processes`" if key == "num_processes" else ""
            yield _found("config.left_out", "warning", what, fix)
    unset = {
        "caption_extension": "unset is .txt, then .caption; .txt is written",
        "mixed_precision": "unset is bf16 where the GPU has it; bf16 is written",
        "output_dir": 'unset is the run\'s own folder; "output" is written, since sd-scripts needs one',
        "validation_split": "unset holds out about 7 % of 30 pictures and more; sd-scripts trains on all of them",
        "v_parameterization": "unset is as the model's files say; sd-scripts never looks, and takes epsilon",
    }
    for key, what in unset.items():
        if getattr(config, key) is None:
            yield _found("config.written_out", "info", f"{key}: {what}", f"set {key}")
    model = config.pretrained_model_name_or_path
    if model.startswith((BUILTIN_PREFIX, "https://")) or "@" in model or current_address(model) != model:
        what = f"sd-scripts can't load {model}: it takes a file, a diffusers folder or a plain hub id"
        yield _found("config.base_of_kohya", "warning", what, "download it, and write its path")
    if config.masked_loss and config.conditioning_data_dir and not config.datasets:
        what = "conditioning_data_dir is heeded by sd-scripts only in a dataset_config: there are no masks"
        yield _found("config.left_out", "warning", what, "list the folders as [[datasets]], or convert where they are")
    is_asked = config.sample_every_n_steps or config.sample_every_n_epochs or config.sample_at_first
    if is_asked and not config.sample_prompts:
        what = "without sample_prompts samples are made of captions; sd-scripts makes none"
        yield _found("config.left_out", "warning", what, 'write sample_prompts = ["a cat"]')
    if config.sample_every_n_steps and config.sample_every_n_epochs:
        what = "sd-scripts makes samples every so many epochs alone where sample_every_n_steps is set as well"
        yield _found("config.left_out", "warning", what, "keep one of sample_every_n_steps and sample_every_n_epochs")
    if known_architecture(model) is SDXL:
        what = f"{model} is SDXL: sd-scripts trains it with sdxl_train_network.py alone, and not with train_network.py"
        yield _found("config.script", "info", what, "start sdxl_train_network.py with this file")
    if lost := sum(not prompt_line(prompt) for prompt in config.sample_prompts):
        what = f"{lost} of the sample_prompts are left out: empty, or with a # in front, which is a comment there"
        yield _found("config.left_out", "warning", what, "write them otherwise")


def _found(code: str, severity: Severity, what: str, fix: str) -> Finding:
    return Finding(code=code, severity=severity, what=what, fix=fix)
