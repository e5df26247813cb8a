"""docs/findings.md lists every finding there is, as it is made."""

import runpy
from dataclasses import fields
from pathlib import Path

from loratui_protocol.findings import MOST_PATHS, Finding

ROOT = Path(__file__).parents[2]
WRITER = runpy.run_path(str(ROOT / "scripts" / "write_findings_docs.py"))


def test_the_document_is_what_the_code_says() -> None:
    written = (ROOT / "docs" / "findings.md").read_text("utf-8")
    assert written == WRITER["document"](), "run scripts/write_findings_docs.py"


def test_no_code_is_made_in_a_way_that_the_document_misses() -> None:
    assert WRITER["used_codes"]() - {each.code for each in WRITER["made"]()} == set()


def test_what_json_has_of_a_finding_is_told():
    introduction = WRITER["INTRODUCTION"]
    assert all(f"`{field.name}`" in introduction for field in fields(Finding))
    assert f"{MOST_PATHS:,}" in introduction


def test_severities_constants_and_fixes_are_told_as_they_are() -> None:
    document = WRITER["document"]()
    entries = {entry.split("`", 1)[0]: entry for entry in document.split("\n- **`")}
    # Its severity is an argument of the function that makes it; its fix stands behind two words for what is wrong.
    assert entries["plan.no_validation"].startswith("plan.no_validation`** (warning or info)")
    assert "have no bytes at all → copy or download them again" in entries["picture.empty_file"]
    assert "fewer than 15 a model" in entries["dataset.few_pictures"]
    assert "{_" not in document
    assert "{key}{key}" not in document
