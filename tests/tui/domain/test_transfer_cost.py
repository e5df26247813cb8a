from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.transfer_cost import Speed, TransferLimits, Worth, transfer_cost


def test_a_sentence_says_size_speed_minutes_and_money():
    cost = transfer_cost(3_200_000_000, 1_100_000, price_microusd_per_h=500_000)
    assert cost.sentence == "3.2 GB at 1.1 MB/s take ≈48 min, which costs ≈$0.40"
    assert transfer_cost(1_000_000, 500_000).sentence == "1.0 MB at 500 kB/s take ≈2 s"


def test_what_takes_long_or_costs_much_is_warned_of_and_then_refused():
    limits = TransferLimits(warn_s=60, refuse_s=600, warn_microusd=10_000, refuse_microusd=100_000)

    def worth(seconds: float, price: int = 0) -> Worth:
        return transfer_cost(round(seconds * 1000), 1000, price, limits).worth

    assert [worth(seconds) for seconds in (60, 61, 601)] == [Worth.FINE, Worth.WARN, Worth.REFUSE]
    assert worth(36, 1_000_000) is Worth.FINE
    assert worth(37, 1_000_000) is Worth.WARN
    assert worth(59, 6_200_000) is Worth.REFUSE


def test_a_line_that_stands_still_is_refused_and_nothing_to_send_is_fine():
    assert transfer_cost(1, 0.0, 1_000_000).worth is Worth.REFUSE
    assert transfer_cost(0, 0.0, 1_000_000).worth is Worth.FINE


@given(st.integers(0, 1 << 50), st.floats(0, 1e12), st.integers(0, 10**9))
def test_every_answer_is_a_sentence_and_no_less_to_send_is_ever_worse(num_bytes, speed, price):
    order = [Worth.FINE, Worth.WARN, Worth.REFUSE]
    cost = transfer_cost(num_bytes, speed, price)
    assert "/s take" in cost.sentence
    assert order.index(transfer_cost(num_bytes // 2, speed, price).worth) <= order.index(cost.worth)


def test_the_speed_is_that_of_the_last_seconds_and_unknown_at_first():
    speed = Speed()
    for second in range(4):
        speed.add(float(second), second * 1000)
        assert speed.bytes_per_s() is None
    speed.add(4.0, 4000)
    assert speed.bytes_per_s() == 1000
    for second in range(5, 40):
        speed.add(float(second), 4000 + (second - 4) * 5000)
    assert speed.bytes_per_s() == 5000


def test_an_attempt_that_begins_with_less_begins_a_new_measurement():
    speed = Speed()
    speed.add(0.0, 9000)
    speed.add(5.0, 10_000)
    speed.add(6.0, 500)
    assert speed.bytes_per_s() is None
