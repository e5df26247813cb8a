"""Train the embedded base model ``builtin:tiny`` from nothing: about an hour on one CPU core.

    python scripts/make_tiny_model.py --out build/tiny            # vae, text encoder and UNet, then the score
    python scripts/make_tiny_model.py --out build/tiny --stage unet

Every stage stops on a step count, runs on one thread and draws all randomness from fixed seeds, so the same torch
build on the same kind of processor gives the same bytes. Nothing is downloaded.
"""

import argparse
import dataclasses
import itertools
import json
import logging
import math
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image, ImageDraw
from tokenizers import pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from loratui_agent.demo import scenes, score
from loratui_agent.train import sampling

logger = logging.getLogger("make_tiny_model")

# Stable Diffusion 1.x noise schedule.
BETAS = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
NUM_SCENES, NUM_TEXTURES = 10_000, 3_000
VAE_STEPS, VAE_BATCH = 2_000, 16
TEXT_STEPS, TEXT_BATCH = 300, 64
UNET_STEPS, UNET_BATCH = 6_000, 32

Pixels = npt.NDArray[np.uint8]


def pictures() -> tuple[Pixels, Pixels, list[scenes.Spec]]:
    """Return scenes (N, 64, 64, 3), textures (M, 64, 64, 3) and the specs of the scenes."""
    rng = random.Random(0)
    specs = [scenes.random_spec(rng) for _ in range(NUM_SCENES)]
    drawn = np.stack([np.asarray(scenes.draw(rng, spec)) for spec in specs])
    textures = np.stack([np.asarray(texture(rng)) for _ in range(NUM_TEXTURES)])
    return drawn, textures, specs


def texture(rng: random.Random) -> Image.Image:
    """Return clutter for the VAE alone, so that it can also carry what the UNet has never been shown."""
    side = scenes.SIDE_PX * scenes.OVERSAMPLING

    def colour() -> scenes.Rgb:
        return rng.randrange(256), rng.randrange(256), rng.randrange(256)

    def paint() -> Image.Image:
        if rng.random() < 0.5:
            width = rng.uniform(4, 20) * scenes.OVERSAMPLING
            return scenes.stripes(rng, colour(), colour(), width, rng.uniform(0, math.pi), side)
        return Image.new("RGB", (side, side), colour())

    picture = paint()
    for _ in range(rng.randint(1, 4)):
        radius, cx, cy = (rng.uniform(a, b) * scenes.OVERSAMPLING for a, b in ((6, 26), (8, 56), (8, 56)))
        mask = Image.new("L", (side, side), 0)
        points = scenes.outline(rng.choice(scenes.SHAPES), radius, rng.uniform(0, 2 * math.pi))
        ImageDraw.Draw(mask).polygon([(cx + x, cy + y) for x, y in points], fill=255)
        picture.paste(paint(), (0, 0), mask)
    return picture.reduce(scenes.OVERSAMPLING)


def to_tensor(pixels: Pixels) -> torch.Tensor:
    """Turn (N, H, W, 3) bytes into (N, 3, H, W) floats in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1


def cosine(step: int, total: int, warmup: int = 50) -> float:
    """Return the learning-rate factor: linear warm-up, then a cosine down to 2 %."""
    return min(1.0, (step + 1) / warmup) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / total)))


def progress(name: str, steps: int, every: int = 100) -> Iterator[tuple[int, list[float]]]:
    """Yield (step, list to append losses to), logging their mean now and then."""
    losses: list[float] = []
    started = time.monotonic()
    for step in range(steps):
        yield step, losses
        if (step + 1) % every == 0:
            mean = sum(losses[-every:]) / max(1, len(losses[-every:]))
            logger.info("%s step=%d loss=%.4f elapsed_s=%.0f", name, step + 1, mean, time.monotonic() - started)


def train_vae(out: Path) -> None:
    """Train the picture compressor: 4 latent channels, a quarter of the side."""
    torch.manual_seed(0)
    drawn, textures, _ = pictures()
    pool = np.concatenate([drawn[:6000], textures])
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=2,
        sample_size=scenes.SIDE_PX,
    )
    optimizer = torch.optim.AdamW(vae.parameters(), 2e-3, weight_decay=1e-4)
    rng = np.random.default_rng(0)
    for step, losses in progress("vae", VAE_STEPS):
        # Crops of a quarter of the area first, whole pictures for the last fifth: 3x cheaper, as good.
        whole = step >= 0.8 * VAE_STEPS
        x = to_tensor(pool[rng.integers(0, len(pool), VAE_BATCH if whole else 2 * VAE_BATCH)])
        if not whole:
            top, left = rng.integers(0, 9, 2) * 4
            x = x[:, :, top : top + 32, left : left + 32]
        posterior = vae.encode(x).latent_dist
        l1 = (vae.decode(posterior.sample()).sample - x).abs().mean()
        kl = 0.5 * (posterior.mean**2 + posterior.logvar.exp() - 1 - posterior.logvar).mean()
        _update(optimizer, l1 + 2e-4 * kl, list(vae.parameters()), 2e-3 * cosine(step, VAE_STEPS))
        losses.append(l1.item())
    vae.eval()
    with torch.no_grad():
        latents = vae.encode(to_tensor(drawn[-512:])).latent_dist.sample()
        test = to_tensor(np.concatenate([drawn[-64:], textures[-64:]]))
        error = (vae.decode(vae.encode(test).latent_dist.mean).sample - test).abs().mean()
    vae.register_to_config(scaling_factor=round(1 / latents.std().item(), 5))
    logger.info("vae test_l1=%.4f scaling_factor=%s", error, vae.config.scaling_factor)
    vae.save_pretrained(out / "vae")


def _update(
    optimizer: torch.optim.Optimizer, loss: torch.Tensor, parameters: list[torch.nn.Parameter], lr: float
) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_factor", 1.0)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()


def write_tokenizer(folder: Path) -> None:
    """Write a byte-level BPE tokenizer: every byte with and without ``</w>``, merges for the caption words."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    extra = ("a", "an", "the", "of", "on", "with", "and", "photo", "drawing", "background", "shape", "thing", "striped")
    extra += ("small", "big", ",", ".")
    words = sorted({*extra, *scenes.COLOURS, *scenes.SHAPES})
    pieces = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges: list[tuple[str, str]] = []
    while any(len(word) > 1 for word in pieces):
        pairs = Counter(pair for word in pieces for pair in itertools.pairwise(word))
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word in pieces:
            _merge(word, best)
    start, end = "<|startoftext|>", "<|endoftext|>"
    tokens = [*alphabet, *(c + "</w>" for c in alphabet), *("".join(m) for m in merges), start, end]
    special = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": end}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, "errors": "replace"}
    folder.mkdir(parents=True, exist_ok=True)
    vocab = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), "utf-8")
    lines = "\n".join(" ".join(merge) for merge in merges)
    (folder / "merges.txt").write_text(f"#version: 0.2\n{lines}\n", "utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special), "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, **special, "add_prefix_space": False}), "utf-8")


def _merge(word: list[str], pair: tuple[str, str]) -> None:
    index = 0
    while index < len(word) - 1:
        if (word[index], word[index + 1]) == pair:
            word[index : index + 2] = ["".join(pair)]
        index += 1


def tokenize(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> torch.Tensor:
    """Return token ids, shape (N, 77)."""
    ids = tokenizer(list(captions), padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    assert isinstance(ids, torch.Tensor)
    return ids


def train_text(text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer, specs: Sequence[scenes.Spec]) -> None:
    """Warm-start the text encoder: it predicts which attributes the caption names."""
    names = [list(scenes.SHAPES), list(scenes.COLOURS), list(scenes.COLOURS), list(scenes.COLOURS), ["small", "big"]]
    widths = [len(n) + 1 for n in names]
    head = torch.nn.Linear(text_encoder.config.hidden_size, sum(widths))
    parameters = [*text_encoder.parameters(), *head.parameters()]
    optimizer, rng = torch.optim.AdamW(parameters, 2e-3), random.Random(1)
    for step, losses in progress("text", TEXT_STEPS):
        chosen = [rng.choice(specs) for _ in range(TEXT_BATCH)]
        captions = [scenes.caption(rng, spec) for spec in chosen]
        ids = tokenize(tokenizer, captions)
        ends = (ids == tokenizer.eos_token_id).int().argmax(1)
        # The UNet reads every position, padding included: any of them must know the caption.
        at = torch.tensor([rng.randint(int(end), 76) for end in ends])
        guesses = head(text_encoder(ids)[0][torch.arange(TEXT_BATCH), at]).split(widths, 1)
        truth = torch.tensor([_attributes(names, c, s) for c, s in zip(captions, chosen, strict=True)])
        loss = torch.stack([F.cross_entropy(guess, truth[:, k]) for k, guess in enumerate(guesses)]).sum()
        _update(optimizer, loss, parameters, 2e-3 * cosine(step, TEXT_STEPS, 20))
        losses.append(loss.item())


def _attributes(names: list[list[str]], caption: str, spec: scenes.Spec) -> list[int]:
    """Return class indices, 0 where the caption leaves the attribute unsaid."""
    words = caption.replace(",", "").split()
    ground = spec.ground if "background" in words else None
    before = words[: words.index("background") - 1] if ground else words
    said = [spec.shape, spec.colour, spec.second_colour, None, spec.size]
    values = [value if value in before else None for value in said]
    values[3] = ground
    return [n.index(v) + 1 if v in n else 0 for n, v in zip(names, values, strict=True)]


def train_unet(out: Path) -> None:
    """Train UNet and text encoder together, and save the whole pipeline in fp16."""
    torch.manual_seed(0)
    drawn, _, specs = pictures()
    vae = AutoencoderKL.from_pretrained(out / "vae").eval()
    with torch.no_grad():
        posteriors = [vae.encode(to_tensor(drawn[i : i + 64])).latent_dist for i in range(0, NUM_SCENES, 64)]
    mean, std = torch.cat([p.mean for p in posteriors]), torch.cat([p.std for p in posteriors])
    write_tokenizer(out / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(out / "tokenizer")
    text_encoder, unet = _new_text_encoder(tokenizer), _new_unet()
    train_text(text_encoder, tokenizer, specs)
    # BPE dropout: byte pieces get trained too, so that a made-up trigger word is made of known parts.
    tokenizer.backend_tokenizer.model.dropout = 0.03
    sizes = {m.__class__.__name__: sum(p.numel() for p in m.parameters()) for m in (unet, text_encoder, vae)}
    logger.info("parameters %s", sizes)

    noise_scheduler = DDPMScheduler(**BETAS)
    snr = noise_scheduler.alphas_cumprod / (1 - noise_scheduler.alphas_cumprod)
    min_snr_weight = snr.clamp(max=5) / snr
    parameters = [*unet.parameters(), *text_encoder.parameters()]
    groups = [{"params": list(unet.parameters())}, {"params": list(text_encoder.parameters()), "lr_factor": 0.25}]
    optimizer = torch.optim.AdamW(groups, 2e-3, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)
    average = [p.detach().clone() for p in parameters]
    rng, generator = random.Random(2), torch.Generator().manual_seed(2)
    for step, losses in progress("unet", UNET_STEPS):
        chosen = [rng.randrange(NUM_SCENES) for _ in range(UNET_BATCH)]
        captions = ["" if rng.random() < 0.1 else scenes.caption(rng, specs[i]) for i in chosen]
        latents = mean[chosen] + std[chosen] * torch.randn(mean[chosen].shape, generator=generator)
        latents = latents * vae.config.scaling_factor
        noise = torch.randn(latents.shape, generator=generator)
        # Half of the timesteps uniform, half tilted to high noise, where layout and colour are decided.
        u = torch.rand(3, UNET_BATCH, generator=generator)
        timesteps = (1000 * torch.where(u[2] < 0.5, u[0], torch.maximum(u[0], u[1]))).long().clamp(max=999)
        noisy = noise_scheduler.add_noise(latents, noise, timesteps)
        predicted = unet(noisy, timesteps, text_encoder(tokenize(tokenizer, captions))[0]).sample
        error = ((predicted - noise) ** 2).mean((1, 2, 3))
        _update(optimizer, (error * min_snr_weight[timesteps]).mean(), parameters, 2e-3 * cosine(step, UNET_STEPS))
        decay = min(0.998, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(average, parameters, 1 - decay)
        losses.append(error.mean().item())
        if (step + 1) % 1000 == 0:
            _save(out, vae, tokenizer, average)


def _new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            projection_dim=64,
            max_position_embeddings=77,
            hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _new_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(32, 64, 64, 64),
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        cross_attention_dim=64,
        attention_head_dim=2,
        norm_num_groups=4,
    )


def _save(
    out: Path,
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    average: list[torch.Tensor],
) -> None:
    """Save the averaged weights as an fp16 pipeline; the training weights stay as they are."""
    averaged_unet, averaged_text = _new_unet(), _new_text_encoder(tokenizer)
    with torch.no_grad():
        targets = [*averaged_unet.parameters(), *averaged_text.parameters()]
        for target, value in zip(targets, average, strict=True):
            target.copy_(value)
    dropout = tokenizer.backend_tokenizer.model.dropout
    tokenizer.backend_tokenizer.model.dropout = None
    scheduler = DDIMScheduler(
        **BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type="epsilon"
    )
    saved_vae = AutoencoderKL.from_config(vae.config)
    saved_vae.load_state_dict(vae.state_dict())
    pipeline = StableDiffusionPipeline(
        vae=saved_vae,
        text_encoder=averaged_text,
        tokenizer=tokenizer,
        unet=averaged_unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(dtype=torch.float16).save_pretrained(out, safe_serialization=True)
    # vocab.json and merges.txt beside tokenizer.json: older loaders want them.
    write_tokenizer(out / "tokenizer")
    tokenizer.backend_tokenizer.model.dropout = dropout
    logger.info("saved %s", out)


def main() -> None:
    """Run the stages asked for, then score the 64 held-out prompts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stage", choices=["all", "vae", "unet", "score"], default="all")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    if arguments.stage in ("all", "vae"):
        train_vae(arguments.out)
    if arguments.stage in ("all", "unet"):
        train_unet(arguments.out)
    prompts = [scenes.plain_caption(combination) for combination in scenes.HELD_OUT_COMBINATIONS]
    side = (scenes.SIDE_PX, scenes.SIDE_PX)
    pictures = sampling.generate(sampling.load_pipeline(arguments.out), prompts, range(1000, 1064), size_px=side)
    result = dataclasses.asdict(score.base_skills(pictures, scenes.HELD_OUT_COMBINATIONS))
    logger.info("held out: %s", result)
    (arguments.out / "score.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    sheet = Image.new("RGB", (8 * scenes.SIDE_PX, 8 * scenes.SIDE_PX))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % 8 * scenes.SIDE_PX, index // 8 * scenes.SIDE_PX))
    sheet.save(arguments.out / "held_out.png")


if __name__ == "__main__":
    main()
