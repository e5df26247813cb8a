"""Finds out what a config file is, by what is in it, and turns other programs' settings into ours.

What comes out goes the way of our own TOML: types, unknown keys and what is not supported are judged there.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loratui_protocol import not_configs
from loratui_protocol.config_told import Problem
from loratui_protocol.errors import ConfigError, ModelError
from loratui_protocol.findings import Finding
from loratui_protocol.foreign_settings import Settings
from loratui_protocol.foreign_text import MAX_BYTES, decoded, parse_json, parse_toml
from loratui_protocol.kohya_gui import KohyaGui
from loratui_protocol.kohya_gui_names import VOCABULARY
from loratui_protocol.kohya_gui_toml import HandedToSdScripts, flat, is_saved_by_gui
from loratui_protocol.lora_easy import LoraEasy, is_lora_easy
from loratui_protocol.lora_ranks import ranks_of
from loratui_protocol.lora_settings import PREFIX, LoraSettings
from loratui_protocol.onetrainer import OneTrainer, is_onetrainer
from loratui_protocol.safetensors_header import LENGTH_BYTES, MAX_HEADER_BYTES, read_header
from loratui_protocol.special_files import special

_MOST_KEYS = 1000
"""Of a file; the GUIs write about 300."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A file's settings under our keys, before they are judged, and what there is to say of how they got there."""

    kind: str
    """"toml", "kohya_gui", "lora_easy", "onetrainer" or "lora"."""
    tables: dict[str, Any]
    text: str
    """Empty where the file is no text."""
    findings: tuple[Finding, ...] = ()
    problems: tuple[Problem, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """What the file calls those of our keys that have another name there."""
    claims_sdxl: bool | None = None


def tables(path: Path) -> Foreign:
    """Return what a file says, whatever program it is for.

    Raises:
        ConfigError: it can't be read (``config.missing``, ``config.syntax``) or is no config (``config.not_a_config``).
    """
    if kind := special(path):
        raise not_configs.not_a_config(path, f"it is {kind}")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path} can't be read: {error.strerror or error}",
            fix="give the path of a training_config.toml",
            code="config.missing",
        ) from error
    if _is_safetensors(content, size):
        return _of_lora(path)
    not_configs.check_start(path, content[:4096])
    not_configs.check_size(path, max(size, len(content)), MAX_BYTES, content)
    text = decoded(path, content)
    return _of_json(path, text) if _is_json(path, text) else _of_toml(path, text)


def _is_safetensors(content: bytes, size: int) -> bool:
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    return content[LENGTH_BYTES : LENGTH_BYTES + 1] == b"{" and length <= max(MAX_HEADER_BYTES, size)


def _is_json(path: Path, text: str) -> bool:
    return text.lstrip()[:1] == "{" or path.suffix.lower() == ".json"


def _of_toml(path: Path, text: str) -> Foreign:
    try:
        content = parse_toml(text)
    except ConfigError:
        if seems := not_configs.named_by_text(text):
            raise not_configs.not_a_config(path, f"it seems to be {seems}") from None
        raise
    if seems := not_configs.named_by_keys(content):
        raise not_configs.not_a_config(path, f"it seems to be {seems}")
    _check_count(path, content)
    return of_toml(content, text)


def of_toml(content: dict[str, Any], text: str) -> Foreign:
    """Return what parsed TOML says: a training config's, or another program's with sd-scripts' keys."""
    if is_lora_easy(content):
        return _read("lora_easy", LoraEasy(content, text), text, [])
    if is_saved_by_gui(content):
        return _read("kohya_gui", KohyaGui(dict(flat(content)), text), text, [])
    handed = HandedToSdScripts(content, text)
    handed.read()
    return Foreign(kind="toml", tables=handed.tables, text=text, findings=tuple(handed.findings))


def _of_json(path: Path, text: str) -> Foreign:
    content, findings = parse_json(text)
    if not isinstance(content, dict):
        raise not_configs.not_a_config(path, "it is JSON, and has no keys at its top")
    if seems := not_configs.named_by_keys(content) or not_configs.named_by_nodes(content):
        raise not_configs.not_a_config(path, f"it seems to be {seems}")
    _check_count(path, content)
    if is_onetrainer(content):
        return _read("onetrainer", OneTrainer(content, text, path.resolve().parent), text, findings)
    if not VOCABULARY & content.keys():
        return Foreign(kind="toml", tables=content, text=text, findings=tuple(findings))
    return _read("kohya_gui", KohyaGui(content, text), text, findings)


def _read(kind: str, settings: Settings, text: str, findings: list[Finding]) -> Foreign:
    settings.read()
    datasets = {key: settings.values.pop(key) for key in ("datasets",) if key in settings.values}
    return Foreign(
        kind=kind,
        # In a section of their own: a table at the top would pass for one.
        tables={"": settings.values, **datasets},
        text=text,
        findings=(*findings, *settings.findings),
        problems=tuple(settings.problems),
        names=settings.names,
        claims_sdxl=settings.claims_sdxl,
    )


def _check_count(path: Path, content: Mapping[str, Any]) -> None:
    number = sum(len(each) if isinstance(each, dict) else 1 for each in content.values())
    if number > _MOST_KEYS:
        raise not_configs.not_a_config(path, f"it has {number:,} keys")


def _of_lora(path: Path) -> Foreign:
    try:
        header = read_header(path)
    except ModelError as error:
        raise ConfigError(error.what, fix=error.fix, code=error.code) from error
    if (config := _within(header.metadata)) is not None:
        found = _read("onetrainer", OneTrainer(config, "", path.resolve().parent), "", [])
        if "datasets" in found.tables:
            return found
        missing = Problem(
            "config.missing_key",
            "train_data_dir is missing: OneTrainer's config in this LoRA has no concepts in it",
            f"run `loratui convert {shlex.quote(str(path))} --to native -o my.toml`, and write there "
            'train_data_dir = "…"',
        )
        return replace(found, problems=(missing, *(each for each in found.problems if each.code != missing.code)))
    if any(key.startswith(PREFIX) for key in header.metadata):
        return _read("lora", LoraSettings(header.metadata, header.tensors, path), "", [])
    if not any("lora_" in name for name in header.tensors):
        raise not_configs.not_a_config(path, "it seems to be a model: it has no ss_ metadata")
    dim = ranks_of(path, header.tensors).dim
    what = "it seems to be a LoRA that doesn't say how it was trained: it has no ss_ metadata"
    layers, line = (f", and layers of rank {dim}", f", and write network_dim = {dim} there") if dim else ("", "")
    raise ConfigError(
        f"{path} is no training config: {what}{layers}",
        fix=f"start with `loratui new`{line}",
        code="config.not_a_config",
    )


def _within(metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the config that OneTrainer has written into a file; None: there is none, or it can't be read."""
    written = metadata.get("ot_config", "")
    if not written or len(written) > MAX_BYTES:
        return None
    try:
        content, _ = parse_json(written)
    except ConfigError:
        return None
    return content if isinstance(content, dict) and is_onetrainer(content) else None
