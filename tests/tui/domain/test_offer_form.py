"""The form of the filter: it means what was typed, and what it can't say it keeps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.offer_form import form_fields, read_form, trouble_with, write_form

FIELDS = form_fields(("vast", "runpod"))
_WORDS = (
    "vram>=24",
    "price<=0.5",
    "total<=2",
    "rel>=.98",
    "eu",
    "se",
    "vast",
    "runpod",
    "home",
    "4090",
    "-us",
    "cuda>=12",
)


def test_each_kind_of_term_has_its_field() -> None:
    query = "vram>=24 price<=0.5 total<=2 rel>=.98 eu vast datacentre 4090 -us"
    assert read_form(query, FIELDS) == {
        "vram": "24",
        "price": "0.5",
        "total": "2",
        "rel": ".98",
        "region": "eu",
        "provider": "vast",
        "kind": "datacentre",
        "other": "4090 -us",
    }


@given(st.lists(st.sampled_from(_WORDS), max_size=8))
def test_no_term_is_lost_on_the_way_through_the_form(words: list[str]) -> None:
    written = write_form(read_form(" ".join(words), FIELDS), FIELDS)
    assert sorted(written.split()) == sorted(words)
    assert write_form(read_form(written, FIELDS), FIELDS) == written


@pytest.mark.parametrize(
    ("name", "value", "is_fine"),
    [
        ("vram", "24", True),
        ("vram", "much", False),
        ("price", "$0.50", True),
        ("rel", "98%", True),
        ("region", "eu", True),
        ("region", "europe", False),
        ("provider", "lambda", False),
        ("kind", "home", True),
        ("other", "vram<", False),
        ("other", "", True),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(name: str, value: str, is_fine: bool) -> None:
    field = next(each for each in FIELDS if each.name == name)
    assert (not trouble_with(field, value)) is is_fine
