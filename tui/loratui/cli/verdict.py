"""The last line of ``check``: what it comes to, and how much of it the same call with ``--fix`` would set right."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loratui.cli.arguments import Arguments
from loratui.cli.editing import is_somebody_there
from loratui.cli.fix_dataset import codes_to_fix
from loratui.cli.fixing import mendable
from loratui_protocol.findings import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Mendable:
    """How many findings ``--fix`` would set right, in configs and in folders."""

    in_configs: int = 0
    in_folders: int = 0

    def __add__(self, other: "Mendable") -> "Mendable":
        return Mendable(in_configs=self.in_configs + other.in_configs, in_folders=self.in_folders + other.in_folders)


def judged(path: Path, findings: Sequence[Finding], arguments: Arguments) -> tuple[list[Finding], Mendable]:
    """Return the findings of a path, as fixable those that this call with ``--fix`` would set right, and their number.

    Nothing is changed.
    """
    found = None if path.is_dir() else mendable(path)
    of_config = {(each.code, each.what) for each in found.findings} if found else set()
    of_folders = codes_to_fix(path, {each.code for each in findings}, arguments)
    told = [replace(each, fixable=each.code in of_folders or (each.code, each.what) in of_config) for each in findings]
    in_folders = sum(each.code in of_folders for each in told)
    # Of a config that is refused several may be told as one.
    return told, Mendable(in_configs=len(found.findings) if found else 0, in_folders=in_folders)


def verdict(findings: Sequence[Finding], mendable: Mendable, arguments: Arguments, does: str) -> str:
    """Return in one line what the findings come to; ``does``: what is to be done, "trained"."""
    is_refused, told = _counted(findings)
    said = (f"this can't be {does}" if is_refused else "no errors") + told
    number = mendable.in_configs + mendable.in_folders
    # In folders nothing is changed unasked.
    is_unasked = mendable.in_folders and not (arguments.yes or is_somebody_there())
    key = "--fix --yes" if is_unasked else "--fix"
    return said + (f"; {number} of what was found {key} can set right, shown first" if number else "")


def lora_verdict(findings: Sequence[Finding]) -> str:
    """Return the same of LoRA files, in which nothing is set right."""
    is_refused, told = _counted(findings)
    return ("this can't be used as it is" if is_refused else "no errors") + told


def _counted(findings: Sequence[Finding]) -> tuple[bool, str]:
    """Return whether there are errors, and how many of what, in brackets."""
    counts = Counter(each.severity for each in findings)
    counted = [
        f"{counts[each]} {each}{'s' if counts[each] > 1 else ''}" for each in ("error", "warning") if counts[each]
    ]
    return bool(counts["error"]), f" ({', '.join(counted)})" if counted else ""
