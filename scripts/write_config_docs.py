"""Write docs/config.md from the config schema: write_config_docs.py.

The docstring under each field is the only place where a key is explained; a test fails when the file is not up to date.
"""

import ast
import inspect
from dataclasses import MISSING, fields
from pathlib import Path

from loratui_protocol import config, kohya
from loratui_protocol.config import KEYS, SECTIONS, TrainingConfig
from loratui_protocol.config_write import toml_value
from loratui_protocol.kohya import WITHOUT_EFFECT

DOCUMENT = Path(__file__).parents[1] / "docs" / "config.md"

INTRODUCTION = """\
# The training config

<!-- Written by scripts/write_config_docs.py; change the docstrings in protocol/loratui_protocol/config.py instead. -->

A TOML file. The keys are those of kohya's sd-scripts, so a `training_config.toml` for `--config_file` works as it is.
The sections are for people: a key means the same in any of them, or in none. Relative paths count from the folder of
the file. `pretrained_model_name_or_path` and `train_data_dir` are required.

What sd-scripts swallows in silence is an error here, with a stable code and the line to write instead: a key that does
not exist (`config.unknown_key`), a value of the wrong type (`config.type`), an impossible value (`config.value`), a
missing required key (`config.missing_key`), a setting that is not supported yet (`config.unsupported`), a file that is
not there (`config.missing`) or no TOML (`config.syntax`). All problems of a file are named at once.
"""

WITHOUT_EFFECT_INTRODUCTION = """
## Keys without effect

Known to sd-scripts, and read here without changing anything. One that is set is reported as `config.without_effect`.

| key | why |
|---|---|
"""

UNSUPPORTED_INTRODUCTION = """
## Keys that are not supported yet

They would change the result, so a value other than sd-scripts' default is refused as `config.unsupported`.

| key | what it asks for |
|---|---|
"""

TRAPS = """
## kohya's traps

Mistakes whose meaning is certain. Each is corrected, trained with the corrected value, and reported under its code.

| you wrote | sd-scripts | here | code |
|---|---|---|---|
| `resolution = 512` | crashes: it must be text | 512x512 | `config.resolution_form` |
| `batch_size = 4` | ignores it, trains with 1 | `train_batch_size = 4` | `config.kohya_name` |
| no `network_module` | crashes after loading the model | `networks.lora` | `config.network_module` |
| a key twice, in two sections | takes the last in silence | takes the last | `config.duplicate_key` |
| `flip_aug = 1` | takes it as true | true | `config.flag` |
| `caption_extension = "txt"` | finds no captions | `.txt` | `config.caption_extension` |
| `lr_scheduler = "constant"` with a warm-up | crashes | `constant_with_warmup` | `config.constant_warmup` |
| `lr_warmup_steps = 100.0` | 100 times all steps | 100 steps | `config.warmup_form` |
| an option in a prompt that can't be had, as `--ss` | obeys it | leaves it out | `config.prompt_options` |
| `save_last_n_epochs = 0` | removes what it has just written | keeps all files | `config.keeps_all` |
| a setting that another switches off | ignores it in silence | names both | `config.overridden` |

And two that are only told, as they may be meant: `network_alpha` left out is the rank here and 1 in sd-scripts
(`config.alpha`); `cosine_with_restarts` with one cycle is plain cosine (`config.restarts`).
Prodigy wants a learning rate around 1 (`config.prodigy`).
"""


def document() -> str:
    """Return the text of docs/config.md."""
    explained = field_docstrings()
    defaults = {field.name: field for field in fields(TrainingConfig)}
    parts = [INTRODUCTION]
    for section, (first, last) in SECTIONS.items():
        parts.append(f"\n## [{section}]\n\n| key | default | meaning |\n|---|---|---|\n")
        for key in KEYS[KEYS.index(first) : KEYS.index(last) + 1]:
            field = defaults[key]
            if field.default_factory is not MISSING:
                default = "`[]`"
            elif field.default is MISSING:
                default = "required"
            else:
                default = "unset" if field.default is None else f"`{toml_value(field.default)}`"
            parts.append(f"| `{key}` | {default} | {explained[key]} |\n")
    parts += [WITHOUT_EFFECT_INTRODUCTION, *(f"| `{key}` | {why} |\n" for key, why in sorted(WITHOUT_EFFECT.items()))]
    parts += [
        UNSUPPORTED_INTRODUCTION,
        *(f"| `{key}` | {meaning} |\n" for key, (_, meaning) in sorted(kohya.UNSUPPORTED.items())),
        TRAPS,
    ]
    return "".join(parts)


def field_docstrings() -> dict[str, str]:
    """Return the text under each field of ``TrainingConfig``, as Markdown."""
    module = ast.parse(inspect.getsource(config))
    (schema,) = (
        node for node in module.body if isinstance(node, ast.ClassDef) and node.name == TrainingConfig.__name__
    )
    return {
        node.target.id: " ".join(text.value.value.split()).replace("``", "`").replace("|", "\\|")
        for node, text in zip(schema.body, schema.body[1:], strict=False)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


if __name__ == "__main__":
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(document(), encoding="utf-8")
