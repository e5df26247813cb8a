"""Tokens are counted as transformers' tokenizer, with the same merges, counts them."""

import functools
import gzip
import hashlib
import time
import unicodedata
from importlib import resources
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from loratui.preflight.clip_tokens import count_tokens, token_id, word_tokens, words

DATA = resources.files("loratui.preflight").joinpath("data", "clip_merges.txt.gz")
MARKS = ("<|startoftext|>", "<|endoftext|>")
SCRIPTS = [
    *("a-zA-Z", "\u0430-\u044f\u0410-\u042f", "א-ת", "\u0627-\u064a", "\u03b1-\u03c9\u0391-\u03a9"),
    *("一-鿏", "ぁ-んァ-ヶ", "가-힣", "अ-ह", "ก-ฮ", "à-ÿÀ-Ö", "İ-İß-ßſ-ſẞ-ẞǅ-ǅŒ-Œ"),
]
ODD = (
    " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u3000\u200b\ufeff\x00\x7f\u0301\u0651\u202e"
    "'\u2019.,!?-_()[]{}|<>0123456789½Ⅷ²😀🇩🇪\U0001f469\u200d\U0001f680❤\ufe0f™€"
)


def characters(span: str) -> list[str]:
    """Return the characters of a span as ``a-zA-Z`` writes it."""
    return [
        chr(code)
        for start in range(0, len(span) - 2, 3)
        if span[start + 1] == "-"
        for code in range(ord(span[start]), ord(span[start + 2]) + 1)
    ]


@functools.cache
def theirs() -> Any:
    transformers = pytest.importorskip("transformers")
    merges = gzip.decompress(DATA.read_bytes()).decode().split("\n")[1:-1]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet = [*map(chr, printable), *(chr(256 + n) for n in range(256 - len(printable)))]
    tokens = [*alphabet, *(each + "</w>" for each in alphabet), *(each.replace(" ", "", 1) for each in merges), *MARKS]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[tuple(each.split(" ")) for each in merges])


def ours(text: str) -> list[str]:
    return [token for word in words(text) for token in word_tokens(word)]


in_a_script = st.sampled_from([*(each for span in SCRIPTS for each in characters(span)), *ODD])
anything = st.characters(exclude_categories=["Cs", "Cn", "Co"])
english = st.sampled_from(
    ["a", "photo", "of", "zorbix", "it's", "don't", "she'll", "1girl", "Sarah's", "4K", "(masterpiece:1.2)", ","]
)


@pytest.mark.torch
@settings(max_examples=300, deadline=None)
@example("'S 'T 'RE x'sy ''s 's's")
@example("ΣΑΣ İstanbul ǅ ß ẞ")
@example("a\x1cb\x85c")
@example("<|ENDOFTEXT|>")
@given(
    st.text(in_a_script, max_size=60)
    | st.text(anything, max_size=40)
    | st.lists(english, max_size=40).map(" ".join)
    | st.text("ab'st!1 ", max_size=60)
)
def test_any_text_has_the_tokens_that_transformers_gives_it(text: str) -> None:
    # Texts of the sources are among those that are tried: marks are no words, and have a test of their own below.
    assume(not any(mark in text for mark in MARKS))
    assert ours(text) == theirs().tokenize(text)
    assert count_tokens(text) == len(theirs()(text, verbose=False).input_ids) - 2


@pytest.mark.torch
@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([*MARKS, "a cat", " ", "<|", "endoftext", "|>", "x"]), max_size=8).map("".join))
def test_the_marks_of_start_and_end_count_as_one_token_each(text: str) -> None:
    assert count_tokens(text) == len(theirs()(text, verbose=False).input_ids) - 2


@pytest.mark.torch
def test_every_letter_and_digit_of_unicode_is_taken_for_one() -> None:
    text = " ".join(
        f"x{character}"
        for code in range(0x3000)
        if unicodedata.category(character := chr(code)) not in ("Cn", "Cs", "Co")
    )
    assert ours(text) == theirs().tokenize(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("   \n", 0),
        ("a photo of a cat", 5),
        ("zorbix", 3),
        ("sks", 1),
        ("ohwx woman", 2),
        ("2026", 4),
        ("1girl, solo, smile", 6),
        ("it's", 2),
        ("שלום", 8),
        ("\u043a\u043e\u0448\u043a\u0430", 6),
        ("😀", 1),
        ("a, " * 50, 100),
    ],
)
def test_texts_have_as_many_tokens_as_are_known_of_them(text: str, count: int) -> None:
    assert count_tokens(text) == count


def test_a_token_is_known_by_its_number() -> None:
    # Stable Diffusion's published vocabulary.
    assert [token_id(f"{word}</w>") for word in ("cat", "dog", "woman", "sks")] == [2368, 1929, 2308, 48136]
    assert token_id("zorbix</w>") is None


def test_a_word_as_long_as_a_file_is_counted_in_moments() -> None:
    # Of processor time, which says nothing of what else the machine does: quadratic work would take minutes.
    began = time.process_time()
    assert count_tokens("!?" * 30_000 + " " + "abcdefghij" * 6_000) > 1000
    assert time.process_time() - began < 20


def test_the_merges_are_those_that_their_notice_names() -> None:
    content = gzip.decompress(DATA.read_bytes())
    notice = resources.files("loratui.preflight").joinpath("data", "README.md").read_text("utf-8")
    assert hashlib.sha256(content).hexdigest() in notice
    assert "Permission is hereby granted" in notice
    assert content.count(b"\n") == 48_895


def test_a_lone_surrogate_is_counted_and_nothing_else_happens() -> None:
    assert count_tokens("a \udc80 cat") == 3
