"""Writes what a file says as our own config although something is missing in it, which a person fills in."""

from typing import Any

from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import Partial
from loratui_protocol.config_write import to_toml
from loratui_protocol.findings import Finding

_EXAMPLES = {"pretrained_model_name_or_path": "builtin:tiny", "train_data_dir": "dataset"}
_MISSING = "config.missing_key"
FILLED_IN = (_MISSING, "config.other_machine")
"""Codes of what keeps a file from being trained until a person writes what is so here."""
_MARK = "..."


def draft(partial: Partial) -> str | None:
    """Return the config with a comment in place of each key that is missing; None: there is more wrong with it.

    Raises:
        ConfigError: its values don't go together.
    """
    if partial.kind == "toml" or any(problem.code not in FILLED_IN for problem in partial.problems):
        return None
    missing = [key for key in _EXAMPLES if key not in partial.values]
    if partial.values["datasets"] and "train_data_dir" in missing:
        missing.remove("train_data_dir")
    values: dict[str, Any] = {**partial.values, **{key: _EXAMPLES[key] for key in missing}}
    lines = to_toml(TrainingConfig(**values)).split("\n")
    empty = {f'{key} = "{_EXAMPLES[key]}"': f'# {key} = "{_MARK}"  # to be filled in' for key in missing}
    return "\n".join(empty.get(line, line) for line in lines)


def draft_findings(partial: Partial) -> list[Finding]:
    """Return what there is to say of a draft, what is missing in it before all."""
    missing = [
        Finding(code=_MISSING, severity="error", what=problem.what, fix="fill it in, in the line with a #")
        for problem in partial.problems
        if problem.code == _MISSING
    ]
    moved = [
        Finding(code="config.other_machine", severity="error", what=problem.what, fix=problem.fix)
        for problem in partial.problems
        if problem.code != _MISSING
    ]
    return [*missing, *moved, *partial.findings]
