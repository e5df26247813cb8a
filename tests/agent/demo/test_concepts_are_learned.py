"""The second concept, fixed before the demo's settings were chosen, is learned with the demo's own config."""

import json
from pathlib import Path

import pytest

from loratui_agent.demo.job import write_demo
from loratui_protocol import messages
from loratui_protocol.config_file import read_config
from support.trainer_process import trainer, write_job

pytestmark = [pytest.mark.torch, pytest.mark.long, pytest.mark.timeout(600)]


def test_the_second_concept_is_learned_and_nothing_else_is_lost(tmp_path: Path):
    config = read_config(write_demo(tmp_path, "second")).config
    job = write_job(tmp_path / "job", config, evaluate_concept="second")
    with trainer(job, tmp_path) as process:
        process.process.wait(500)
        assert process.finish()["outcome"] == "done", process.log()
        (evaluation,) = process.of_type(messages.Evaluation)
    scores = evaluation.scores
    assert scores["concept_at_1"] >= 0.70, evaluation.verdict
    assert scores["concept_at_0"] <= 1 / 25, evaluation.verdict
    assert scores["concept_without_trigger"] <= 1 / 25, evaluation.verdict
    assert scores["skills_kept"] >= 0.80, evaluation.verdict
    written = json.loads((job / "artifacts" / "evaluation.json").read_text("utf-8"))
    assert written["learned"] is True
    assert written["verdict"] == evaluation.verdict
