"""Reads kohya's ``[general]``, ``[[datasets]]`` and ``[[datasets.subsets]]``, in a config or its ``dataset_config``."""

import difflib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

from loratui_protocol import kohya
from loratui_protocol.config import KEYS
from loratui_protocol.config_mends import misspelt
from loratui_protocol.config_paths import is_elsewhere
from loratui_protocol.config_reading import TYPES, Reading
from loratui_protocol.config_told import Correction, Problem, place_in_datasets
from loratui_protocol.config_write import toml_value
from loratui_protocol.findings import Finding
from loratui_protocol.harmless import clean
from loratui_protocol.special_files import check_no_special
from loratui_protocol.subsets import DATASET_KEYS, SUBSET_KEYS, DatasetConfig, Subset

_OWN = {"image_dir": (str,), "num_repeats": (int,), "is_reg": (bool,), "class_tokens": (str,)}
"""What a subset has and a training config has not."""
_FOR_ALL = ("num_repeats", "class_tokens")
"""Of these, what a dataset may say for all of its subsets."""
_MAX_SHOWN_CHARS = 200
_WRITTEN = {"batch_size": "train_batch_size"}
"""Keys that have another name in a training config."""
_NAMES = {key: written for written, key in _WRITTEN.items()}


@dataclass(slots=True)
class ReadDatasets:
    """The datasets of a config, and what there is to say about how they are written."""

    datasets: tuple[DatasetConfig, ...] = ()
    are_listed: bool = False
    """Also where they are refused."""
    are_here: bool = False
    """In the config itself, where they can be set right."""
    findings: list[Finding] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)


def read_datasets(tables: dict[str, Any], text: str, base: Path) -> ReadDatasets:
    """Take the datasets out of what ``tomllib`` has parsed and return them; relative paths count from ``base``.

    A ``dataset_config`` file is read, and its relative paths count from its own folder.
    """
    read = ReadDatasets()
    name = _take_out(tables, "dataset_config")
    if name is None or name == "":
        if "datasets" in tables:
            read.are_here = True
            _read(read, {"general": tables.pop("general", {}), "datasets": tables.pop("datasets")}, text, base)
        return read
    read.are_listed = True
    if "datasets" in tables:
        del tables["datasets"]
        fix = "keep one of them"
        read.problems.append(Problem("config.value", "there are [[datasets]] and a dataset_config", fix))
    elif isinstance(name, str) and is_elsewhere(name):
        what = f"dataset_config is {clean(name, _MAX_SHOWN_CHARS)}, a path of another machine, which has Windows"
        example = PureWindowsPath(clean(name, _MAX_SHOWN_CHARS)).name or "dataset.toml"
        fix = f'write dataset_config = "{example}" if it lies beside the config here, and otherwise its whole path here'
        read.problems.append(Problem("config.other_machine", what, fix))
    elif isinstance(name, str):
        _read_file(read, name, base)
    else:
        what = "dataset_config is no text; the path of a TOML file is wanted"
        read.problems.append(Problem("config.type", what, 'write dataset_config = "dataset.toml"'))
    return read


def _take_out(tables: dict[str, Any], key: str) -> Any:
    """Return the value of a key in any section, the last one's, and remove it."""
    value = None
    for table in (tables, *(content for content in tables.values() if isinstance(content, dict))):
        value = table.pop(key, value)
    return value


def _read_file(read: ReadDatasets, name: str, base: Path) -> None:
    try:
        path = (base / Path(name).expanduser()).resolve()
        check_no_special(path)
        text = path.read_text(encoding="utf-8-sig")
        tables = tomllib.loads(text)
    except (OSError, ValueError, RuntimeError) as error:
        what = f"dataset_config names {name}, which can't be read ({error})"
        fix = "name a UTF-8 TOML file with [[datasets]]; relative paths count from the config"
        read.problems.append(Problem("config.value", what, fix))
        return
    # A file of its own may hold nothing else.
    for other in (key for key in tables if key not in ("general", "datasets")):
        what = f"{other} is no part of a dataset_config"
        fix = "keep [general], [[datasets]] and [[datasets.subsets]] there, and move the rest to the training config"
        read.problems.append(Problem("config.unknown_key", what, fix))
    _read(read, {"general": tables.get("general", {}), "datasets": tables.get("datasets", [])}, text, path.parent)


def _read(read: ReadDatasets, tables: dict[str, Any], text: str, base: Path) -> None:
    read.are_listed = True
    general = _Table(read, "[general]", (*DATASET_KEYS, *SUBSET_KEYS, *_FOR_ALL), text, base).take(tables["general"])
    datasets = []
    for number, table in enumerate(_tables(read, "[[datasets]]", tables["datasets"]), 1):
        place = f"dataset {number}"
        subset_tables = table.get("subsets", [])
        keys = (*DATASET_KEYS, *SUBSET_KEYS, *_FOR_ALL)
        rest = {key: value for key, value in table.items() if key != "subsets"}
        own = {**general, **_Table(read, place, keys, text, base).take(rest)}
        subsets = [
            _subset(read, f"{place}, subset {inner}", own, subset_table, text, base)
            for inner, subset_table in enumerate(_tables(read, f"[[datasets.subsets]] of {place}", subset_tables), 1)
        ]
        settings = {key: own[key] for key in (*DATASET_KEYS, *SUBSET_KEYS) if key in own}
        datasets.append(DatasetConfig(subsets=tuple(each for each in subsets if each), settings=settings))
    read.datasets = tuple(datasets)


def _subset(
    read: ReadDatasets, place: str, of_dataset: dict[str, Any], table: dict[str, Any], text: str, base: Path
) -> Subset | None:
    own = _Table(read, place, (*SUBSET_KEYS, *_OWN), text, base).take(table)
    if not own.get("image_dir"):
        if "image_dir" not in table or table["image_dir"] == "":
            problem = Problem("config.missing_key", f"image_dir is missing in {place}", 'add image_dir = "pictures"')
            read.problems.append(problem)
        return None
    both = {**{key: of_dataset[key] for key in _FOR_ALL if key in of_dataset}, **own}
    return Subset(
        settings={key: own[key] for key in SUBSET_KEYS if key in own},
        **{key: both[key] for key in _OWN if key in both},
    )


def _tables(read: ReadDatasets, name: str, value: Any) -> list[dict[str, Any]]:
    """Return a list of tables that has at least one; otherwise say so and return none."""
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return value
    what = f"{name} is missing" if value == [] else f"{name} is no list of tables"
    read.problems.append(Problem("config.missing_key" if value == [] else "config.type", what, _EXAMPLE))
    return []


_EXAMPLE = 'write [[datasets]], and below it [[datasets.subsets]] with image_dir = "pictures"'


class _Table(Reading):
    """Reads one table: the keys of the training config that it may hold, and those of a subset."""

    def __init__(self, read: ReadDatasets, place: str, keys: tuple[str, ...], text: str, base: Path) -> None:
        super().__init__(text, base)
        self.keys = keys
        self.types = {**TYPES, **_OWN}
        self.findings = read.findings
        self.problems = read.problems
        self.corrections = read.corrections
        self._place = place
        self._is_here = read.are_here

    def take(self, table: Any) -> dict[str, Any]:
        """Return the values of the table that are right; findings and problems go to the datasets'."""
        if not isinstance(table, dict):
            self._refuse("config.type", f"{self._place} is no table", _EXAMPLE)
            return {}
        meant = self._misspelt_here(list(table))
        for written, value in table.items():
            named = meant.get(written, str(written))
            key = _WRITTEN.get(named, named)
            if self._is_here:
                self.places[key] = (place_in_datasets(self._place, written), 0)
            if written in meant:
                self._read_as(key, written, value)
            if value == "" and key in self.keys and type(None) in self.types[key]:
                # Unset, whatever is set further out.
                self.values[key] = None
            else:
                self._take(key, value)
        return self.values

    def _unknown(self, key: str) -> None:
        if key in DATASET_KEYS:
            fix = "write it in [[datasets]]: it is one for all subsets of a dataset"
        elif key in _OWN:
            fix = "write it in [[datasets.subsets]]"
        elif key in KEYS:
            fix = "move it to the training config"
        else:
            known = [*self.keys, *_WRITTEN, *kohya.WITHOUT_EFFECT, *kohya.UNSUPPORTED]
            close = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.6)
            fix = f"did you mean {close[0]}?" if close else "remove it, or see docs/config.md for the keys there are"
        self._refuse("config.unknown_key", f"{key}{self._where(key)} is no key there", fix)

    def _misspelt_here(self, names: list[str]) -> dict[str, str]:
        known = {*KEYS, *_OWN, *_WRITTEN, *kohya.WITHOUT_EFFECT, *kohya.UNSUPPORTED, *kohya.LIKELY}
        return misspelt(names, known, {*self.keys, *_WRITTEN} - {_WRITTEN.get(each, each) for each in names})

    def _refuse_unknown(self, key: str, meant: str, *, fixable: bool = False) -> None:
        named = _NAMES.get(meant, meant)
        self._refuse(
            "config.unknown_key", f"{key}{self._where(key)} is no key there", f"did you mean {named}?", fixable=fixable
        )

    def _correct(self, key: str, line: str, why: str) -> bool:
        is_named_here = key in _NAMES and line.startswith(f"{key} =")
        return super()._correct(key, f"{_NAMES[key]}{line.removeprefix(key)}" if is_named_here else line, why)

    def _where(self, key: str) -> str:  # noqa: ARG002 - a table of its own needs no line
        return f" in {self._place}"

    def _read_resolution(self, value: Any) -> tuple[int, int] | None:
        if type(value) is int:
            return value, value
        sides = super()._read_resolution(value)
        if isinstance(value, str) and sides is not None:
            line = f"resolution = {toml_value(sides)}"
            self._warn(
                "config.resolution_form",
                f"resolution in {self._place} is text",
                f"write {line}: sd-scripts stops at text in a dataset config",
                fixable=self._correct("resolution", line, "sd-scripts stops at text here"),
            )
        return sides
