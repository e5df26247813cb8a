"""Only what the masks show is learned."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from loratui_agent.train.latents import load_mask
from loratui_agent.train.objective import new_objective
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import fingerprint, scan_config
from loratui_protocol.errors import ConfigError, DatasetError
from support.tiny_run import new_run, take_steps
from support.tiny_training import tiny_config, write_pictures

pytestmark = pytest.mark.torch


def masks_for(pictures: Path, folder: Path, grey: int | None = None) -> Path:
    """Write a mask for each picture: its left half, or one shade all over."""
    for path in pictures.rglob("*.png"):
        target = folder / path.relative_to(pictures)
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as opened:
            mask = Image.new("L", opened.size, grey or 0)
        if grey is None:
            mask.paste(255, (0, 0, mask.width // 2, mask.height))
        mask.save(target)
    return folder


def losses(tmp_path: Path, **changes: object) -> list[float]:
    run = new_run(tmp_path, **changes)
    return [loss for loss, _ in take_steps(run, 1)]


def test_a_white_mask_learns_everything_and_a_black_one_nothing(tmp_path: Path):
    pictures = write_pictures(tmp_path / "pictures")
    plain = losses(tmp_path)
    white, half, black = (
        losses(tmp_path, masked_loss=True, conditioning_data_dir=str(masks_for(pictures, tmp_path / str(grey), grey)))
        for grey in (255, 128, 0)
    )
    assert (white, black) == (plain, [0.0])
    assert half[0] == pytest.approx(plain[0] * 128 / 255)


def test_an_error_counts_only_where_the_mask_is(tmp_path: Path):
    from diffusers import DDPMScheduler

    config = TrainingConfig(pretrained_model_name_or_path="x", train_data_dir="y")
    objective = new_objective(config, DDPMScheduler())
    target_BCHW, mask_B1HW = torch.zeros(1, 4, 8, 8), torch.zeros(1, 1, 8, 8)
    mask_B1HW[..., :4] = 1
    wrong_BCHW = target_BCHW.clone()
    wrong_BCHW[..., 4:] = 5
    timesteps_B = torch.tensor([10])
    assert objective.losses(wrong_BCHW, target_BCHW, timesteps_B, mask_B1HW).item() == 0
    assert objective.losses(wrong_BCHW.flip(-1), target_BCHW, timesteps_B, mask_B1HW).item() == 12.5


def test_a_mask_goes_the_way_of_its_picture_mirrored_or_not(tmp_path: Path):
    pictures = write_pictures(tmp_path / "pictures")
    folder = masks_for(pictures, tmp_path / "masks")
    run = new_run(tmp_path, masked_loss=True, conditioning_data_dir=str(folder), flip_aug=True)
    take_steps(run, 1)
    plain, mirrored = (
        run.latents.mask([0], [False], torch.device("cpu")),
        run.latents.mask([0], [True], torch.device("cpu")),
    )
    assert plain is not None
    assert mirrored is not None
    assert plain.shape == (1, 1, *run.latents.plain[0].mean.shape[1:])
    assert plain[..., 0].mean() == 1
    assert plain[..., -1].mean() == 0
    assert torch.equal(mirrored, plain.flip(-1))


def test_transparency_can_be_the_mask(tmp_path: Path):
    pictures = write_pictures(tmp_path / "pictures")
    for path in pictures.rglob("*.png"):
        with Image.open(path) as opened:
            picture = opened.convert("RGBA")
        picture.paste((0, 0, 0, 0), (0, 0, picture.width // 2, picture.height))
        picture.save(path)
    run = new_run(tmp_path, alpha_mask=True)
    mask = load_mask(run.dataset.pictures[0], run.plan.placements[0], alpha=True)
    assert mask[..., 0].mean() == 0
    assert mask[..., -1].mean() == 1


def test_a_picture_without_a_mask_is_named(tmp_path: Path):
    pictures = write_pictures(tmp_path / "pictures")
    folder = masks_for(pictures, tmp_path / "masks")
    (folder / "1_zorbix" / "2.png").unlink()
    config = tiny_config(pictures, masked_loss=True, conditioning_data_dir=str(folder))
    with pytest.raises(DatasetError, match=r"1 of 4 pictures have no mask .*1_zorbix/2\.png") as caught:
        scan_config(config)
    assert caught.value.code == "dataset.no_mask"


def test_masks_may_lie_in_one_folder_and_are_part_of_what_a_state_belongs_to(tmp_path: Path):
    pictures = write_pictures(tmp_path / "pictures")
    deep, flat = masks_for(pictures, tmp_path / "deep"), tmp_path / "flat"
    flat.mkdir()
    for mask in deep.rglob("*.png"):
        (flat / mask.name).write_bytes(mask.read_bytes())
    plain, nested, loose, changed = (
        fingerprint(scan_config(tiny_config(pictures, masked_loss=bool(folder), conditioning_data_dir=folder)))
        for folder in (None, str(deep), str(flat), str(masks_for(pictures, tmp_path / "white", 255)))
    )
    assert plain != nested == loose != changed


def test_masks_that_are_named_nowhere_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="masked_loss"):
        tiny_config(tmp_path, masked_loss=True)
    with pytest.raises(ConfigError, match="alpha_mask"):
        tiny_config(tmp_path, alpha_mask=True, conditioning_data_dir="x")
