"""Load the base model's parts, frozen and in the right type, and say which kind of model it is."""

from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251  the error alone: torch raises it for what it refuses to run

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors import SafetensorError
from transformers import CLIPTokenizer

from loratui_agent.model_path import resolve_model
from loratui_agent.train import single_file
from loratui_agent.train.conditioning import TextEncoder
from loratui_agent.train.kinds import Kind, TextPart, kind_of
from loratui_agent.train.objective import V_PREDICTION
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import ModelError
from loratui_protocol.safetensors_header import read_header
from loratui_protocol.single_file import Prediction, check_folder, check_single_file, prediction_of


@dataclass(slots=True)
class Models:
    """The parts of a pipeline. A part is None, or not in its dict, once its phase has freed it."""

    kind: Kind
    path: Path
    """A diffusers folder, or a single file."""
    configs: Path
    """The diffusers folder that says how the parts are made: that same one, or one beside a single file."""
    tokenizers: dict[str, CLIPTokenizer]
    text_encoders: dict[str, TextEncoder]
    """Both by what pipelines call them, in the pipeline's order."""
    vae: AutoencoderKL | None
    unet: UNet2DConditionModel
    noise_scheduler: DDPMScheduler
    vae_scaling_factor: float


def load_models(name_or_path: str, dtype: torch.dtype, *, configs: Path | None = None) -> Models:
    """Load a diffusers folder or a single file without any network access; VAE in float32, since in fp16 some overflow.

    ``configs`` is the folder that says how the parts of a single file are made; None: as all of its kind are.

    Raises:
        ModelError: the model is missing, incomplete, or of a kind that can't be trained.
    """
    text_width = None if configs is None else single_file.text_width(configs)
    path = resolve_model(name_or_path, text_width=text_width)
    try:
        if path.is_file():
            kind = kind_of(check_single_file(path, text_width=text_width))
            models = _load_file(kind, path, configs or kind.configs, dtype)
        else:
            kind = kind_of(check_folder(path))
            models = _load_folder(kind, path, dtype)
    except (OSError, ValueError, SafetensorError, UnpicklingError) as error:
        raise ModelError(
            f"{path} can't be loaded: {error}", fix="download the base model again", code="model.incomplete"
        ) from error
    assert models.vae is not None
    for module in (*models.text_encoders.values(), models.vae, models.unet):
        module.requires_grad_(requires_grad=False)
    return models


def native_area_px(models: Models) -> int:
    """Return how many pixels the pictures have that the model was made for."""
    assert models.vae is not None
    side: int = models.unet.config.sample_size * 2 ** (len(models.vae.config.block_out_channels) - 1)
    return side * side


def agree_on_prediction(models: Models, config: TrainingConfig) -> None:
    """Take what the config says of the model's prediction; what it leaves open is as the model's files say.

    Raises:
        ModelError: the config contradicts what the files say.
    """
    said = models.noise_scheduler.config
    is_v = said.prediction_type == V_PREDICTION
    if config.v_parameterization not in (None, is_v):
        raise ModelError(
            f"v_parameterization is {str(config.v_parameterization).lower()}, but {models.path} predicts "
            f"{'v' if is_v else 'epsilon'} as its files say: trained so, the LoRA would be noise",
            fix="leave v_parameterization out",
            code="model.prediction",
        )
    if config.zero_terminal_snr is False and said.rescale_betas_zero_snr:
        raise ModelError(
            f"zero_terminal_snr is false, but the last timestep of {models.path} is all noise, as its files say",
            fix="leave zero_terminal_snr out",
            code="model.prediction",
        )
    if config.zero_terminal_snr and not said.rescale_betas_zero_snr:
        # Not every file says it, so whoever knows better may.
        models.noise_scheduler = DDPMScheduler.from_config(said, rescale_betas_zero_snr=True)


def _load_file(kind: Kind, file: Path, configs: Path, dtype: torch.dtype) -> Models:
    vae = single_file.load_vae(file, configs)
    return Models(
        kind=kind,
        path=file,
        configs=configs,
        tokenizers={part.tokenizer: single_file.load_tokenizer(configs / part.tokenizer) for part in kind.text_parts},
        text_encoders={
            part.name: single_file.load_text_encoder(part, file, configs, dtype) for part in kind.text_parts
        },
        vae=vae,
        unet=single_file.load_unet(file, configs, dtype),
        noise_scheduler=_scheduler(configs, prediction_of(read_header(file), str(file))),
        vae_scaling_factor=vae.config.scaling_factor,
    )


def _scheduler(configs: Path, prediction: Prediction) -> DDPMScheduler:
    scheduler: DDPMScheduler = DDPMScheduler.from_pretrained(
        configs / "scheduler",
        local_files_only=True,
        prediction_type=V_PREDICTION if prediction.is_v else "epsilon",
        rescale_betas_zero_snr=prediction.is_zero_snr,
    )
    return scheduler


def _load_folder(kind: Kind, folder: Path, dtype: torch.dtype) -> Models:
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32, local_files_only=True)
    return Models(
        kind=kind,
        path=folder,
        configs=folder,
        tokenizers={
            part.tokenizer: CLIPTokenizer.from_pretrained(folder / part.tokenizer, local_files_only=True)
            for part in kind.text_parts
        },
        text_encoders={part.name: _load_text_encoder(part, folder, dtype) for part in kind.text_parts},
        vae=vae,
        unet=UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype, local_files_only=True),
        noise_scheduler=DDPMScheduler.from_pretrained(folder / "scheduler", local_files_only=True),
        vae_scaling_factor=vae.config.scaling_factor,
    )


def _load_text_encoder(part: TextPart, folder: Path, dtype: torch.dtype) -> TextEncoder:
    text_encoder, loading = part.model.from_pretrained(
        folder / part.name, dtype=dtype, local_files_only=True, output_loading_info=True
    )
    if loading["missing_keys"] or loading["mismatched_keys"]:
        # transformers only logs this and goes on with random weights.
        raise ModelError(
            f"the {part.name.replace('_', ' ')} in {folder} lacks weights: {sorted(loading['missing_keys'])[:3]}",
            fix="download the base model again",
            code="model.incomplete",
        )
    loaded: TextEncoder = text_encoder
    return loaded
