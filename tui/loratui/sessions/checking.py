"""Looks at a config and its dataset as a whole, before anything is rented: every front end tells the same findings."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loratui.domain.config_figures import against_plan
from loratui.domain.config_for_base import for_base
from loratui.domain.config_hints import hints, mirrored
from loratui.domain.estimate_work import left
from loratui.preflight.captions import look_at_captions
from loratui.preflight.fixes import FIXES
from loratui.preflight.look import look_at_pictures
from loratui.preflight.workers import Progress
from loratui.sessions.base_kind import kind_told_here, prediction_told_here
from loratui.sessions.built_in import built_in_model
from loratui.sessions.copies import NO_COPIES, Copies
from loratui.sessions.judging import judging_findings
from loratui.sessions.model_source import is_downloaded, taken_for_hub_id
from loratui.sessions.resumed import Resumed
from loratui.sessions.starting import start_findings, start_here
from loratui_protocol.architecture import TRAINABLE
from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import Loaded, parse_config, read_config, to_toml
from loratui_protocol.dataset import Dataset, Picture, scan, scan_config
from loratui_protocol.errors import DatasetError, ModelError
from loratui_protocol.findings import Finding
from loratui_protocol.known_models import known_architecture, known_other
from loratui_protocol.plan import Plan
from loratui_protocol.plan import plan as make_plan
from loratui_protocol.single_file import local_architecture
from loratui_protocol.subsets import datasets_of, subsets_of

ACCEPTABLE = ("picture.sixteen_bit", "picture.decoder_slow")
"""Codes of errors in spite of which a trainer would train: certainly wrong, and for a person to say otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A config that can be trained, and what there is to say about it and its dataset."""

    config: TrainingConfig
    pictures: tuple[Picture, ...]
    plan: Plan
    findings: tuple[Finding, ...]
    resumed: Resumed | None = None
    """What it goes on from; None: it begins at its first step."""
    copies: Copies = NO_COPIES
    """What is sent of its pictures; none were made yet where it stays on this machine, or is only looked at."""

    @property
    def plan_left(self) -> Plan:
        """Return what of the plan is still to be done, until it ends or stops for somebody to look."""
        return left(self.plan, -1 if self.resumed is None else self.resumed.state.step)


class DatasetRefusedError(DatasetError):
    """Pictures or captions can't be trained on; ``findings`` is all that was found, of the config too."""

    def __init__(self, errors: Sequence[Finding], findings: Sequence[Finding]) -> None:
        super().__init__(
            "\n  ".join(each.what for each in errors),
            fix="; ".join(dict.fromkeys(each.fix for each in errors)),
            code=errors[0].code,
        )
        self.findings = tuple(findings)


def check_config(
    path: Path,
    *,
    stop_at_epoch: int | None = None,
    accepted: Collection[str] = (),
    progress: Progress | None = None,
) -> Checked:
    """Read a config and its dataset, every picture included. ``stop_at_epoch`` takes the place of the file's.

    Ranks and alphas are those of the LoRA file that it goes on from. Of ``ACCEPTABLE`` errors those that are
    ``accepted`` are warnings.

    Raises:
        ConfigError, DatasetError, ModelError: it can't be trained. ``DatasetRefusedError`` has all that was found.
    """
    loaded = read_config(path)
    if stop_at_epoch is not None:
        config = replace(loaded.config, stop_at_epoch=stop_at_epoch)
        loaded = parse_config(to_toml(config), path.resolve().parent)
    return check_loaded(loaded, path, accepted=accepted, progress=progress)


def check_loaded(
    loaded: Loaded,
    path: Path,
    *,
    accepted: Collection[str] = (),
    progress: Progress | None = None,
    is_quick: bool = False,
) -> Checked:
    """Do the same with a config that was read; ``path`` is its file, whose folder its paths count from.

    ``is_quick``: only pictures that could not be opened are decoded; of the others nothing is said of their pixels.
    """
    if loaded.config.evaluate_loras:
        return _check_judging(loaded, path)
    start = start_here(loaded.config)
    config = start.config if start else loaded.config
    of_start = start_findings(loaded.config, start) if start else []
    dataset = scan_config(config, tell_all=True)
    of_dataset = dataset_findings(dataset, config, accepted=accepted, progress=progress, is_quick=is_quick)
    of_config = (
        *loaded.findings,
        *of_start,
        *config_findings(loaded, config, path.resolve().parent),
        *judging_findings(config, path.resolve().parent),
        *mirrored(config, dataset.pictures),
    )
    if errors := [each for each in of_dataset if each.severity == "error"]:
        of_captions = marked(look_at_captions(dataset, config, None, checked=path))
        raise DatasetRefusedError(errors, (*of_config, *of_dataset, *of_captions))
    planned = make_plan(config, dataset.pictures)
    of_captions = marked(look_at_captions(dataset, config, planned, checked=path))
    findings = (*of_config, *of_dataset, *of_captions, *planned.findings, *against_plan(config, planned))
    return Checked(config=config, pictures=dataset.pictures, plan=planned, findings=findings)


def _check_judging(loaded: Loaded, path: Path) -> Checked:
    """Do it with a config that trains nothing: its pictures are only compared with, as they are."""
    config = loaded.config
    dataset = scan_config(config, tell_all=True)
    folder = path.resolve().parent
    of_files = (*loaded.findings, *_model_findings(config, folder), *judging_findings(config, folder))
    planned = make_plan(config, dataset.pictures)
    return Checked(config=config, pictures=dataset.pictures, plan=planned, findings=(*of_files, *dataset.findings))


def dataset_findings(
    dataset: Dataset,
    config: TrainingConfig,
    *,
    accepted: Collection[str] = (),
    progress: Progress | None = None,
    is_quick: bool = False,
) -> list[Finding]:
    """Return what there is to say of files and pictures, captions' texts aside; arguments as of ``check_loaded``."""
    of_pictures = _pixel_findings(dataset, config, progress, is_quick=is_quick)
    return [_unless_accepted(each, accepted) for each in marked((*dataset.findings, *of_pictures))]


def _pixel_findings(
    dataset: Dataset, config: TrainingConfig, progress: Progress | None, *, is_quick: bool
) -> Sequence[Finding]:
    if is_quick and not dataset.unusable:
        return ()
    return look_at_pictures(
        () if is_quick else dataset.pictures,
        dataset.unusable,
        resolution=max((each.resolution for each in datasets_of(config)), key=math.prod),
        alpha_masked={index for index, each in enumerate(subsets_of(config)) if each.config.alpha_mask},
        progress=progress,
    ).findings


def check_folder(
    folder: Path, progress: Progress | None = None, *, trigger: str | None = None
) -> tuple[Dataset, list[Finding]]:
    """Return a folder's pictures and what there is to say of them, whatever they will be trained with.

    ``trigger`` None: which word is to call the concept isn't known.

    Raises:
        DatasetError: the folder is missing or has no pictures.
    """
    dataset = scan(folder, tell_all=True)
    of_pictures = look_at_pictures(dataset.pictures, dataset.unusable, progress=progress).findings
    # A folder says nothing of a base model; of those there are, almost all read CLIP's tokens.
    config = TrainingConfig(pretrained_model_name_or_path="any", train_data_dir=str(folder), trigger_word=trigger)
    of_captions = look_at_captions(dataset, config, None, checked=folder)
    return dataset, marked((*dataset.findings, *of_pictures, *of_captions))


def _unless_accepted(finding: Finding, accepted: Collection[str]) -> Finding:
    if finding.severity != "error" or finding.code not in ACCEPTABLE:
        return finding
    if finding.code in accepted:
        return replace(finding, severity="warning", fix="")
    return replace(finding, fix=f"{finding.fix}; to train in spite of it: --accept {finding.code}")


def marked(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings, with a mark on those that can be set right in the folder."""
    return [replace(each, fixable=each.fixable or each.code in FIXES) for each in findings]


def check_base_model(config: TrainingConfig) -> None:
    """Refuse a config whose base model is not on this machine, or of a kind that can't be trained.

    Raises:
        ModelError: there is no such folder, file or built-in model, or it can't be trained.
    """
    if config.pretrained_model_name_or_path.startswith(BUILTIN_PREFIX):
        built_in_model(config.pretrained_model_name_or_path)
    else:
        local_architecture(config.pretrained_model_name_or_path)


def config_findings(loaded: Loaded, config: TrainingConfig, folder: Path) -> list[Finding]:
    """Return what is worth knowing of a config in a ``folder``, and whether its base model is there and fits it."""
    name = config.pretrained_model_name_or_path
    of_base = for_base(
        config, kind_told_here(name), prediction=prediction_told_here(name), claims_sdxl=loaded.claims_sdxl
    )
    return [*hints(config), *of_base, *_model_findings(config, folder)]


def _model_findings(config: TrainingConfig, folder: Path) -> list[Finding]:
    """Return what is wrong with the base model; what is not downloaded travels from here, and has to be here."""
    name = config.pretrained_model_name_or_path
    try:
        if is_downloaded(name):
            return _about_download(name, folder)
        check_base_model(config)
    except ModelError as error:
        also = (
            "; other machines download a hub id (org/name) or an https address" if error.code == "model.missing" else ""
        )
        return [Finding(code=error.code, severity="error", what=error.what, fix=f"{error.fix}{also}")]
    return []


def _about_download(name: str, folder: Path) -> list[Finding]:
    """Return what is known of a base model that another machine downloads; nobody is asked."""
    if other := known_other(name):
        return [Finding(code="model.unsupported", severity="error", what=f"{name} is {other}", fix=TRAINABLE)]
    if known_architecture(name):
        return []
    if not name.startswith("https://") and (why := taken_for_hub_id(name, folder)):
        what = f"{name} is taken for a model of the hub: {why}"
        parent = folder / name.partition("/")[0]
        fix = f"correct the path if a model of yours is meant; if it is the hub's, move {parent} elsewhere"
        return [Finding(code="model.missing", severity="warning", what=what, fix=fix)]
    what = (
        f"{name} is not on this machine: the one that trains downloads it, and its server is asked before one is rented"
    )
    fix = "nothing is to be done for a rented machine or a host; to train here, download it and give its path"
    return [Finding(code="model.downloaded", severity="info", what=what, fix=fix)]
