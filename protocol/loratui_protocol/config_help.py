"""What is known of each key beside its value: what its docstring says, and which values it takes by name."""

import ast
import inspect
import sys
from collections.abc import Mapping

from loratui_protocol import config_checks
from loratui_protocol.config import TrainingConfig
from loratui_protocol.optimizers import LR_SCHEDULERS, OPTIMIZERS

CHOICES: Mapping[str, tuple[str | int, ...]] = {
    "optimizer_type": tuple(OPTIMIZERS),
    "lr_scheduler": tuple(LR_SCHEDULERS),
    "max_token_length": config_checks.MAX_TOKEN_LENGTHS,
    "mixed_precision": config_checks.MIXED_PRECISIONS,
    "loss_type": config_checks.LOSS_TYPES,
    "huber_schedule": config_checks.HUBER_SCHEDULES,
    "save_precision": config_checks.SAVE_PRECISIONS,
    "save_format": config_checks.SAVE_FORMATS,
}
"""Of keys that take one of a few values."""


def field_docstrings(of: type = TrainingConfig) -> dict[str, str]:
    """Return the text under each field of a dataclass, on one line."""
    module = ast.parse(inspect.getsource(sys.modules[of.__module__]))
    (schema,) = (node for node in module.body if isinstance(node, ast.ClassDef) and node.name == of.__name__)
    return {
        node.target.id: " ".join(text.value.value.split())
        for node, text in zip(schema.body, schema.body[1:], strict=False)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
