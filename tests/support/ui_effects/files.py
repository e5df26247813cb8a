"""What the keys of the files screen must bring about, on a real store with real files."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loratui import settings
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui_protocol.messages import Artifact, ArtifactKind, Record
from support.scripted_source import STARTED_TS, HandClock, ScriptedSource
from support.ui_effects.effect import Effect, lacks, shows, until
from support.ui_effects.home import DeskOfMany
from support.ui_pilot import Shown, showing

BASE = "stabilityai/stable-diffusion-xl-base-1.0"


def preferences_in(folder: Path) -> Settings:
    """Return settings of a machine of its own."""
    return settings.load(
        {"state_dir": str(folder / "state"), "local.home": str(folder / "home")},
        {"LORATUI_CONFIG_DIR": str(folder / "config")},
    )


def library_run(
    preferences: Settings, number: int, *, name: str = "", target: str = "ana@host.invalid", files: tuple[str, ...] = ()
) -> str:
    """Remember a run and return its id; each of ``files`` is "step" of a checkpoint, or "final".

    The first half of the files is here, the others are announced.
    """
    run_id = f"01HX{number:022}"
    name = name or f"zog-{number}"
    folder = preferences.run_folder(run_id)
    folder.mkdir(parents=True)
    with Store(preferences.database) as store:
        store.add_run(
            StoredRun(
                id=run_id,
                name=name,
                target=target,
                created_ts=STARTED_TS + number,
                config_toml=f'pretrained_model_name_or_path = "{BASE}"',
                home=preferences.local_home,
            )
        )
        store.begin_history(run_id, "e", reset=False)
        for at, which in enumerate(files):
            artifact = lora(name, which)
            store.append(run_id, "e", [Record(seq=at + 1, ts=STARTED_TS + number * 100 + at, event=artifact)])
            file = store.begin_file(run_id, artifact, artifact.name)
            assert file is not None
            if at < (len(files) + 1) // 2:
                path = folder / file.name
                path.write_bytes(content(name, which))
                store.add_download(run_id, artifact.id, path, artifact.sha256)
    return run_id


def content(name: str, which: str) -> bytes:
    return f"{name} {which}".encode() * 500


def lora(name: str, which: str) -> Artifact:
    """Return a file as its machine announces it."""
    data = content(name, which)
    is_final = which == "final"
    return Artifact(
        id=which,
        kind=ArtifactKind.LORA if is_final else ArtifactKind.CHECKPOINT_LORA,
        name=f"{name}.safetensors" if is_final else f"{name}-step{which}.safetensors",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        step=600 if is_final else int(which),
    )


@asynccontextmanager
async def on_files(folder: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Shown]:
    """Show the library of two runs."""
    preferences = preferences_in(folder)
    if not preferences.database.exists():
        library_run(preferences, 1, files=("200", "400"))
        library_run(preferences, 2, files=("200", "400", "final"))
    clock = HandClock()
    source = ScriptedSource(clock, step=1)
    desk = DeskOfMany(source, preferences)
    # As over SSH: no test opens a window.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSH_CONNECTION", "here")
        async with showing(source, clock, desk=desk, is_open=False, size=size) as shown:
            await shown.press("7")
            await until(shown, lacks("reading…"))
            try:
                yield shown
            finally:
                for errand in shown.screen.errands.all:
                    errand.process.kill()
                    errand.process.wait()


@asynccontextmanager
async def on_installable(folder: Path, *, has_forge: bool = False) -> AsyncIterator[Shown]:
    """Show the library on a machine that has ComfyUI, in a home of its own."""
    home = folder / "person"
    (home / "ComfyUI" / "comfy").mkdir(parents=True)
    (home / "ComfyUI" / "nodes.py").touch()
    if has_forge:
        (home / "forge" / "modules").mkdir(parents=True)
        (home / "forge" / "modules_forge").mkdir()
        (home / "forge" / "webui.py").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.delenv("COMFYUI_PATH", raising=False)
        async with on_files(folder) as shown:
            await shown.press("down")
            yield shown


@asynccontextmanager
async def on_asked_to_install(folder: Path) -> AsyncIterator[Shown]:
    """Show the question whether a file is to be installed, on a machine with two programs."""
    async with on_installable(folder, has_forge=True) as shown:
        await shown.press("i")
        await until(shown, shows("INSTALL zog-2-step400.safetensors"))
        shown.clock.advance(1)
        yield shown


FILES = {
    "file_install": Effect(
        shows("INSTALL zog-2-step400.safetensors for ComfyUI", "ComfyUI/models/loras"), start=on_installable
    ),
    "file_report": Effect(lambda shown: len(shown.screen.errands.all) == 1, start=on_files),
    "install_yes": Effect(lambda shown: len(shown.screen.errands.all) == 1, start=on_asked_to_install),
    "install_other": Effect(shows("INSTALL zog-2-step400.safetensors for Forge"), start=on_asked_to_install),
    "install_cancel": Effect(lacks("INSTALL zog-2"), start=on_asked_to_install),
    "file_open": Effect(shows("no file manager here", "2-step400.safetensors"), ("down",), on_files),
    "file_download": Effect(lambda shown: len(shown.screen.errands.all) == 1, start=on_files),
    "file_verify": Effect(shows("it is what was announced", "verified again 14:22"), ("down",), on_files),
    "file_rate": Effect(shows("RATE zog-2.safetensors", "5 *****"), start=on_files),
    **{
        f"stars_{stars}": Effect(shows("> zog-2 ", "*" * stars + "." * (5 - stars) + "  "), ("R",), on_files)
        for stars in range(1, 6)
    },
    "stars_0": Effect(lacks("***.."), ("R", "3", "R"), on_files),
    "rate_cancel": Effect(lacks("RATE zog-2"), ("R",), on_files),
    "file_sort": Effect(shows("by name"), start=on_files),
    "file_delete": Effect(shows("DELETE zog-2-step400.safetensors", "may still have it"), ("down",), on_files),
    "file_delete_yes": Effect(shows("zog-2-step400.safetensors is deleted"), ("down", "d"), on_files),
    "file_delete_cancel": Effect(lacks("DELETE zog-2"), ("down", "d"), on_files),
}
