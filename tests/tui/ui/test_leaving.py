"""What is said after the screen has closed, and pictures of the screen."""

from pathlib import Path
from xml.etree import ElementTree

from loratui.ui.app import LoratuiApp
from loratui.ui.desk import SoleRun
from loratui.ui.environment import UiOptions
from loratui.ui.farewell import farewell
from loratui.ui.screenshot import drawable, save_svg
from loratui_protocol.messages import JobState, State
from support.scripted_source import HandClock, ScriptedSource


def test_a_run_that_goes_on_is_named_with_the_way_back() -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=10)

    assert farewell(source.view(), clock.monotonic_s()) == (
        "my-style-v3 goes on on this machine, auto-stop in 2 h 59 min. Back to it: loratui attach my-style-v3"
    )


def test_the_way_back_can_be_typed_whatever_the_run_is_called() -> None:
    source = ScriptedSource(HandClock(), step=10)
    source.run.name = "my [red] cat's"

    assert farewell(source.view(), 0.0).endswith("""loratui attach 'my [red] cat'"'"'s'""")


def test_files_that_did_not_arrive_are_not_forgotten(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=10)
    source.finish(tmp_path)
    source.run.downloaded.clear()

    assert farewell(source.view(), clock.monotonic_s()).endswith("loratui attach my-style-v3 fetches them.")


def test_a_run_that_is_over_is_named_with_its_file(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=10)
    source.finish(tmp_path)

    assert farewell(source.view(), clock.monotonic_s()) == (
        f"my-style-v3 is done. The LoRA: {tmp_path / 'my-style-v3.safetensors'}"
    )


def test_a_run_that_was_stopped_is_left_with_what_goes_on_with_it() -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=10)
    source.add(State(state=JobState.STOPPED))
    assert farewell(source.view(), clock.monotonic_s()).endswith("To go on: loratui resume my-style-v3")


def test_a_picture_of_the_screen_shows_the_run(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock)
    source.paint_samples(tmp_path, 1200, ("one", "two"))
    path = tmp_path / "run.svg"
    app = LoratuiApp(SoleRun(source), options=UiOptions(), clock=clock, source=source)
    save_svg(app, path, [(lambda text: "TRAINING" in text, ("4",)), (lambda text: "4Offers" in text, ("5",))])

    root = ElementTree.parse(path).getroot()  # noqa: S314 - made here
    text = "".join(root.itertext()).replace("\xa0", " ")
    assert "TRAINING" in text
    assert "AUTO-STOP" in text
    assert "my-style-v3" in text
    assert "font-face" not in path.read_text()


def test_braille_stands_in_its_cells_in_a_picture_whatever_the_font() -> None:
    placed = drawable('<text class="a" x="10" y="2" textLength="30" clip-path="b">⣿&#160;⣿</text>')

    assert placed == '<text class="a" x="10.0 20.0 30.0" y="2" clip-path="b">⣿&#160;⣿</text>'
    plain = '<text class="a" x="10" y="2" textLength="30">a&amp;b</text>'
    assert drawable(plain) == plain
