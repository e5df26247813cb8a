"""Check that a built wheel holds what it must and nothing else, and that it runs: check_wheel.py WHEEL.

The source tree works without being packaged, so a data file that the build left out shows only here.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

PACKAGES = {"loratui", "loratui_agent", "loratui_protocol"}
NEEDED = (
    *(f"{package}/py.typed" for package in sorted(PACKAGES)),
    "loratui/ui/loratui.tcss",
    "loratui/remote/probe.sh",
    "loratui/preflight/data/clip_merges.txt.gz",
    "loratui/preflight/data/README.md",
    *(f"loratui/presets/{name}.toml" for name in ("common", "first-run", "face", "character", "style", "object")),
    "loratui_agent/demo/tiny/model_index.json",
    "loratui_agent/demo/tiny/unet/diffusion_pytorch_model.safetensors",
    "loratui_agent/train/sd15/unet/config.json",
    "loratui_agent/train/sd15/tokenizer/merges.txt.gz",
    "loratui_agent/train/sdxl/unet/config.json",
)
AGENT_ONLY = ("torch", "diffusers", "transformers", "peft", "accelerate")
MAX_BYTES = 16 << 20


def problems(wheel: Path) -> list[str]:
    """Return what is wrong with the wheel, a sentence each."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata_name = next(name for name in names if name.endswith(".dist-info/METADATA"))
        requirements = HeaderParser().parsestr(archive.read(metadata_name).decode()).get_all("Requires-Dist", [])
        entry_points = archive.read(metadata_name.replace("METADATA", "entry_points.txt")).decode()
    top_level = {name.split("/")[0] for name in names} - {metadata_name.split("/")[0]}
    found = []
    if top_level != PACKAGES:
        found.append(f"the top-level names are {sorted(top_level)}, not {sorted(PACKAGES)}")
    found += [f"{name} is not inside" for name in NEEDED if name not in names]
    found += [f"{name} has no place in it" for name in names if "__pycache__" in name or "/tests/" in name]
    for requirement in requirements:
        package = requirement.split(";")[0].split(">")[0].split("=")[0].strip()
        if package in AGENT_ONLY and "extra == 'agent'" not in requirement:
            found.append(f"{requirement} is asked of every client")
    found += [
        f"the command {name} is not there" for name in ("loratui", "loratui-agent") if f"{name} =" not in entry_points
    ]
    if wheel.stat().st_size > MAX_BYTES:
        found.append(f"it is {wheel.stat().st_size >> 20} MiB, over {MAX_BYTES >> 20}")
    return found


def runs(wheel: Path) -> list[str]:
    """Return what goes wrong when the unpacked wheel is used instead of the source tree."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        # PYTHONPATH comes before the editable install of the same packages.
        environment = {**os.environ, "PYTHONPATH": folder}
        found = []
        for package, arguments in (("loratui", ["--version"]), ("loratui_agent", ["model-path", "builtin:tiny"])):
            program = (
                f"import sys, {package}; from {package}.cli import main; "
                f"assert {package}.__file__.startswith({folder!r}), {package}.__file__; sys.exit(main({arguments!r}))"
            )
            argv = [sys.executable, "-P", "-c", program]
            done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                found.append(f"{package} doesn't run: {done.stderr.strip()}")
    return found


def main() -> int:
    """Check the wheel named on the command line and return the exit status."""
    wheel = Path(sys.argv[1])
    found = problems(wheel) + runs(wheel)
    for problem in found:
        print(f"{wheel.name}: {problem}", file=sys.stderr)
    if not found:
        print(f"{wheel.name}: {wheel.stat().st_size / 2**20:.1f} MiB, complete, runs")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
