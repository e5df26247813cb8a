from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.ledger import Rates, time_microusd, traffic_microusd
from loratui.domain.saved_states import EVERY_S, Rhythm, most_states, newest_offered, offer, pays_in_s
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


prices_per_h = st.integers(1, 5_000_000)
prices_per_gb = st.integers(1_000, 200_000)


@given(prices_per_h, prices_per_gb, st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 1 << 35)), max_size=30))
def test_whatever_a_box_offers_its_states_cost_a_twentieth_of_its_time_and_a_little_ahead(
    price: int, per_gb: int, offers: list[tuple[int, int]]
) -> None:
    rates = Rates(running_microusd_per_h=price, sent_microusd_per_gb=per_gb)
    now_s = num_bytes = 0
    for number, (gap_s, size) in enumerate(offers):
        now_s += gap_s
        time, is_last = time_microusd(price, now_s * 1_000_000), number == len(offers) - 1
        so_far, more = traffic_microusd(rates, num_bytes, 0), traffic_microusd(rates, size, 0)
        wait_s = pays_in_s(so_far, more, time, price, is_last=is_last)
        if not wait_s:
            num_bytes += size
        else:
            later = time + price * Fraction(wait_s) / 3600
            assert abs((so_far + more) * 20 - later - (4 if is_last else 2) * price) < 1, "it comes once it is paid for"
        assert traffic_microusd(rates, num_bytes, 0) * 20 <= time + 4 * price


@given(prices_per_h, prices_per_gb, st.integers(1_000_000, 1 << 31), st.integers(0, 100_000), st.booleans())
def test_no_more_states_come_than_were_reckoned_with(
    price: int, per_gb: int, size: int, training_s: int, is_last: bool
) -> None:
    rates = Rates(running_microusd_per_h=price, sent_microusd_per_gb=per_gb)
    come = 0
    moments = [*range(0, training_s + 1, int(EVERY_S)), *([training_s] if is_last else [])]
    for number, at_s in enumerate(moments):
        so_far, more = (traffic_microusd(rates, count * size, 0) for count in (come, 1))
        ends = is_last and number == len(moments) - 1
        come += not pays_in_s(so_far, more, price * at_s // 3600, price, is_last=ends)
    assert come <= most_states(training_s, training_s, size, per_gb, price, is_last=is_last)


def test_states_whose_traffic_costs_nothing_come_every_minute_and_on_a_free_machine_never_if_it_does() -> None:
    assert pays_in_s(0, 0, 0, 0, is_last=False) == 0
    assert pays_in_s(0, 1, 0, 0, is_last=True) == float("inf")
    assert most_states(600, 900, 1 << 30, 0, 350_000, is_last=False) == 11
