import random
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol.captions import Captions, Moment
from support.protocol_strategies import plain_config

tags = st.lists(st.text("abcdefg ", min_size=1, max_size=6).map(str.strip).filter(bool), min_size=1, max_size=8)
seeds = st.integers(0, 2**32)
NOW = Moment(step=1, num_steps=100, epoch=1)


def shown(caption: str, rng: random.Random | None = None, when: Moment = NOW, **rules: Any) -> str:
    return Captions(plain_config(**rules)).shown(caption, rng or random.Random(0), when)


@given(tags, st.integers(0, 10), seeds)
def test_shuffling_keeps_every_tag_and_leaves_the_first_in_place(tags: list[str], keep_tokens: int, seed: int) -> None:
    rng = random.Random(seed)
    result = shown(", ".join(tags), rng, shuffle_caption=True, keep_tokens=keep_tokens).split(", ")
    assert sorted(result) == sorted(tags)
    assert result[:keep_tokens] == tags[:keep_tokens]


@given(tags, seeds)
def test_the_same_random_numbers_give_the_same_caption(tags: list[str], seed: int) -> None:
    rules = {
        "shuffle_caption": True,
        "keep_tokens": 1,
        "caption_dropout_rate": 0.3,
        "caption_tag_dropout_rate": 0.2,
    }
    one, other = (shown(",".join(tags), random.Random(seed), **rules) for _ in range(2))
    assert one == other


def test_shuffling_reaches_every_order() -> None:
    rng = random.Random(0)
    assert len({shown("a, b, c", rng, shuffle_caption=True) for _ in range(200)}) == 6


def test_a_caption_is_left_alone_unless_asked() -> None:
    assert shown("b,a ,  c") == "b,a ,  c"


def test_captions_are_dropped_at_their_rate() -> None:
    rng = random.Random(0)
    drawn = [shown("a", rng, caption_dropout_rate=0.25) for _ in range(4000)]
    assert 0.22 < drawn.count("") / len(drawn) < 0.28
    assert shown("a", shuffle_caption=True, caption_dropout_rate=1.0) == ""


def test_all_captions_are_empty_in_every_nth_epoch() -> None:
    epochs = [
        shown("a", when=Moment(step=1, num_steps=9, epoch=epoch), caption_dropout_every_n_epochs=3)
        for epoch in range(1, 8)
    ]
    assert epochs == ["a", "a", "", "a", "a", "", "a"]


@given(seeds)
def test_tags_are_left_out_at_their_rate_and_never_those_that_stay(seed: int) -> None:
    rng, caption = random.Random(seed), ", ".join(f"t{number}" for number in range(400))
    left = shown(caption, rng, keep_tokens=2, caption_tag_dropout_rate=0.5).split(", ")
    assert left[:2] == ["t0", "t1"]
    assert left == sorted(left, key=lambda tag: int(tag[1:])), "nothing is shuffled"
    assert 130 < len(left) < 270
    assert shown("a, b", caption_tag_dropout_rate=1.0) == ""


def test_a_mark_in_the_caption_says_which_tags_stay_in_front_and_at_the_end() -> None:
    rng = random.Random(0)
    found = {
        shown("a, b ||| c, d ||| e", rng, keep_tokens_separator="|||", shuffle_caption=True, keep_tokens=1)
        for _ in range(50)
    }
    assert found == {"a, b, c, d, e", "a, b, d, c, e"}
    assert shown("a, b", keep_tokens_separator="|||", shuffle_caption=True, keep_tokens=2) == "a, b"


def test_tags_are_shown_little_by_little() -> None:
    def at(step: int, **rules: Any) -> str:
        return shown("x, a, b, c, d", when=Moment(step=step, num_steps=80, epoch=1), keep_tokens=1, **rules)

    steps = [at(step, token_warmup_step=40, token_warmup_min=1) for step in (1, 14, 15, 28, 40, 41)]
    assert steps == ["x, a", "x, a", "x, a, b", "x, a, b, c", "x, a, b, c", "x, a, b, c, d"]
    assert at(40, token_warmup_step=0.5) == at(40, token_warmup_step=40)


def test_tags_can_be_framed_and_separated_in_other_ways() -> None:
    rules = {"caption_prefix": "photo of", "caption_suffix": "at dusk"}
    assert shown("a, b", **rules) == "photo of a, b at dusk"
    assert Captions(plain_config(**rules)).whole("a, b") == "photo of a, b at dusk"
    assert sorted(shown("a; b, c", caption_separator=";", shuffle_caption=True).split(", ")) == ["a", "b", "c"]
    assert shown("a;;;b, c", secondary_separator=";;;", keep_tokens=2, shuffle_caption=True) == "a,b, c"


def test_only_what_changes_from_step_to_step_needs_the_text_encoder_to_stay() -> None:
    assert not Captions(plain_config(caption_dropout_rate=0.5, caption_prefix="a")).vary
    assert Captions(plain_config(shuffle_caption=True)).vary
    assert Captions(plain_config(caption_tag_dropout_rate=0.1)).vary
    assert Captions(plain_config(token_warmup_step=10)).vary
    assert Captions(plain_config(enable_wildcard=True)).vary


def sd_scripts_choice(caption: str, rng: random.Random) -> str:
    """Return what sd-scripts makes of lines and wildcards, told in its order of doing it."""
    line = rng.choice(caption.split("\n"))
    opening, closing = "⦅", "⦆"
    line = line.replace("{{", opening).replace("}}", closing)
    line = re.sub(r"\{([^}]+)\}", lambda found: rng.choice(found.group(1).split("|")), line)
    return line.replace(opening, "{").replace(closing, "}")


@given(st.text("ab{}|, \n", max_size=24), seeds)
def test_lines_and_wildcards_are_chosen_as_sd_scripts_chooses_them(caption: str, seed: int) -> None:
    rng, other = random.Random(seed), random.Random(seed)
    other.random()  # whether it is dropped
    assert shown(caption, rng, enable_wildcard=True) == sd_scripts_choice(caption, other)


def test_every_line_and_every_choice_comes_up() -> None:
    rng = random.Random(0)
    found = {shown("a {red|blue} {{x}}\nb,c", rng, enable_wildcard=True, caption_prefix="my") for _ in range(100)}
    assert found == {"my a red {x}", "my a blue {x}", "my b,c"}
    tags = {shown("{a|b}, c", rng, enable_wildcard=True, shuffle_caption=True) for _ in range(100)}
    assert tags == {"a, c", "c, a", "b, c", "c, b"}
    assert shown("a {red|blue}") == "a {red|blue}", "unless asked they are text"


def test_a_whole_caption_has_the_longest_of_what_may_be_chosen() -> None:
    captions = Captions(plain_config(enable_wildcard=True))
    assert captions.whole("short\na {red|yellow|blue} circle\nlonger") == "a yellow circle"
