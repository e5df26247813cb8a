"""Tells all that can be known of a config in one go, whether or not it can be trained."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from loratui.domain.config_figures import against_plan
from loratui.domain.config_hints import mirrored
from loratui.preflight.captions import look_at_captions
from loratui.preflight.workers import Progress
from loratui.sessions.checking import check_loaded, config_findings, dataset_findings, marked
from loratui.sessions.judging import judging_findings
from loratui.sessions.starting import start_findings, start_here
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import Judged, judge_config, known
from loratui_protocol.config_remains import MODEL_KEY, PICTURES_KEY
from loratui_protocol.dataset import Dataset, Picture, scan_config
from loratui_protocol.dataset_folders import folders, leaf
from loratui_protocol.errors import DatasetError, LoratuiError
from loratui_protocol.findings import Finding
from loratui_protocol.plan import Plan
from loratui_protocol.plan import plan as make_plan
from loratui_protocol.subsets import moved

_OF_MASKS = ("dataset.no_mask", "dataset.missing")
"""What is wrong with masks, where the pictures' own folders are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldConfig:
    """What there is to say of a config and its dataset, errors included."""

    findings: tuple[Finding, ...]
    plan: Plan | None = None
    """Of what can be trained; None: too little of it is known."""
    pictures: tuple[Picture, ...] = ()
    """Those that the plan counts."""
    num_left_out: int = 0
    """Pictures that the plan doesn't count, because they can't be trained on."""


def tell_config(path: Path, *, trigger: str | None = None, progress: Progress | None = None) -> ToldConfig:
    """Return all that can be known of a config. ``trigger`` takes the place of the config's trigger word.

    Raises:
        ConfigError: it can't be read, or is no config.
    """
    judged = judge_config(path)
    problems = [
        Finding(code=each.code, severity="error", what=each.what, fix=each.fix, fixable=each.fixable)
        for each in judged.problems
    ]
    told = _tell(path, judged, trigger, progress)
    findings = dict.fromkeys((*problems, *known(told.findings, judged.unknown)))
    return replace(told, findings=tuple(findings))


def _tell(path: Path, judged: Judged, trigger: str | None, progress: Progress | None) -> ToldConfig:
    config, of_start = _started(judged.loaded.config)
    config = replace(config, trigger_word=trigger) if trigger else config
    if config.evaluate_loras:
        checked = check_loaded(judged.loaded, path)
        return ToldConfig(findings=checked.findings, plan=checked.plan, pictures=checked.pictures)
    findings = [*judged.loaded.findings, *of_start, *config_findings(judged.loaded, config, path.resolve().parent)]
    findings += judging_findings(config, path.resolve().parent)
    if MODEL_KEY in judged.unknown:
        # Of the base models there are, almost all read CLIP's tokens.
        config = replace(config, pretrained_model_name_or_path="any")
    if PICTURES_KEY in judged.unknown:
        return ToldConfig(findings=tuple(findings))
    there, of_folders = _there(config)
    findings += of_folders
    if there is None:
        return ToldConfig(findings=tuple(findings))
    try:
        there, dataset, of_masks = _scanned(there)
        findings += [*of_masks, *mirrored(there, dataset.pictures)]
        findings += dataset_findings(dataset, there, progress=progress)
        # Steps are those of all folders, and of the very settings.
        is_whole = not judged.problems and not of_folders and dataset.pictures
        planned = make_plan(there, dataset.pictures) if is_whole else None
        findings += marked(look_at_captions(dataset, there, planned, checked=path))
    except LoratuiError as error:
        return ToldConfig(findings=(*findings, as_finding(error)))
    return ToldConfig(
        findings=(*findings, *((*planned.findings, *against_plan(there, planned)) if planned else ())),
        plan=planned,
        pictures=dataset.pictures,
        num_left_out=len(dataset.unusable),
    )


def as_finding(error: LoratuiError) -> Finding:
    """Return an error as one of several things that are told."""
    return Finding(code=error.code, severity="error", what=error.what, fix=error.fix)


def _started(config: TrainingConfig) -> tuple[TrainingConfig, list[Finding]]:
    """Return the config with the ranks that it goes on with, and what there is to say of them."""
    try:
        start = start_here(config)
    except LoratuiError as error:
        return config, [as_finding(error)]
    return (start.config, start_findings(config, start)) if start else (config, [])


def _there(config: TrainingConfig) -> tuple[TrainingConfig | None, list[Finding]]:
    """Return the config with those folders alone that have pictures, if any has, and what is wrong with the others."""
    findings: list[Finding] = []

    def has_pictures(folder: str, look: Callable[[Path], object]) -> bool:
        try:
            look(Path(folder))
        except DatasetError as error:
            findings.append(as_finding(error))
            return False
        except OSError:
            # It is told when the pictures are looked for.
            return True
        return True

    if not config.datasets:
        is_there = has_pictures(config.train_data_dir or "", folders)
        if config.reg_data_dir and not has_pictures(config.reg_data_dir, folders):
            config = replace(config, reg_data_dir=None)
        return config if is_there else None, findings
    left = [
        replace(each, subsets=tuple(subset for subset in each.subsets if has_pictures(subset.image_dir, leaf)))
        for each in config.datasets
    ]
    datasets = tuple(each for each in left if each.subsets)
    return replace(config, datasets=datasets) if datasets else None, findings


def _scanned(config: TrainingConfig) -> tuple[TrainingConfig, Dataset, list[Finding]]:
    """Return the dataset, without masks where they are not what they should be, and what is wrong with them.

    Raises:
        DatasetError: a folder can't be read.
    """
    try:
        return config, scan_config(config, tell_all=True), []
    except DatasetError as error:
        if error.code not in _OF_MASKS:
            raise
        whole = moved(replace(config, masked_loss=False), lambda kind, folder: "" if kind == "mask" else folder)
        return whole, scan_config(whole, tell_all=True), [as_finding(error)]
