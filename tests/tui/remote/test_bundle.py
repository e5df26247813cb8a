import ast
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from loratui.remote.bundle import bundle, bundle_name


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    with tarfile.open(fileobj=io.BytesIO(bundle().content)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def in_fresh_interpreter(program: str, *flags: str, **environment: str) -> str:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, *flags, "-c", program], env=environ | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_same_code_makes_the_same_archive_in_every_process():
    program = (
        "import hashlib; from loratui.remote.bundle import *; "
        "print(bundle().name, bundle_name(), hashlib.sha256(bundle().content).hexdigest())"
    )
    first, second = (in_fresh_interpreter(program, PYTHONHASHSEED=seed).split() for seed in ("1", "2"))
    assert first == second
    assert first[0] == first[1] == bundle_name()


def test_it_is_small_enough_to_travel_in_a_moment():
    assert len(bundle().content) < 1 << 20


def test_it_holds_source_code_and_what_single_files_are_read_with_and_nothing_else(unpacked: Path):
    files = [path for path in unpacked.rglob("*") if path.is_file()]
    assert len(files) == bundle().num_files
    data = [unpacked / "loratui_agent" / "train" / kind for kind in ("sd15", "sdxl")]
    assert {path.suffix for path in files if data[0] not in path.parents and data[1] not in path.parents} == {".py"}
    assert (data[0] / "tokenizer" / "merges.txt.gz").exists()
    assert (data[1] / "unet" / "config.json").exists()
    assert (unpacked / "loratui_agent" / "train" / "loop.py").exists()
    assert not (unpacked / "loratui_agent" / "demo" / "tiny").exists()
    assert not (unpacked / "loratui").exists()


def test_packing_it_imports_nothing_of_the_agent():
    program = (
        "import sys; from loratui.remote.bundle import bundle; bundle(); "
        "print([name for name in sys.modules if name.startswith('loratui_agent')])"
    )
    assert in_fresh_interpreter(program) == "[]"


def test_the_agent_starts_from_it_alone(unpacked: Path):
    program = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r})\n"
        "import loratui_agent.cli, loratui_agent.supervisor, loratui_agent.start, loratui_agent.reaper, pynvml\n"
        "import loratui_agent.proxy, websockets.asyncio.server\n"
        "print([m.__file__ for m in sys.modules.values() if 'site-packages' in (getattr(m, '__file__', '') or '')])"
    )
    # Without site packages: what is missing in the bundle can't be found elsewhere.
    assert in_fresh_interpreter(program, "-I", "-S") == "[]"


def test_what_it_imports_only_when_it_needs_it_is_in_it_too(unpacked: Path):
    """Every module of the agent outside the trainer imports only the standard library and what travels."""
    known = set(sys.stdlib_module_names) | {path.stem for path in unpacked.iterdir()}
    optional = {"psutil", "PIL"}
    for package in ("loratui_agent", "loratui_protocol"):
        for path in (unpacked / package).rglob("*.py"):
            if {"train", "judge", "demo"} & set(path.parts) or path.name == "smoke.py":
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module or ""]
                tops = {name.partition(".")[0] for name in names}
                assert tops <= known | optional, f"{path.name} imports {tops - known}"
