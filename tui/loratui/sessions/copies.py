"""Smaller copies of pictures for a run on another machine: just the pixels that are trained, without loss.

A copy is the picture as the trainer prepares it, in the size of its bucket. The trainer has nothing left to do, and
learns what it would have learned from the original. Where that can't be had, or saves little, the original travels.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from loratui.domain import formatting
from loratui.sessions.copy_cache import Copy, CopyCache, Kept, Wanted, num_workers
from loratui.settings import Settings
from loratui_protocol.buckets import Placement
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import scan_config
from loratui_protocol.schedule import Layout
from loratui_protocol.subsets import subsets_of

_LEAST_SAVED_BYTES = 100_000
_LEAST_SAVED = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """What travels instead of pictures and masks, by their paths, and what that comes to in bytes."""

    by_original: Mapping[Path, Copy] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    num_pictures: int = 0
    num_copied: int = 0
    """Pictures, masks not counted."""
    original_bytes: int = 0
    bytes: int = 0

    @property
    def sentence(self) -> str:
        """Return what travels: "48 pictures, 31 as smaller copies: 62 MB instead of 240 MB"."""
        instead = f"{formatting.size(self.bytes)} instead of {formatting.size(self.original_bytes)}"
        return f"{self.num_pictures} pictures, {self.num_copied} as smaller copies: {instead}"


NO_COPIES = Copies()


@dataclass(frozen=True, slots=True)
class _Use:
    """How a file is trained on; a file that is used in two ways can't be one copy."""

    width: int
    height: int
    placement: Placement
    mask: Path | None
    has_alpha_mask: bool

    def wanted(self, path: Path, kept: Kept) -> Wanted:
        """Return the copy of the picture, or of its mask, that would do."""
        return Wanted(path, self.width, self.height, self.placement, kept)


def copies_for(
    config: TrainingConfig, settings: Settings, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Copies:
    """Return the copies that are sent for a run with this config, none where the settings say so; as ``make_copies``.

    Raises:
        ConfigError, DatasetError: as in ``plan``.
    """
    return (
        make_copies(config, settings.state_dir / "cache" / "copies", progress) if settings.upload_copies else NO_COPIES
    )


def make_copies(
    config: TrainingConfig, folder: Path, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Copies:
    """Return copies for what a run with this config shows, made where they are not in ``folder`` yet.

    Takes a thread's time, the first time about 0.4 s a picture of 12 megapixels and core. ``progress`` is told how many
    of the pictures were looked at, of how many. Interrupted, it keeps the copies that are whole.

    Raises:
        ConfigError, DatasetError: as in ``plan``.
    """
    uses = _uses(config)
    candidates = list(_candidates(config, uses))
    cache = CopyCache(folder)
    made: dict[Path, Copy] = {}
    num_copied = 0
    pool = ThreadPoolExecutor(num_workers())
    try:
        # In order, and few at a time: what one of them holds is a whole picture.
        for done, found in enumerate(pool.map(lambda each: _copied(cache, *each), candidates), 1):
            made |= found
            num_copied += bool(found)
            progress(done, len(candidates))
    finally:
        pool.shutdown(cancel_futures=True)
    cache.prune()
    files = {*uses, *(use.mask for each in uses.values() for use in each if use.mask)}
    before = {path: _size(path) for path in files}
    return Copies(
        by_original=made,
        num_pictures=len(uses),
        num_copied=num_copied,
        original_bytes=sum(before.values()),
        bytes=sum(made[path].size if path in made else size for path, size in before.items()),
    )


def _uses(config: TrainingConfig) -> dict[Path, set[_Use]]:
    """Return in which ways each picture is trained on."""
    pictures, subsets = scan_config(config).pictures, subsets_of(config)
    uses: dict[Path, set[_Use]] = defaultdict(set)
    if config.evaluate_loras and not pictures:
        # Nothing is trained, and nothing need be known of what the files have learned from.
        return uses
    for picture, placement in zip(pictures, Layout(config, pictures).placements, strict=True):
        subset = subsets[picture.subset]
        has_alpha_mask = subset.is_masked and subset.config.alpha_mask and picture.mask is None
        uses[picture.path].add(_Use(picture.width, picture.height, placement, picture.mask, has_alpha_mask))
    return uses


def _candidates(config: TrainingConfig, uses: Mapping[Path, set[_Use]]) -> Iterator[tuple[Path, _Use]]:
    """Yield the pictures that are trained on in one way alone."""
    if config.min_resolution is not None:
        # In the middle of the run the originals may be needed at another size.
        return
    owners: dict[Path, int] = defaultdict(int)
    for each in uses.values():
        for mask in {use.mask for use in each if use.mask}:
            owners[mask] += 1
    for path, each in uses.items():
        if len(each) > 1 or path in owners:
            continue
        [use] = each
        if use.mask and (use.mask in uses or owners[use.mask] > 1):
            continue
        yield path, use


def _copied(cache: CopyCache, path: Path, use: _Use) -> dict[Path, Copy]:
    """Return the copies of a picture and of its mask: both, or none where they save too little."""
    original = _size(path)
    if original < _LEAST_SAVED_BYTES:
        return {}
    kept = Kept.OPAQUE_PICTURE if use.has_alpha_mask else Kept.PICTURE
    picture = cache.copy(use.wanted(path, kept))
    if picture is None or not _is_worth_it(original, picture.size):
        return {}
    if use.mask is None:
        return {path: picture}
    mask = cache.copy(use.wanted(use.mask, Kept.MASK))
    if mask is None or not _is_worth_it(original + _size(use.mask), picture.size + mask.size):
        return {}
    return {path: picture, use.mask: mask}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        # It is named when it is to be sent.
        return 0


def _is_worth_it(before: int, after: int) -> bool:
    return before - after >= max(_LEAST_SAVED_BYTES, _LEAST_SAVED * before)
