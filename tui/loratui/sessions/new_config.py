"""Makes a training config out of a preset, a base model and a folder of pictures, which it looks into."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from loratui.domain.base_kinds import SD1, SDXL, BaseKind
from loratui.domain.card_fit import fitted
from loratui.domain.gpu_memory import memory_mib
from loratui.domain.preset_text import config_text
from loratui.domain.presets import BASES, MODEL_KEY, Aim, Choice, aim_of, epochs_for
from loratui.preflight.clip_tokens import count_tokens
from loratui.preflight.likely_trigger import Likely, likely_trigger
from loratui.sessions.base_kind import kind_told_here
from loratui.sessions.presets import default_model, settings_of
from loratui.settings import Settings
from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.caption_files import CAPTION_EXTENSIONS, caption_file
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import Loaded, parse_config
from loratui_protocol.dataset import Dataset, Picture, scan, scan_config
from loratui_protocol.errors import UsageError
from loratui_protocol.plan import Plan, plan

_ANIME = ("illustrious", "noob", "pony", "animagine", "anime", "danbooru")
"""What names of SDXL's children that know Danbooru's tags have in them."""
_NUM_FILES = 8
"""LoRA files and rounds of samples on the way, about: enough to find the best, few enough to look at."""
_TOKENS = (75, 150, 225)
"""How many of a caption can be read."""
_NO_NAME = re.compile(r"[^\w.-]+")
_FITTED = ("gradient_checkpointing", "train_batch_size", "gradient_accumulation_steps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be trained: ``base`` is the kind of the model, ``gpu`` what it is to fit on, if that matters yet."""

    preset: str
    base: str
    model: str
    data: Path
    trigger: str
    name: str
    gpu: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A config as text, and what it comes to."""

    text: str
    loaded: Loaded
    dataset: Dataset
    plan: Plan


def model_of(named: str) -> tuple[str, str | None]:
    """Return the base model, and its kind as presets call it, None if that can't be told; kinds are names of models."""
    if named in BASES:
        return default_model(named), named
    model = str(Path(named).expanduser().resolve()) if Path(named).expanduser().exists() else named
    kind = kind_told_here(model)
    if kind is not None and kind is not SDXL:
        return model, "sd15"
    if any(word in Path(named).name.casefold() or word in named.casefold() for word in _ANIME):
        return model, "sdxl-anime"
    return model, "sdxl" if kind is SDXL else None


def pictures_of(data: Path) -> tuple[Picture, ...]:
    """Return the pictures of a folder, undecoded.

    Raises:
        DatasetError: it is missing or has no pictures.
    """
    # What can't be read is for the check to name, which comes next.
    return scan(data, tell_all=True).pictures


def proposed_trigger(data: Path, pictures: Sequence[Picture], name: str) -> Likely:
    """Return the word that is likely to call what the pictures of ``data`` show; ``name`` is the LoRA's."""
    folders = dict.fromkeys(picture.path.parent.name for picture in pictures)
    # Without a file a picture is told its folder's words.
    captions = [picture.caption for picture in pictures if caption_file(picture.path, None)]
    return likely_trigger(captions, (*folders, data.resolve().name), name)


def likely_name(data: Path) -> str:
    """Return what a LoRA of these pictures may be called: as their folder, as far as a file can be."""
    return _NO_NAME.sub("-", data.resolve().name).strip("-.") or "lora"


def check_name(name: str) -> None:
    """Refuse a name that no file may have.

    Raises:
        UsageError: it has one of other characters than letters, digits, dots, - and _, or nothing else.
    """
    if _NO_NAME.search(name) or not name.strip("-."):
        raise UsageError(
            f"{name!r} can't be the name of a file", fix="take letters, digits, dots, - and _", code="usage.name"
        )


def make(wanted: Wanted, target: Path, preferences: Settings) -> Made:
    """Return the config that would lie at ``target``.

    Raises:
        UsageError: there is no such preset, or nobody knows the GPU.
        ConfigError: the preset can't be read or trained.
        DatasetError: the pictures can't be trained on.
    """
    choices = settings_of(wanted.preset, wanted.base, preferences)
    aim = aim_of(choices)
    choices = {key: choice for key, choice in choices.items() if key not in ("exposures", "steps", "smoke_steps")}
    choices |= _about_the_run(wanted, choices, target)
    choices |= _long_captions(choices, target)
    if aim is not None:
        choices |= _length(choices, aim, target)
    if wanted.gpu is not None:
        choices |= _for_gpu(choices, wanted, target)
    heading = (
        f"{wanted.name}: the preset {wanted.preset} for {wanted.base}, written by loratui new on "
        f"{datetime.now().astimezone():%Y-%m-%d}.",
        "The comment above a key is its reason. docs/config.md says what each key means, and which others there are.",
    )
    text = config_text(heading, choices)
    loaded = parse_config(text, target.resolve().parent)
    dataset = scan_config(loaded.config)
    return Made(text=text, loaded=loaded, dataset=dataset, plan=plan(loaded.config, dataset.pictures))


def _about_the_run(wanted: Wanted, choices: Mapping[str, Choice], target: Path) -> dict[str, Choice]:
    about = {
        MODEL_KEY: Choice(
            wanted.model, "The base model that is trained on: pictures are to be made with it, or with a relative."
        ),
        "train_data_dir": Choice(_as_written(wanted.data, target), "The pictures, and a caption beside each."),
        "output_name": Choice(wanted.name, "The name of the LoRA file."),
        "trigger_word": Choice(wanted.trigger, "The word that calls it. It belongs into every caption."),
    }
    if "sample_prompts" in choices:
        given = choices["sample_prompts"]
        prompts = [str(prompt).replace("{trigger}", wanted.trigger) for prompt in given.value]
        about["sample_prompts"] = Choice(prompts, given.reason)
    extensions = [each for each in CAPTION_EXTENSIONS if any(wanted.data.rglob(f"*{each}"))]
    if "caption_extension" in choices and extensions and choices["caption_extension"].value not in extensions:
        about["caption_extension"] = Choice(extensions[0], "The kind of caption files that these pictures have.")
    return about


def _long_captions(choices: Mapping[str, Choice], target: Path) -> dict[str, Choice]:
    """Return how many tokens are read, where captions have more than would be."""
    config = _config(choices, target)
    if config.pretrained_model_name_or_path.startswith(BUILTIN_PREFIX):
        return {}
    captions = {picture.caption for picture in scan_config(config, tell_all=True).pictures}
    most = max((count_tokens(caption) for caption in captions), default=0)
    if most <= (config.max_token_length or _TOKENS[0]):
        return {}
    fits = next((number for number in _TOKENS if most <= number), _TOKENS[-1])
    why = f"The longest caption has {most} tokens; without this {_TOKENS[0]} are read, and the rest is cut off."
    return {"max_token_length": Choice(fits, why)}


def _as_written(data: Path, target: Path) -> str:
    """Return the folder as the config names it: from where that lies, if it is below."""
    folder, base = data.resolve(), target.resolve().parent
    return os.path.relpath(folder, base) if folder.is_relative_to(base) else str(folder)


def _length(choices: Mapping[str, Choice], aim: Aim, target: Path) -> dict[str, Choice]:
    """Return how long it trains, and how often there is something to look at."""
    epoch = _planned({**choices, "max_train_epochs": Choice(1)}, target)
    epochs = epochs_for(aim, epoch.exposures_per_picture, epoch.steps_per_epoch)
    shown = round(epochs * epoch.exposures_per_picture)
    each = f"{epoch.num_pictures} pictures in {epoch.steps_per_epoch} steps an epoch"
    length = {
        "max_train_epochs": Choice(
            epochs,
            f"{each}: {epochs} epochs are {epochs * epoch.steps_per_epoch} steps and show each picture {shown} times. "
            f"The preset wants {aim.exposures_range[0]:g} to {aim.exposures_range[1]:g}.",
        )
    }
    every = max(1, round(epochs / _NUM_FILES))
    if not {"save_every_n_steps", "save_every_n_epochs"} & choices.keys():
        why = "Files on the way: an earlier one may be the better LoRA."
        length["save_every_n_epochs"] = Choice(every, why)
    if "sample_prompts" in choices and not {"sample_every_n_steps", "sample_every_n_epochs"} & choices.keys():
        length["sample_every_n_epochs"] = Choice(every, "Pictures to judge each of these files by.")
    if aim.smoke_steps is not None:
        look = max(1, round(aim.smoke_steps / epoch.steps_per_epoch))
        if look < epochs:
            length["stop_at_epoch"] = Choice(
                look,
                f"It stops here, after {look * epoch.steps_per_epoch} steps, for you to look at the samples; "
                "loratui resume goes on to the end. Remove the line to train all of it at once.",
            )
    return length


def _for_gpu(choices: Mapping[str, Choice], wanted: Wanted, target: Path) -> dict[str, Choice]:
    """Return what is written otherwise for a GPU; the pictures of a step stay as many."""
    config = _config(choices, target)
    kind = base_kind(wanted)
    vram_mib = memory_mib(wanted.gpu or "")
    found = fitted(config, kind, vram_mib)
    pictures = config.train_batch_size * config.gradient_accumulation_steps
    why = f"For a GPU of {vram_mib // 1024} GB; a step has {pictures} pictures, as the preset wants."
    return {key: Choice(getattr(found, key), why) for key in _FITTED if getattr(found, key) != getattr(config, key)}


def base_kind(wanted: Wanted) -> BaseKind:
    """Return what is known of training such a base model."""
    return SD1 if wanted.base == "sd15" else SDXL


def _config(choices: Mapping[str, Choice], target: Path) -> TrainingConfig:
    return parse_config(config_text((), choices), target.resolve().parent).config


def _planned(choices: Mapping[str, Choice], target: Path) -> Plan:
    config = _config(choices, target)
    return plan(config, scan_config(config).pictures)
