"""A folder is shown where somebody can see it."""

import sys
from pathlib import Path

import pytest

from loratui.ui.folder_viewer import show_folder, viewer


@pytest.mark.skipif(sys.platform != "linux", reason="other systems bring their own")
def test_a_file_manager_is_used_on_a_desktop_alone(tmp_path: Path) -> None:
    program = tmp_path / "xdg-open"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    desktop = {"DISPLAY": ":0", "PATH": str(tmp_path)}
    assert viewer(desktop) == str(program)
    assert viewer(desktop | {"SSH_CONNECTION": "1.2.3.4"}) == ""
    assert viewer({"PATH": str(tmp_path)}) == ""


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        show_folder(str(tmp_path / "none"), tmp_path)
