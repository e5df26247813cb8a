"""Files that are no training config, and are given as one: known by what is in them."""

from collections.abc import Mapping
from pathlib import Path

from loratui_protocol.errors import ConfigError

_GIVE = "give a training_config.toml, a .json of kohya's GUI or of OneTrainer, or a LoRA file that says how it was made"
_TABLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a pyproject.toml of Python", ("build-system",)),
    ("a pyproject.toml of Python", ("tool", "project")),
    ("a pyproject.toml of Python", ("project",)),
    ("a Cargo.toml of Rust", ("package", "dependencies")),
    ("a workflow of ComfyUI", ("nodes", "links", "last_node_id")),
    ("a workflow of ComfyUI", ("nodes", "links")),
    ("a config of accelerate", ("compute_environment", "distributed_type")),
    ("the settings of the A1111 web UI", ("sd_model_checkpoint", "samples_save")),
    ("the settings of the A1111 web UI", ("samples_save", "samples_format")),
    ("a tokenizer.json", ("added_tokens", "pre_tokenizer")),
    ("a tokenizer_config.json", ("tokenizer_class",)),
    ("the adapter_config.json of a LoRA of PEFT", ("peft_type", "target_modules")),
    ("a config.json or model_index.json of diffusers", ("_class_name",)),
    ("a config.json or model_index.json of diffusers", ("_diffusers_version",)),
    ("a config.json of transformers", ("transformers_version",)),
    ("a config.json of transformers", ("architectures", "model_type")),
    ("a package.json of Node.js", ("name", "version", "dependencies")),
    ("a package.json of Node.js", ("name", "version", "scripts")),
    ("a package.json of Node.js", ("name", "devDependencies")),
    ("the index of a model in several files", ("weight_map", "metadata")),
    ("a config of ai-toolkit", ("job", "config")),
)
"""What a file is that has all of these among the keys at its top."""
_OF_OTHERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a config of SimpleTuner", ("model_family", "data_backend_config")),
    ("a config of SimpleTuner", ("--model_family", "--data_backend_config")),
    ("a config of SimpleTuner", ("model_family", "lora_type")),
    ("the settings of kohya's GUI itself, not of a training", ("configuration", "dataset_preparation")),
    ("the settings of kohya's GUI itself, not of a training", ("configuration", "folders", "advanced")),
)
"""The same, of files that have keys of a training config as well."""
_SURE = frozenset(
    {
        *("pretrained_model_name_or_path", "train_data_dir", "dataset_config", "network_dim", "train_batch_size"),
        *("batch_size", "learning_rate", "network_module", "training_method"),
    }
)
"""Keys of a training config alone, whose sections may have any names."""
_LINES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a config of accelerate", ("compute_environment:", "distributed_type:")),
    ("a config of ai-toolkit", ("job:", "config:")),
    ("a workflow of ComfyUI", ('"last_node_id"',)),
    ("a tokenizer.json", ('"added_tokens"', '"pre_tokenizer"')),
    ("a tokenizer.json", ('"added_tokens"',)),
)
"""What text is that has all of these, whatever it is written in."""
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive, or a pickled model"),
    (b"\x80\x02", "a pickled model"),
    (b"\x80\x03", "a pickled model"),
    (b"\x80\x04", "a pickled model"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"RIFF", "a WebP picture, or sound"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"GGUF", "a GGUF model"),
    (b"SQLite format 3", "a database"),
    (b"version https://git-lfs", "a pointer of git-lfs, not the file itself"),
    (b"<!DOCTYPE", "a web page"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
)
_HEAD_BYTES = 1 << 16


def check_start(path: Path, start: bytes) -> None:
    """Refuse a file that its first bytes show to be something else.

    Raises:
        ConfigError: ``config.not_a_config``.
    """
    for magic, what in _STARTS:
        if start.lstrip().startswith(magic):
            raise not_a_config(path, f"it seems to be {what}")
    if not start.strip(b" \t\r\n\xef\xbb\xbf"):
        raise not_a_config(path, "it is empty")


def check_size(path: Path, size: int, most: int, start: bytes) -> None:
    """Refuse a file that is larger than any config.

    Raises:
        ConfigError: ``config.not_a_config``.
    """
    if size > most:
        seems = named_by_text(start[:_HEAD_BYTES].decode("utf-8", "replace"))
        what = f"it has {size:,} bytes, and a config has {most:,} at most" + (
            f"; it seems to be {seems}" if seems else ""
        )
        raise not_a_config(path, what)


def named_by_keys(content: Mapping[str, object]) -> str:
    """Return what a file with these keys at its top is; empty: not known, or it has settings of a training."""
    keys = content.keys()
    if other := next((what for what, wanted in _OF_OTHERS if all(key in keys for key in wanted)), ""):
        return other
    inner = (each.keys() for each in content.values() if isinstance(each, dict))
    if not _SURE.isdisjoint(keys) or any(not _SURE.isdisjoint(each) for each in inner):
        return ""
    return next((what for what, wanted in _TABLES if all(key in keys for key in wanted)), "")


def named_by_nodes(content: Mapping[str, object]) -> str:
    """Return what a file is whose values are all of one kind: the steps of a workflow, or captions by picture."""
    values = list(content.values())
    if values and all(isinstance(each, dict) and "class_type" in each for each in values):
        return "a workflow of ComfyUI, for its API"
    if values and all(isinstance(each, dict) and {"caption", "tags"} & each.keys() for each in values):
        return "a metadata file of sd-scripts, with captions"
    return ""


def named_by_text(text: str) -> str:
    """Return what text is that is neither TOML nor JSON, or not read in whole; empty: not known."""
    return next((what for what, wanted in _LINES if all(each in text for each in wanted)), "")


def not_a_config(path: Path, why: str) -> ConfigError:
    """Return the error for a file that is something else."""
    return ConfigError(f"{path} is no training config: {why}", fix=_GIVE, code="config.not_a_config")
