"""``install``: brings LoRA files to where A1111, Forge or ComfyUI looks for them, and says how to call them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.check import print_findings
from loratui.cli.editing import is_somebody_there
from loratui.cli.limits import agrees
from loratui.domain.lora_snippets import Snippets, snippets_of
from loratui.install_settings import COMFYUI, NAMES
from loratui.sessions.installing import Installed, install_file
from loratui.sessions.lora_check import check_lora
from loratui.sessions.ui_folders import UiFolder, found_uis, ui_in
from loratui_protocol.errors import ModelError, UsageError
from loratui_protocol.findings import Finding, plural
from loratui_protocol.harmless import clean

_STATES = {
    "copied": "installed, and its hash verified",
    "renamed": "installed under a number, since another file has its name, and its hash verified",
    "there": "the same file is there already",
}
_NO_LORA = ("lora.not_lora", "lora.empty")


def install(arguments: Arguments) -> int:
    """Copy the files, and print where they are and how they are called; errors of theirs go to stderr.

    Raises:
        UsageError: there is no such file, no program is found or more than one, or nobody can be asked.
        ModelError: a file is no LoRA.
    """
    triggers = {path: _trigger(path) for path in dict.fromkeys(arguments.loras)}
    target = _named(arguments.to_folder) if arguments.to_folder else _found(arguments.ui)
    if arguments.to_folder is None and not arguments.yes:
        what = f"{plural(len(triggers), 'file')} to {target.loras}"
        if not is_somebody_there():
            raise UsageError(
                f"there is nobody to ask: nothing was copied ({what})", fix="give --yes", code="usage.unasked"
            )
        if not agrees(f"Copy {what}?", otherwise="nothing was copied"):
            return 1
    installed = [install_file(path, target.loras) for path in triggers]
    snippets = [snippets_of(each.path.name, triggers[each.source]) for each in installed]
    if arguments.json:
        print(json.dumps({"ui": target.ui or None, "installed": list(map(_fields, installed, snippets))}))
        return 0
    for each, snippet in zip(installed, snippets, strict=True):
        print(clean(f"{each.path}: {_STATES[each.state]}"))
        print("\n".join(_how(target.ui, snippet)))
    return 0


def _trigger(path: Path) -> str:
    """Return the word that a LoRA is called by, if it says so; what is wrong with it is told, and it is taken."""
    if not path.is_file():
        raise UsageError(f"{clean(str(path))} is no file", fix="give a LoRA file", code="usage.path")
    facts, findings = check_lora(path)
    no_lora = next((each for each in findings if each.code in _NO_LORA), None)
    if no_lora is not None:
        raise ModelError(f"{clean(path.name)}: {no_lora.what}", fix=no_lora.fix, code=no_lora.code)
    if path.suffix.lower() != ".safetensors":
        raise UsageError(
            f"{clean(path.name)}: these programs list LoRAs whose names end with .safetensors",
            fix=f"rename it to {clean(path.with_suffix('.safetensors').name)}",
            code="usage.path",
        )
    print_findings(_worst(path, findings))
    return facts.words.trigger


def _worst(path: Path, findings: list[Finding]) -> Iterator[Finding]:
    for each in findings:
        if each.severity == "error":
            yield Finding(code=each.code, severity="error", what=each.what, fix=each.fix, path=str(path))


def _named(folder: Path) -> UiFolder:
    """Return where the files go that are to be brought to a folder: a program's is not the one for LoRAs."""
    if found := ui_in(folder):
        return found
    if not folder.absolute().parent.is_dir():
        what = f"{folder.absolute().parent} is no folder, so nothing can be put into {folder}"
        raise UsageError(what, fix="correct the path", code="usage.path")
    return UiFolder("", folder, folder)


def _found(ui: str | None) -> UiFolder:
    preferences = settings.load()
    for name, root in preferences.ui_folders.items():
        if not root.is_dir():
            what = f"the setting install.{name} names {clean(str(root))}, and there is no such folder"
            raise UsageError(what, fix="correct it, or give the folder as --to DIR", code="install.not_found")
    found = found_uis(Path.home(), os.environ, preferences.ui_folders)
    wanted = [each for each in found if ui in (None, each.ui)]
    if len(wanted) == 1:
        return wanted[0]
    if not wanted:
        called = NAMES[ui] if ui else "A1111, Forge or ComfyUI"
        raise UsageError(
            f"no folder of {called} is found on this machine",
            fix=f"give it as --to DIR, or set install.{ui or COMFYUI} in {preferences.config_file}",
            code="install.not_found",
        )
    listed = "\n  ".join(f"{NAMES[each.ui]}: {each.loras}" for each in wanted)
    raise UsageError(
        f"more than one folder takes LoRAs here:\n  {listed}",
        fix=f"give --ui {wanted[0].ui}, or --to DIR" if len({e.ui for e in wanted}) > 1 else "give one as --to DIR",
        code="install.several",
    )


def _fields(installed: Installed, snippets: Snippets) -> dict[str, object]:
    return {
        "source": str(installed.source),
        "path": str(installed.path),
        "sha256": installed.sha256,
        "state": installed.state,
        "snippets": snippets.fields(),
    }


def _how(ui: str, snippets: Snippets) -> Iterator[str]:
    """Yield how it is called there; in a folder of which nobody knows whose it is, in all programs."""
    if ui != COMFYUI:
        yield f"  prompt: {snippets.prompt}" if ui else f"  A1111 and Forge, prompt: {snippets.prompt}"
    if ui in (COMFYUI, ""):
        yield f"  {'' if ui else 'ComfyUI, '}{snippets.comfyui}"
        if snippets.comfyui_prompt:
            yield f"  {'' if ui else 'ComfyUI, '}prompt: {snippets.comfyui_prompt}"
