"""``convert``: a config, in whatever form it is read, as our own file or as one for sd-scripts."""

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from loratui.cli.arguments import Arguments
from loratui.cli.check import print_findings
from loratui.cli.new_files import write_new
from loratui.sessions.base_kind import prediction_told_here
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_draft import FILLED_IN, draft, draft_findings
from loratui_protocol.config_file import read_config, read_partial
from loratui_protocol.config_write import to_toml
from loratui_protocol.dataset_folders import folders
from loratui_protocol.errors import ConfigError, DatasetError, UsageError
from loratui_protocol.kohya_write import Written, to_kohya
from loratui_protocol.subsets import DatasetConfig, Subset


def convert(arguments: Arguments) -> int:
    """Write a config in another form, to standard output or into new files; findings go to stderr.

    As our own file it is written also where another program's doesn't say what to train, or on what: then it returns 1,
    because what is written can't be trained as it is.

    Raises:
        ConfigError: it can't be read.
        UsageError: it needs several files and none is named, or one of them is there already.
    """
    written = _written(arguments)
    # Before anything is written: what is said stands above what it is about.
    print_findings(written.findings)
    if arguments.to_file is not None:
        _write(arguments.to_file, written)
    elif written.others:
        place = _place(arguments)
        raise UsageError(
            f"sd-scripts needs several files for this: {', '.join(each.name for each in (place, *written.others))}",
            fix=f"loratui convert {shlex.quote(str(arguments.config))} --to kohya -o {shlex.quote(place.name)}",
            code="usage.several_files",
        )
    else:
        print(written.text, end="")
    return 1 if any(finding.severity == "error" for finding in written.findings) else 0


def _written(arguments: Arguments) -> Written:
    try:
        loaded = read_config(arguments.config)
    except ConfigError as error:
        if arguments.to != "native" or error.code not in FILLED_IN:
            raise
        partial = read_partial(arguments.config)
        text = draft(partial)
        if text is None:
            raise
        return Written(text=text, findings=tuple(draft_findings(partial)))
    if arguments.to == "native":
        return Written(text=to_toml(loaded.config), findings=loaded.findings)
    written = to_kohya(_for_sd_scripts(loaded.config), _place(arguments))
    return replace(written, findings=(*loaded.findings, *written.findings))


def _place(arguments: Arguments) -> Path:
    """Return where the new config is to be, or could be."""
    return (arguments.to_file or Path(f"{arguments.config.stem}.kohya.toml")).absolute()


def _write(path: Path, written: Written) -> None:
    files = {**written.others, path: written.text}
    there = [str(each) for each in files if each.exists()]
    if there or not all(write_new(each, text) for each, text in files.items()):
        what = f"{', '.join(there) or path} is there already, and nothing is written over it"
        raise UsageError(what, fix="name another file with -o, or move it away", code="usage.exists")
    print("\n".join(f"written: {each}" for each in reversed(files)))


def _for_sd_scripts(config: TrainingConfig) -> TrainingConfig:
    """Return the config with what sd-scripts would not find by itself: what the model predicts, where pictures lie."""
    told = prediction_told_here(config.pretrained_model_name_or_path)
    if told and config.v_parameterization is None:
        config = replace(config, v_parameterization=told.is_v)
    if told and config.zero_terminal_snr is None:
        config = replace(config, zero_terminal_snr=told.is_zero_snr)
    if config.datasets or not config.train_data_dir:
        return config
    listed = [*_listed(config.train_data_dir, is_reg=False)]
    listed += _listed(config.reg_data_dir, is_reg=True) if config.reg_data_dir else []
    parents = {str(Path(subset.image_dir).parent) for subset in listed}
    roots = {str(Path(root)) for root in (config.train_data_dir, config.reg_data_dir) if root}
    if not listed or (parents <= roots and not config.conditioning_data_dir):
        return config
    # sd-scripts finds numbered folders inside one alone, and masks only by a dataset_config, where all have some.
    kinds = (False, True) if config.conditioning_data_dir else (None,)
    groups = [tuple(each for each in listed if kind in (None, each.is_reg)) for kind in kinds]
    return replace(config, datasets=tuple(DatasetConfig(subsets=group) for group in groups if group))


def _listed(root: str, *, is_reg: bool) -> Iterator[Subset]:
    """Yield the folders with pictures in a folder; none where it is not here."""
    try:
        found, _ = folders(Path(root))
    except (DatasetError, OSError):
        return
    for folder, repeats, class_tokens in found:
        yield Subset(image_dir=str(folder), num_repeats=repeats, is_reg=is_reg, class_tokens=class_tokens)
