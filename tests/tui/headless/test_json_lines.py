"""JSON lines: valid whatever was measured, under the names that programs rely on."""

import json
import math
from pathlib import Path

from loratui.headless.json_lines import record_line
from loratui_protocol.messages import (
    Artifact,
    ArtifactKind,
    Cost,
    DeltaNorms,
    Done,
    Event,
    JobState,
    Record,
    State,
    Step,
)


def parsed(event: Event, path: Path | None = None) -> dict[str, object]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    line = record_line(Record(seq=4, ts=1.5, event=event), path)
    assert "\n" not in line
    fields: dict[str, object] = json.loads(line, parse_constant=refuse)
    return fields


def test_every_line_names_its_event_time_and_number():
    assert parsed(State(state=JobState.RUNNING)) == {
        "event": "state", "state": "running", "reason": "", "detail": "", "ts": 1.5, "seq": 4,
    }  # fmt: skip


def test_a_step_has_the_documented_fields_and_a_loss_that_is_no_number_is_null():
    step = parsed(Step(step=3, total=9, epoch=1, loss=math.nan, lr=1e-4, it_s=math.inf, eta_s=0.5))
    assert step["loss"] is None
    assert step["it_s"] is None
    assert {"step", "total", "loss", "lr", "it_s", "vram_gib", "eta_s"} <= step.keys()


def test_numbers_within_an_event_are_null_too_where_json_has_none():
    norms = parsed(DeltaNorms(step=3, relative={"unet": math.nan, "mid_block": 0.5}))
    assert norms["event"] == "delta_norms"
    assert norms["relative"] == {"unet": None, "mid_block": 0.5}


def test_money_is_in_dollars():
    cost = parsed(Cost(spent_microusd=1_230_000, price_microusd_per_h=690_000, deadline_s=None))
    assert (cost["usd"], cost["usd_per_h"], cost["deadline_s"]) == (1.23, 0.69, None)


def test_an_artifact_says_where_its_file_is_and_the_end_where_the_lora_is():
    artifact = Artifact(id="a", kind=ArtifactKind.LORA, name="cat.safetensors", size=5, sha256="ab")
    assert parsed(artifact, Path("x/cat.safetensors"))["path"] == str(Path("x/cat.safetensors"))
    done = Done(artifact_id="a", name="cat", size=5, sha256="ab", steps=9)
    assert parsed(done, Path("cat.safetensors"))["lora"] == "cat.safetensors"
