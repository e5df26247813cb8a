"""Write the LoRA file that A1111, ComfyUI, diffusers and sd-scripts load, and prove it by loading it again.

Keys are kohya's (``lora_unet_...``, ``lora_te_...``; see ``kinds``), three a module: ``lora_down.weight``,
``lora_up.weight`` and the true ``alpha``. diffusers' own converter writes alpha := rank, so this is our own. For the
file in diffusers' own words see ``diffusers_format``.
"""

import contextlib
import copy
import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import UNet2DConditionModel
from safetensors.torch import save
from torch import Tensor, nn

from loratui_agent.files import write_atomically
from loratui_agent.train.conditioning import Conditioning, TextEncoder
from loratui_agent.train.kinds import Kind
from loratui_agent.train.lora import ADAPTER, lora_modules
from loratui_agent.train.models import Models
from loratui_agent.train.sampling import new_pipeline
from loratui_agent.train.text import tokenize
from loratui_protocol.errors import JobError

DTYPES = {"float": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_CHECK_ADAPTER = "readback"
_NUM_TOKENS = 77
_MOST_LATENTS = 64
"""A side: enough to see a difference, and quick on a CPU too."""
_LEGACY = slice(0x100000, 0x110000)
"""What A1111's older hash is of, with 8 characters."""
_NUM_SIZES = 6
"""In SDXL's ``time_ids``."""
# Largest difference of outputs, relative to what the LoRA changes, that the rounding of the file explains.
_TOLERANCE = {"float": 1e-3, "fp16": 2e-2, "bf16": 1e-1}


@dataclass(frozen=True, slots=True)
class ReadBack:
    """How far the outputs with the loaded file are from those of the training model, relative to the LoRA's effect."""

    unet_difference: float
    text_encoder_difference: float


def kohya_state_dict(kind: Kind, trained: Mapping[str, nn.Module], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the tensors of the file, on the CPU; ``trained`` are the models with LoRA modules by pipelines' names."""
    tensors: dict[str, Tensor] = {}
    for part, model in trained.items():
        for module in lora_modules(model):
            name = kind.lora_name(part, module.name)
            tensors[f"{name}.alpha"] = torch.tensor(module.alpha, dtype=dtype)
            tensors[f"{name}.lora_down.weight"] = module.down.detach().to("cpu", dtype).contiguous()
            tensors[f"{name}.lora_up.weight"] = module.up.detach().to("cpu", dtype).contiguous()
    return tensors


def write_lora(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write the file atomically; the same tensors and metadata give the same bytes."""
    # The hashes are of a file that says of itself what sd-scripts says: titles and tags may be edited.
    of_training = {name: value for name, value in metadata.items() if name.startswith("ss_")}
    content = save({name: tensors[name] for name in sorted(tensors)}, metadata=of_training)
    of_tensors = hashlib.sha256(content[_data_start(content) :]).hexdigest()
    hashes = {
        "modelspec.hash_sha256": f"0x{of_tensors}",
        "sshs_model_hash": of_tensors,
        "sshs_legacy_hash": hashlib.sha256(content[_LEGACY]).hexdigest()[:8],
    }
    content = _with_metadata(content, {**metadata, **hashes})
    write_atomically(path, lambda temporary: _write_bytes(temporary, content))


def _data_start(content: bytes) -> int:
    """Return where the tensors' bytes begin: behind the header and its length."""
    return 8 + int.from_bytes(content[:8], "little")


def _with_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """Return the file with this metadata, in a fixed order: the safetensors library writes it in a random one."""
    start = _data_start(content)
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    header = {"__metadata__": dict(sorted(metadata.items())), **header}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensor data stays aligned
    return len(text).to_bytes(8, "little") + text + content[start:]


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@torch.no_grad()
def read_back(path: Path, models: Models, *, precision: str) -> ReadBack:
    """Load ``path`` through diffusers beside the training adapter and compare the outputs of both.

    Raises:
        JobError: diffusers can't load it (code ``export.unreadable``), or it does something else than what was
            trained (``export.mismatch``). The file is removed: a wrong file is worse than none, and the checkpoint
            holds the weights.
    """
    differences = _differences_here(path, models)
    if differences is None:
        with _on_cpu([models.unet, *models.text_encoders.values()]):
            differences = _differences(path, models)
    if not all(difference <= _TOLERANCE[precision] for difference in differences):
        path.unlink(missing_ok=True)
        raise JobError(
            f"{path.name} does not do what was trained: outputs differ by {max(differences):.1%} of the LoRA's effect",
            fix="report this; the trained weights are safe in the checkpoint",
            code="export.mismatch",
        )
    return ReadBack(differences[0], max(differences[1:], default=0.0))


def _differences_here(path: Path, models: Models) -> list[float] | None:
    """Return the differences; None where the GPU has no room: it holds SDXL in 16 bits, and need not in 32."""
    try:
        return _differences(path, models)
    except torch.OutOfMemoryError:
        return None


def _differences(path: Path, models: Models) -> list[float]:
    """Return how far the file is from the training model: for the UNet, then for each text encoder that is there."""
    # Copies: loading a second adapter makes transformers initialise the first one anew.
    copies = {name: copy.deepcopy(text_encoder) for name, text_encoder in models.text_encoders.items()}
    with _float32([models.unet, *copies.values()]):
        return _differences_in_float32(path, replace(models, text_encoders=copies))


def _differences_in_float32(path: Path, models: Models) -> list[float]:
    parts = [models.unet, *models.text_encoders.values()]
    unet = models.unet
    trained = _outputs(models)
    try:
        _select(parts, None)
        base = _outputs(models)
        with _quiet_loading():
            new_pipeline(models).load_lora_weights(path, adapter_name=_CHECK_ADAPTER)
        _select(parts, _CHECK_ADAPTER)
        loaded = _outputs(models)
    except torch.OutOfMemoryError:
        raise  # says nothing about the file
    except (ValueError, KeyError, RuntimeError) as error:
        path.unlink(missing_ok=True)
        raise JobError(
            f"{path.name} was written but diffusers does not load it: {error}",
            fix="report this; the trained weights are safe in the checkpoint",
            code="export.unreadable",
        ) from error
    finally:
        _select([unet], ADAPTER)
        if _has_adapter(unet, _CHECK_ADAPTER):
            unet.delete_adapters(_CHECK_ADAPTER)
    return [_relative(b, t, x) for b, t, x in zip(base, trained, loaded, strict=True)]


@contextlib.contextmanager
def _on_cpu(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Hold the models in the machine's memory; what stays on the GPU is the optimizer's."""
    devices = [next(part.parameters()).device for part in parts]
    try:
        for part in parts:
            part.to("cpu")
        yield
    finally:
        for part, device in zip(parts, devices, strict=True):
            part.to(device)


@contextlib.contextmanager
def _float32(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Hold the models in float32, without TF32: in fewer bits a young LoRA's effect is smaller than the rounding.

    Widening the frozen weights and narrowing them again loses nothing; what learns is float32 anyway.
    """
    narrow = [(p, p.dtype) for part in parts for p in part.parameters() if p.dtype != torch.float32]
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    allowed = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        for parameter, _ in narrow:
            parameter.data = parameter.data.float()
        yield
    finally:
        for parameter, dtype in narrow:
            parameter.data = parameter.data.to(dtype)
        matmul.allow_tf32, cudnn.allow_tf32 = allowed


def _has_adapter(model: nn.Module, name: str) -> bool:
    return name in getattr(model, "peft_config", {})


def _select(parts: Sequence[UNet2DConditionModel | TextEncoder], adapter: str | None) -> None:
    """Make ``adapter`` the only active one on the parts that have it, and none on the others."""
    for model in parts:
        if not getattr(model, "peft_config", {}):
            continue
        if adapter is not None and _has_adapter(model, adapter):
            model.enable_adapters()
            model.set_adapter(adapter)
        else:
            model.disable_adapters()


@contextlib.contextmanager
def _quiet_loading() -> Iterator[None]:
    """Silence the reports about the second adapter: the comparison that follows is the judge."""
    libraries = [transformers.utils.logging, diffusers.utils.logging]
    verbosities = [library.get_verbosity() for library in libraries]
    for library in libraries:
        library.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for library, verbosity in zip(libraries, verbosities, strict=True):
            library.set_verbosity(verbosity)


def _outputs(models: Models) -> list[Tensor]:
    """Return what the UNet and each text encoder give for a fixed input, in float32."""
    unet = models.unet
    was_training = unet.training
    unet.eval()
    latents, text = _unet_input(unet)
    side = 8 * unet.config.sample_size
    added = text.added_cond_kwargs([(side, side, 0, 0, side, side)])
    timestep = torch.tensor([500], device=unet.device)
    # The class's forward: the model's own one runs under accelerate's autocast.
    output = type(unet).forward(unet, latents, timestep, text.hidden_BLD, added_cond_kwargs=added)
    outputs = [output.sample.float()]
    unet.train(was_training)
    for text_encoder, tokenizer in zip(models.text_encoders.values(), models.tokenizers.values(), strict=False):
        text_encoder.eval()
        ids = tokenize(tokenizer, ["a photo of a cat"]).to(text_encoder.device)
        # Of a text encoder with projection this is the pooled text, which every layer has a part in too.
        outputs.append(type(text_encoder).forward(text_encoder, ids)[0].float())
    return outputs


def _unet_input(unet: UNet2DConditionModel) -> tuple[Tensor, Conditioning]:
    config = unet.config
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(1, *shape, generator=generator).to(unet.device, unet.dtype)

    side = min(config.sample_size, _MOST_LATENTS)
    latents = noise(config.in_channels, side, side)
    hidden = noise(_NUM_TOKENS, config.cross_attention_dim)
    if config.addition_embed_type is None:
        return latents, Conditioning(hidden)
    pooled = noise(config.projection_class_embeddings_input_dim - _NUM_SIZES * config.addition_time_embed_dim)
    return latents, Conditioning(hidden, pooled)


def _relative(base: Tensor, trained: Tensor, loaded: Tensor) -> float:
    """Return |loaded - trained| / |trained - base|; a LoRA without effect must stay without effect."""
    effect = (trained - base).norm().item()
    difference = (loaded - trained).norm().item()
    # Below this the effect drowns in float32 rounding: compare with the output itself.
    floor = 1e-4 * base.norm().item()
    return float(difference / max(effect, floor))
