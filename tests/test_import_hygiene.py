"""What a fresh interpreter has loaded after an import: the static contracts can't see what is imported on the way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import loratui
import loratui_agent
import loratui_protocol

TRAINING = {"torch", "diffusers", "transformers", "peft", "accelerate"}
PURE = {"asyncio", "socket"}


def modules(package, but: tuple[str, ...] = ()) -> list[str]:
    """Return the names of all modules of a package, without those under ``but``."""
    root = Path(package.__file__).parent
    names = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if not parts or parts[0] not in but:
            names.append(".".join((package.__name__, *(part for part in parts if part != "__init__"))))
    return [name for name in names if not name.endswith("__main__")]


def loaded_after(program: str, **environment: str) -> set[str]:
    """Return the names in ``sys.modules`` of a fresh interpreter that has run ``program``."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\nprint('LOADED', *sys.modules)"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_the_whole_client_runs_without_torch_and_without_the_agent():
    loaded = loaded_after("\n".join(f"import {name}" for name in modules(loratui)))
    assert not loaded & (TRAINING | {"loratui_agent"})


def test_everything_of_the_client_but_the_interface_runs_without_textual():
    loaded = loaded_after("\n".join(f"import {name}" for name in modules(loratui, but=("ui",))))
    assert "textual" not in loaded


def test_the_command_line_starts_without_what_takes_long_to_load(tmp_path):
    program = "from loratui.cli import main\nmain(['ls', '--json'])"
    loaded = loaded_after(program, LORATUI_STATE_DIR=str(tmp_path), LORATUI_CONFIG_DIR=str(tmp_path))
    assert not loaded & {"textual", "rich", "asyncssh", "httpx", "PIL", "websockets"}


def test_the_first_frame_of_the_interface_waits_for_nothing_that_it_does_not_show():
    before = "loratui.cli.reminder", "loratui.cli.attach", "loratui.ui.environment", "loratui.ui.app"
    loaded = loaded_after("\n".join(f"import {name}" for name in (*before, "loratui.ui.screens.home")))
    later = {
        "asyncssh",
        "httpx",
        "websockets",
        "PIL",
        "loratui.report",
        "loratui.preflight.look",
        "loratui.sessions.supply",
    }
    assert not loaded & (
        later | {"loratui_protocol.config", "loratui_protocol.config_file", "loratui.ui.screens.config"}
    )


def test_the_agent_outside_its_trainer_runs_without_torch():
    loaded = loaded_after(
        "\n".join(f"import {name}" for name in modules(loratui_agent, but=("train", "judge", "demo")))
    )
    assert not loaded & (TRAINING | {"loratui", "numpy", "textual"})
    assert not loaded & {"loratui_agent.train", "loratui_agent.demo"}


def test_the_protocol_needs_neither_end_nor_a_framework():
    loaded = loaded_after("\n".join(f"import {name}" for name in modules(loratui_protocol)))
    assert not loaded & (TRAINING | {"loratui", "loratui_agent", "textual", "websockets", "httpx", "asyncssh"})


@pytest.mark.parametrize("name", ["loratui.domain.run", "loratui.domain.formatting", "loratui_agent.deadman"])
def test_rules_load_neither_asyncio_nor_sockets(name):
    # concurrent.futures, which the port to the screens speaks of, loads neither.
    assert not loaded_after(f"import {name}") & PURE


def test_a_config_is_checked_without_what_counts_with_the_numbers_of_loras(tmp_path):
    program = f"from loratui.cli import main\nmain(['check', {str(tmp_path)!r}])"
    loaded = loaded_after(program, LORATUI_STATE_DIR=str(tmp_path), LORATUI_CONFIG_DIR=str(tmp_path))
    assert "loratui.cli.check" in loaded
    assert "numpy" not in loaded
