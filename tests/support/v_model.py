"""A base model that predicts v, or says that it does."""

import json
import shutil
from pathlib import Path

from loratui_agent.model_path import resolve_model


def v_folder(folder: Path, **changes: object) -> Path:
    """Return the built-in model as one that says it predicts v; ``changes`` are of its scheduler."""
    shutil.copytree(resolve_model("builtin:tiny"), folder)
    path = folder / "scheduler" / "scheduler_config.json"
    scheduler = {**json.loads(path.read_text()), "prediction_type": "v_prediction", **changes}
    path.write_text(json.dumps(scheduler))
    return folder
