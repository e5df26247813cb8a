"""What is known of training each kind of base model, in figures: how large it is, and what it needs. Pure.

And of the models that judge what comes of it.

Where each comes from stands in docs/estimates.md.
"""

from dataclasses import dataclass

from loratui_protocol import architecture
from loratui_protocol.architecture import Architecture
from loratui_protocol.inputs import ModelSource
from loratui_protocol.lora_size import SD1_NETWORK, SDXL_NETWORK, TINY_NETWORK, Network
from loratui_protocol.single_file import Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The least that a training holds on a GPU, in GB of 10^9 bytes, 16 bit weights; what it learns comes on top."""

    base_gb: float
    """The UNet, and what torch and CUDA keep."""
    text_gb: float
    """The text encoders, where they stay: they learn, or captions vary."""
    picture_gb: float
    """Of a picture of ``unit_px``: what the backward pass needs again."""
    checkpointed_gb: float
    """The same with gradient checkpointing."""
    weights_gb: float = 0.0
    """What 32 bits instead of 16 add to ``base_gb``; 0: pictures double alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseKind:
    """A kind of base model. Models of one kind train alike."""

    name: str
    network: Network
    unit_px: int
    """A unit of work is one picture of so many pixels, once forward and once backward."""
    model_bytes: int
    large_model_bytes: int
    """What is downloaded, and what of a large one is, where nobody knows."""
    memory: Memory


SD1 = BaseKind(
    name=architecture.SD1.name,
    network=SD1_NETWORK,
    unit_px=512 * 512,
    model_bytes=4_270_000_000,
    large_model_bytes=7_700_000_000,
    memory=Memory(base_gb=7, text_gb=0, picture_gb=1, checkpointed_gb=0.5),
)
SDXL = BaseKind(
    name=architecture.SDXL.name,
    network=SDXL_NETWORK,
    unit_px=1024 * 1024,
    model_bytes=6_940_000_000,
    large_model_bytes=13_880_000_000,
    memory=Memory(base_gb=6.4, text_gb=1.6, picture_gb=7.5, checkpointed_gb=1.2, weights_gb=5.1),
)
TINY = BaseKind(
    name="the tiny model",
    network=TINY_NETWORK,
    unit_px=512 * 512,
    model_bytes=0,
    large_model_bytes=0,
    memory=Memory(base_gb=1, text_gb=0, picture_gb=1, checkpointed_gb=0.5),
)
FEATURE_BYTES, LARGE_FEATURE_BYTES = 600_000_000, 1_700_000_000
"""Of a model to measure with, in 32 bits, where nobody knows: 151 million weights, and 428 million."""
LARGEST = SDXL
"""What one of unknown kind is reckoned as: too much rather than too little."""
LARGEST_MODEL_BYTES = LARGEST.large_model_bytes
_KINDS = {architecture.SD1: SD1, architecture.SDXL: SDXL}


def kind_of(known: Architecture) -> BaseKind:
    """Return what is known of an architecture."""
    return _KINDS[known]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFeatures:
    """A model that a machine downloads to measure drawn pictures with."""

    source: ModelSource
    num_bytes: int | None
    """None: nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBase:
    """What is known of a run's base model before a machine has it."""

    num_bytes: int | None
    """What the machine downloads; 0: nothing, None: nobody knows how much."""
    kind: BaseKind | None
    """None: nobody knows."""
    prediction: Prediction | None = None
    """What its scheduler or its file says that it predicts; None: nobody knows."""
    features: tuple[KnownFeatures, ...] = ()
    """What pictures are measured with, as far as the machine downloads it too."""


NOTHING_KNOWN = KnownBase(num_bytes=None, kind=None)
