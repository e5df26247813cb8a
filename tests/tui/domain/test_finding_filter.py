"""The filter of findings and of pictures."""

import pytest

from loratui.domain.finding_filter import lets_through

WORDS = "caption.bom 3 caption files begin with a byte order mark"


@pytest.mark.parametrize(
    "query", ["info", "code:bom", "code:caption", "byte mark", "BYTE", "info code:caption.bom order"]
)
def test_every_part_of_a_query_fits_something(query: str) -> None:
    assert lets_through(query, WORDS, kinds={"info"}, codes=["caption.bom"])


@pytest.mark.parametrize("query", ["error", "missing", "code:trigger", "byte sky", "info code:picture", "code:byte"])
def test_a_part_that_fits_nothing_lets_nothing_through(query: str) -> None:
    assert not lets_through(query, WORDS, kinds={"info"}, codes=["caption.bom"])


def test_a_kind_may_be_said_of_several() -> None:
    assert lets_through("errors", "", kinds={"error"}, codes=[])
    assert lets_through("warnings", "", kinds={"warning"}, codes=[])


def test_figures_are_compared_and_one_that_is_not_known_fits_nothing() -> None:
    figures = {"tokens": 80, "width": None}
    for query in ("tokens>75", "tokens>=80", "tokens=80 a", "tokens<81"):
        assert lets_through(query, "a cat", kinds=(), codes=(), figures=figures)
    for query in ("tokens>80", "tokens<80", "width>0", "width<9", "height>0"):
        assert not lets_through(query, "a cat", kinds=(), codes=(), figures=figures)
