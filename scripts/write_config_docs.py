"""Write docs/config.md from the config schema: write_config_docs.py.

The docstring under each field is the only place where a key is explained; a test fails when the file is not up to date.
"""

from collections.abc import Iterable
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from loratui_protocol import config_help, kohya
from loratui_protocol.config import KEYS, SECTIONS, TrainingConfig
from loratui_protocol.config_write import toml_value
from loratui_protocol.kohya import WITHOUT_EFFECT
from loratui_protocol.subsets import DATASET_KEYS, SUBSET_KEYS, Subset

DOCUMENT = Path(__file__).parents[1] / "docs" / "config.md"

INTRODUCTION = """\
# The training config

<!-- Written by scripts/write_config_docs.py; change the docstrings in protocol/loratui_protocol/config.py instead. -->

A TOML file. The keys are those of kohya's sd-scripts, so a `training_config.toml` for `--config_file` works as it is.
The sections are for people: a key means the same in any of them, or in none. Relative paths count from the folder of
the file. `pretrained_model_name_or_path` is required, and `train_data_dir` or [datasets](#datasets).

A path with a drive or a server in front was written on Windows: on another machine it is refused as one of elsewhere
(`config.other_machine`), but for `output_dir`, which is left out then. In a relative path a `\\` is read as `/` there
(`config.backslash`).

What sd-scripts swallows in silence is an error here, with a stable code and the line to write instead: a key that does
not exist (`config.unknown_key`), a value of the wrong type (`config.type`), an impossible value (`config.value`), a
missing required key (`config.missing_key`), a setting that is not supported yet (`config.unsupported`), a file that is
not there (`config.missing`) or no TOML (`config.syntax`). All problems of a file are named at once.
"""

DATASETS = """
## Datasets

Several folders, each with repeats, captions and masks of its own, and pictures at several resolutions: kohya's dataset
config, in the training config itself or in a file that it names.

```toml
dataset_config = "dataset.toml"     # in the training config; or the tables below in the training config itself
```

```toml
[general]                           # of all datasets
shuffle_caption = true

[[datasets]]
resolution = 768
batch_size = 4

[[datasets.subsets]]
image_dir = "pictures/cats"
num_repeats = 10

[[datasets.subsets]]
image_dir = "pictures/animals"
is_reg = true
class_tokens = "animal"

[[datasets]]                        # the cats again, larger
resolution = 1024

[[datasets.subsets]]
image_dir = "pictures/cats"
num_repeats = 5
```

Each dataset makes its own buckets and batches; an epoch shows all of them, mixed anew every time. An `image_dir` is one
folder of pictures, whatever its name. With datasets `train_data_dir` and `reg_data_dir` have no effect, which is said.
Relative paths count from the folder of the file that they stand in.

| key of a subset | default | meaning |
|---|---|---|
"""

DATASETS_LOOK_UP = """
A subset may also set {subset}.

A dataset may set all of these for its subsets, `num_repeats` and `class_tokens` too, and for itself {dataset}.

A value is looked up in the subset, in its dataset, in `[general]`, then in the training config. Where that has no
`resolution`, samples are as large as the largest dataset. `validation_split` is of each dataset; a file that one holds
out is trained on in none. With `masked_loss` a subset without masks is learned whole.
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
| `resolution = "512"` in a dataset | stops: it must be a number | 512x512 | `config.resolution_form` |
| no `network_module` | crashes after loading the model | `networks.lora` | `config.network_module` |
| a key twice, in two sections | takes the last in silence | takes the last | `config.duplicate_key` |
| `flip_aug = 1` | takes it as true | true | `config.flag` |
| `caption_extension = "txt"` | finds no captions | `.txt` | `config.caption_extension` |
| `lr_scheduler = "constant"` with a warm-up | crashes | `constant_with_warmup` | `config.constant_warmup` |
| `lr_warmup_steps = 100.0` | 100 times all steps | 100 steps | `config.warmup_form` |
| an option in a prompt that can't be had, as `--ss` | obeys it | leaves it out | `config.prompt_options` |
| `save_last_n_epochs = 0` | removes what it has just written | keeps all files | `config.keeps_all` |
| `conv_dim = 8` among the keys | ignores it in silence | `network_args = ["conv_dim=8"]` | `config.network_arg` |
| `sdxl = true` | ignores it in silence | goes by the base model's files | `config.sdxl` |
| `max_token_length = 255` | takes it as it is | 225 | `config.token_length` |
| cached text with captions that vary | stops | encodes them anew | `config.cached_text` |
| a setting that another switches off | ignores it in silence | names both | `config.overridden` |

And some that are only told, as they may be meant: `network_alpha` left out is the rank here and 1 in sd-scripts
(`config.alpha`); `cosine_with_restarts` with one cycle is plain cosine (`config.restarts`).
A folder that is twice in one dataset counts twice here and once in sd-scripts (`config.same_folder`).
In `save_format = "diffusers"` other programs than diffusers take an alpha for the rank (`config.alpha_of_diffusers`).
Prodigy wants a learning rate around 1 (`config.prodigy`).
Of a file that is written for sd-scripts it is told what would become of it there: `.txt` captions are ignored without
`caption_extension` (`config.caption_default`), and without `save_state` no run can be resumed (`config.save_state`).
A file that has no key of a training config at all is refused as one (`config.not_a_config`).

## Configs of other programs

Any command that takes a config reads these as they are, and knows them by what is in them:

- what kohya's GUI saves in its LoRA tab, as JSON: numbers as text, `""` and `0` for what is not set, `epoch`,
  `max_resolution`, `lr_warmup` in per cent, and the options in `additional_parameters`; also as TOML, and the
  `config_lora-*.toml` that it hands to sd-scripts, with the keys in it that sd-scripts itself passes over;
- what LoRA Easy Training Scripts saves, as TOML, with its subsets;
- OneTrainer's configs, as JSON, with the files of concepts and samples that they name. What one leaves out has
  OneTrainer's default, which is told;
- a LoRA's `.safetensors`, with the `ss_*` metadata that says how it was trained, or the config that OneTrainer writes
  into its own. Ranks that are not told are those of its layers, and what else decides a training and is not told is
  named. Where its pictures are it doesn't say: `loratui convert LORA --to native -o my.toml` writes the rest, with a
  line to fill in.

Each of their keys ends as a setting here, in a finding (`config.imported` where it means something else,
`config.gui_keys` for all that say nothing to a training) or in a refusal (`config.unsupported`, `config.unknown_key`).
A config has 1 MB at most.

`loratui check CONFIG --fix` writes what it has read into a new file beside the config; `loratui convert` writes a
config as our own file, or as one for sd-scripts. What `check` says beside this is about what goes together, and what
spoils a LoRA.
"""


def document() -> str:
    """Return the text of docs/config.md."""
    explained = field_docstrings()
    defaults = {field.name: field for field in fields(TrainingConfig)}
    parts = [INTRODUCTION]
    for section, (first, last) in SECTIONS.items():
        parts.append(f"\n## [{section}]\n\n| key | default | meaning |\n|---|---|---|\n")
        keys = KEYS[KEYS.index(first) : KEYS.index(last) + 1]
        parts += [f"| `{key}` | {_default(defaults[key])} | {explained[key]} |\n" for key in keys]
    parts += [DATASETS, *_keys_of_a_subset()]
    parts.append(DATASETS_LOOK_UP.format(dataset=_listed(DATASET_KEYS), subset=_listed(SUBSET_KEYS)))
    parts += [WITHOUT_EFFECT_INTRODUCTION, *(f"| `{key}` | {why} |\n" for key, why in sorted(WITHOUT_EFFECT.items()))]
    parts += [
        UNSUPPORTED_INTRODUCTION,
        *(f"| `{key}` | {meaning} |\n" for key, (_, meaning) in sorted(kohya.UNSUPPORTED.items())),
        TRAPS,
    ]
    return "".join(parts)


def _default(field: Field[Any]) -> str:
    if field.default_factory is not MISSING:
        return "`[]`"
    if field.default is MISSING:
        return "required"
    return "unset" if field.default is None else f"`{toml_value(field.default)}`"


def _keys_of_a_subset() -> list[str]:
    """Return a row for each key that a subset has and a training config has not."""
    explained = field_docstrings(Subset)
    own = [field for field in fields(Subset) if field.name != "settings"]
    return [f"| `{field.name}` | {_default(field)} | {explained[field.name]} |\n" for field in own]


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(f"`{'batch_size' if key == 'train_batch_size' else key}`" for key in keys)


def field_docstrings(of: type = TrainingConfig) -> dict[str, str]:
    """Return the text under each field of a dataclass, as Markdown."""
    return {key: text.replace("``", "`").replace("|", "\\|") for key, text in config_help.field_docstrings(of).items()}


if __name__ == "__main__":
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(document(), encoding="utf-8")
