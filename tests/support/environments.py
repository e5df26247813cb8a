"""Environments for tests: what an agent's home must hold, and an agent that does nothing but make one.

Run as a program: environments.py HOME SPEC [SECONDS], the specification as JSON, and how long its trial may take.
"""

import asyncio
import hashlib
import json
import shutil
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path

from loratui_agent.environment import ensure as ensuring
from loratui_agent.environment.ensure import ensure
from loratui_protocol.inputs import EnvironmentKind, EnvironmentSpec
from loratui_protocol.messages import Setup
from loratui_protocol.paths import AgentHome

SITE = next(Path(each) for each in sys.path if each.endswith("site-packages"))
PYTHON = sys.executable


class Reports(list[Setup]):
    """What was said while an environment was made."""

    @property
    def messages(self) -> list[str]:
        return [setup.message for setup in self]


def put_blob(home: AgentHome, path: Path) -> str:
    """Put a file among the home's blobs, as if it had been sent; return its name there."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    home.blobs.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, home.blobs / sha256)
    return sha256


def torch_of_this_venv(folder: Path) -> Path:
    """Write a wheel that stands for torch: installed, it leads to the torch that these tests run with."""
    from support.wheel_index import make_wheel

    return make_wheel(folder, "torch", "2.13.0", {"torch_here.pth": f"{SITE}\n"})


def system_with_torch(folder: Path) -> Path:
    """Make an interpreter that is no venv and has torch among its packages, as images do; return its path."""
    base = Path(sys.base_prefix)
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library = folder / "lib" / name
    (library / "site-packages").mkdir(parents=True)
    (library / "site-packages" / "image.pth").write_text(f"{SITE}\n", "utf-8")
    for path in (base / "lib" / name).iterdir():
        if path.name != "site-packages":
            (library / path.name).symlink_to(path)
    for path in (base / "lib").glob("libpython*"):
        (folder / "lib" / path.name).symlink_to(path)
    (folder / "bin").mkdir()
    program = folder / "bin" / name
    shutil.copy2(Path(sys.executable).resolve(), program)
    (folder / "bin" / "python3").symlink_to(name)
    return program


def torch_without_driver(folder: Path, error: str) -> Path:
    """Write modules that can be imported as what trains, whose torch can't use the GPU; return their folder."""
    models = (
        "AutoencoderKL = StableDiffusionPipeline = UNet2DConditionModel = CLIPTextModel = CLIPTokenizer = LoraConfig"
    )
    modules = {
        "torch.py": f"""
            class cuda:
                is_available = staticmethod(lambda: False)
                def init(): raise RuntimeError({error!r})
            class version:
                cuda = "13.0"
            __version__ = "2.13.0+cu130"
            """,
        "diffusers/optimization.py": "get_scheduler = None",
        **{
            f"{name}/__init__.py": f"__version__ = '1'; {models} = None"
            for name in ("diffusers", "transformers", "peft")
        },
        **dict.fromkeys(("numpy.py", "accelerate.py", "PIL/Image.py", "safetensors/torch.py"), ""),
    }
    for name, text in modules.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text), "utf-8")
    return folder


def main() -> None:
    home, text, *seconds = AgentHome(Path(sys.argv[1])), *sys.argv[2:]
    if seconds:
        ensuring.SMOKE_LIMIT_S = float(seconds[0])
    fields = json.loads(text)
    spec = EnvironmentSpec(**{**fields, "kind": EnvironmentKind(fields["kind"])})
    asyncio.run(ensure(home, spec, lambda setup: None))


def as_json(spec: EnvironmentSpec) -> str:
    """Return the specification as ``main`` takes it."""
    return json.dumps(asdict(spec))


if __name__ == "__main__":
    main()
