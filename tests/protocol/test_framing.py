import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol.errors import ProtocolError
from loratui_protocol.framing import MAX_FRAME_BYTES, MAX_NOISE_BYTES, FrameFinder, frame_line, new_nonce

NONCE = "0123456789abcdef"
objects = st.dictionaries(st.text(max_size=8), st.text(max_size=20) | st.integers() | st.none(), max_size=4)
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


@pytest.mark.parametrize("content", [b"{", b"[1]", b"7", b"\xff", b'"text"'])
def test_a_broken_frame_is_an_error_and_not_skipped(content):
    with pytest.raises(ProtocolError) as caught:
        FrameFinder(NONCE).feed(b"@@loratui " + NONCE.encode() + b" " + content + b"\n")
    assert caught.value.code == "ssh.frame"


def test_a_frame_without_end_is_given_up_and_a_large_one_is_read():
    large = {"text": "x" * (MAX_FRAME_BYTES - 200)}
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
