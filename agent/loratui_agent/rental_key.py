"""Finds the key that a provider gave this machine for itself, which sessions of SSH do not inherit.

Standard library only.
"""

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PLACES = (Path("/proc/1/environ"), Path("/etc/environment"), Path("/etc/rp_environment"))
_NAMES = {"vast": ("CONTAINER_ID", "CONTAINER_API_KEY"), "runpod": ("RUNPOD_POD_ID", "RUNPOD_API_KEY")}
_VARIABLE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_MAX_CHARS = 1 << 20


def own_key(
    provider: str, places: Sequence[Path] = PLACES, environment: Mapping[str, str] = os.environ
) -> tuple[str, str]:
    """Return this machine's id at the provider and its key, each empty where it is not to be found."""
    names = _NAMES.get(provider, ())
    found: dict[str, str] = {}
    for variables in (*map(_variables, places), environment.items()):
        for name, text in variables:
            if name in names and text:
                found.setdefault(name, text)
    instance_id, key = (found.get(name, "") for name in names) if names else ("", "")
    return instance_id, key


def _variables(place: Path) -> Iterator[tuple[str, str]]:
    try:
        with place.open(encoding="utf-8", errors="replace") as file:
            content = file.read(_MAX_CHARS)
    except OSError:
        return
    is_of_process = "\0" in content
    for line in content.split("\0" if is_of_process else "\n"):
        variable = _VARIABLE.fullmatch(line if is_of_process else line.strip())
        if variable:
            yield variable[1], variable[2] if is_of_process else _unquoted(variable[2])


def _unquoted(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError:
        return text
    return words[0] if len(words) == 1 else text
