"""Write the LoRA file that A1111, ComfyUI, diffusers and sd-scripts load, and prove it by loading it again.

Keys are kohya's (``lora_unet_...``, ``lora_te_...``), three a module: ``lora_down.weight``, ``lora_up.weight`` and the
true ``alpha``. diffusers' own converter writes alpha := rank, so this is our own.
"""

import contextlib
import copy
import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from loratui_agent.files import write_atomically
from loratui_agent.train.lora import ADAPTER, lora_modules
from loratui_agent.train.models import Models
from loratui_agent.train.text import tokenize
from loratui_protocol.errors import JobError

DTYPES = {"float": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_CHECK_ADAPTER = "readback"
# Largest difference of outputs, relative to what the LoRA changes, that the rounding of the file explains.
_TOLERANCE = {"float": 1e-3, "fp16": 2e-2, "bf16": 1e-1}


@dataclass(frozen=True, slots=True)
class ReadBack:
    """How far the outputs with the loaded file are from those of the training model, relative to the LoRA's effect."""

    unet_difference: float
    text_encoder_difference: float


def kohya_state_dict(
    unet: UNet2DConditionModel | None, text_encoder: CLIPTextModel | None, dtype: torch.dtype
) -> dict[str, Tensor]:
    """Return the tensors of the file, in a fixed order, on the CPU. A part that is None is left out."""
    tensors: dict[str, Tensor] = {}
    for prefix, model in (("lora_te", text_encoder), ("lora_unet", unet)):
        for module in lora_modules(model) if model is not None else ():
            name = f"{prefix}_{_kohya_name(prefix, module.name)}"
            tensors[f"{name}.alpha"] = torch.tensor(module.alpha, dtype=dtype)
            tensors[f"{name}.lora_down.weight"] = module.down.detach().to("cpu", dtype).contiguous()
            tensors[f"{name}.lora_up.weight"] = module.up.detach().to("cpu", dtype).contiguous()
    return tensors


def _kohya_name(prefix: str, name: str) -> str:
    # Newer transformers dropped ``text_model.`` from module names; every loader still expects it in the file.
    if prefix == "lora_te" and not name.startswith("text_model."):
        name = f"text_model.{name}"
    return name.replace(".", "_")


def tensors_sha256(tensors: dict[str, Tensor]) -> str:
    """Return the sha256 over names, types, shapes and bytes: what ``modelspec.hash_sha256`` holds."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        digest.update(
            tensor.contiguous().view(torch.uint8).numpy().tobytes() if tensor.dim() else _scalar_bytes(tensor)
        )
    return digest.hexdigest()


def _scalar_bytes(tensor: Tensor) -> bytes:
    return tensor.reshape(1).view(torch.uint8).numpy().tobytes()


def write_lora(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write the file atomically; the same tensors and metadata give the same bytes."""
    ordered = {**metadata, "modelspec.hash_sha256": f"0x{tensors_sha256(tensors)}"}
    content = _canonical(save({name: tensors[name] for name in sorted(tensors)}, metadata=ordered))
    write_atomically(path, lambda temporary: _write_bytes(temporary, content))


def _canonical(content: bytes) -> bytes:
    """Return the file with its header in a fixed order: the safetensors library writes metadata in a random one."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    metadata = dict(sorted(header.pop("__metadata__").items()))
    text = json.dumps({"__metadata__": metadata, **header}, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensor data stays aligned
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


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
    # A copy: loading a second adapter makes transformers initialise the first one anew.
    text_encoder = copy.deepcopy(models.text_encoder)
    with _float32([model for model in (models.unet, text_encoder) if model is not None]):
        differences = _differences(path, models, text_encoder)
    if not all(difference <= _TOLERANCE[precision] for difference in differences):
        path.unlink(missing_ok=True)
        raise JobError(
            f"{path.name} does not do what was trained: outputs differ by {max(differences):.1%} of the LoRA's effect",
            fix="report this; the trained weights are safe in the checkpoint",
            code="export.mismatch",
        )
    return ReadBack(differences[0], differences[1] if len(differences) > 1 else 0.0)


def _differences(path: Path, models: Models, text_encoder: CLIPTextModel | None) -> list[float]:
    """Return how far the file is from the training model: for the UNet, and for the text encoder if there is one."""
    unet = models.unet
    parts = [model for model in (unet, text_encoder) if model is not None]
    trained = _outputs(unet, text_encoder, models.tokenizer)
    try:
        _select(parts, None)
        base = _outputs(unet, text_encoder, models.tokenizer)
        with _quiet_loading():
            _pipeline_of(models, text_encoder).load_lora_weights(path, adapter_name=_CHECK_ADAPTER)
        _select(parts, _CHECK_ADAPTER)
        loaded = _outputs(unet, text_encoder, models.tokenizer)
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


def _pipeline_of(models: Models, text_encoder: CLIPTextModel | None) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=models.vae,
        text_encoder=text_encoder,
        tokenizer=models.tokenizer,
        unet=models.unet,
        scheduler=models.noise_scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _has_adapter(model: nn.Module, name: str) -> bool:
    return name in getattr(model, "peft_config", {})


def _select(parts: Sequence[UNet2DConditionModel | CLIPTextModel], adapter: str | None) -> None:
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
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.utils.logging.set_verbosity(verbosity)


def _outputs(unet: UNet2DConditionModel, text_encoder: CLIPTextModel | None, tokenizer: CLIPTokenizer) -> list[Tensor]:
    """Return what UNet and text encoder give for a fixed input, in float32."""
    generator = torch.Generator().manual_seed(0)
    side, width = unet.config.sample_size, unet.config.cross_attention_dim
    latents = torch.randn(1, unet.config.in_channels, side, side, generator=generator).to(unet.device, unet.dtype)
    hidden = torch.randn(1, tokenizer.model_max_length, width, generator=generator).to(unet.device, unet.dtype)
    was_training = unet.training
    unet.eval()
    # The class's forward: the model's own one runs under accelerate's autocast.
    timestep = torch.tensor([500], device=unet.device)
    outputs = [type(unet).forward(unet, latents, timestep, hidden).sample.float()]
    unet.train(was_training)
    if text_encoder is not None:
        text_encoder.eval()
        ids = tokenize(tokenizer, ["a photo of a cat"]).to(text_encoder.device)
        outputs.append(type(text_encoder).forward(text_encoder, ids)[0].float())
    return outputs


def _relative(base: Tensor, trained: Tensor, loaded: Tensor) -> float:
    """Return |loaded - trained| / |trained - base|; a LoRA without effect must stay without effect."""
    effect = (trained - base).norm().item()
    difference = (loaded - trained).norm().item()
    # Below this the effect drowns in float32 rounding: compare with the output itself.
    floor = 1e-4 * base.norm().item()
    return float(difference / max(effect, floor))
