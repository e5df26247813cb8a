"""docs/findings.md lists every finding there is, as it is made."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
WRITER = runpy.run_path(str(ROOT / "scripts" / "write_findings_docs.py"))


def test_the_document_is_what_the_code_says() -> None:
    written = (ROOT / "docs" / "findings.md").read_text("utf-8")
    assert written == WRITER["document"](), "run scripts/write_findings_docs.py"


def test_no_code_is_made_in_a_way_that_the_document_misses() -> None:
    assert WRITER["used_codes"]() - {each.code for each in WRITER["made"]()} == set()
