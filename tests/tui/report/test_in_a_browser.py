"""The report as a real browser shows it: sliders choose pictures, nothing is asked for, nothing is complained of."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from loratui.domain.run import RunView
from loratui.report import page as report
from loratui_protocol.judging.grid import Cell
from loratui_protocol.messages import Artifact, ArtifactKind, Record
from support.browser import Tab, browser_tab, needs_browser
from support.judgements import drawn, judgement, write_zip

pytestmark = needs_browser
SHOWN = "[...document.querySelectorAll('#tried img')].filter(each => each.checkVisibility())"
EVIL = '"><script>document.title = "taken"</script><img src="https://example.org/x.png" onerror="alert(1)">'


def written(folder: Path, name: str = "cat") -> Path:
    """Return the report of a run whose files were tried out."""
    path = write_zip(folder / "judgement.zip", judgement(name=name))
    view = RunView(run_id="01J", name=name, target="local")
    said = Artifact(id="judgement.zip", kind=ArtifactKind.JUDGEMENT, name="cat-judgement.zip", size=1, sha256="ab" * 32)
    view.apply(Record(seq=1, ts=1.0, event=said))
    view.downloaded = {"judgement.zip": path}
    report.write(view, folder / "report.html", config_toml="", now_s=0.0)
    return folder / "report.html"


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser_tab(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def shown(tab: Tab) -> list[Image.Image]:
    """Return the pictures that can be seen."""
    sources = tab.evaluate(f"{SHOWN}.filter(each => each.naturalWidth > 0).map(each => each.src)")
    return [Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) for source in sources]


def are(pictures: list[Image.Image], *cells: Cell) -> bool:
    """Return whether these are the pictures of the cells, as near as JPEGs are."""

    def near(one: Image.Image, other: Image.Image) -> bool:
        return all(
            abs(a - b) < 16
            for at in ((60, 60), (4, 4), (4, 12))
            for a, b in zip(one.getpixel(at), other.getpixel(at), strict=True)
        )

    return len(pictures) == len(cells) and all(
        near(one, drawn(cell)) for one, cell in zip(pictures, cells, strict=True)
    )


def test_sliders_and_prompt_choose_the_pictures_and_nothing_is_asked_for(tab, tmp_path):
    tab.open(written(tmp_path))
    assert are(shown(tab), Cell(2, 0.8, 0, 101), Cell(2, 0.8, 0, 102)), "the last file at the usual weight"

    tab.evaluate("document.querySelector('[name=weight]').focus()")
    tab.press("ArrowRight")
    assert are(shown(tab), Cell(2, 1.0, 0, 101), Cell(2, 1.0, 0, 102))
    assert tab.evaluate("document.querySelector('[name=weight] + output').value") == "1"

    tab.evaluate("document.querySelector('[name=file]').focus()")
    tab.press("Home")
    assert are(shown(tab), Cell(0, 1.0, 0, 101), Cell(0, 1.0, 0, 102))
    assert tab.evaluate("document.querySelector('[name=file] + output').value").endswith("step 100")

    tab.evaluate("document.querySelector('[name=beside]').focus()")
    tab.press("Space")
    base = (Cell(-1, 0.0, 0, 101), Cell(-1, 0.0, 0, 102))
    assert are(shown(tab), *base, Cell(0, 1.0, 0, 101), Cell(0, 1.0, 0, 102))

    tab.evaluate("document.querySelector('[name=prompt]').focus()")
    tab.press("ArrowDown")
    base = (Cell(-1, 0.0, 1, 101), Cell(-1, 0.0, 1, 102))
    assert are(shown(tab), *base, Cell(0, 1.0, 1, 101), Cell(0, 1.0, 1, 102))

    tab.evaluate("document.querySelector('[name=weight]').focus()")
    tab.press("Home")
    assert are(shown(tab), *base)
    assert (tab.complaints, tab.requests) == ([], [])


def test_names_from_a_box_are_text_in_a_real_browser(tab, tmp_path):
    tab.open(written(tmp_path, EVIL))
    assert tab.evaluate("document.title") == f"{EVIL} - loratui"
    assert EVIL in tab.evaluate("document.querySelector('#tried h3').textContent") or EVIL in tab.evaluate(
        "document.querySelector('#tried').textContent"
    )
    assert tab.evaluate("document.scripts.length") == 1
    assert len(shown(tab)) == 2
    assert (tab.complaints, tab.requests) == ([], [])


def test_the_policy_lets_no_other_script_run_and_no_request_out(tab, tmp_path):
    path = written(tmp_path)
    spoilt = "<script>document.title = 'taken'</script><img src='https://example.org/x.png'>"
    path.write_text(path.read_text("utf-8").replace("</body>", f"{spoilt}</body>"), "utf-8")
    complaints = len(tab.complaints)
    tab.open(path)
    assert tab.evaluate("document.title") == "cat - loratui"
    assert sum("Content Security Policy" in each for each in tab.complaints[complaints:]) >= 2
    tab.complaints.clear()
    tab.requests.clear()


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_is_wider_than_the_page(tab, tmp_path, width):
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
    tab.open(written(tmp_path, "a-very-long-name-of-a-file-" * 5))
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.call("Emulation.clearDeviceMetricsOverride")


def test_without_script_all_pictures_are_in_the_folded_part(tab, tmp_path):
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.open(written(tmp_path))
    tab.call("Emulation.setScriptExecutionDisabled", value=False)
    assert tab.evaluate("document.querySelectorAll('#tried details img').length") == 2 * 2 * (1 + 3 * 3)
    assert not tab.evaluate("document.querySelector('.controls').checkVisibility()")
    assert shown(tab) == []
    tab.evaluate("document.querySelector('#tried details').open = true")
    assert len(shown(tab)) == 2 * 2 * (1 + 3 * 3)
