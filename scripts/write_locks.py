"""Write the hash-locked lists of what a trainer's environment holds beside torch: ``tui/loratui/remote/locks``.

They hold for every Python from 3.11 on and for x86_64 and aarch64 Linux, take their versions from constraints.txt where
it names them, and never name torch or what belongs to it: that is the image's own, or comes from torch's own index.

python scripts/write_locks.py [--uv PROGRAM] [--check]      needs uv and the package index
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tui" / "loratui" / "remote" / "locks"
TRAIN = (
    "accelerate",
    "diffusers",
    "huggingface_hub",
    "lion-pytorch",
    "numpy",
    "nvidia-ml-py",
    "peft",
    "pillow",
    "prodigyopt",
    "psutil",
    "safetensors",
    "transformers",
)
CUDA_ONLY = ("bitsandbytes==0.50.2",)
FIRST_PYTHON = "3.11"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28")
_ELSEWHERE = re.compile(r"sys_platform == '(win32|emscripten)'")
_TORCH = re.compile(r"(torch\w*|triton|cuda-\w+|nvidia-(?!ml-py)[\w-]+)==")


def resolve(uv: str, names: tuple[str, ...]) -> dict[str, str]:
    """Return the locked requirement of each package, hashes included, by name."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        pins = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "torch==" not in line]
        (folder / "constraints.txt").write_text("\n".join(pins), "utf-8")
        (folder / "requirements.in").write_text("\n".join(names), "utf-8")
        (folder / "excludes.txt").write_text("torch\n", "utf-8")
        argv = [uv, "--no-config", "pip", "compile", "requirements.in", "-c", "constraints.txt"]
        argv += ["--excludes", "excludes.txt", "--universal", "--python-version", FIRST_PYTHON, "--generate-hashes"]
        argv += ["--no-header", "--no-annotate", "--only-binary", ":all:", "--quiet"]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    blocks = re.split(r"\n(?=\S)", done.stdout.strip())
    return {block.partition("==")[0]: block for block in blocks if not _ELSEWHERE.search(block.partition("\n")[0])}


def lock_text(blocks: dict[str, str], what: str) -> str:
    """Return the file of these requirements.

    Raises:
        SystemExit: torch, or something that belongs to it, is among them.
    """
    for block in blocks.values():
        if _TORCH.match(block):
            sys.exit(f"this must come from the image or from torch's own index: {block.partition(' ')[0]}")
    header = f"# {what}. Written by scripts/write_locks.py; installed without dependencies.\n"
    return header + "".join(f"{blocks[name]}\n" for name in sorted(blocks))


def check_installable(uv: str, path: Path) -> None:
    """Return if every Python on every platform finds a wheel for every line.

    Raises:
        SystemExit: one does not.
    """
    with tempfile.TemporaryDirectory() as target:
        for python in PYTHONS:
            for platform in PLATFORMS:
                argv = [uv, "--no-config", "pip", "install", "--dry-run", "--quiet", "--no-deps", "--require-hashes"]
                argv += ["-r", str(path), "--target", target, "--python-version", python]
                argv += ["--python-platform", platform, "--only-binary", ":all:"]
                done = subprocess.run(argv, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(f"{path.name} does not fit Python {python} on {platform}:\n{done.stderr}")


def main() -> int:
    """Write both locks; with --check only look at those that are there.."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", default="uv")
    parser.add_argument("--check", action="store_true", help="write nothing, see that what is there can be installed")
    arguments = parser.parse_args()
    if not arguments.check:
        train = resolve(arguments.uv, TRAIN)
        cuda = {name: block for name, block in resolve(arguments.uv, TRAIN + CUDA_ONLY).items() if name not in train}
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / "train.txt").write_text(lock_text(train, "What trains, beside torch"), "utf-8")
        (FOLDER / "train-cuda.txt").write_text(lock_text(cuda, "What trains on NVIDIA GPUs only"), "utf-8")
    for path in sorted(FOLDER.glob("*.txt")):
        check_installable(arguments.uv, path)
        count = len(re.findall(r"^[\w-]+==", path.read_text("utf-8"), re.MULTILINE))
        print(f"{path.name}: {count} packages, Python {PYTHONS[0]} to {PYTHONS[-1]}, {' and '.join(PLATFORMS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
