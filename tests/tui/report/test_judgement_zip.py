"""Reading what a hostile machine calls a judgement: bounded, and by the names of cells alone."""

import json
import struct
import tracemalloc
import zipfile

import pytest

from loratui.report import thumbnails
from loratui.report.judgement_zip import MAX_PICTURE_BYTES, open_judgement
from loratui_protocol.errors import ProtocolError, StorageError
from loratui_protocol.judging.grid import Cell
from loratui_protocol.judging.judgement import DOCUMENT, MAX_DOCUMENT_BYTES, parse_judgement
from support.judgements import as_jpeg, drawn, judgement, write_zip

CELL = Cell(0, 0.5, 0, 101)


def test_pictures_are_read_by_their_cells(tmp_path):
    path = write_zip(tmp_path / "j.zip", judgement())
    with open_judgement(path) as opened:
        assert opened.judgement == judgement()
        assert opened.picture(CELL) == as_jpeg(drawn(CELL))
        assert opened.picture(Cell(0, 0.5, 0, 999)) is None


def test_members_of_other_names_are_never_touched(tmp_path):
    path = write_zip(tmp_path / "j.zip", judgement())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../outside.jpg", b"x")
        archive.writestr("/etc/passwd", b"x")
    with open_judgement(path) as opened:
        assert opened.picture(CELL)
    assert [each.name for each in tmp_path.iterdir()] == ["j.zip"]


def test_what_would_grow_is_refused_unread(tmp_path):
    path = write_zip(tmp_path / "j.zip", judgement(), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ProtocolError, match="no zip of ours"), open_judgement(path):
        pass


def test_picture_that_would_grow_or_is_too_large_is_left_out(tmp_path):
    path = tmp_path / "j.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(DOCUMENT, judgement().to_bytes())
        archive.writestr(f"{CELL.name}.jpg", bytes(200 << 20), zipfile.ZIP_DEFLATED)
        large = Cell(1, 0.5, 0, 101)
        archive.writestr(f"{large.name}.jpg", bytes(MAX_PICTURE_BYTES + 1))
    tracemalloc.start()
    with open_judgement(path) as opened:
        assert opened.picture(CELL) is None
        assert opened.picture(large) is None
    assert tracemalloc.get_traced_memory()[1] < 5 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all" * 100, b"PK\x05\x06" + bytes(18)])
def test_what_is_no_zip_of_ours_is_refused(tmp_path, content):
    (tmp_path / "j.zip").write_bytes(content)
    with pytest.raises(ProtocolError) as refused, open_judgement(tmp_path / "j.zip"):
        pass
    assert (refused.value.code, bool(refused.value.fix)) == ("judgement.damaged", True)


def test_directory_that_is_larger_than_ours_is_not_read(tmp_path):
    path = write_zip(tmp_path / "j.zip", judgement())
    content = bytearray(path.read_bytes())
    content[-10:-6] = struct.pack("<L", 50 << 20)
    path.write_bytes(content)
    with pytest.raises(ProtocolError, match="another kind of zip"), open_judgement(path):
        pass


def test_second_directory_is_not_followed(tmp_path):
    path = write_zip(tmp_path / "j.zip", judgement())
    content = path.read_bytes()
    path.write_bytes(content[:-22] + struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1) + content[-22:])
    with pytest.raises(ProtocolError, match="another kind of zip"), open_judgement(path):
        pass


def test_every_cut_of_the_file_is_refused_or_has_fewer_pictures(tmp_path):
    whole = write_zip(tmp_path / "j.zip", judgement(files=1, num_seeds=1)).read_bytes()
    for end in range(0, len(whole), 97):
        (tmp_path / "cut.zip").write_bytes(whole[:end])
        with pytest.raises(ProtocolError), open_judgement(tmp_path / "cut.zip"):
            pass


def test_a_flipped_byte_is_an_error_of_ours_or_a_picture_that_is_none(tmp_path):
    whole = write_zip(tmp_path / "j.zip", judgement(files=1, num_seeds=1)).read_bytes()
    for at in range(0, len(whole), 61):
        spoilt = bytearray(whole)
        spoilt[at] ^= 0xFF
        (tmp_path / "spoilt.zip").write_bytes(spoilt)
        try:
            with open_judgement(tmp_path / "spoilt.zip") as opened:
                for each in opened.judgement.pictures:
                    thumbnails.small(opened.picture(each.cell) or b"", 32)
        except ProtocolError:
            pass


def test_fault_of_whoever_reads_on_stays_what_it_is(tmp_path):
    with pytest.raises(ValueError, match="mine"), open_judgement(write_zip(tmp_path / "j.zip", judgement())):
        raise ValueError("mine")


def test_file_that_is_gone_is_told_of(tmp_path):
    with pytest.raises(StorageError), open_judgement(tmp_path / "none.zip"):
        pass


@pytest.mark.parametrize("number", ["1e300", "-1e7", "NaN", "Infinity", "1" + "0" * 400, '"1"', "true", "null"])
def test_numbers_that_nobody_can_reckon_with_are_refused(number):
    document = judgement(files=1, num_seeds=1).to_bytes().decode()
    spoilt = document.replace('"weights":[0.0,', f'"weights":[{number},')
    assert spoilt != document
    with pytest.raises(ProtocolError):
        parse_judgement(spoilt.encode())


def test_document_beyond_its_bound_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "j.zip", "w") as archive:
        archive.writestr(DOCUMENT, json.dumps("x" * MAX_DOCUMENT_BYTES))
    with pytest.raises(ProtocolError), open_judgement(tmp_path / "j.zip"):
        pass


def test_picture_of_too_many_pixels_is_none():
    header = bytearray(as_jpeg(drawn(CELL)))
    at = header.index(b"\xff\xc0") + 5
    header[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
    assert thumbnails.small(bytes(header), 64) is None
