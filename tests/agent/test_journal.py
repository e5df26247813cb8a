import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loratui_agent.journal import MAX_BATCH_BYTES, MAX_BATCH_RECORDS, Journal
from loratui_protocol.codec import decode, decode_record, encode, encode_record, splice_records
from loratui_protocol.messages import Log, Record, Records, State, Step

BOOT = b"thisboot"
HEADER_BYTES = 24


def a_record(seq: int, line: str = "", origin: int = 0) -> Record:
    return Record(seq=seq, ts=1.5, event=Log(level="INFO", line=line), origin=origin)


def write_journal(path: Path, lines: list[str]) -> list[int]:
    """Write a record for each line; return the size of the file after the header and after each record."""
    journal = Journal(path, BOOT, lambda _: None)
    sizes = [path.stat().st_size]
    for seq, line in enumerate(lines, 1):
        journal.append(encode_record(a_record(seq, line)))
        sizes.append(path.stat().st_size)
    journal.close()
    return sizes


def read_all(journal: Journal, after_seq: int = 0) -> list[Record]:
    cursor = journal.cursor(after_seq)
    found: list[Record] = []
    while batch := journal.read(cursor):
        found += [decode_record(stored) for stored in batch]
    return found


def check_survivors(path: Path, lines: list[str], num_whole: int) -> None:
    """The first ``num_whole`` records are there, appending goes on, and a second opening finds all of it."""
    seen: list[bytes] = []
    journal = Journal(path, BOOT, seen.append)
    assert [decode_record(stored).event.line for stored in seen] == lines[:num_whole]
    assert journal.head == num_whole
    journal.append(encode_record(a_record(num_whole + 1, "after the repair")))
    epoch = journal.epoch
    journal.close()
    journal = Journal(path, BOOT, lambda _: None)
    assert journal.epoch == epoch
    assert [record.event.line for record in read_all(journal)] == [*lines[:num_whole], "after the repair"]
    assert [record.seq for record in read_all(journal)] == list(range(1, num_whole + 2))
    journal.close()


LINES = st.lists(st.text(max_size=40), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(lines=LINES, data=st.data())
def test_cut_at_any_byte_every_whole_record_before_the_cut_survives(tmp_path_factory, lines, data):
    path = tmp_path_factory.mktemp("cut") / "journal"
    sizes = write_journal(path, lines)
    cut = data.draw(st.integers(0, sizes[-1]), label="cut")
    os.truncate(path, cut)
    stored = [decode_record(encode_record(a_record(1, line))).event.line for line in lines]
    check_survivors(path, stored, sum(size <= cut for size in sizes[1:]))


@settings(max_examples=150, deadline=None)
@given(lines=LINES, data=st.data())
def test_with_any_byte_changed_every_whole_record_before_it_survives(tmp_path_factory, lines, data):
    path = tmp_path_factory.mktemp("flip") / "journal"
    sizes = write_journal(path, lines)
    at = data.draw(st.integers(0, sizes[-1] - 1), label="changed byte")
    content = bytearray(path.read_bytes())
    content[at] ^= data.draw(st.integers(1, 255), label="by")
    path.write_bytes(content)
    stored = [decode_record(encode_record(a_record(1, line))).event.line for line in lines]
    # A damaged header costs the epoch, and no record.
    check_survivors(path, stored, len(lines) if at < HEADER_BYTES else sum(size <= at for size in sizes[1:]))


def test_zeros_after_a_crash_of_the_machine_are_no_records(tmp_path):
    path = tmp_path / "journal"
    write_journal(path, ["one", "two"])
    with path.open("ab") as file:
        file.write(bytes(64))
    check_survivors(path, ["one", "two"], 2)


def test_the_epoch_stays_while_nothing_was_lost_and_changes_when_something_was(tmp_path):
    path = tmp_path / "journal"
    sizes = write_journal(path, ["one", "two"])
    epochs = []
    for _ in range(2):
        journal = Journal(path, BOOT, lambda _: None)
        epochs.append(journal.epoch)
        journal.close()
    os.truncate(path, sizes[-1] - 1)
    journal = Journal(path, BOOT, lambda _: None)
    assert epochs[0] == epochs[1] != journal.epoch
    journal.close()


def test_after_a_boot_the_epoch_is_new_because_unsynced_records_may_be_lost(tmp_path):
    path = tmp_path / "journal"
    write_journal(path, ["one"])
    before, after = Journal(path, BOOT, lambda _: None), Journal(path, b"nextboot", lambda _: None)
    assert before.epoch != after.epoch
    assert after.head == 1
    before.close()
    after.close()


@pytest.mark.parametrize("after_seq", [0, 1, 255, 256, 257, 600, 999, 1000])
def test_a_cursor_starts_at_any_record(tmp_path, after_seq):
    path = tmp_path / "journal"
    write_journal(path, [f"line {n}" for n in range(1000)])
    journal = Journal(path, BOOT, lambda _: None)
    assert [record.seq for record in read_all(journal, after_seq)] == list(range(after_seq + 1, 1001))
    journal.close()


def test_a_batch_is_bounded_in_records_and_in_bytes(tmp_path):
    journal = Journal(tmp_path / "journal", BOOT, lambda _: None)
    for seq in range(1, 401):
        journal.append(encode_record(a_record(seq, "x" * (8_000 if seq > 300 else 1))))
    cursor = journal.cursor(0)
    assert len(journal.read(cursor)) == MAX_BATCH_RECORDS
    while batch := journal.read(cursor):
        assert sum(map(len, batch)) <= MAX_BATCH_BYTES
    journal.close()


def test_a_record_larger_than_a_batch_is_read_alone_and_whole(tmp_path):
    journal = Journal(tmp_path / "journal", BOOT, lambda _: None)
    state = Record(seq=1, ts=1.0, event=State(state="done", detail="y" * 300_000))
    journal.append(encode_record(state))
    journal.append(encode_record(a_record(2, "after")))
    cursor = journal.cursor(0)
    assert [len(journal.read(cursor)) for _ in range(3)] == [1, 1, 0]
    journal.close()


def test_a_cursor_sees_what_is_appended_later(tmp_path):
    journal = Journal(tmp_path / "journal", BOOT, lambda _: None)
    cursor = journal.cursor(0)
    assert journal.read(cursor) == []
    journal.append(encode_record(a_record(1, "now")))
    assert len(journal.read(cursor)) == 1
    assert journal.read(cursor) == []
    journal.close()


@given(st.lists(st.text(max_size=20), max_size=300))
@settings(max_examples=20, deadline=None)
def test_spliced_records_are_the_same_frame_as_encoded_ones(lines):
    records = [a_record(seq, line, origin=seq) for seq, line in enumerate(lines, 1)]
    spliced = splice_records("a job", "an epoch", [encode_record(record) for record in records])
    assert spliced == encode(Records(job="a job", epoch="an epoch", records=records))
    assert [record.seq for record in decode(spliced).records] == [record.seq for record in records]


def test_a_stored_step_is_told_apart_without_decoding_it():
    step = Record(
        seq=2**31, ts=1e9, event=Step(step=1, total=2, epoch=1, loss=1.0, lr=0.1, it_s=1.0, eta_s=1.0), origin=2**40
    )
    stored = encode_record(step)
    assert b"\xa1t\xa4step" in stored[:48]
    assert not stored.endswith(b"\xa6origin\x00")
    assert encode_record(a_record(1)).endswith(b"\xa6origin\x00")
