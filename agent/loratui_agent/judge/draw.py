"""Draws the pictures of a grid: the base model is loaded once, all files lie beside it and are fused in by turns."""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from loratui_agent.judge.fused import FusedWeights
from loratui_agent.train.kinds import Pipeline, kind_of_pipeline
from loratui_agent.train.memory import is_out_of_vram
from loratui_agent.train.sampling import generate, load_pipeline
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import ModelError
from loratui_protocol.judging.drawable import check_drawable
from loratui_protocol.judging.grid import Cell, Grid
from loratui_protocol.judging.prompts import Role

NUM_INFERENCE_STEPS = 20
BATCH_SIZE = 8
_TOGETHER = "together"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The base model that is drawn with. ``configs`` is the diffusers folder that belongs to a single file."""

    path: Path
    configs: Path | None
    device: torch.device
    dtype: torch.dtype


class Drawer:
    """A pipeline with several LoRA files at hand, none of them at work."""

    def __init__(self, base: Base, grid: Grid, files: Sequence[Path], config: TrainingConfig) -> None:
        """``files`` are those of the grid, in its order.

        Raises:
            ModelError: the base model or a file can't be loaded.
        """
        named = {_name(index): path for index, path in enumerate(files)}
        if config.evaluate_together:
            named[_TOGETHER] = Path(config.evaluate_together)
        for path in named.values():
            check_drawable(path)
        self._pipeline: Pipeline = load_pipeline(base.path, base.dtype, configs=base.configs).to(base.device)
        kind = kind_of_pipeline(self._pipeline)
        if kind.is_large:
            self._pipeline.vae.enable_slicing()
        self._grid = grid
        self._config = config
        self._batch_size = BATCH_SIZE
        self._load(named)
        parts = ["unet", *(part.name for part in kind.text_parts)]
        self._weights = FusedWeights({part: getattr(self._pipeline, part) for part in parts})
        self._pipeline.disable_lora()
        self._at_work: tuple[tuple[str, ...], float] = (), 0.0

    def draw(self, cells: Sequence[Cell], on_step: Callable[[], None] = lambda: None) -> list[Image.Image]:
        """Return a picture for each cell; all of one file and weight. ``on_step`` as in ``generate``."""
        pictures: dict[Cell, Image.Image] = {}
        for is_together in (False, True):
            group = [cell for cell in cells if (self._role(cell) is Role.TOGETHER) is is_together]
            if group:
                self._put_to_work(group[0], is_together=is_together)
                pictures |= zip(group, self._generate(group, on_step), strict=True)
        return [pictures[cell] for cell in cells]

    def _role(self, cell: Cell) -> Role:
        return self._grid.prompts[cell.prompt].role

    def _load(self, named: Mapping[str, Path]) -> None:
        held: dict[str, Tensor] = {}
        for name, path in named.items():
            try:
                with _nothing_said():
                    self._pipeline.load_lora_weights(path, adapter_name=name)
            except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
                # torch tells of every layer in lines of its own.
                raise _unfit(path, ": ".join(map(str.strip, str(error).splitlines()[:2]))) from error
            if not any(name in names for names in self._pipeline.get_list_adapters().values()):
                raise _unfit(path, "nothing in it is for a layer of this model")
            held |= {key: each.detach().clone() for key, each in self._of_text_encoders() if f".{name}." in key}
        # transformers draws the weights of the adapters that are there anew whenever it loads another one.
        with torch.no_grad():
            for key, parameter in self._of_text_encoders():
                if key in held:
                    parameter.copy_(held[key])

    def _of_text_encoders(self) -> Iterator[tuple[str, Tensor]]:
        for part in kind_of_pipeline(self._pipeline).text_parts:
            for name, parameter in getattr(self._pipeline, part.name).named_parameters():
                yield f"{part.name}.{name}", parameter

    def _put_to_work(self, cell: Cell, *, is_together: bool) -> None:
        names = (_name(cell.file), *((_TOGETHER,) if is_together else ())) if cell.weight else ()
        if self._at_work == (names, cell.weight):
            return
        if names:
            self._pipeline.set_adapters(list(names), adapter_weights=[cell.weight] * len(names))
        self._weights.fuse(names)
        self._at_work = names, cell.weight

    def _generate(self, cells: Sequence[Cell], on_step: Callable[[], None]) -> list[Image.Image]:
        """Draw; once the GPU has no room, with the base model's weights kept elsewhere, then with smaller batches."""
        prompts = [self._grid.prompts[cell.prompt] for cell in cells]
        while True:
            try:
                return generate(
                    self._pipeline,
                    [prompt.text for prompt in prompts],
                    [cell.seed for cell in cells],
                    negatives=[prompt.negative for prompt in prompts],
                    size_px=self._config.resolution,
                    num_inference_steps=NUM_INFERENCE_STEPS,
                    clip_skip=self._config.clip_skip,
                    max_token_length=self._config.max_token_length,
                    batch_size=self._batch_size,
                    on_step=on_step,
                )
            except RuntimeError as error:
                if not is_out_of_vram(error):
                    raise
                if self._weights.make_room():
                    continue
                if self._batch_size == 1:
                    raise
                self._batch_size //= 2
                torch.cuda.empty_cache()


@contextlib.contextmanager
def _nothing_said() -> Iterator[None]:
    """Keep to themselves what PEFT and transformers warn of when several adapters are put on one model.

    transformers calls the weights of every adapter missing that another file does not have, and newly initialized.
    """
    logger = logging.getLogger("transformers")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Already found a `peft_config`|`lora_bias=True` was passed")
            yield
    finally:
        logger.setLevel(before)


def _name(index: int) -> str:
    return f"file{index}"


def _unfit(path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path.name} can't be used with this base model: {why}",
        fix=f"see what it is: loratui check {path.name}",
        code="judge.file",
    )
