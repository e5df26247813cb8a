"""Pictures to latents, once: the VAE's posterior is cached as mean and std and sampled anew at every step."""

# B batch, C latent channels, H W latent height and width

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from loratui_protocol.buckets import Bucket, Placement, as_it_is
from loratui_protocol.dataset import Picture
from loratui_protocol.picture_pixels import mask_pixels, picture_pixels
from loratui_protocol.subsets import TrainedSubset


@dataclass(frozen=True, slots=True)
class Posterior:
    """What the VAE says of one picture, shape (C, H, W) each, unscaled."""

    mean: Tensor
    std: Tensor


@dataclass(slots=True)
class LatentCache:
    """Posteriors of all pictures, plain and mirrored, in the machine's memory: the device's is for training."""

    plain: list[Posterior]
    mirrored: dict[int, Posterior]
    """By the index of the picture; those that are never mirrored are not there."""
    masks: list[Tensor] = field(default_factory=list)
    """What counts of each picture, shape (1, H, W), 0 to 1; empty when all of all does."""

    @property
    def num_bytes(self) -> int:
        """Return what the cache holds: of a picture without a mask 8 bytes a latent value, twice where mirrored."""
        posteriors = [*self.plain, *self.mirrored.values()]
        tensors = [*self.masks, *(part for each in posteriors for part in (each.mean, each.std))]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def sample(self, indices: Sequence[int], mirrored: Sequence[bool], noise_BCHW: Tensor) -> Tensor:
        """Return unscaled latents, shape (B, C, H, W), drawn with the given standard normal noise."""
        chosen = [(self.mirrored if flip else self.plain)[i] for i, flip in zip(indices, mirrored, strict=True)]
        mean = torch.stack([posterior.mean for posterior in chosen])
        std = torch.stack([posterior.std for posterior in chosen])
        return mean + std * noise_BCHW

    def mask(self, indices: Sequence[int], mirrored: Sequence[bool], device: torch.device) -> Tensor | None:
        """Return on the device what counts of these pictures, shape (B, 1, H, W); None: all of it."""
        if not self.masks:
            return None
        chosen = [self.masks[i] for i in indices]
        masks = [mask.flip(-1) if flip else mask for mask, flip in zip(chosen, mirrored, strict=True)]
        return torch.stack(masks).to(device)


def load_mask(picture: Picture, placement: Placement, *, alpha: bool) -> Tensor:
    """Return what counts of the picture, shape (1, H, W) in pixels of its bucket, 0 to 1."""
    if picture.mask is None and not alpha:
        return torch.ones(1, placement.bucket.height, placement.bucket.width)
    shown = mask_pixels(picture.mask or picture.path, _way_of_file(picture, placement), alpha=picture.mask is None)
    return torch.from_numpy(np.asarray(shown, np.float32)).unsqueeze(0) / 255


def load_picture(picture: Picture, placement: Placement) -> Tensor:
    """Return the picture turned upright, resized to cover its bucket and cropped: (3, H, W) in [-1, 1]."""
    pixels = np.asarray(picture_pixels(picture.path, _way_of_file(picture, placement)), np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1


def _way_of_file(picture: Picture, placement: Placement) -> Placement:
    """Return how the files of a picture and its mask get into the bucket: copies have gone that way already."""
    return placement if picture.original is None else as_it_is(placement.bucket)


@torch.no_grad()
def cache_latents(
    vae: AutoencoderKL,
    pictures: Sequence[Picture],
    placements: Sequence[Placement],
    subsets: Sequence[TrainedSubset],
    *,
    on_progress: Callable[[int], None],
) -> LatentCache:
    """Encode every picture on the VAE's device, with its mirror image and its mask where its subset asks for them."""
    cache = LatentCache([], {})
    rooms = _Rooms(placements, [subsets[picture.subset].config.flip_aug for picture in pictures])
    masked = any(subset.is_masked for subset in subsets)
    for index, (picture, placement) in enumerate(zip(pictures, placements, strict=True)):
        # One at a time: in a batch the last bits would depend on a picture's neighbours.
        pixels = load_picture(picture, placement).unsqueeze(0).to(vae.device, vae.dtype)
        cache.plain.append(_encode(vae, pixels, rooms, placement.bucket))
        subset = subsets[picture.subset]
        if subset.config.flip_aug:
            cache.mirrored[index] = _encode(vae, pixels.flip(-1), rooms, placement.bucket)
        if masked:
            side = cache.plain[-1].mean.shape[1:]
            mask = load_mask(picture, placement, alpha=subset.is_masked and subset.config.alpha_mask)
            # Averaged over what a latent pixel stands for, as in sd-scripts.
            cache.masks.append(F.interpolate(mask[None], size=side, mode="area")[0])
        on_progress(index + 1)
    return cache


class _Rooms:
    """Where posteriors of each bucket go, taken in one piece.

    One by one between all that the VAE takes and gives back, they would keep it from being given back: the memory of
    the process grew three times as fast as the cache.
    """

    def __init__(self, placements: Sequence[Placement], mirrored: Sequence[bool]) -> None:
        self._num = Counter[Bucket]()
        for placement, twice in zip(placements, mirrored, strict=True):
            self._num[placement.bucket] += 1 + twice
        self._left: dict[Bucket, Iterator[Tensor]] = {}

    def store(self, bucket: Bucket, mean_CHW: Tensor, std_CHW: Tensor) -> Posterior:
        """Return the posterior where it stays."""
        if bucket not in self._left:
            self._left[bucket] = iter(torch.empty(self._num[bucket], 2, *mean_CHW.shape, dtype=torch.float32))
        room = next(self._left[bucket])
        room[0].copy_(mean_CHW)
        room[1].copy_(std_CHW)
        return Posterior(room[0], room[1])


def _encode(vae: AutoencoderKL, pixels: Tensor, rooms: _Rooms, bucket: Bucket) -> Posterior:
    posterior = vae.encode(pixels).latent_dist
    return rooms.store(bucket, posterior.mean[0], posterior.std[0])
