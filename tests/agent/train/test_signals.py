"""What a run says of itself: how large its LoRA is, how often it showed each picture, and at which rates it learned."""

import re
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch

from loratui_agent.train import loop, lora, saving, signals
from loratui_agent.train.controls import Controls
from loratui_agent.train.finish import finish
from loratui_agent.train.run import Run
from loratui_protocol import messages
from loratui_protocol.schedule import Schedule
from support.tiny_run import HeardReporter, new_run, take_steps, warnings_of
from support.tiny_training import write_pictures

E = TypeVar("E", messages.DeltaNorms, messages.Metrics, messages.Warn)
pytestmark = [pytest.mark.torch, pytest.mark.timeout(200), pytest.mark.usefixtures("one_thread")]


def heard(run: Run, kind: type[E]) -> list[E]:
    assert isinstance(run.reporter, HeardReporter)
    return [event for event in run.reporter.heard if isinstance(event, kind)]


def trained_to_its_end(folder: Path, **changes: Any) -> Run:
    for name in ("ckpt", "artifacts"):
        (folder / name).mkdir()
    run = new_run(folder, **changes)
    take_steps(run, 0)
    loop.train_steps(run, Controls(run.reporter))
    finish(run, Controls(run.reporter))
    return run


@torch.no_grad()
def measured_in_full(run: Run) -> dict[str, float]:
    """Return the norms out of whole matrices, by block and by model."""
    squares: dict[str, list[float]] = {}
    for part, model in run.trained.items():
        for module in lora.lora_modules(model):
            delta = module.up.flatten(1) @ module.down.flatten(1) * module.alpha / module.down.shape[0]
            first, second = module.name.split(".")[:2]
            block = f"{first}.{second}" if first in ("down_blocks", "up_blocks") else "mid_block"
            block = block if part == "unet" else part
            for each in {part, block}:
                sums = squares.setdefault(each, [0.0, 0.0])
                sums[0] += float(delta.double().square().sum())
                sums[1] += float(module.base.double().square().sum())
    return {block: (delta / base) ** 0.5 for block, (delta, base) in squares.items()}


def test_norms_are_those_of_the_whole_matrices_block_by_block(tmp_path: Path):
    run = new_run(tmp_path, network_args={"conv_dim": 2.0, "conv_alpha": 1.0}, network_alpha=1.0)
    take_steps(run, 2)
    run.delta_norms.measure(run.trained, 2)
    assert run.delta_norms.relative == pytest.approx(measured_in_full(run), rel=1e-4)
    blocks = [f"down_blocks.{n}" for n in range(4)] + ["mid_block"] + [f"up_blocks.{n}" for n in range(4)]
    assert list(run.delta_norms.relative) == ["unet", *blocks, "text_encoder"]
    assert all(norm > 0 for norm in run.delta_norms.relative.values())


def test_before_the_first_step_nothing_is_changed(tmp_path: Path):
    run = new_run(tmp_path)
    run.delta_norms.measure(run.trained, 0)
    assert set(run.delta_norms.relative.values()) == {0.0}


def test_a_run_measures_its_norms_on_its_way_and_with_every_file_and_tells_its_metrics_at_the_end(tmp_path: Path):
    write_pictures(tmp_path / "pictures", 5)
    run = trained_to_its_end(
        tmp_path, max_train_steps=20, save_every_n_steps=7, network_alpha=2.0, network_args={"conv_dim": 2.0}
    )
    norms = heard(run, messages.DeltaNorms)
    assert [event.step for event in norms] == [2, 4, 6, 7, 8, 10, 12, 14, 16, 18, 20]
    assert norms[-1].relative["unet"] > norms[0].relative["unet"] > 0
    metrics = heard(run, messages.Metrics)[-1]
    assert metrics.step == 20
    assert metrics.exposures_per_picture == pytest.approx(run.plan.exposures_per_picture, abs=0.2)
    assert metrics.effective_lr == pytest.approx({"unet": 5e-4, "conv": 1e-3, "text_encoder": 5e-4})
    assert metrics.img_s is not None
    assert metrics.img_s > 0
    assert metrics.tflop_s is not None
    assert metrics.tflop_s > 0
    assert metrics.data_wait is not None
    assert 0 < metrics.data_wait < 1
    assert "lora.no_effect" not in warnings_of(run)


def test_a_lora_without_effect_is_warned_of_with_its_evidence(tmp_path: Path):
    run = trained_to_its_end(tmp_path, max_train_steps=2, learning_rate=1e-9, text_encoder_lr=1e-2)
    assert warnings_of(run).count("lora.no_effect") == 1
    [warning] = [each.message for each in heard(run, messages.Warn) if each.code == "lora.no_effect"]
    assert re.search(r"on the unet: after 2 steps its delta is \de-07 % of the weights", warning)
    assert "learning rate x alpha / rank was 1e-09" in warning


def test_metrics_are_told_every_few_seconds_and_not_with_each_step(tmp_path: Path):
    run = new_run(tmp_path)
    take_steps(run, 0)
    with run.pace.step(2):
        loop.take_step(run)
    for _ in range(2):
        signals.tell_metrics(run, {"unet": 1e-3})
    assert heard(run, messages.Metrics) == []
    run.metrics_at_s -= 5
    for _ in range(2):
        signals.tell_metrics(run, {"unet": 1e-3})
    assert len(heard(run, messages.Metrics)) == 1


def test_a_file_that_is_asked_for_has_its_norms_told(tmp_path: Path):
    for name in ("ckpt", "artifacts"):
        (tmp_path / name).mkdir()
    run = new_run(tmp_path)
    take_steps(run, 1)
    controls = Controls(run.reporter)
    controls.wants_checkpoint = True
    saving.meet_requests(run, controls)
    assert [event.step for event in heard(run, messages.DeltaNorms)] == [1]


def test_prodigy_tells_the_rate_that_it_found(tmp_path: Path):
    run = new_run(tmp_path, optimizer_type="Prodigy", learning_rate=1.0)
    take_steps(run, 2)
    found = run.optimizer.param_groups[0]["d"]
    assert signals.learning_rates(run)["unet"] == pytest.approx(found)
    assert found < 1


def test_pictures_are_counted_as_they_were_shown(tmp_path: Path):
    write_pictures(tmp_path / "pictures", 5)
    run = new_run(tmp_path, reg_data_dir=str(write_pictures(tmp_path / "reg", 3)), gradient_accumulation_steps=2)
    schedule = Schedule(run.config, run.dataset.pictures, 7)
    shown = 0
    for step in range(1, 13):
        for micro in range(schedule.num_micro(step)):
            batch = schedule.batch(step, micro)
            shown += sum(not run.dataset.pictures[each.picture_index].is_reg for each in batch)
        assert Schedule(run.config, run.dataset.pictures, 7).num_shown(step) == shown
