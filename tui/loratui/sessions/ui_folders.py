"""Finds the programs that draw with LoRAs on this machine, and the folder in which each looks for them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from loratui.install_settings import A1111, COMFYUI, FORGE

_VARIABLES = {"COMFYUI_PATH": COMFYUI}
"""What tools around a program call its folder: ComfyUI's manager, for one."""
_PARENTS = (
    *("", "ai", "AI", "apps", "Apps", "code", "src", "git", "github", "projects", "repos", "sd", "stable-diffusion"),
    *("Documents", "Desktop", "Downloads", "Applications", "StabilityMatrix/Data/Packages", "pinokio/api"),
)
_LIKELY = re.compile(r"comfy|web-?ui|forge|stable-?diffusion|automatic|a1111", re.IGNORECASE)
_INSIDE = ("", "ComfyUI", "app", "webui")
"""Where archives and starters keep the program within their folder."""
_MOST_ENTRIES = 2000


@dataclass(frozen=True, slots=True)
class UiFolder:
    """A program's own folder, and the one for LoRAs in it, which need not be there yet."""

    ui: str
    root: Path
    loras: Path


def ui_in(root: Path) -> UiFolder | None:
    """Return the program that lies in a folder; None: there is none."""
    if (root / "webui.py").is_file() and (root / "modules").is_dir():
        ui = FORGE if (root / "modules_forge").is_dir() else A1111
        return UiFolder(ui, root, root / "models" / "Lora")
    is_source = (root / "comfy").is_dir() and (root / "nodes.py").is_file()
    # What ComfyUI's desktop version keeps apart from its program.
    if is_source or ((root / "custom_nodes").is_dir() and (root / "models" / "loras").is_dir()):
        return UiFolder(COMFYUI, root, root / "models" / "loras")
    return None


def found_uis(home: Path, environ: Mapping[str, str], remembered: Mapping[str, Path]) -> list[UiFolder]:
    """Return the programs that are remembered in the settings or named by a variable; else those in usual places.

    Nothing is looked for deeper than a folder or two below ``home``.
    """
    named = {ui: Path(environ[name]) for name, ui in _VARIABLES.items() if environ.get(name)} | dict(remembered)
    found = [_as_told(ui, root) for ui, root in named.items() if root.is_dir()]
    usual = [each for each in _usual(home) if each.ui not in named]
    return list({each.loras.resolve(): each for each in (*found, *usual)}.values())


def _as_told(ui: str, root: Path) -> UiFolder:
    """Return the program in a folder that somebody named: of which kind it is they say, too."""
    return UiFolder(ui, root, root / "models" / ("loras" if ui == COMFYUI else "Lora"))


def _usual(home: Path) -> Iterator[UiFolder]:
    for parent in _PARENTS:
        for root in _entries(home / parent):
            for inside in _INSIDE:
                if found := ui_in(root / inside):
                    yield found


def _entries(parent: Path) -> list[Path]:
    """Return what of a folder may be such a program, by its name."""
    try:
        paths = [path for path, _ in zip(parent.iterdir(), range(_MOST_ENTRIES), strict=False)]
    except OSError:
        return []
    return sorted(path for path in paths if _LIKELY.search(path.name) or parent.name in ("Packages", "api"))
