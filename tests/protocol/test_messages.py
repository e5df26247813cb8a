from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol import messages
from loratui_protocol.messages import Cost, Done, JobState, json_fields
from support.protocol_strategies import EVENT_TYPES, of_type


@given(st.one_of(*map(of_type, EVENT_TYPES)))
def test_an_event_prints_under_its_own_tag_with_all_its_fields(event: messages.Event) -> None:
    printed = json_fields(event)
    is_of_state = isinstance(event, messages.Artifact) and event.kind is messages.ArtifactKind.STATE
    assert printed["event"] == ("state_file" if is_of_state else event.tag)
    if not isinstance(event, Cost):
        assert printed.keys() == {"event", *(field.name for field in fields(event))}


def test_money_prints_in_dollars() -> None:
    printed = json_fields(Cost(spent_microusd=1_250_000, price_microusd_per_h=500_000, deadline_s=None))
    assert printed == {"event": "cost", "usd": 1.25, "usd_per_h": 0.5, "deadline_s": None}


@pytest.mark.parametrize("state", JobState)
def test_a_job_ends_done_stopped_or_failed(state: JobState) -> None:
    assert state.is_final == (state.value in ("done", "stopped", "failed"))


def test_messages_can_not_be_changed() -> None:
    done = Done(artifact_id="a", name="n", size=1, sha256="", steps=1)
    with pytest.raises(AttributeError):
        done.size = 2  # type: ignore[misc]  # that is the point
