"""What trying files out showed: every score apart with its limits, and of what was not measured that it was not."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from loratui.domain.run import RunView
from loratui.report import page as report
from loratui.report.score_chart import Curve, Point, score_chart
from loratui_protocol.config_file import to_toml
from loratui_protocol.judging.grid import Cell
from loratui_protocol.judging.judgement import Judgement
from loratui_protocol.messages import Artifact, ArtifactKind, Event, Record, Scores
from support.judgements import as_jpeg, drawn, judgement, write_zip
from support.small_dataset import small_config, write_small_dataset

SAID = Artifact(id="j", kind=ArtifactKind.JUDGEMENT, name="cat-judgement.zip", size=1, sha256="ab" * 32)
SURE = "0.194"
"""The error of a share that two pictures agree in: that of as many and two more, one for and one against."""


class Text(HTMLParser):
    """Collects what can be read, tables row by row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.all = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.all += {"td": "|", "th": "|", "tr": "\n"}.get(tag, "")

    def handle_data(self, data):
        self.all += data


def view_of(path: Path | None, *events: Event) -> RunView:
    view = RunView(run_id="01J", name="cat", target="local")
    for seq, event in enumerate((*([SAID] if path else []), *events), 1):
        view.apply(Record(seq=seq, ts=1.0, event=event))
    view.downloaded = {"j": path} if path else {}
    return view


def page_of(folder: Path, view: RunView, config_toml: str = "", *, pictures: bool = False, **options: Any) -> str:
    report.write(view, folder / "report.html", config_toml=config_toml, now_s=0.0, pictures=pictures, **options)
    return (folder / "report.html").read_text("utf-8")


def text_of(folder: Path, judged: Judgement) -> str:
    return Text(page_of(folder, view_of(write_zip(folder / "j.zip", judged)))).all


def test_each_score_stands_apart_with_what_it_says_and_its_limit(tmp_path):
    text = text_of(tmp_path, judgement())
    assert "|file|weight|likeness|copying|bleeds" in text
    assert f"|without the LoRA|none|0.310 ± 0.010|0.000 ± {SURE}|not measured" in text
    assert f"|cat-step00000300.safetensors, step 300|1|0.610 ± 0.010|1.000 ± {SURE}|0.060 ± 0.000" in text
    assert "|likeness|higher is better|cosine of DINO features" in text
    assert "Its limit: knows objects better than faces, and rises with copying, too." in text
    assert "|copying|lower is better|" in text
    assert "DINO (dinov2-small)" in text
    assert "|trigger first|sks cat, standing in a room" in text


def test_what_the_user_thinks_of_a_file_stands_beside_its_scores(tmp_path):
    view = view_of(write_zip(tmp_path / "j.zip", judgement()))
    assert "your stars" not in Text(page_of(tmp_path, view)).all
    text = Text(page_of(tmp_path, view, stars={"f3": 4})).all
    assert "|bleeds|your stars" in text
    assert f"|cat-step00000300.safetensors, step 300|1|0.610 ± 0.010|1.000 ± {SURE}|0.060 ± 0.000|4 of 5" in text
    assert f"|cat-step00000200.safetensors, step 200|1|0.510 ± 0.010|1.000 ± {SURE}|0.040 ± 0.000|not rated" in text


def test_what_was_not_measured_is_said_to_be_not_measured(tmp_path):
    text = text_of(tmp_path, judgement())
    assert "|follows prompts|not measured|no model that knows texts and pictures was there (evaluate_clip)" in text
    assert "|shows the concept|not measured|it was trained on no built-in concept" in text
    assert "|artefacts|not measured|nothing that was drawn" in text
    bare = judgement()
    nothing = replace(bare, features={}, pictures=tuple(replace(each, scores={}) for each in bare.pictures))
    text = text_of(tmp_path, nothing)
    assert "|likeness|not measured|no model that sees likeness was there (evaluate_dino)" in text
    assert "higher is better" not in text


def test_one_picture_has_no_standard_error(tmp_path):
    text = text_of(tmp_path, judgement(num_seeds=1))
    assert "|0.320 (one value)|" in text
    assert "inf" not in text


def test_a_picture_is_in_the_page_once_and_small(tmp_path):
    page = page_of(tmp_path, view_of(write_zip(tmp_path / "j.zip", judgement(num_seeds=1, side=640))))
    sources = re.findall(r'src="(data:image/jpeg;base64,[^"]*)"', page)
    assert len(sources) == len(set(sources)) == 2 * (1 + 3 * 3)
    assert max(map(len, sources)) < 8_000


def test_pictures_that_are_missing_or_damaged_are_counted_and_the_rest_is_shown(tmp_path):
    spoilt = {0.5: None, 0.8: b"no picture", 1.0: b"\xff\xd8\xff" + b"\x00" * 100}
    path = write_zip(tmp_path / "j.zip", judgement(), lambda cell: spoilt.get(cell.weight, as_jpeg(drawn(cell))))
    page = page_of(tmp_path, view_of(path))
    assert page.count("data:image/jpeg") == 4
    assert "36 of 40 pictures are not on this page" in page


def test_page_has_an_end_however_many_pictures_were_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr("loratui.report.tried_grid.MAX_SHOWN_BYTES", 10_000)
    page = page_of(tmp_path, view_of(write_zip(tmp_path / "j.zip", judgement())))
    assert 5 < page.count("data:image/jpeg") < 20
    assert "pictures are not on this page" in page


def test_judgement_that_is_damaged_is_told_of_and_what_the_run_said_is_shown(tmp_path):
    (tmp_path / "j.zip").write_bytes(b"nonsense" * 20)
    said = Scores(
        artifact_id="f",
        name="cat.safetensors",
        step=0,
        weight=0.8,
        means={"likeness": 0.5, "copying": 1e300, "prompt": math.nan},
        errors={"likeness": math.inf},
        counts={"likeness": 1},
    )
    page = page_of(tmp_path, view_of(tmp_path / "j.zip", said, replace(said, means={"likeness": 0.25})))
    assert "the judgement can&#x27;t be read" in page
    assert "|cat.safetensors|0.8|0.250 (one value)" in Text(page).all
    assert "the judgement itself is not on this machine, only its scores" in page
    assert "<script" not in page


@pytest.mark.parametrize("error", [-1.0, 1e300, math.nan])
def test_an_error_that_can_not_be_is_not_known_and_bends_no_curve(tmp_path, error):
    (tmp_path / "j.zip").write_bytes(b"nonsense" * 20)
    first, second = (
        Scores(
            artifact_id=name,
            name=name,
            step=step,
            weight=1.0,
            means={"likeness": 0.5},
            errors={"likeness": error},
            counts={"likeness": 9},
        )
        for name, step in (("a", 10), ("b", 20))
    )
    page = page_of(tmp_path, view_of(tmp_path / "j.zip", first, second))
    assert Text(page).all.count("0.500 (one value)") == 2
    assert "e+300" not in page
    assert "nan" not in page


def test_a_hostile_grid_makes_no_work(tmp_path):
    judged = judgement(files=1, num_seeds=1)
    many = tuple(float(number) / 1000 for number in range(100_000))
    grid = replace(judged.grid, weights=many, seeds=tuple(range(100_000)))
    page = page_of(tmp_path, view_of(write_zip(tmp_path / "j.zip", replace(judged, grid=grid))))
    assert len(page) < 100_000


def test_curves_have_a_bar_for_each_known_error():
    points = [Point(100, 0.5, 0.1), Point(200, 0.7, math.inf), Point(300, 0.6, 0.2)]
    svg = score_chart([Curve("weight 1", points)], "likeness by step", "step")
    bars = re.search(r'<path d="([^"]*)"/><path class="through"', svg)
    assert bars
    assert bars[1].count("V") == 2
    assert svg.count("<circle") == 3
    assert "inf" not in svg
    assert score_chart([Curve("weight 1", points[:1])], "likeness by step", "step") == ""


def test_training_pictures_are_told_of_and_shown_only_when_asked(tmp_path):
    config = to_toml(small_config(write_small_dataset(tmp_path / "pictures")))
    page = page_of(tmp_path, view_of(None), config)
    assert "4 pictures" in page
    assert "all with captions; 64 to 64 pixels wide, 64 to 64 high" in page
    assert "data:image" not in page
    page = page_of(tmp_path, view_of(None), config, pictures=True)
    assert page.count("data:image/jpeg") == 4
    assert "0.png: a cat" in page


def test_training_pictures_that_are_not_here_are_said_to_be_not_here(tmp_path):
    config = to_toml(small_config(tmp_path / "gone"))
    assert "The training pictures can&#x27;t be looked at here" in page_of(tmp_path, view_of(None), config)


def test_contact_sheets_have_a_row_for_each_weight_or_file(tmp_path):
    view = view_of(write_zip(tmp_path / "j.zip", judgement()))
    paths = report.write_contact_sheets(view, tmp_path / "sheets")
    assert [path.name for path in paths] == [
        *(f"cat-step00000{n}00.png" for n in (1, 2, 3)),
        *(f"weight-{weight}.png" for weight in ("0.5", "0.8", "1")),
    ]
    assert sorted(paths) == sorted((tmp_path / "sheets").iterdir())
    with Image.open(paths[2]) as sheet:
        assert sheet.size == (150 + 2 * 134, 52 + 4 * 134)
        # The third row is weight 0.8, the second column seed 102.
        pixel = sheet.convert("RGB").getpixel((150 + 134 + 120, 52 + 2 * 134 + 120))
    expected = drawn(Cell(2, 0.8, 0, 102)).getpixel((60, 60))
    assert all(abs(a - b) < 16 for a, b in zip(pixel, expected, strict=True))


@pytest.mark.parametrize("name", ["../../evil", "CON", "a/b\\c", "."])
def test_names_of_files_lead_no_sheet_out_of_its_folder(tmp_path, name):
    view = view_of(write_zip(tmp_path / "j.zip", judgement(name=name)))
    report.write_contact_sheets(view, tmp_path / "sheets")
    assert {path.name for path in tmp_path.iterdir()} == {"j.zip", "sheets"}


def test_without_a_judgement_there_are_no_sheets(tmp_path):
    assert report.write_contact_sheets(view_of(None), tmp_path / "sheets") == []
    assert not (tmp_path / "sheets").exists()


def test_what_the_scores_speak_for_is_said_step_by_step_with_what_to_type(tmp_path):
    view = view_of(write_zip(tmp_path / "j.zip", judgement()))
    text = Text(
        page_of(
            tmp_path, view, to_toml(replace(small_config(write_small_dataset(tmp_path / "d")), trigger_word="ohwx"))
        )
    ).all
    section = text[text.index("What the scores advise") :]
    assert "is what the scores speak for" in section
    assert "within one standard error" in section
    assert re.search(r"<lora:cat[^:>]*:[\d.]+> ohwx", section)
    assert "It is advice: nothing was picked" in section
