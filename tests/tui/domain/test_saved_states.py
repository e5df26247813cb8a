from loratui.domain.saved_states import Rhythm, newest_offered, offer
from loratui_protocol.messages import Artifact, ArtifactKind
from loratui_protocol.state_files import MAX_JSON_BYTES, STATE_PARTS, state_file_id


def part(step: int, name: str, *, artifact_id: str = "", size: int = 5) -> Artifact:
    artifact_id = artifact_id or state_file_id(step, name)
    return Artifact(id=artifact_id, kind=ArtifactKind.STATE, name="n", size=size, sha256="0" * 64, step=step)


def offered(*steps: int) -> dict[str, Artifact]:
    known: dict[str, Artifact] = {}
    for step in steps:
        for name in STATE_PARTS:
            offer(known, part(step, name))
    return known


def test_the_newest_is_what_came_last_even_where_a_resumed_run_went_back() -> None:
    newest = newest_offered(offered(30, 20))
    assert newest is not None
    assert newest[0] == 20
    assert list(newest[1]) == list(STATE_PARTS)


def test_a_state_that_is_not_announced_whole_is_passed_over() -> None:
    known = offered(10)
    for name in STATE_PARTS[:-1]:
        offer(known, part(20, name))
    newest = newest_offered(known)
    assert newest is not None
    assert newest[0] == 10


def test_however_many_are_announced_two_are_remembered() -> None:
    known = offered(*range(10, 500, 10))
    assert {each.step for each in known.values()} == {480, 490}


def test_what_can_not_be_a_part_of_a_state_counts_as_not_announced() -> None:
    for wrong in (
        part(10, "state.json", size=MAX_JSON_BYTES + 1),
        part(10, "state.json", size=-1),
        part(11, "state.json", artifact_id=state_file_id(10, "state.json")),
    ):
        known = offered(10)
        offer(known, wrong)
        assert newest_offered(known) is None
    assert newest_offered({}) is None
    assert newest_offered({"x": part(10, "", artifact_id="state-00000010-../../x")}) is None


def test_a_state_is_begun_a_minute_after_the_last_or_later_where_that_took_long() -> None:
    rhythm = Rhythm()
    assert rhythm.wait_s(0.0) == 0.0
    rhythm.came(began_s=100.0, now_s=101.0)
    assert rhythm.wait_s(101.0) == 59.0
    rhythm.came(began_s=200.0, now_s=240.0)
    assert rhythm.wait_s(240.0) == 160.0
