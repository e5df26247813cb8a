import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol.errors import ProtocolError
from loratui_protocol.framing import MAX_FRAME_BYTES, MAX_NOISE_BYTES, FrameFinder, frame_line, new_nonce
from loratui_protocol.harmless import MAX_INT, MAX_TEXT_CHARS, clean

NONCE = "0123456789abcdef"
texts = st.text(max_size=20).map(clean)
objects = st.dictionaries(texts, texts | st.integers(-MAX_INT, MAX_INT) | st.none(), max_size=4)
noise = st.binary(max_size=200).filter(lambda text: b"@@loratui" not in text)


@given(st.lists(st.tuples(noise, objects), max_size=5), st.integers(1, 64))
def test_frames_are_found_among_noise_however_the_bytes_are_cut(pieces, step):
    stream = b"".join(before + frame_line(NONCE, fields) for before, fields in pieces)
    finder = FrameFinder(NONCE)
    found = [frame for start in range(0, len(stream), step) for frame in finder.feed(stream[start : start + step])]
    assert found == [fields for _, fields in pieces]


def test_a_frame_of_another_nonce_is_noise():
    assert FrameFinder(NONCE).feed(frame_line("f" * 16, {"fake": True}) + frame_line(NONCE, {"own": 1})) == [{"own": 1}]


def test_noise_without_a_newline_before_a_frame_does_not_hide_it():
    assert FrameFinder(NONCE).feed(b"no newline" + frame_line(NONCE, {})) == [{}]


@pytest.mark.parametrize("line", [b"x" * (MAX_NOISE_BYTES + 1), b"y\n" * (MAX_NOISE_BYTES // 1 + 1)])
def test_a_host_that_prints_without_end_is_given_up(line):
    finder = FrameFinder(NONCE)
    with pytest.raises(ProtocolError) as caught:
        finder.feed(line)
    assert caught.value.code == "ssh.noise"


def test_noise_of_a_long_life_does_not_add_up_while_frames_come():
    finder = FrameFinder(NONCE)
    for _ in range(5):
        finder.feed(b"x\n" * (MAX_NOISE_BYTES // 4))
        assert finder.feed(frame_line(NONCE, {"a": 1})) == [{"a": 1}]


@pytest.mark.parametrize(
    "content",
    [
        *(b"{", b"[1]", b"7", b"\xff", b'"text"', b"[" * 100_000, b'{"a":' * 5000),
        *(b'{"n": 9007199254740993}', b'{"n": [-1' + b"0" * 400 + b"]}", b'{"n": 1' + b"0" * 5000 + b"}"),
        *(b'{"n": NaN}', b'{"n": -Infinity}', b'{"n": 1e999}'),
    ],
    ids=lambda content: content[:20].decode("ascii", "replace"),
)
def test_a_broken_frame_is_an_error_and_not_skipped(content):
    with pytest.raises(ProtocolError) as caught:
        FrameFinder(NONCE).feed(b"@@loratui " + NONCE.encode() + b" " + content + b"\n")
    assert caught.value.code == "ssh.frame"


def test_a_frame_without_end_is_given_up_and_a_large_one_is_read():
    large = {"texts": ["x" * MAX_TEXT_CHARS] * (MAX_FRAME_BYTES // (MAX_TEXT_CHARS + 4) - 1)}
    assert FrameFinder(NONCE).feed(frame_line(NONCE, large)) == [large]
    with pytest.raises(ProtocolError):
        FrameFinder(NONCE).feed(b"@@loratui " + NONCE.encode() + b" " + b"x" * (MAX_FRAME_BYTES + 1))


def test_a_frame_is_one_line_of_ascii_whatever_it_holds():
    line = frame_line(NONCE, {"text": "ü\n\x1b[2J\u202e"})
    assert line.count(b"\n") == 2
    assert line.isascii()
    assert json.loads(line.split(b" ", 2)[2])["text"] == "ü\n\x1b[2J\u202e"


def test_nonces_differ_and_need_no_quoting():
    nonces = {new_nonce() for _ in range(100)}
    assert len(nonces) == 100
    assert all(len(nonce) == 16 and nonce.isalnum() for nonce in nonces)


def test_texts_of_a_frame_command_no_terminal_at_any_depth():
    evil = "\x1b]52;c;x\x07\u202e\ud800"
    told = {evil: [evil, {"a": evil * 10_000}]}
    [frame] = FrameFinder(NONCE).feed(frame_line(NONCE, told))
    assert frame == {"]52;c;x": ["]52;c;x", {"a": clean(evil * 10_000)}]}
    assert len(frame["]52;c;x"][1]["a"]) <= MAX_TEXT_CHARS
