"""Models that predict v, or whose last timestep is all noise: known by their files, trained as what they are."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from loratui_agent.model_path import resolve_model
from loratui_agent.train import saving
from loratui_agent.train.models import load_models
from loratui_agent.train.sampling import new_pipeline
from loratui_protocol.errors import ModelError
from loratui_protocol.messages import ArtifactKind
from loratui_protocol.safetensors_header import read_header
from support.single_file import write_single_file
from support.tiny_run import new_run, take_steps
from support.v_model import v_folder

pytestmark = pytest.mark.torch
TINY = resolve_model("builtin:tiny")


def v_file(folder: Path, *keys: str) -> Path:
    path = write_single_file(folder / "v.safetensors", TINY)
    save_file({**load_file(path), **{key: torch.zeros(()) for key in keys}}, path)
    return path


def test_a_folder_says_it_in_its_scheduler(tmp_path: Path):
    models = load_models(str(v_folder(tmp_path / "v", rescale_betas_zero_snr=True)), torch.float32)
    assert models.noise_scheduler.config.prediction_type == "v_prediction"
    assert models.noise_scheduler.alphas_cumprod[-1] < 1e-6


def test_a_single_file_says_it_by_keys_of_its_own(tmp_path: Path):
    plain = load_models(str(v_file(tmp_path, "v_pred")), torch.float32, configs=TINY).noise_scheduler
    assert (plain.config.prediction_type, plain.config.rescale_betas_zero_snr) == ("v_prediction", False)
    zero = load_models(str(v_file(tmp_path, "v_pred", "ztsnr")), torch.float32, configs=TINY).noise_scheduler
    assert (zero.config.prediction_type, zero.config.rescale_betas_zero_snr) == ("v_prediction", True)


def test_it_trains_on_v_and_not_on_the_noise(tmp_path: Path):
    noise = new_run(tmp_path)
    v = new_run(tmp_path, pretrained_model_name_or_path=str(v_folder(tmp_path / "v", rescale_betas_zero_snr=True)))
    assert (noise.objective.is_v, v.objective.is_v) == (False, True)
    losses = [take_steps(run, 1)[0][0] for run in (noise, v)]
    assert losses[1] > 2 * losses[0], "the built-in model finds noise, not v"


def test_its_file_says_so_to_whoever_loads_it(tmp_path: Path):
    run = new_run(tmp_path, pretrained_model_name_or_path=str(v_folder(tmp_path / "v")))
    take_steps(run, 1)
    run.job.artifacts.mkdir()
    saved = saving.save_lora(run, "tiny.safetensors", ArtifactKind.LORA)
    header = read_header(run.job.artifacts / saved.id)
    assert header.metadata["modelspec.prediction_type"] == "v"


def test_its_samples_begin_with_the_timestep_that_is_all_noise(tmp_path: Path):
    for zero_snr, first in ((True, 999), (False, 961)):
        folder = v_folder(tmp_path / str(zero_snr), rescale_betas_zero_snr=zero_snr)
        sampler = new_pipeline(load_models(str(folder), torch.float32)).scheduler
        sampler.set_timesteps(25)
        assert int(sampler.timesteps[0]) == first
        assert sampler.config.prediction_type == "v_prediction"


def test_a_config_that_contradicts_the_files_is_refused(tmp_path: Path):
    with pytest.raises(ModelError) as caught:
        new_run(tmp_path, v_parameterization=True)
    assert caught.value.code == "model.prediction"
    folder = v_folder(tmp_path / "v")
    with pytest.raises(ModelError, match="v_parameterization is false"):
        new_run(tmp_path, pretrained_model_name_or_path=str(folder), v_parameterization=False)
    zero = v_folder(tmp_path / "zero", rescale_betas_zero_snr=True)
    with pytest.raises(ModelError, match="zero_terminal_snr is false"):
        new_run(tmp_path, pretrained_model_name_or_path=str(zero), zero_terminal_snr=False)
    assert new_run(tmp_path, pretrained_model_name_or_path=str(folder), v_parameterization=True).objective.is_v
