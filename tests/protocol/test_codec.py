import contextlib
import math
import unicodedata

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol import codec, messages
from loratui_protocol.codec import MAX_FRAME_BYTES, FrameBuffer, clean, decode, decode_record, encode, to_stream
from loratui_protocol.errors import ProtocolError
from support.protocol_strategies import EVENT_TYPES, MESSAGE_TYPES, of_type

any_message = st.one_of(*map(of_type, MESSAGE_TYPES))
any_record = of_type(messages.Record)


def frame(**fields: object) -> bytes:
    packed: bytes = msgpack.packb(fields)
    return packed


def refused(received: bytes) -> str:
    with pytest.raises(ProtocolError) as caught:
        decode(received)
    return caught.value.code


@pytest.mark.parametrize("cls", MESSAGE_TYPES, ids=lambda cls: cls.tag)
def test_every_kind_of_message_arrives_as_it_was_sent(cls: type) -> None:
    @given(of_type(cls))
    def check(message: messages.Message) -> None:
        assert decode(encode(message)) == message

    check()


@given(any_record)
def test_a_record_is_read_back_from_the_journal_as_it_was_written(record: messages.Record) -> None:
    assert decode_record(encode(record)) == record


def test_every_kind_of_event_has_a_tag_of_its_own() -> None:
    tags = [cls.tag for cls in MESSAGE_TYPES]
    assert len(set(tags)) == len(tags)
    assert {cls.tag for cls in EVENT_TYPES} <= set(tags)


def test_a_loss_that_is_no_number_travels_as_it_is() -> None:
    step = messages.Step(step=1, total=2, epoch=1, loss=math.nan, lr=math.inf, it_s=1.0, eta_s=0.0)
    arrived = decode(encode(step))
    assert isinstance(arrived, messages.Step)
    assert math.isnan(arrived.loss)
    assert arrived.lr == math.inf


@given(st.binary(max_size=300))
def test_random_bytes_are_refused_as_a_protocol_error_and_nothing_else(received: bytes) -> None:
    for read in (decode, decode_record):
        with contextlib.suppress(ProtocolError):
            read(received)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=9) | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9) | st.integers(0, 9), inner),
    max_leaves=8,
)


@given(st.sampled_from(MESSAGE_TYPES), st.data())
def test_a_field_of_any_other_type_is_refused_or_is_the_message(cls: type, data: st.DataObject) -> None:
    fields = msgpack.unpackb(encode(data.draw(of_type(cls))))
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(json_like)
    try:
        message = decode(frame(**fields))
    except ProtocolError:
        return
    # What was let in is typed as declared: it travels on and arrives the same (NaN aside, which equals nothing).
    assert repr(decode(encode(message))) == repr(message)


@given(any_message, st.data())
def test_a_frame_with_a_broken_byte_never_raises_anything_else(message: messages.Message, data: st.DataObject) -> None:
    damaged = bytearray(encode(message))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolError):
        decode(bytes(damaged))


@pytest.mark.parametrize(
    "fields",
    [
        {"t": "ack", "job": "j", "epoch": "e", "seq": "7"},
        {"t": "ack", "job": "j", "epoch": "e", "seq": True},
        {"t": "ack", "job": "j", "epoch": "e", "seq": 7.0},
        {"t": "ack", "job": 7, "epoch": "e", "seq": 7},
        {"t": "ack", "job": "j", "epoch": "e"},
        {"t": "hello_ok", "agent_version": "1", "now_ts": 0.0, "features": "abc", "jobs": []},
        {"t": "hello_ok", "agent_version": "1", "now_ts": 0.0, "features": [], "jobs": {"a": 1}},
        {"t": "state", "state": "no such state"},
        {"t": "records", "job": "j", "epoch": "e", "records": [{"seq": 1, "ts": 0.0, "event": {"tag": "log"}}]},
    ],
    ids=str,
)
def test_nothing_is_coerced(fields: dict[str, object]) -> None:
    assert refused(frame(**fields)) == "protocol.malformed"


def step(**fields: object) -> bytes:
    return frame(
        t="step", **{"step": 1, "total": 2, "epoch": 1, "loss": 0.1, "lr": 0.1, "it_s": 1.0, "eta_s": 1.0, **fields}
    )


def record(ts: object) -> bytes:
    log = {"t": "log", "level": "INFO", "line": ""}
    return frame(t="records", job="j", epoch="e", records=[{"seq": 1, "ts": ts, "event": log}])


@pytest.mark.parametrize(
    "received",
    [
        *(step(total=-1), step(step=2**53 + 1), step(total=2**64 - 1), step(eta_s=math.nan), step(eta_s=-1.0)),
        *map(record, (math.inf, -math.inf, math.nan, 1e300, -1.0, 2**64 - 1)),
        frame(t="cost", spent_microusd=0, price_microusd_per_h=2**63, deadline_s=None),
        frame(t="cost", spent_microusd=-1, price_microusd_per_h=0, deadline_s=None),
        frame(t="hello_ok", agent_version="1", now_ts=1e300, features=[], jobs=[]),
        frame(t="sample", step=1, index=0, prompt="", seed=2**63, artifact_id="a", width=1, height=1),
    ],
)
def test_numbers_that_would_overflow_later_are_refused(received: bytes) -> None:
    assert refused(received) == "protocol.malformed"


def test_what_is_no_message_of_ours_is_named() -> None:
    assert refused(frame(t="surprise")) == "protocol.unknown_kind"
    assert refused(frame(x=1)) == "protocol.unknown_kind"
    assert refused(msgpack.packb([1, 2])) == "protocol.garbage"
    assert refused(b"\xc1") == "protocol.garbage"
    assert refused(b"") == "protocol.garbage"
    assert refused(b"\x91" * 5000) == "protocol.garbage"


def test_an_event_of_a_later_version_keeps_its_place_in_the_journal() -> None:
    record = decode_record(frame(seq=4, ts=1.0, event={"t": "hologram", "depth": 3}, origin=2))
    assert record.seq == 4
    assert record.event == messages.Unsupported(original_tag="hologram")


def test_a_file_of_a_kind_that_only_a_later_version_knows_keeps_its_place_too() -> None:
    event = {"t": "artifact", "id": "a", "kind": "hologram", "name": "a", "size": 1, "sha256": "0" * 64, "step": 0}
    record = decode_record(frame(seq=4, ts=1.0, event=event, origin=2))
    assert record.event == messages.Unsupported(original_tag="artifact")


def test_a_field_of_a_later_version_is_left_aside() -> None:
    assert decode(frame(t="pause", id="i", author="a", job="j", mood="calm")) == messages.Pause(
        id="i", author="a", job="j"
    )


def test_an_integer_may_stand_for_a_float() -> None:
    extend = decode(frame(t="extend", id="i", author="a", job="j", seconds=60))
    assert isinstance(extend, messages.Extend)
    assert type(extend.seconds) is float


def test_a_frame_over_the_limit_is_neither_sent_nor_read() -> None:
    with pytest.raises(ProtocolError) as caught:
        encode(messages.Chunk(id="c", offset=0, total=0, content=b"x" * MAX_FRAME_BYTES))
    assert caught.value.code == "protocol.too_large"
    assert refused(b"\x80" * (MAX_FRAME_BYTES + 1)) == "protocol.too_large"


def test_text_is_cut_to_its_limit() -> None:
    log = decode(frame(t="log", level="INFO", line="x" * 100_000))
    assert isinstance(log, messages.Log)
    assert len(log.line) == codec.MAX_TEXT_CHARS


# --- text -------------------------------------------------------------------------------------------------------------


@given(st.text(st.characters(), max_size=200))
def test_cleaned_text_has_no_character_that_commands_a_terminal(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    for character in cleaned:
        assert unicodedata.category(character) not in ("Cs", "Zl", "Zp")
        assert character in "\n\t" or unicodedata.category(character) != "Cc"
        assert unicodedata.bidirectional(character) not in (
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        )


def test_escape_sequences_lose_what_makes_them_work() -> None:
    assert clean("\x1b[2J\x1b]0;title\x07done") == "[2J]0;titledone"
    assert clean("\x9b31mred\x90q\x9c") == "31mredq"
    assert clean("a\rb\bc\x7fd\x00e") == "abcde"
    assert clean("abc\u202efdp.exe\u2066\u061c\u200f") == "abcfdp.exe"
    assert clean("no\u200bwidth\ufeff") == "nowidth"
    assert clean("two\u2028lines") == "twolines"


@pytest.mark.parametrize("text", ["cafe\u0301", "界隈の猫", "\U0001f409 dragon", "עברית", "tab\tand\nline", "हिन्दी"])
def test_every_script_stays_readable(text: str) -> None:
    assert clean(text) == text


def test_text_inside_messages_is_cleaned_at_any_depth() -> None:
    evil = {"seq": 1, "ts": 0.0, "event": {"t": "log", "level": "INFO", "line": "\x1b[31mred"}}
    arrived = decode(frame(t="records", job="j\x07", epoch="e", records=[evil]))
    assert isinstance(arrived, messages.Records)
    assert arrived.job == "j"
    assert arrived.records[0].event == messages.Log(level="INFO", line="[31mred")
    greeting = decode(frame(t="hello_ok", agent_version="1", now_ts=0.0, features=["\x1bx"], jobs=[]))
    assert isinstance(greeting, messages.HelloOk)
    assert greeting.features == ["x"]
    scores = decode(frame(t="evaluation", scores={"\x1bshape": 0.5}, verdict=""))
    assert isinstance(scores, messages.Evaluation)
    assert scores.scores == {"shape": 0.5}


# --- streams ----------------------------------------------------------------------------------------------------------


@given(st.lists(any_message, max_size=6), st.data())
def test_a_stream_cut_anywhere_gives_the_messages_in_order(sent: list[messages.Message], data: st.DataObject) -> None:
    stream = b"".join(map(to_stream, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    buffer = FrameBuffer()
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += buffer.feed(stream[start:end])
    assert received == sent


def test_a_stream_fed_byte_by_byte_gives_each_message_with_its_last_byte() -> None:
    stream = to_stream(messages.TrainerWelcome(last_origin=7))
    buffer = FrameBuffer()
    assert [buffer.feed(stream[at : at + 1]) for at in range(len(stream) - 1)] == [[]] * (len(stream) - 1)
    assert buffer.feed(stream[-1:]) == [messages.TrainerWelcome(last_origin=7)]


def test_a_stream_that_announces_too_much_is_refused_before_it_is_kept() -> None:
    with pytest.raises(ProtocolError) as caught:
        FrameBuffer().feed((MAX_FRAME_BYTES + 1).to_bytes(4, "little"))
    assert caught.value.code == "protocol.too_large"


@given(st.binary(max_size=100))
def test_garbage_in_a_stream_never_raises_anything_else(received: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        FrameBuffer().feed(received)


def test_a_record_of_an_earlier_trainer_is_read_without_what_it_did_not_measure() -> None:
    fields = {"seq": 1, "ts": 2.0, "origin": 3, "event": {"t": "metrics", "step": 4, "img_s": 9.5}}
    assert decode_record(msgpack.packb(fields)).event == messages.Metrics(step=4, img_s=9.5)


def test_metrics_every_five_seconds_take_less_of_the_wire_than_a_step() -> None:
    rates = {"unet": 5e-5, "conv": 5e-5, "text_encoder": 2.5e-5, "text_encoder_2": 2.5e-5}
    metrics = messages.Metrics(
        step=1000, img_s=9.2, tflop_s=54.0, data_wait=0.03, exposures_per_picture=12.5, effective_lr=rates
    )
    assert len(codec.encode_record(messages.Record(seq=9999, ts=1.7e9, event=metrics, origin=1))) < 250
