"""Tries what training needs, in the new environment: imports, bfloat16 on the device, a step of an 8-bit optimizer.

Run by path, by that environment's Python; says in one line of JSON how it went. Imports nothing of ours.
"""

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

MODULES = (
    "torch",
    "numpy",
    "PIL.Image",
    "safetensors.torch",
    "accelerate",
    "transformers",
    "diffusers",
    "peft",
)
NAMES = (
    ("transformers", "CLIPTextModel"),
    ("transformers", "CLIPTokenizer"),
    ("diffusers", "AutoencoderKL"),
    ("diffusers", "StableDiffusionPipeline"),
    ("diffusers", "UNet2DConditionModel"),
    ("diffusers.optimization", "get_scheduler"),
    ("peft", "LoraConfig"),
)
"""transformers and diffusers import nothing until a name is asked for."""
_FIRST_BF16 = (8, 0)


class FailedError(Exception):
    """A part does not work; ``part`` is "import", "torch", "cuda", "matmul" or "eight_bit"."""

    def __init__(self, part: str, what: str) -> None:
        super().__init__(what)
        self.part = part


def main() -> int:
    """Try everything that the arguments ask for; return 1 when something fails."""
    parser = argparse.ArgumentParser()
    parser.add_argument("mark", help="what the line with the answer begins with")
    parser.add_argument("--torch", default="", help="the version that must be found")
    parser.add_argument("--cuda", action="store_true")
    parser.add_argument("--eight-bit", action="store_true")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    start_s = time.monotonic()
    try:
        import_all(found, arguments.torch)
        device = find_cuda(found) if arguments.cuda else "cpu"
        attempt("matmul", lambda: multiply(device, found))
        if arguments.eight_bit:
            attempt("eight_bit", lambda: step_in_eight_bits(device))
    except FailedError as error:
        found |= {"part": error.part, "error": str(error)}
    found |= {"ok": "error" not in found, "seconds": round(time.monotonic() - start_s, 1)}
    sys.stdout.write(f"\n{arguments.mark}{json.dumps(found)}\n")
    return 0 if found["ok"] else 1


def attempt(part: str, work: Callable[[], object]) -> None:
    """Do ``work``; whatever it raises is what was being looked for.

    Raises:
        FailedError: it did not work.
    """
    try:
        work()
    except FailedError:
        raise
    except Exception as error:
        raise FailedError(part, f"{type(error).__name__}: {error}"[:1500]) from error


def import_all(found: dict[str, Any], torch: str) -> None:
    """Import what the trainer imports, and note the versions; that of torch must begin with ``torch``."""
    for name in MODULES:
        attempt("import", lambda name=name: importlib.import_module(name))  # type: ignore[misc]
    for module, name in NAMES:
        attempt("import", lambda module=module, name=name: getattr(importlib.import_module(module), name))  # type: ignore[misc]
    for name in ("torch", "diffusers", "transformers", "peft"):
        found[name] = str(sys.modules[name].__version__)
    if not found["torch"].startswith(torch):
        raise FailedError("torch", f"torch {found['torch']} is found where {torch} should be")


def find_cuda(found: dict[str, Any]) -> str:
    """Return the device's name in torch.

    Raises:
        FailedError: torch can't use the GPU: no driver for its CUDA, or no kernels for its architecture.
    """
    import torch

    found["cuda"] = str(torch.version.cuda)
    if not torch.cuda.is_available():
        attempt("cuda", torch.cuda.init)
        raise FailedError("cuda", f"torch {torch.__version__} sees no GPU")
    major, minor = torch.cuda.get_device_capability()
    built_for = torch.cuda.get_arch_list()
    found |= {"gpu": torch.cuda.get_device_name(), "capability": f"{major}.{minor}"}
    if not runs_on((major, minor), built_for):
        raise FailedError("cuda", f"torch {torch.__version__} has no kernels for {major}.{minor}, only for {built_for}")
    return "cuda"


def runs_on(capability: tuple[int, int], built_for: list[str]) -> bool:
    """Return whether kernels built for ``built_for`` ("sm_86", "compute_90") run on a GPU of this capability.

    Binaries run on later minor versions of their major one; what is compiled from PTX runs on anything later.
    """
    major, minor = capability
    for name in built_for:
        kind, _, number = name.partition("_")
        digits = "".join(char for char in number if char.isdigit())
        if not digits:
            continue
        built = (int(digits[:-1]), int(digits[-1]))
        # "sm_90a" and its like run on that very architecture only.
        exact = not number.isdigit()
        if (kind == "compute" and built <= capability) or (
            kind == "sm" and (built == capability if exact else built[0] == major and built[1] <= minor)
        ):
            return True
    return not built_for


def multiply(device: str, found: dict[str, Any]) -> None:
    """Multiply matrices as training does, forwards and backwards; in half precision where bfloat16 has no hardware."""
    import torch

    is_old = device == "cuda" and torch.cuda.get_device_capability() < _FIRST_BF16
    dtype = torch.float16 if is_old else torch.bfloat16
    left = torch.ones(64, 64, device=device, dtype=dtype, requires_grad=True)
    product = left @ torch.full((64, 64), 0.5, device=device, dtype=dtype)
    product.sum().backward()  # type: ignore[no-untyped-call]
    if float(product[0, 0].detach()) != 32.0 or left.grad is None or float(left.grad[0, 0]) != 32.0:
        raise FailedError("matmul", f"a product of {dtype} matrices is wrong on {device}")
    found["dtype"] = str(dtype).removeprefix("torch.")


def step_in_eight_bits(device: str) -> None:
    """Make one step of an 8-bit Adam; its states must have become 8-bit and the weights must have moved."""
    import bitsandbytes
    import torch

    weights = torch.nn.Parameter(torch.ones(128, 128, device=device))
    optimizer = bitsandbytes.optim.AdamW8bit([weights], lr=0.1)
    weights.square().sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    state = optimizer.state[weights]["state1"]
    if state.dtype != torch.uint8 or not bool((weights < 1).all()):
        raise FailedError(
            "eight_bit", f"a step of the 8-bit optimizer left {state.dtype} states and the weights as they were"
        )


if __name__ == "__main__":
    sys.exit(main())
