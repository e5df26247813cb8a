"""``loratui test``: what is typed, what the files say and what a config says becomes a run that trains nothing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loratui import settings
from loratui.cli.arguments import Arguments, build_parser
from loratui.cli.main import main
from loratui.cli.try_out import try_out_config
from loratui.sessions.checking import Checked, check_config
from loratui.sessions.supply import plan_supply
from loratui.store import Store, StoredRun
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import to_toml
from loratui_protocol.errors import ConfigError, UsageError
from loratui_protocol.inputs import EnvironmentKind, EnvironmentSpec
from loratui_protocol.judging.planning import told_apart
from loratui_protocol.lora_size import SDXL_NETWORK
from loratui_protocol.messages import JobState, Record, Setup, State
from support.captioned import write_captioned
from support.checkpoint_headers import write_header
from support.lora_files import attention_layers, kohya, write_file

NAME = "lora_unet_mid_block_attentions_0_proj_in"
TENSORS = {f"{NAME}.lora_down.weight": (4, 64, 1, 1), f"{NAME}.lora_up.weight": (64, 4, 1, 1)}
SAYS = {"modelspec.trigger_phrase": "zorbix", "modelspec.resolution": "64x64"}


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    return write_header(tmp_path / "my-style.safetensors", TENSORS, metadata=SAYS)


def typed(*argv: str | Path) -> Arguments:
    return build_parser().parse_args(["test", *map(str, argv), "--on", "local"], namespace=Arguments())


def config_of(*argv: str | Path) -> TrainingConfig:
    return try_out_config(typed(*argv))


def checked(tmp_path: Path, *argv: str | Path) -> Checked:
    path = tmp_path / "tests" / "test.toml"
    path.parent.mkdir()
    path.write_text(to_toml(config_of(*argv)), "utf-8")
    return check_config(path)


def test_what_the_file_says_of_itself_need_not_be_typed(lora: Path) -> None:
    config = config_of(lora, "--base", "builtin:tiny")
    assert config.evaluate_loras == (str(lora),)
    assert (config.trigger_word, config.resolution, config.output_name) == ("zorbix", (64, 64), "my-style")


def test_what_is_typed_goes_before_what_the_file_says(lora: Path) -> None:
    config = config_of(
        *(lora, "--base", "builtin:tiny", "--trigger", "ohwx", "--size", "96,64", "--weights", "0,0.8", "--seeds", "3"),
        *("--prompt", "a {trigger}", "--prompt", "{trigger}, red", "--class-word", "shape", "--name", "mine"),
    )
    assert (config.trigger_word, config.resolution, config.output_name) == ("ohwx", (96, 64), "mine")
    assert (config.evaluate_weights, config.evaluate_seeds) == ((0.0, 0.8), 3)
    assert (config.evaluate_prompts, config.evaluate_class_word) == (("a {trigger}", "{trigger}, red"), "shape")


def test_the_config_of_the_training_says_the_rest(lora: Path, tmp_path: Path) -> None:
    pictures = write_captioned(tmp_path / "pictures", {"a": "a zorbix"})
    like = tmp_path / "train.toml"
    like.write_text(
        'pretrained_model_name_or_path = "builtin:tiny"\ntrain_data_dir = "pictures"\ntrigger_word = "quellum"\n'
        "evaluate_checkpoints = 3\nevaluate_seeds = 7\n"
    )
    config = config_of(lora, "--like", like)
    assert config.train_data_dir == str(pictures)
    assert (config.trigger_word, config.evaluate_seeds, config.evaluate_checkpoints) == ("quellum", 7, 0)


def test_what_nothing_is_compared_with_does_not_travel(lora: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_captioned(tmp_path / name, {name: "a zorbix"})
    like = tmp_path / "train.toml"
    like.write_text(
        f'pretrained_model_name_or_path = "builtin:tiny"\nnetwork_weights = "{tmp_path}/gone.safetensors"\n'
        '[[datasets]]\n[[datasets.subsets]]\nimage_dir = "a"\n'
        '[[datasets.subsets]]\nimage_dir = "b"\nis_reg = true\n'
    )
    config = config_of(lora, "--like", like)
    sent = plan_supply(config, environment=EnvironmentSpec(kind=EnvironmentKind.AGENT))
    names = [each.name for each in sent.manifest.files]
    assert not any(name.startswith(("reg/", "start/")) for name in names)
    assert any(name.endswith("a.png") for name in names)
    other = config_of(lora, "--like", like, "--data", tmp_path / "b")
    assert (other.datasets, other.train_data_dir) == ((), str(tmp_path / "b")), "what is typed counts"


def test_a_file_whose_name_can_not_travel_is_sent_under_another(tmp_path: Path, lora: Path) -> None:
    odd = write_header(tmp_path / "art\u200d.safetensors", TENSORS)
    sent = plan_supply(
        config_of(odd, "--base", "builtin:tiny"), environment=EnvironmentSpec(kind=EnvironmentKind.AGENT)
    )
    assert "loras/0/file.safetensors" in [each.name for each in sent.manifest.files]


def test_a_file_that_is_named_twice_is_tried_out_once(lora: Path) -> None:
    assert config_of(lora, lora, "--base", "builtin:tiny").evaluate_loras == (str(lora),)


def test_another_machine_calls_files_of_the_same_name_as_they_are_called_here(lora: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "a" / "out", tmp_path / "b" / "out", tmp_path / "b" / "c. " / "out"]
    twins = []
    for folder in folders:
        folder.mkdir(parents=True)
        twins.append(write_header(folder / lora.name, TENSORS))
    config = config_of(lora, *twins, "--base", "builtin:tiny")
    assert told_apart(config.evaluate_loras)[1:3] == ["a/out/my-style.safetensors", "b/out/my-style.safetensors"]
    sent = plan_supply(config, environment=EnvironmentSpec(kind=EnvironmentKind.AGENT))
    names = [each.name for each in sent.manifest.files if each.name.startswith("loras/")]
    there = told_apart([f"/home/box/inputs/{name}" for name in names])
    assert there[:3] == told_apart(config.evaluate_loras)[:3]
    assert len(set(there)) == 4


def test_a_base_model_is_not_guessed(lora: Path) -> None:
    with pytest.raises(UsageError, match="base model"):
        config_of(lora)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.safetensors"):
        config_of(tmp_path / "none.safetensors", "--base", "builtin:tiny")


def test_weights_that_are_no_numbers_are_refused(lora: Path) -> None:
    with pytest.raises(UsageError, match="weights"):
        typed(lora, "--base", "builtin:tiny", "--weights", "high")


@pytest.mark.parametrize(
    ("option", "typed_as"), [("--seeds", "1"), ("--seeds", "101"), ("--weights", "0,9"), ("--size", "0,0")]
)
def test_what_is_wrong_is_told_of_the_option_and_of_no_line(lora: Path, option: str, typed_as: str) -> None:
    with pytest.raises(ConfigError, match=rf"\A[^\n]*{option}: ") as refusal:
        config_of(lora, "--base", "builtin:tiny", option, typed_as)
    assert "(line" not in refusal.value.what


def test_without_the_base_model_s_pictures_it_is_said_what_is_not_measured(lora: Path, tmp_path: Path) -> None:
    run = checked(tmp_path, lora, "--base", "builtin:tiny", "--weights", "1")
    (warned,) = (each for each in run.findings if each.severity == "warning")
    assert "0 is not among the evaluate_weights" in warned.what


def test_what_will_be_drawn_is_counted_and_what_is_not_measured_is_said(lora: Path, tmp_path: Path) -> None:
    run = checked(tmp_path, lora, "--base", "builtin:tiny", "--prompt", "a {trigger}", "--seeds", "2")
    # Three prompts, two seeds, five weights.
    assert run.plan.num_judged_pictures == 30
    assert run.plan.steps == 0
    unmeasured = [each.what for each in run.findings if each.code == "evaluate.unmeasured"]
    assert [what.partition(" ")[0] for what in unmeasured] == ["likeness,", "how", "likeness"]


def test_a_file_for_another_kind_of_base_model_is_refused_before_a_machine_is_paid_for(
    tmp_path: Path,
) -> None:
    layers = [layer for layer in attention_layers(SDXL_NETWORK) if layer.part == "text_encoder_2"]
    other = write_file(tmp_path / "xl.safetensors", kohya(SDXL_NETWORK, rank=1, layers=layers))
    [error] = [each for each in checked(tmp_path, other, "--base", "builtin:tiny").findings if each.severity == "error"]
    assert (error.code, error.path) == ("lora.other_base", str(other))


def test_a_prompt_that_does_not_ask_for_the_concept_is_named_before_it_is_drawn(lora: Path, tmp_path: Path) -> None:
    run = checked(tmp_path, lora, "--base", "builtin:tiny", "--prompt", "a castle", "--prompt", "zorbix, a tower")
    (said,) = (each for each in run.findings if "evaluate_prompts" in each.what)
    assert (said.code, said.severity) == ("evaluate.unmeasured", "warning")
    assert "1 of the" in said.what
    assert "'a castle'" in said.what


@pytest.mark.parametrize("option", ["file", "together"])
def test_a_dora_is_refused_before_anything_is_drawn(lora: Path, tmp_path: Path, option: str) -> None:
    dora = write_header(tmp_path / "dora.safetensors", {**TENSORS, f"{NAME}.dora_scale": (1, 64, 1, 1)})
    files = (dora, lora) if option == "file" else (lora, "--together", dora)
    run = checked(tmp_path, *files, "--base", "builtin:tiny")
    (error,) = (each for each in run.findings if each.severity == "error")
    assert error.code == "judge.dora"
    assert "dora.safetensors" in error.what


WHOLE = ("config.json", "model.safetensors", "tokenizer.json")


@pytest.mark.parametrize(
    ("there", "lacks"),
    [
        ((), "config.json"),
        (("config.json", "tokenizer.json", "pytorch_model.bin"), "only as pytorch_model.bin"),
        (("config.json", "model.safetensors"), "tokenizer"),
        (("config.json", "model.safetensors", "vocab.json"), "tokenizer"),
        (("config.json", "model.safetensors", "vocab.json", "merges.txt"), None),
        (WHOLE, None),
    ],
)
def test_a_model_to_measure_with_is_whole_before_anything_is_rented(
    lora: Path, tmp_path: Path, there: tuple[str, ...], lacks: str | None
) -> None:
    (tmp_path / "clip").mkdir()
    for name in there:
        (tmp_path / "clip" / name).write_text('{"model_type": "clip"}', "utf-8")
    run = checked(tmp_path, lora, "--base", "builtin:tiny", "--clip", tmp_path / "clip")
    errors = [each for each in run.findings if each.severity == "error"]
    assert [lacks is not None and lacks in each.what for each in errors] == ([] if lacks is None else [True])


def test_another_machine_is_sent_the_files_and_the_models_that_measure(lora: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    twin = write_header(tmp_path / "other" / lora.name, TENSORS)
    dino = tmp_path / "dino"
    dino.mkdir()
    (dino / "config.json").write_text("{}")
    (dino / "model.safetensors").write_bytes(b"x")
    (dino / "notes.pdf").write_bytes(b"x")
    config = config_of(lora, twin, "--base", "builtin:tiny", "--dino", dino, "--together", twin)
    sent = plan_supply(config, environment=EnvironmentSpec(kind=EnvironmentKind.AGENT))
    names = [file.name for file in sent.manifest.files if not file.name.startswith("model/")]
    assert names == [
        *("evaluate_dino/dino/config.json", "evaluate_dino/dino/model.safetensors"),
        f"loras/0/{tmp_path.name}/my-style.safetensors",
        "loras/1/other/my-style.safetensors",
        "loras/2/my-style.safetensors",
    ]
    for line in (
        f'evaluate_loras = ["inputs/loras/0/{tmp_path.name}/my-style.safetensors", '
        '"inputs/loras/1/other/my-style.safetensors"]',
        'evaluate_together = "inputs/loras/2/my-style.safetensors"',
        'evaluate_dino = "inputs/evaluate_dino/dino"',
    ):
        assert line in sent.config_toml


def test_its_status_says_how_many_pictures_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LORATUI_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("LORATUI_STATE_DIR", str(tmp_path / "state"))
    run = StoredRun(id="01JDRAWS", name="z", target="ssh://box", created_ts=1.0, config_toml="", home=tmp_path)
    drawing = Setup(phase="judge.draw", done=40, total=144, unit="pictures")
    events = [State(state=JobState.RUNNING), replace(drawing, done=8), drawing]
    with Store(settings.load().database) as store:
        store.add_run(run)
        store.begin_history(run.id, "e", reset=False)
        store.append(run.id, "e", [Record(seq=n, ts=float(n), event=event) for n, event in enumerate(events, 1)])
    assert main(["status", "z"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert "drawing 40 of 144 pictures" in first
    assert "step" not in first
    assert main(["status", "z", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["phase"]
    assert told == {"name": "judge.draw", "done": 40, "total": 144, "unit": "pictures"}
