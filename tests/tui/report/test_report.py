"""The report: complete, self-contained, and deaf to what a box may put into names and prompts."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

from loratui.domain.run import RunView
from loratui.report import page as report
from loratui.report.chart import loss_chart, ticks
from loratui_protocol.messages import (
    Artifact,
    ArtifactKind,
    Cost,
    DeltaNorms,
    Evaluation,
    Event,
    JobState,
    Metrics,
    Record,
    Sample,
    State,
    Step,
    Validation,
)

CONFIG = "[network]\nnetwork_dim = 8\n[save]\noutput_name = '<b>cat</b>'\n"
EVIL = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Collects the tags, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.text += data


def artifact(artifact_id: str, kind: ArtifactKind, name: str) -> Artifact:
    return Artifact(id=artifact_id, kind=kind, name=name, size=6_000_000, sha256="ab" * 32)


def finished_view(folder: Path, prompt: str = "a cat") -> RunView:
    """Return a run with every kind of file on this machine."""
    view = RunView(run_id="01J", name=EVIL, target="local")
    Image.new("RGB", (64, 64), "red").save(folder / "sheet.png")
    metadata = {"ss_network_dim": "8", EVIL: "1", "modelspec.thumbnail": "data:image/jpeg;base64,/9j4AAQ"}
    header = json.dumps({"__metadata__": metadata}).encode()
    (folder / "lora").write_bytes(len(header).to_bytes(8, "little") + header)
    (folder / "sample").write_bytes((folder / "sheet.png").read_bytes())
    events: list[Event] = [
        State(state=JobState.RUNNING),
        *(
            Step(step=n, total=50, epoch=1, loss=math.nan if n == 7 else 1 / n, lr=1e-4, it_s=9.0, eta_s=1.0)
            for n in range(1, 51)
        ),
        Metrics(step=50, img_s=9.2, data_wait=0.03, exposures_per_picture=12.5, effective_lr={"unet": 5e-5}),
        DeltaNorms(step=50, relative={"unet": 0.012, "mid_block": 0.034}),
        artifact("lora", ArtifactKind.LORA, "cat.safetensors"),
        artifact("sheet.png", ArtifactKind.CONTACT_SHEET, "sheet.png"),
        artifact("sample", ArtifactKind.SAMPLE, "sample.png"),
        Sample(step=50, index=0, prompt=prompt, seed=4, artifact_id="sample", width=64, height=64),
        Evaluation(
            scores={"concept_at_1": 0.88, "num_pictures": 25.0, "strange": 0.5}, verdict="It learned: 22 of 25."
        ),
        Cost(spent_microusd=1_230_000, price_microusd_per_h=690_000, deadline_s=None),
        State(state=JobState.DONE),
    ]
    for seq, event in enumerate(events, 1):
        view.apply(Record(seq=seq, ts=1_700_000_000.0 + seq, event=event))
    view.downloaded = {id_: folder / id_ for id_ in ("lora", "sheet.png", "sample")}
    return view


def written(folder: Path, view: RunView) -> Page:
    report.write(view, folder / "out" / "report.html", config_toml=CONFIG, now_s=0.0)
    return Page((folder / "out" / "report.html").read_text(encoding="utf-8"))


def test_it_shows_verdict_scores_settings_files_and_cost(tmp_path):
    text = written(tmp_path, finished_view(tmp_path)).text
    for fact in (
        "It learned: 22 of 25.",
        "88%",
        "network_dim",
        "cat.safetensors",
        "6.0 MB",
        "$1.23",
        "$0.69/h",
        "59 s",
        "delta norm: mid_block",
        "3.4 %",
        "9.2 img/s, \u2013, 3 % of the time without data",
        "12 x (mean)",
        "5e-05 unet",
        "moving average of about 20 steps",
        "a picture, 30 characters",
    ):
        assert fact in text
    assert "/9j4AAQ" not in text, "the thumbnail in the LoRA file is no text"


def test_every_picture_is_inside_and_nothing_is_requested(tmp_path):
    page = written(tmp_path, finished_view(tmp_path))
    sources = [value for name, value in page.attributes if name in ("src", "href", "srcset", "data", "action")]
    assert len(sources) == 2
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    raw = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import|https?://", raw)
    assert "default-src 'none'" in raw


def test_names_and_prompts_are_text_whatever_they_contain(tmp_path):
    page = written(tmp_path, finished_view(tmp_path, prompt='"><img src=x onerror=alert(1)>'))
    assert "script" not in page.tags
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert EVIL in page.text
    assert page.tags.count("img") == 2


def test_a_file_that_is_no_picture_is_left_out(tmp_path):
    view = finished_view(tmp_path)
    (tmp_path / "sheet.png").write_text("<svg onload=alert(1)>")
    assert written(tmp_path, view).tags.count("img") == 1


def test_a_damaged_header_is_left_out(tmp_path):
    view = finished_view(tmp_path)
    (tmp_path / "lora").write_bytes(b"\xff" * 20)
    assert "about itself" not in written(tmp_path, view).text


def test_a_run_that_never_began_still_has_a_report(tmp_path):
    page = written(tmp_path, RunView(run_id="01J", name="early", target="local"))
    assert "early" in page.text
    assert "svg" not in page.tags


def test_a_second_report_replaces_the_first_and_leaves_nothing_else(tmp_path):
    view = finished_view(tmp_path)
    written(tmp_path, view)
    written(tmp_path, view)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


def test_a_loss_that_is_no_number_breaks_the_curve():
    svg = loss_chart([1, 2, 3, 4, 5], [0.5, 0.4, math.nan, math.inf, 0.2], [0.5, 0.45, math.nan, math.nan, 0.3])
    raw = re.search(r'class="raw" d="([^"]*)"', svg)
    assert raw
    assert raw[1].count("M") == 2
    assert "nan" not in svg
    assert "inf" not in svg


def test_losses_that_overflow_leave_a_gap_in_the_chart():
    svg = loss_chart([1, 2, 3, 4], [0.5, 1e308, -1e308, 0.4], [0.5, 0.5, 0.45, 0.4])
    assert "inf" not in svg
    assert svg.startswith("<svg")


def test_a_long_run_is_thinned_without_losing_its_spike():
    losses = [0.1] * 20_000
    losses[12_345] = 9.0
    svg = loss_chart(list(range(1, 20_001)), losses, losses)
    assert len(svg) < 40_000
    assert svg.count("L") < 2000
    top = min(float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", svg))
    assert top < 60


def test_ticks_are_round_and_enclose_the_values():
    assert ticks(0.031, 0.187) == [0.0, 0.05, 0.1, 0.15, 0.2]
    assert ticks(5.0, 5.0)[0] <= 5.0 <= ticks(5.0, 5.0)[-1]
    assert ticks(0.0, 0.0)[0] == 0.0


def many_samples(folder: Path, num_samples: int) -> RunView:
    view = finished_view(folder)
    for number in range(num_samples):
        sample = Sample(step=number, index=0, prompt="a", seed=1, artifact_id=f"s{number}", width=64, height=64)
        view.downloaded[sample.artifact_id] = folder / "sample"
        for _ in range(3):
            view.apply(Record(seq=1, ts=1.0, event=sample))
    return view


def test_sample_that_is_told_of_again_is_shown_once(tmp_path):
    assert written(tmp_path, many_samples(tmp_path, 4)).tags.count("img") == 2 + 4


def test_page_has_an_end_however_many_samples_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr("loratui.report.page.MAX_SAMPLE_BYTES", 2_000)
    page = written(tmp_path, many_samples(tmp_path, 50))
    num_shown = page.tags.count("img") - 1
    assert 2 <= num_shown < 20
    assert f"{51 - num_shown} older samples are not on this page" in page.text
    assert "step 49" in page.text
    assert page.text.index("step 48") < page.text.index("step 49")


def test_each_prompt_has_a_row_that_begins_without_the_lora(tmp_path):
    view = finished_view(tmp_path)
    view.samples.clear()
    Image.new("RGB", (8, 8)).save(tmp_path / "small.jpg")
    for step, index, weight in ((10, 0, 0.0), (10, 1, 0.0), (10, 0, 1.0), (10, 1, 1.0), (20, 0, 1.0), (20, 1, 1.0)):
        id_, prompt = f"s{step if weight else 'base'}-{index}", ("a cat", "a dog")[index]
        said = Sample(step=step, index=index, prompt=prompt, seed=4, artifact_id=id_, width=8, height=8, weight=weight)
        view.samples.append(replace(said, thumbnail_id=f"{id_}-small"))
        # Of the last step only the small ones have come so far.
        view.downloaded[f"{id_}-small"] = tmp_path / "small.jpg"
        if step < 20:
            view.downloaded[id_] = tmp_path / "sample"
    page = written(tmp_path, view)
    ofs = ("without the LoRA", "step 10", "step 20")
    places = [page.text.index(f"{of}: {prompt} (seed 4)") for prompt in ("a cat", "a dog") for of in ofs]
    assert places == sorted(places)
    kinds = [value.split(";")[0] for name, value in page.attributes if name == "src"][-6:]
    assert kinds == ["data:image/png", "data:image/png", "data:image/jpeg"] * 2


def test_the_best_file_is_named_with_its_evidence(tmp_path):
    view = finished_view(tmp_path)
    assert "Best by validation" not in written(tmp_path, view).text
    for step, loss in ((10, 0.2), (20, 0.1), (30, 0.3), (40, math.nan)):
        view.validations.append(Validation(step=step, loss=loss, train_loss=loss, num_pictures=3))
        name = f"cat-step{step:08d}.safetensors"
        view.artifacts[name] = replace(artifact(name, ArtifactKind.CHECKPOINT_LORA, name), step=step)
    # Of the lowest error there is no file.
    del view.artifacts["cat-step00000020.safetensors"]
    text = written(tmp_path, view).text
    assert "Best by validation: cat-step00000010.safetensors, of step 10. Its error on 3 pictures" in text
    assert "is 0.2, the lowest of 2 files; the highest is 0.3." in text
