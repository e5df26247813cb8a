"""Whether pictures can be drawn with a LoRA file as it was meant: the client refuses before, the agent once more."""

from pathlib import Path

from loratui_protocol.errors import ModelError
from loratui_protocol.safetensors_header import read_header


def check_drawable(path: Path) -> None:
    """Return if diffusers takes the file for what it is; only its header is read.

    Raises:
        ModelError: it can't be read, or is no safetensors file (codes as in ``read_header``), or it is a DoRA under
            kohya's names, whose scale diffusers drops with no more than a line in the log (``judge.dora``).
    """
    if any(name.endswith(".dora_scale") for name in read_header(path).tensors):
        raise ModelError(
            f"{path.name} is a DoRA: it would be drawn without its scale, as a wrong plain LoRA",
            fix="leave it out; look at it in the program that you use it with",
            code="judge.dora",
        )
