"""How long the report of 500 pictures that were tried out takes to write, and to open in a real browser.

    python scripts/bench_report.py [--rounds N]

Pictures of 1024 pixels, as a box sends them: 5 files, 4 weights, 5 seeds, 5 prompts. Opening
is from the beginning of the navigation to the end of the load event, by the browser's own clock, the median of the
rounds. Needs chromium (scripts/system_packages.sh). Exits 1 when a gate is missed.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from figures import Figure

from loratui.domain.run import RunView
from loratui.report import page as report
from loratui_protocol.judging.prompts import GridPrompt, Role
from loratui_protocol.messages import Artifact, ArtifactKind, Record
from support.browser import browser_tab
from support.drawn_pictures import photo
from support.judgements import as_jpeg, judgement, write_zip

NUM_PICTURES = 500
SIDE_PX = 1024
NUM_PHOTOS = 12
PROMPTS = tuple(
    GridPrompt(role=Role.SCENE, text=f"sks cat in place {number}", plain=f"cat in place {number}")
    for number in range(5)
)
TOOK = "performance.getEntriesByType('navigation')[0].loadEventEnd"
VISIBLE = "[...document.querySelectorAll('#tried img')].filter(each => each.checkVisibility() && each.complete).length"


def write_report(folder: Path) -> tuple[float, Path]:
    """Write the report of a run that tried 500 pictures out; return seconds and where it is."""
    judged = judgement(files=5, weights=(0.5, 0.7, 0.8, 1.0), num_seeds=5, prompts=PROMPTS, side=SIDE_PX)
    assert len(judged.pictures) == NUM_PICTURES
    photos = [as_jpeg(photo(seed, (SIDE_PX, SIDE_PX))) for seed in range(NUM_PHOTOS)]
    taken = iter(range(NUM_PICTURES))
    path = write_zip(folder / "judgement.zip", judged, lambda _: photos[next(taken) % NUM_PHOTOS])
    view = RunView(run_id="01J", name="cat", target="local")
    said = Artifact(id="j", kind=ArtifactKind.JUDGEMENT, name=path.name, size=path.stat().st_size, sha256="ab" * 32)
    view.apply(Record(seq=1, ts=1.0, event=said))
    view.downloaded = {"j": path}
    start_s = time.perf_counter()
    report.write(view, folder / "report.html", config_toml="", now_s=0.0)
    return time.perf_counter() - start_s, folder / "report.html"


def open_times(folder: Path, path: Path, rounds: int) -> list[float]:
    """Return the seconds that each opening took, after one that nobody counts: the browser itself was starting."""
    times = []
    with browser_tab(folder / "browser") as tab:
        for _ in range(rounds + 1):
            tab.open(path)
            times.append(tab.evaluate(TOOK) / 1000)
            assert tab.evaluate(VISIBLE) == 5, "the pictures of five seeds are shown"
        assert not tab.complaints, tab.complaints
        assert not tab.requests, tab.requests
    return times[1:]


def main() -> int:
    """Print the figures; 1 if one is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written_s, path = write_report(folder)
        opened_s = open_times(folder, path, arguments.rounds)
        size_mb = path.stat().st_size / 1e6
    figures = [
        Figure(f"opening the report of {NUM_PICTURES} pictures, median", statistics.median(opened_s), "s", 1.0),
        Figure("its size", size_mb, "MB", 40.0),
        Figure("writing it", written_s, "s", 30.0),
    ]
    print(f"report of {NUM_PICTURES} pictures of {SIDE_PX} pixels, opened {arguments.rounds} times")
    for figure in figures:
        print(figure)
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
