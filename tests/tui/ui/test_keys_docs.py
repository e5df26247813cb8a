"""docs/keys.md says what the registry says."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[3]
WRITER = runpy.run_path(str(ROOT / "scripts" / "write_keys_docs.py"))


def test_the_document_is_up_to_date() -> None:
    written = WRITER["DOCUMENT"].read_text(encoding="utf-8")

    assert written == WRITER["document"](), "run scripts/write_keys_docs.py"
