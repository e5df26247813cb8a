"""Real trainings of the tiny model that went wrong are told apart by what was measured of them.

``scripts/record_diagnoses.py`` trained them and wrote down what their journals said.
"""

import json
from pathlib import Path

import pytest

from loratui.domain.remedies import Evidence, remedies
from loratui_protocol.config_file import parse_config
from loratui_protocol.messages import Scores

RECORDED = json.loads(Path(__file__).with_name("recorded_diagnoses.json").read_text("utf-8"))
EXPECTED = {
    "no_rate": "no_effect",
    "undertrained": "undertrained",
    "wrong_trigger": "trigger.unheard",
    "shuffled": "captions",
    "overtrained": "overtrained",
    "good": None,
    # Four pictures a thousand times, and nothing that is measured got worse by that: then nothing is to be said.
    "second.overtrained": None,
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_training_is_told_by_what_was_measured_of_it(name: str) -> None:
    run = RECORDED[name]
    known = Evidence(
        config=parse_config(run["config"], Path("/demo")).config,
        scores=[Scores(**each) for each in run["scores"]],
        size=run["size"],
        captions=run["captions"],
        total=run["total"],
    )
    expected = EXPECTED[name if name in EXPECTED else name.partition(".")[2]]
    assert next((each.code for each in remedies(known)), None) == expected
