"""What is run to make an environment, from its specification alone. Pure."""

import hashlib
import json
from pathlib import Path

from loratui_protocol.errors import JobError
from loratui_protocol.inputs import EnvironmentKind, EnvironmentSpec, is_sha256

FORMAT = 1
"""Goes up when the same specification makes something else."""
_BLOB = "sha256:"


def key_of(spec: EnvironmentSpec) -> str:
    """Return the name of the environment's folder: equal for two specifications that make the same.

    Where packages come from is no part of it: the hashes in the locks say what they are.
    """
    parts = [FORMAT, spec.kind.value, spec.python, spec.torch, spec.torch_folder, spec.backend, spec.lock_sha256s]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def blob_of(uv: str) -> str | None:
    """Return the blob that ``EnvironmentSpec.uv`` names, None when it is a path."""
    return uv.removeprefix(_BLOB) if uv.startswith(_BLOB) else None


def check(spec: EnvironmentSpec) -> None:
    """Return if the specification can be carried out at all.

    Raises:
        JobError: ``env_failed``; a name is missing or is none.
    """
    blobs = [blob_of(spec.uv) or "0" * 64, *spec.lock_sha256s]
    texts = (spec.python, spec.uv, spec.index_url, *([spec.torch] if spec.kind is EnvironmentKind.CLEAN else []))
    options = (spec.python, spec.torch, spec.backend, spec.index_url, spec.torch_index_url)
    if not all(is_sha256(blob) for blob in blobs) or not all(texts) or any(text.startswith("-") for text in options):
        raise JobError(
            "the environment that was asked for is incomplete: nothing was installed",
            fix="start the run again with the same version of loratui",
            code="env_failed",
        )


def venv_argv(uv: Path, spec: EnvironmentSpec, folder: Path) -> list[str]:
    """Return what makes the empty environment. Packages of the system are seen only where torch is one of them."""
    argv = [str(uv), "venv", "--no-project", "--python", spec.python]
    if spec.kind is EnvironmentKind.OVERLAY and not spec.torch_folder:
        argv.append("--system-site-packages")
    return [*argv, str(folder)]


def torch_argv(uv: Path, spec: EnvironmentSpec, python: Path) -> list[str]:
    """Return what installs torch and what it needs, from torch's index alone."""
    index = spec.torch_index_url or spec.index_url
    return [*_install(uv, python, index), f"torch=={spec.torch}"]


def lock_argv(uv: Path, spec: EnvironmentSpec, python: Path, lock: Path) -> list[str]:
    """Return what installs a lock, and nothing that it does not name: no resolver decides anything on a rented box."""
    return [*_install(uv, python, spec.index_url), "--no-deps", "--require-hashes", "-r", str(lock)]


def _install(uv: Path, python: Path, index: str) -> list[str]:
    argv = [str(uv), "pip", "install", "--python", str(python), "--default-index", index]
    # A source distribution would run its author's code at install time and may need a compiler.
    return [*argv, "--only-binary", ":all:"]
