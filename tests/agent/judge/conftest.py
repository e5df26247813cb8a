from collections.abc import Iterator

import pytest
import torch

from loratui_agent.train import loop, saving
from loratui_agent.train.run import Run
from loratui_protocol.messages import ArtifactKind
from support.judged_run import SETTINGS
from support.tiny_run import new_run, take_steps


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Give a run that has written two files."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    run = new_run(tmp_path_factory.mktemp("run"), **SETTINGS)
    run.job.artifacts.mkdir(exist_ok=True)
    take_steps(run, 1)
    saving.save_lora(run, "tiny-000001.safetensors", ArtifactKind.CHECKPOINT_LORA)
    loop.take_step(run)
    saving.save_lora(run, "tiny-000002.safetensors", ArtifactKind.CHECKPOINT_LORA)
    yield run
    torch.set_num_threads(before)
