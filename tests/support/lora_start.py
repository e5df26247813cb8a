"""A LoRA file to go on from, as far as its header: which layers it has, and of which rank."""

from pathlib import Path

from loratui_protocol.lora_names import lora_names
from loratui_protocol.lora_size import Network, lora_layers
from support.checkpoint_headers import write_header
from support.small_dataset import small_config


def write_start(path: Path, network: Network, rank: int, **of_one: int) -> Path:
    """Write the header of a LoRA file that says no alpha: it is the rank then. ``of_one``: a module's own rank."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in lora_layers(network, small_config(path)):
        name = lora_names(network.architecture, layer.part, layer.name)[0]
        own = of_one.get(name, rank)
        shapes |= {f"{name}.lora_down.weight": (own, layer.taken), f"{name}.lora_up.weight": (layer.given, own)}
    return write_header(path, shapes)
