"""A base model in a single file is judged before anything starts or is sent."""

import json
from pathlib import Path

import pytest

from loratui.sessions.checking import check_base_model, check_config
from loratui_protocol.config_file import to_toml
from loratui_protocol.errors import ModelError
from loratui_protocol.findings import Finding
from support.checkpoint_headers import Shape, sd15, sdxl, write_header
from support.local_cli import local_cli
from support.pickles import detonate, live_pickles
from support.small_dataset import small_config, write_small_dataset


def findings(folder: Path, model: Path) -> list[Finding]:
    """Return what ``check`` says of the model."""
    config = small_config(write_small_dataset(folder / "pictures"), pretrained_model_name_or_path=str(model))
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


def test_a_file_that_is_not_here_is_a_warning_because_another_machine_may_have_it(tmp_path: Path):
    [finding] = findings(tmp_path, tmp_path / "x.safetensors")
    assert (finding.code, finding.severity) == ("model.missing", "warning")


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
