"""How much disk a run's files take."""

import math

from loratui.domain.base_kinds import LARGEST, BaseKind
from loratui.domain.estimate_work import PICTURE_BYTES_PER_PX
from loratui.sessions.base_kind import kind_told_here
from loratui_protocol.config import TrainingConfig
from loratui_protocol.lora_size import lora_size
from loratui_protocol.plan import Plan
from loratui_protocol.save_points import most_at_once

_NUM_STATES_KEPT = 2
_RESERVE_BYTES = 200_000_000


def needed_bytes(config: TrainingConfig, plan: Plan, kind: BaseKind | None = None) -> tuple[int, int]:
    """Return about how much (the run's own folder, the files it hands over) will take.

    ``kind`` is the base model's; where neither it is known nor this machine can tell, it counts as the largest.
    """
    kind = kind or kind_told_here(config.pretrained_model_name_or_path) or LARGEST
    size = lora_size(kind.network, config)
    num_pictures = plan.num_sample_pictures + plan.num_judged_pictures
    others = math.ceil(num_pictures * PICTURE_BYTES_PER_PX * math.prod(config.resolution)) + _RESERVE_BYTES
    if config.evaluate_loras:
        return others, others
    file_bytes = size.file_bytes(config.save_precision)
    # What was handed over stays where it is, whatever the run's own folder keeps.
    own = (most_at_once(config, plan.save_points) + 1) * file_bytes + others
    files = (len(plan.save_points) + 1) * file_bytes + others
    return own + _NUM_STATES_KEPT * size.state_bytes, files
