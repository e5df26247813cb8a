"""Reads the JSON that an agent leaves in its home, without trusting it to be there or whole. Standard library only."""

import json
from pathlib import Path
from typing import Any


def read_facts(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty when there is none, or it is damaged."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
