"""``loratui demo`` off a terminal: first words at once, and in the end everything that it promises."""

import time
from pathlib import Path

import pytest
from PIL import Image

from support.local_cli import local_cli

pytestmark = [pytest.mark.torch, pytest.mark.timeout(240)]


def test_it_ends_with_lora_contact_sheet_report_and_a_verdict(tmp_path):
    with local_cli(tmp_path) as cli:
        start_s = time.monotonic()
        demo = cli.start("demo", "--json", "--steps", "4", "--out", "out")
        demo.wait_for(lambda line: '"state"' in line)
        assert time.monotonic() - start_s < 15
        assert demo.finish() == 0, demo.errors
        events = demo.events()

    out = tmp_path / "out"
    files = {event["kind"]: Path(event["path"]) for event in events if event["event"] == "artifact"}
    assert {files["lora"].parent, files["contact_sheet"].parent, files["evaluation"].parent} == {out}
    with Image.open(files["contact_sheet"]) as sheet:
        assert sheet.format == "PNG"
    [evaluation] = [event for event in events if event["event"] == "evaluation"]
    assert evaluation["verdict"].startswith("The LoRA did not fully learn its concept")
    assert 0.0 <= evaluation["scores"]["concept_at_1"] <= 1.0
    report = Path(events[-1]["path"])
    assert report.parent == out
    assert "did not fully learn" in report.read_text("utf-8")
