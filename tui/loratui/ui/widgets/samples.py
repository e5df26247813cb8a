"""The sample pictures of a run: which belong together, where they are, and the newest as small ones."""

from collections.abc import Sequence
from pathlib import Path

from loratui.domain.run import RunView
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span
from loratui.ui.widgets.gallery import GalleryPane, Tile
from loratui_protocol.messages import Sample

WITHOUT = "without the LoRA"


def sample_steps(view: RunView) -> list[int]:
    """Return the steps that have samples of the LoRA, the first first."""
    return sorted({sample.step for sample in view.samples if sample.weight})


def latest_samples(view: RunView) -> list[Sample]:
    """Return the samples of the newest step."""
    steps = sample_steps(view)
    return samples_of(view, steps[-1]) if steps else []


def samples_of(view: RunView, step: int) -> list[Sample]:
    """Return the LoRA's samples of one step; of two with the same index (the run went back) the newer."""
    found = {sample.index: sample for sample in view.samples if sample.step == step and sample.weight}
    return [found[index] for index in sorted(found)]


def beside_the_base(view: RunView, samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return each sample behind the one without the LoRA; the samples alone where one of those is missing."""
    base = {sample.index: sample for sample in view.samples if not sample.weight}
    if any(sample.index not in base for sample in samples):
        return [[sample] for sample in samples]
    return [[base[sample.index], sample] for sample in samples]


def compared(view: RunView, steps: Sequence[int]) -> list[list[Sample]]:
    """Return what several steps have in common, the samples of one prompt together, behind the one without the LoRA."""
    by_index = [{sample.index: sample for sample in samples_of(view, step)} for step in steps]
    shared = [index for index in sorted(by_index[0]) if all(index in samples for samples in by_index)]
    base = {sample.index: sample for sample in view.samples if not sample.weight}
    has_base = all(index in base for index in shared)
    return [[*([base[index]] if has_base else []), *(samples[index] for samples in by_index)] for index in shared]


def picture_path(view: RunView, sample: Sample, *, small: bool) -> tuple[Path, str] | None:
    """Return where a picture is and the sum of its file, the small one first or last; None: neither is here."""
    ids = (sample.thumbnail_id, sample.artifact_id) if small else (sample.artifact_id, sample.thumbnail_id)
    for artifact_id in ids:
        if (path := view.downloaded.get(artifact_id)) is not None:
            artifact = view.artifacts.get(artifact_id)
            return path, "" if artifact is None else artifact.sha256
    return None


def tiles(view: RunView, groups: Sequence[Sequence[Sample]]) -> list[list[Tile]]:
    """Return the samples as small pictures, with their steps where there are several."""
    has_steps = len({sample.step for group in groups for sample in group if sample.weight}) > 1
    return [[tile(view, sample, has_steps=has_steps) for sample in group] for group in groups]


def tile(view: RunView, sample: Sample, *, small: bool = True, has_steps: bool = False) -> Tile:
    """Return a sample as a picture with its prompt."""
    path, version = picture_path(view, sample, small=small) or (None, "")
    return Tile(_caption(sample, has_steps=has_steps), path, version)


class SamplePane(GalleryPane):
    """The newest samples as small pictures."""

    def title(self, frame: Frame) -> list[Span]:
        """Return which step they are from."""
        samples = latest_samples(frame.view)
        step = f"  step {samples[0].step}" if samples else ""
        return [("samples", Role.TITLE), (step, Role.DIM)]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the pictures; on a slow line a hint how to see them."""
        samples = latest_samples(frame.view)
        if not samples:
            return [[(" none yet", Role.DIM)]]
        if frame.options.slow:
            return [[(f" {len(samples)} pictures: press ", Role.DIM), (frame.keys.name_of("pictures"), Role.KEY)]]
        return self.gallery_rows(frame, tiles(frame.view, [[sample] for sample in samples]), width, height)


def _caption(sample: Sample, *, has_steps: bool) -> str:
    if not sample.weight:
        return f"{WITHOUT}: {sample.prompt}"
    return f"{sample.step}: {sample.prompt}" if has_steps else sample.prompt
