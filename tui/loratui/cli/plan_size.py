"""What ``plan`` says of a config's file and memory: reckoned from the kind of its base model, before that is here."""

from loratui.domain import formatting
from loratui.domain.base_kinds import LARGEST
from loratui.domain.memory_need import min_vram_mib
from loratui.sessions.base_kind import kind_told_here
from loratui_protocol.config import TrainingConfig
from loratui_protocol.lora_size import lora_size


def size_fields(config: TrainingConfig) -> dict[str, object]:
    """Return it for ``--json``; ``base_kind`` None: nobody knows it here, so all is as for the largest."""
    known = kind_told_here(config.pretrained_model_name_or_path)
    kind = known or LARGEST
    learned = lora_size(kind.network, config)
    is_written = not config.evaluate_loras
    return {
        "base_kind": known.name if known else None,
        "lora_modules": learned.num_modules if is_written else None,
        "lora_bytes": learned.file_bytes(config.save_precision) if is_written else None,
        "min_vram_mib": min_vram_mib(config, kind),
    }


def size_rows(config: TrainingConfig) -> list[tuple[str, str]]:
    """Return it for people, as estimates."""
    known = kind_told_here(config.pretrained_model_name_or_path)
    kind = known or LARGEST
    learned = lora_size(kind.network, config)
    size = formatting.size(learned.file_bytes(config.save_precision))
    gib = min_vram_mib(config, kind) / 1024
    about = formatting.APPROXIMATELY
    file = ("LoRA file", f"{about}{size} in {config.save_precision}, {learned.num_modules} modules")
    return [
        ("base model", kind.name if known else f"not looked at; what follows is for {kind.name}"),
        *([] if config.evaluate_loras else [file]),
        ("GPU memory", f"{about}{gib:.1f} GiB at least, by our own model"),
    ]
