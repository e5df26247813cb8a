import random

from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol.captions import shown, shuffled

tags = st.lists(st.text("abcdefg ", min_size=1, max_size=6).map(str.strip).filter(bool), min_size=1, max_size=8)
seeds = st.integers(0, 2**32)


@given(tags, st.integers(0, 10), seeds)
def test_shuffling_keeps_every_tag_and_leaves_the_first_in_place(tags: list[str], keep_tokens: int, seed: int) -> None:
    result = shuffled(", ".join(tags), keep_tokens, random.Random(seed)).split(", ")
    assert sorted(result) == sorted(tags)
    assert result[:keep_tokens] == tags[:keep_tokens]


@given(tags, seeds)
def test_the_same_random_numbers_give_the_same_caption(tags: list[str], seed: int) -> None:
    def caption() -> str:
        rng = random.Random(seed)
        return shown(",".join(tags), shuffle=True, keep_tokens=1, dropout_rate=0.3, rng=rng)

    assert caption() == caption()


def test_shuffling_reaches_every_order() -> None:
    rng = random.Random(0)
    assert len({shuffled("a, b, c", 0, rng) for _ in range(200)}) == 6


def test_a_caption_is_left_alone_unless_asked() -> None:
    rng = random.Random(0)
    assert shown("b,a ,  c", shuffle=False, keep_tokens=0, dropout_rate=0.0, rng=rng) == "b,a ,  c"


def test_captions_are_dropped_at_their_rate() -> None:
    rng = random.Random(0)
    drawn = [shown("a", shuffle=False, keep_tokens=0, dropout_rate=0.25, rng=rng) for _ in range(4000)]
    assert 0.22 < drawn.count("") / len(drawn) < 0.28
    assert shown("a", shuffle=True, keep_tokens=0, dropout_rate=1.0, rng=rng) == ""
