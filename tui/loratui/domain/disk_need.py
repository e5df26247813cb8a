"""How much disk a run needs on a rented machine, from what goes there and what appears there. Pure."""

from dataclasses import dataclass

from loratui.domain import formatting
from loratui.domain.environment_choice import CLEAN_CUDA_BYTES
from loratui.domain.estimate import LARGE_IMAGE_BYTES
from loratui.domain.estimate_work import Work
from loratui.domain.offers import MIN_DISK_GB

_BYTES_PER_GB = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskNeed:
    """What a run takes of a machine's disk, in bytes."""

    run_bytes: int
    """Checkpoints, and all files that are handed over."""
    upload_bytes: int
    model_bytes: int
    """What the machine downloads."""
    is_model_known: bool = True
    feature_bytes: int = 0
    """What it downloads to measure pictures with."""
    are_features_known: bool = True
    environment_bytes: int = CLEAN_CUDA_BYTES
    """Which one it will be shows on the machine."""
    image_bytes: int = LARGE_IMAGE_BYTES
    """Nobody says whether an image counts in the disk that was rented, so there is room for it."""

    @property
    def gb(self) -> int:
        """Return what is rented: whole gigabytes, at least ``MIN_DISK_GB``."""
        models = self.model_bytes + self.feature_bytes
        parts = (self.run_bytes, self.upload_bytes, models, self.environment_bytes, self.image_bytes)
        return max(MIN_DISK_GB, -(-sum(parts) // _BYTES_PER_GB))

    @property
    def sentence(self) -> str:
        """Return what it is made of."""
        model = "base model" if self.is_model_known else "base model (assumed)"
        features = "models to judge with" if self.are_features_known else "models to judge with (assumed)"
        parts = {
            "image (assumed)": self.image_bytes,
            "environment (assumed)": self.environment_bytes,
            model: self.model_bytes,
            features: self.feature_bytes,
            "what is sent": self.upload_bytes,
            "checkpoints and files": self.run_bytes,
        }
        listed = ", ".join(f"{name} {formatting.size(size)}" for name, size in parts.items() if size)
        return f"{listed}; at least {MIN_DISK_GB} GB are rented"


def disk_need(work: Work, run_bytes: int) -> DiskNeed:
    """Return what a run takes; ``run_bytes`` is what its own folder will hold.

    A model of unknown size counts as the largest of its kind, as in the estimate that goes badly.
    """
    return DiskNeed(
        run_bytes=run_bytes,
        upload_bytes=work.upload_bytes,
        model_bytes=work.model_bytes[1],
        is_model_known=work.base_model_bytes is not None,
        feature_bytes=work.feature_bytes[1],
        are_features_known=work.are_features_known,
    )
