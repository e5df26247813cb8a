"""The first start: what the screen says leads from a folder of pictures to a config that can be trained."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.newcomer import GREEN, NUM_KEYS, NUM_PICTURES, begin, walk, write_pictures

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")

MOST_KEYS = 16
"""Without the path, which is as long as it is: eleven answers, of which all but the path are one key."""


def test_the_screen_leads_from_pictures_to_a_green_check_in_few_keys(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path)
    with begin(tmp_path) as terminal:
        terminal.read_until_text("or d  try it all first, free")
        walk(terminal)
        assert GREEN in terminal.screen().text()
        assert "OK, 1 warning: t trains it" in terminal.screen().text()
        terminal.press("q")
        assert terminal.wait() == 0
    assert NUM_KEYS <= MOST_KEYS

    captions = {path.read_text() for path in pictures.glob("*.txt")}
    assert len(list(pictures.glob("*.txt"))) == NUM_PICTURES
    assert len(captions) == 1
    check = [sys.executable, "-m", "loratui.cli", "check", str(tmp_path / "mika.toml"), "--json"]
    checked = subprocess.run(check, capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(checked.stdout)["findings"]
    assert {each["code"] for each in found if each["severity"] != "info"} == {"caption.identical"}
