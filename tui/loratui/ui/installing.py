"""Brings a LoRA file to where another program looks for it, after a question that names the folder."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from loratui.domain.formatting import homely
from loratui.domain.library import LibraryFile
from loratui.install_settings import NAMES
from loratui.sessions.ui_folders import UiFolder, found_uis
from loratui.ui.frame import Frame
from loratui.ui.questions import Question
from loratui.ui.registry import Scope
from loratui.ui.text import Role
from loratui.ui.work import look_first

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_SAY_S = 30.0


class Installing:
    """Looks for the programs, asks, and sends the command out that copies."""

    def __init__(self, shell: "Shell") -> None:
        self._shell = shell
        self._name, self._path = "", Path()
        self._found: list[UiFolder] = []

    def begin(self, file: LibraryFile) -> None:
        """Look for programs that draw with LoRAs, and ask whether the file, which is here, is to go to the first."""
        path = file.copy or file.path
        if path is None:
            return
        remembered = self._shell.desk.preferences.ui_folders

        what = "looking for A1111, Forge and ComfyUI"
        look_first(
            self._shell,
            f"{what}…",
            lambda: found_uis(Path.home(), os.environ, remembered),
            lambda found: self._ask(file.name, path, found),
            what,
        )

    def _ask(self, name: str, path: Path, found: list[UiFolder]) -> None:
        self._name, self._path, self._found = name, path, found
        if found:
            self._shell.ask(Scope.INSTALL_STRIP, self._question)
        else:
            where = homely(self._shell.desk.preferences.config_file)
            self._shell.say(f"no A1111, Forge or ComfyUI is found here; {where} can name its folder: [install]", _SAY_S)

    def _question(self, _: Frame) -> Question:
        target = self._found[0]
        others = f" {len(self._found) - 1} more found." if len(self._found) > 1 else ""
        return Question(
            title=(("INSTALL", Role.TITLE), (f" {self._name}", Role.STRONG), (f" for {NAMES[target.ui]}", Role.DIM)),
            stake=f"It is copied to {homely(target.loras)}; no file there is overwritten.{others}",
        )

    def other(self) -> None:
        """Ask about the next program."""
        self._found = [*self._found[1:], *self._found[:1]]
        self._shell.ask(Scope.INSTALL_STRIP, self._question)

    def install(self) -> None:
        """Send the command out; what it says at its end is how the file is called there."""
        self._shell.stop_asking()
        target = self._found[0]
        is_only = sum(each.ui == target.ui for each in self._found) == 1
        where = ("--ui", target.ui) if is_only else ("--to", str(target.loras))
        self._shell.send_out(f"install {self._name}", "install", str(self._path), *where, "--yes")
