"""LoRA files are judged by pictures: each is drawn once whatever happens, and every score is of what was seen."""

import io
import logging
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageChops
from safetensors.torch import load_file, save_file

from loratui.report import thumbnails
from loratui.report.judgement_zip import open_judgement
from loratui_agent.demo.concept import DEMO
from loratui_agent.judge import draw, measure
from loratui_agent.judge.draw import NUM_INFERENCE_STEPS
from loratui_agent.judge.judge import JUDGEMENT, Tried
from loratui_agent.train import loop
from loratui_agent.train.controls import Controls
from loratui_agent.train.job import Job
from loratui_agent.train.run import Run
from loratui_agent.train.sampling import generate, load_pipeline
from loratui_protocol import messages
from loratui_protocol.errors import ModelError
from loratui_protocol.judging.advice import pairs_of
from loratui_protocol.judging.grid import TriedFile, seeds
from loratui_protocol.judging.judgement import DOCUMENT, parse_judgement
from loratui_protocol.judging.prompts import Role
from loratui_protocol.messages import ArtifactKind
from support.feature_models import write_clip, write_dino
from support.judged_run import SETTINGS, Judging, train_and_judge, tried
from support.tiny_run import HeardReporter
from support.tiny_training import tiny_config

pytestmark = [pytest.mark.torch, pytest.mark.timeout(120), pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def both(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Judging:
    """Return the judgement of both files, with all that can be measured."""
    folder = tmp_path_factory.mktemp("judged")
    dino, clip = write_dino(folder / "dino"), write_clip(folder / "clip")
    what = tried(run, concept=DEMO)
    return Judging(run, folder, what, evaluate_dino=str(dino), evaluate_clip=str(clip))


def are_alike(picture: Image.Image, path: Path) -> bool:
    """Return whether two pictures are one but for rounding: what is drawn beside it decides the last bit."""
    with Image.open(path) as other:
        return max(high for _, high in ImageChops.difference(picture, other.convert("RGB")).getextrema()) <= 2


def test_every_picture_of_the_grid_is_drawn(both: Judging):
    cells = {cell.name for batch in both.judgement.grid.batches() for cell in batch}
    # Three prompts, two seeds; the base model and two files.
    assert len(cells) == 3 * 2 * 3
    assert both.drawn.keys() == cells
    progress = [event for event in both.of(messages.Setup) if event.phase == "judge.draw"]
    assert (progress[0].done, progress[-1].done, progress[-1].total) == (0, 18, 18)


def test_files_are_judged_as_if_each_were_alone(run: Run, both: Judging, tmp_path: Path):
    alone = Judging(run, tmp_path, tried(run, 1))
    assert alone.drawn.items() <= both.drawn.items()
    other = {name.replace("f02", "f01"): content for name, content in both.drawn.items() if name.startswith("f02")}
    assert any(both.drawn[name] != content for name, content in other.items()), "both files draw the same"


def test_nobody_is_told_that_weights_of_another_file_are_missing(run: Run, tmp_path: Path):
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, listener = logging.getLogger("transformers"), Listener(logging.WARNING)
    logger.addHandler(listener)
    try:
        Judging(run, tmp_path)
    finally:
        logger.removeHandler(listener)
    assert not [text for text in said if "MISSING" in text]


def test_weight_0_is_the_base_model_untouched(run: Run, both: Judging):
    prompt = both.judgement.grid.prompts[0]
    (picture,) = generate(
        load_pipeline(run.models.path), [prompt.text], [101], size_px=(64, 64), num_inference_steps=NUM_INFERENCE_STEPS
    )
    assert are_alike(picture, both.folder / "judge" / "f00-w0-p00-s101.png")


def test_files_are_drawn_as_diffusers_draws_with_them(run: Run, tmp_path: Path):
    paths = sorted(run.job.artifacts.glob("*.safetensors"))
    other = paths[0]
    judging = Judging(run, tmp_path, tried(run), evaluate_weights=(0.5, 1.0), evaluate_together=str(other))
    prompts = judging.judgement.grid.prompts
    for prompt, with_others in ((0, ()), (len(prompts) - 1, (other,))):
        assert bool(with_others) is (prompts[prompt].role is Role.TOGETHER)
        for number, path in enumerate(paths, start=1):
            for weight in (0.5, 1.0):
                expected = drawn_by_diffusers(run, prompts[prompt].text, [path, *with_others], weight)
                name = f"f{number:02d}-w{weight:g}-p{prompt:02d}-s101.png"
                assert are_alike(expected, tmp_path / "judge" / name), name


def drawn_by_diffusers(run: Run, text: str, paths: Sequence[Path], weight: float) -> Image.Image:
    pipeline = load_pipeline(run.models.path)
    # One after the other: beside another one transformers draws their weights for text encoders anew.
    for path in paths:
        pipeline.load_lora_weights(path)
        pipeline.fuse_lora(lora_scale=weight)
        pipeline.unload_lora_weights()
    (picture,) = generate(pipeline, [text], [101], size_px=(64, 64), num_inference_steps=NUM_INFERENCE_STEPS)
    return picture


def test_where_no_room_is_left_fewer_pictures_are_drawn_at_once(
    run: Run, both: Judging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sizes: list[int] = []

    def with_room_for_two(*arguments: Any, batch_size: int, **named: Any) -> list[Image.Image]:
        sizes.append(batch_size)
        if batch_size == 8:
            raise torch.OutOfMemoryError
        if batch_size == 4:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
        return generate(*arguments, batch_size=batch_size, **named)

    monkeypatch.setattr(draw, "generate", with_room_for_two)
    judging = Judging(run, tmp_path, tried(run, 1))

    assert list(dict.fromkeys(sizes)) == [8, 4, 2]
    assert sizes.count(8) == 1, "what did not fit once is not tried again"
    for name, content in judging.drawn.items():
        assert are_alike(Image.open(io.BytesIO(content)), both.folder / "judge" / f"{name}.png")


def test_each_role_has_the_scores_that_make_sense_for_it(both: Judging):
    scored = {
        prompt.role: {name for each in both.judgement.pictures if each.cell.prompt == index for name in each.scores}
        for index, prompt in enumerate(both.judgement.grid.prompts)
    }
    assert scored[Role.SCENE] == {"likeness", "copying", "diversity", "prompt", "concept", "artefacts"}
    assert scored[Role.WITHOUT] == {"bleed", "artefacts"}
    assert scored[Role.NEGATIVE] == {"resisted", "artefacts"}


def test_the_means_of_each_file_and_weight_are_told_and_those_of_the_base_model(both: Judging):
    told = both.of(messages.Scores)
    assert [(each.name, each.weight, each.step) for each in told] == [
        ("", 0.0, 0),
        ("lora-000001.safetensors", 1.0, 1),
        ("lora-000002.safetensors", 1.0, 2),
    ]
    assert told[0].counts["likeness"] == 2
    assert "bleed" not in told[0].means
    assert "bleed" in told[1].means


def test_what_is_written_down_can_be_read_with_all_pictures(both: Judging):
    with zipfile.ZipFile(both.folder / "artifacts" / JUDGEMENT) as archive:
        read = parse_judgement(archive.read(DOCUMENT))
        names = set(archive.namelist())
    assert read == both.judgement
    assert names == {DOCUMENT, *(f"{each.cell.name}.jpg" for each in read.pictures)}
    assert read.features == {"dino": "dino", "clip": "clip", "exact": "zorbix"}


def test_the_client_reads_what_the_agent_has_written(both: Judging):
    with open_judgement(both.folder / "artifacts" / JUDGEMENT) as opened:
        assert opened.judgement == both.judgement
        for each in both.judgement.pictures:
            picture = thumbnails.small(opened.picture(each.cell) or b"", 1024)
            assert picture is not None
            assert picture.size == (each.width, each.height)


def test_without_training_pictures_and_models_nothing_is_made_up(run: Run, tmp_path: Path):
    judging = Judging(run, tmp_path, tried(run, 1, pictures=()))
    assert {name for each in judging.judgement.pictures for name in each.scores} == {"artefacts"}
    with_dino = Judging(run, tmp_path, tried(run, 1, pictures=()), evaluate_dino=str(write_dino(tmp_path / "dino")))
    assert {name for each in with_dino.judgement.pictures for name in each.scores} == {"artefacts", "diversity"}


def with_pictures(run: Run, paths: list[Path]) -> Tried:
    some = run.dataset.pictures[0]
    return tried(run, 1, pictures=[replace(some, path=path, name=path.name) for path in paths])


def test_a_training_picture_that_can_not_be_read_is_left_out_and_told(run: Run, tmp_path: Path):
    paths = [picture.path for picture in run.dataset.pictures]
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(paths[0].read_bytes()[:100])
    dino = str(write_dino(tmp_path / "dino"))
    judging = Judging(run, tmp_path / "with", with_pictures(run, [*paths, damaged]), evaluate_dino=dino)
    (warned,) = judging.of(messages.Warn)
    assert warned.code == "judge.picture"
    assert warned.message.startswith("1 training picture could not be read")
    whole = Judging(run, tmp_path / "without", with_pictures(run, paths), evaluate_dino=dino)
    assert judging.score("likeness", Role.SCENE) == pytest.approx(whole.score("likeness", Role.SCENE), abs=1e-3)


def test_no_measurement_that_fails_costs_what_was_drawn(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("no room")

    dino = write_dino(tmp_path / "dino")
    monkeypatch.setattr(measure, "of_likeness", fail)
    judging = Judging(run, tmp_path, tried(run, 1), evaluate_dino=str(dino))
    assert [(event.code, "no room" in event.message) for event in judging.of(messages.Warn)] == [
        ("judge.unmeasured", True)
    ]
    assert len(judging.judgement.pictures) == len(judging.drawn) == 12
    assert {name for each in judging.judgement.pictures for name in each.scores} == {"artefacts", "diversity"}
    assert (tmp_path / "artifacts" / JUDGEMENT).exists()


def test_prompts_are_judged_by_the_model_that_is_named(run: Run, tmp_path: Path):
    judging = Judging(run, tmp_path, tried(run, 1), evaluate_clip=str(write_clip(tmp_path / "clip")))
    assert len(judging.score("prompt", Role.SCENE)) == 4
    assert all(-1 <= score <= 1 for score in judging.score("prompt", Role.SCENE))
    assert judging.judgement.features == {"clip": "clip"}


def test_an_attempt_goes_on_where_the_last_one_was_killed(run: Run, tmp_path: Path):
    whole = Judging(run, tmp_path, tried(run, 1)).drawn
    gone, *kept = [tmp_path / "judge" / f"{name}.png" for name in whole]
    gone.unlink()
    before = {path: path.stat().st_mtime_ns for path in kept}
    again = Judging(run, tmp_path, tried(run, 1))
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert again.drawn.keys() == whole.keys()
    assert are_alike(Image.open(io.BytesIO(whole[gone.stem])), gone)
    progress = [event.done for event in again.of(messages.Setup) if event.phase == "judge.draw"]
    # On a slow machine the last thing is said again.
    assert list(dict.fromkeys(progress)) == [len(whole) - 1, len(whole)]


def test_pictures_of_other_prompts_or_files_are_drawn_anew(run: Run, tmp_path: Path):
    first = Judging(run, tmp_path, tried(run, 1)).drawn
    second = Judging(run, tmp_path, tried(run, 1), evaluate_prompts=("a {trigger} on a blue background",)).drawn
    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first)


def test_one_that_is_stopped_says_what_it_has(run: Run, tmp_path: Path):
    judging = Judging(run, tmp_path, tried(run, 1), stopped=True)
    assert judging.judgement.pictures == ()
    assert judging.of(messages.Scores) == []


def test_there_are_as_many_weights_and_seeds_as_asked_for(run: Run, tmp_path: Path):
    judging = Judging(run, tmp_path, tried(run, 1), evaluate_weights=(0.5,), evaluate_seeds=3)
    assert {(each.cell.weight, each.cell.prompt, each.cell.seed) for each in judging.judgement.pictures} == {
        (0.5, prompt, seed) for prompt in range(3) for seed in seeds(3)
    }


def test_another_lora_and_the_negative_prompt_change_the_picture(run: Run, tmp_path: Path):
    other = sorted(run.job.artifacts.glob("*.safetensors"))[1]
    drawn = Judging(run, tmp_path, tried(run, 1), evaluate_together=str(other), evaluate_weights=(1.0,)).drawn
    roles = ["scene", "without", "negative", "together"]
    pictures = {role: drawn[f"f01-w1-p{index:02d}-s101"] for index, role in enumerate(roles)}
    assert len(set(pictures.values())) == 4


def test_a_file_that_does_not_fit_is_named(run: Run, tmp_path: Path):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    with pytest.raises(ModelError, match=r"odd\.safetensors") as refusal:
        Judging(run, tmp_path / "job", Tried(files=[(TriedFile(id="odd", name="odd"), path)], pictures=()))
    assert refusal.value.code == "judge.file"


@pytest.mark.parametrize("is_together", [False, True])
def test_a_dora_is_drawn_as_no_plain_lora(run: Run, tmp_path: Path, is_together: bool):
    (plain, _) = sorted(run.job.artifacts.glob("*.safetensors"))
    tensors = load_file(plain)
    down = next(name for name in tensors if name.endswith("lora_down.weight"))
    tensors[down.replace("lora_down.weight", "dora_scale")] = torch.ones(1, tensors[down].shape[1])
    dora = tmp_path / "dora.safetensors"
    save_file(tensors, dora)
    files = tried(run, 1) if is_together else tried(run, 1, files=[(TriedFile(id="dora", name="dora"), dora)])
    changes = {"evaluate_together": str(dora)} if is_together else {}
    with pytest.raises(ModelError, match=r"dora\.safetensors") as refusal:
        Judging(run, tmp_path / "job", files, **changes)
    assert refusal.value.code == "judge.dora"
    assert not list((tmp_path / "job" / "judge").glob("*.png"))


def test_a_training_judges_its_files_evenly_spread_with_the_last_one(tmp_path: Path):
    outcome, reporter = train_and_judge(
        tmp_path, "demo", max_train_steps=3, save_every_n_steps=1, evaluate_checkpoints=2
    )
    assert outcome.outcome == "done"
    told = [event for event in reporter.heard if isinstance(event, messages.Scores)]
    assert [(each.name, each.step) for each in told] == [
        ("", 0),
        ("tiny-step00000001.safetensors", 1),
        ("tiny.safetensors", 3),
    ]
    assert {"concept", "prompt", "bleed"} <= told[1].means.keys()
    kinds = [event.kind for event in reporter.heard if isinstance(event, messages.Artifact)]
    assert kinds.index(ArtifactKind.LORA) < kinds.index(ArtifactKind.JUDGEMENT)


def test_a_feature_model_that_is_not_there_fails_no_training(tmp_path: Path):
    outcome, reporter = train_and_judge(tmp_path, evaluate_checkpoints=1, evaluate_dino=str(tmp_path / "none"))
    assert outcome.outcome == "done"
    assert "judge.features" in [event.code for event in reporter.heard if isinstance(event, messages.Warn)]


def test_without_a_model_to_measure_with_the_rest_is_told_all_the_same(run: Run, tmp_path: Path):
    judging = Judging(run, tmp_path, tried(run, 1), evaluate_dino=str(tmp_path), evaluate_seeds=2)
    assert [event.code for event in judging.of(messages.Warn)] == ["judge.features"]
    assert {name for each in judging.judgement.pictures for name in each.scores} == {"artefacts"}
    assert judging.judgement.features == {}


def test_a_model_without_its_vocabulary_measures_nothing(run: Run, tmp_path: Path):
    clip = write_clip(tmp_path / "clip")
    for path in (clip / "tokenizer.json", clip / "vocab.json", clip / "merges.txt"):
        path.unlink(missing_ok=True)
    judging = Judging(run, tmp_path, tried(run, 1), evaluate_clip=str(clip))
    (warned,) = judging.of(messages.Warn)
    assert warned.code == "judge.features"
    assert "tokenizer" in warned.message
    assert judging.score("prompt", Role.SCENE) == []


def test_two_files_of_the_same_name_are_two(run: Run, tmp_path: Path):
    files = []
    for path, folder in zip(sorted(run.job.artifacts.glob("*.safetensors")), ("a", "b"), strict=True):
        (tmp_path / folder).mkdir()
        files.append(shutil.copy(path, tmp_path / folder / "last.safetensors"))
    settings = {**SETTINGS, "evaluate_loras": tuple(map(str, files)), "train_data_dir": None}
    reporter = HeardReporter(tmp_path)
    job = Job(tmp_path / "job", tiny_config(tmp_path, **settings), "")
    job.artifacts.mkdir(parents=True)
    assert loop.train(job, reporter, Controls(reporter)).outcome == "done"
    told = [event for event in reporter.heard if isinstance(event, messages.Scores) and event.artifact_id]
    called = ["a/last.safetensors", "b/last.safetensors"]
    assert [event.name for event in told] == called
    assert [pair.name for pair in pairs_of(told)] == called


def test_files_alone_are_judged_without_a_training_or_pictures(run: Run, tmp_path: Path):
    files = tuple(map(str, sorted(run.job.artifacts.glob("*.safetensors"))))
    config = tiny_config(
        tmp_path, **{**SETTINGS, "evaluate_loras": files, "train_data_dir": None, "output_name": "both"}
    )
    reporter = HeardReporter(tmp_path)
    job = Job(tmp_path / "job", config, "")
    job.artifacts.mkdir(parents=True)
    assert loop.train(job, reporter, Controls(reporter)).outcome == "done"
    (done,) = (event for event in reporter.heard if isinstance(event, messages.Done))
    assert (done.artifact_id, done.name) == (JUDGEMENT, "both-judgement.zip")
    base, *told = [event for event in reporter.heard if isinstance(event, messages.Scores)]
    assert (base.artifact_id, base.means) == ("", {}), "drawn, and measured by nothing"
    assert [(event.artifact_id, event.name) for event in told] == [(Path(file).name, Path(file).name) for file in files]
    assert [event.step for event in told] == [1, 2], "they are of one training, and say so themselves"
