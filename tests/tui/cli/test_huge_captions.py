"""A file of 100 MB beside a picture is told from a caption without being read, however little memory there is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loratui_protocol.config_file import to_toml
from support.small_dataset import small_config, write_small_dataset

HUGE_BYTES = 100_000_000
CHECK_WITH_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from loratui.cli import main

healthy, path, huge = sys.argv[1:]
assert main(["check", healthy]) == 0
[size] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmSize:")]
most = (int(size) << 10) + (24 << 20)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
try:
    Path(huge).read_text()
except MemoryError:
    print("it does not fit")
sys.exit(main(["check", path, "--json"]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the address space is limited as Linux does it")
@pytest.mark.parametrize("is_config", [True, False], ids=["config", "folder"])
def test_a_caption_of_100_mb_is_refused_by_its_size_alone(tmp_path: Path, is_config: bool) -> None:
    healthy = write_small_dataset(tmp_path / "healthy")
    pictures = write_small_dataset(tmp_path / "pictures")
    huge = pictures / "1_cat" / "2.txt"
    with huge.open("wb") as file:
        file.truncate(HUGE_BYTES)
    config = tmp_path / "job.toml"
    config.write_text(to_toml(small_config(pictures)), "utf-8")
    words = [str(healthy), str(config if is_config else pictures), str(huge)]
    done = subprocess.run(
        [sys.executable, "-c", CHECK_WITH_LITTLE_MEMORY, *words],
        env={**os.environ, "LORATUI_CONFIG_DIR": str(tmp_path), "LORATUI_STATE_DIR": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert "MemoryError" not in done.stderr
    *_, fits, document = done.stdout.splitlines()
    assert fits == "it does not fit"
    [error] = [each for each in json.loads(document)["findings"] if each["severity"] == "error"]
    assert error["code"] == "dataset.caption_too_long"
    assert str(huge) in error["what"]
    assert error["fix"]
