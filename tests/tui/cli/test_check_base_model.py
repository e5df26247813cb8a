"""A base model in a single file is judged before anything starts or is sent."""

import json
from pathlib import Path
from typing import Any

import pytest

from loratui.sessions.checking import check_base_model, check_config
from loratui_protocol.config_file import to_toml
from loratui_protocol.errors import ModelError
from loratui_protocol.findings import Finding
from support.checkpoint_headers import Shape, sd15, sdxl, write_header
from support.local_cli import local_cli
from support.pickles import detonate, live_pickles
from support.small_dataset import small_config, write_small_dataset


def findings(folder: Path, model: Path | str, **changes: Any) -> list[Finding]:
    """Return what ``check`` says of the model."""
    pictures = write_small_dataset(folder / "pictures")
    config = small_config(pictures, pretrained_model_name_or_path=str(model), **changes)
    path = folder / "config.toml"
    path.write_text(to_toml(config), "utf-8")
    return [finding for finding in check_config(path).findings if finding.code.startswith("model.")]


@pytest.mark.parametrize("tensors", [sd15(), sdxl()], ids=["SD 1.x", "SDXL"])
def test_a_checkpoint_that_can_be_trained_passes(tmp_path: Path, tensors: dict[str, Shape]):
    assert findings(tmp_path, write_header(tmp_path / "x.safetensors", tensors)) == []


def test_an_inpainting_model_is_an_error_because_it_trains_nowhere(tmp_path: Path):
    [finding] = findings(tmp_path, write_header(tmp_path / "x.safetensors", sdxl(channels=9)))
    assert (finding.code, finding.severity) == ("model.unsupported", "error")
    assert "an inpainting model" in finding.what


@pytest.mark.parametrize("name", ["/nowhere/x.safetensors", "models/x.safetensors", "x", "~/x", "a/b/c"])
def test_what_would_travel_from_here_and_is_not_here_is_an_error_because_nothing_can_train_it(
    tmp_path: Path, name: str
):
    [finding] = findings(tmp_path, name)
    assert (finding.code, finding.severity) == ("model.missing", "error")
    assert name.removeprefix("~") in finding.what


@pytest.mark.parametrize("name", ["builtin:", "builtin:huge", "builtin:../demo/tiny", "builtin:concept"])
def test_a_built_in_model_that_there_is_not_is_an_error_as_it_is_for_the_agent(tmp_path: Path, name: str):
    [finding] = findings(tmp_path, name)
    assert (finding.code, finding.severity, finding.fix) == ("model.unknown", "error", "builtin:tiny is one")
    assert findings(tmp_path, "builtin:tiny") == []


@pytest.mark.parametrize("name", ["org/name", "org/name@fp16", "https://models.example/x.safetensors"])
def test_what_another_machine_downloads_need_not_be_here(tmp_path: Path, name: str):
    [finding] = findings(tmp_path, name)
    assert (finding.code, finding.severity) == ("model.downloaded", "info")
    assert "downloads it" in finding.what


@pytest.mark.parametrize("name", ["stabilityai/stable-diffusion-xl-base-1.0", "Laxhar/noobai-XL-Vpred-1.0"])
def test_of_a_model_that_is_known_nothing_is_said(tmp_path: Path, name: str):
    assert findings(tmp_path, name) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("black-forest-labs/FLUX.1-dev", "a Flux model"),
        ("https://huggingface.co/stabilityai/stable-diffusion-2-1", "a Stable Diffusion 2.x model"),
        ("stabilityai/stable-diffusion-xl-refiner-1.0", "an SDXL refiner"),
    ],
)
def test_a_hub_model_of_another_kind_is_an_error_before_anybody_is_asked(tmp_path: Path, name: str, kind: str):
    [finding] = [each for each in findings(tmp_path, name) if each.code != "model.moved"]
    assert (finding.code, finding.severity) == ("model.unsupported", "error")
    assert kind in finding.what


def test_a_name_that_is_half_a_path_here_is_a_warning_because_a_hub_may_have_it(tmp_path: Path):
    (tmp_path / "models").mkdir()
    [finding] = findings(tmp_path, "models/sd15")
    assert (finding.code, finding.severity) == ("model.missing", "warning")
    assert str(tmp_path / "models") in finding.what


@pytest.mark.parametrize("name", ["http://models.example/x.safetensors", "https://models.example/x?token=secret"])
def test_an_address_that_no_machine_would_be_sent_to_is_an_error(tmp_path: Path, name: str):
    [finding] = findings(tmp_path, name)
    assert (finding.code, finding.severity) == ("model.address", "error")
    assert "=secret" not in finding.what


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("Laxhar/noobai-XL-Vpred-1.0", {"v_parameterization": False}, "predicts v"),
        ("Laxhar/noobai-XL-Vpred-1.0", {"zero_terminal_snr": False}, "all noise"),
        ("stabilityai/stable-diffusion-xl-base-1.0", {"v_parameterization": True}, "predicts epsilon"),
        ("stabilityai/stable-diffusion-xl-base-1.0", {"zero_terminal_snr": True}, "predicts epsilon"),
    ],
)
def test_what_a_hub_model_predicts_is_held_against_the_config(
    tmp_path: Path, name: str, changes: dict[str, bool], said: str
):
    [finding] = findings(tmp_path, name, **changes)
    assert (finding.code, finding.severity) == ("model.prediction", "error")
    assert said in finding.what
    right = {key: not value for key, value in changes.items()}
    assert findings(tmp_path, name, **right) == []


def test_training_does_not_begin_with_a_pickle(tmp_path: Path):
    path = write_header(tmp_path / "x.ckpt", sd15())
    with pytest.raises(ModelError, match=r"model\.pickle"):
        check_base_model(small_config(tmp_path, pretrained_model_name_or_path=str(path)))


@pytest.mark.parametrize(("kind", "code"), [("raw", "model.pickle"), ("zip", "model.pickle"), ("text", "model.format")])
def test_live_code_under_a_trusted_name_is_refused_and_never_runs(tmp_path: Path, kind: str, code: str):
    marker = tmp_path / "it-ran"
    model = tmp_path / "x.safetensors"
    model.write_bytes(live_pickles(marker)[kind])
    config = small_config(write_small_dataset(tmp_path / "pictures"), pretrained_model_name_or_path=str(model))
    (tmp_path / "job.toml").write_text(to_toml(config), "utf-8")
    with local_cli(tmp_path / "laptop") as cli:
        commands = [
            cli.start("check", tmp_path / "job.toml", "--json"),
            cli.start("train", tmp_path / "job.toml", "--on", "local", "--yes"),
            # Nobody listens there: what is refused is refused before that is noticed.
            cli.start("train", tmp_path / "job.toml", "--on", "ssh://root@127.0.0.1:1", "--yes"),
        ]
        check, *trains = [(command.finish(), command) for command in commands]
        assert check[0] == 1
        [finding] = [each for each in json.loads(check[1].lines[0])["findings"] if each["severity"] == "error"]
        assert finding["code"] == code
        for status, train in trains:
            assert status == 3
            assert f"[{code}]" in "\n".join(train.errors)
        assert cli.run("ls").lines == []
    assert not marker.exists()
    detonate(model)
    assert marker.exists(), "the file is what it should be: live"
