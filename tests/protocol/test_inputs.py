import hashlib
import json
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol.errors import ProtocolError
from loratui_protocol.inputs import InputFile, check_name, is_sha256, make_manifest, parse_manifest

HASH = hashlib.sha256(b"").hexdigest()


def file(name: str, size: int = 1, sha256: str = HASH) -> InputFile:
    return InputFile(name=name, size=size, sha256=sha256)


def test_a_manifest_is_the_same_whatever_the_order_and_reads_back_as_itself():
    files = [file("train/b.png", 5), file("train/a.png", 3), file("reg/größe, 1.txt", 0)]
    manifest = make_manifest(files)
    assert make_manifest(files[::-1]).to_bytes() == manifest.to_bytes()
    assert parse_manifest(manifest.to_bytes()) == manifest
    assert manifest.sha256() == hashlib.sha256(manifest.to_bytes()).hexdigest()


def test_content_that_has_two_names_counts_once():
    other = hashlib.sha256(b"x").hexdigest()
    assert make_manifest([file("a", 5), file("b", 5), file("c", 2, other)]).size == 7


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "/etc/passwd", "../x", "a/../x", "a//b", "a/", "./a", "a\\b", "a\0b", "a\nb", "a\x1b[2Jb",
        "a\u202eb", "a\u200bb", "x" * 256, "ü" * 128, "/".join("abcdefghi"), "a" * 200 + "/" + "b" * 200, "a\ud800",
    ],
)  # fmt: skip
def test_names_that_could_lie_elsewhere_or_look_like_others_are_refused(name):
    with pytest.raises(ProtocolError):
        check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "CON", "nul", "NUL.png", "aux.txt", "com1", "COM9.tar.gz", "lpt\u00b2", "prn .png", "conin$", "CONOUT$.txt",
        "train/aux/1.png", "train/1_cat/Com1.txt", "a.", "a ", "a. .", "...", "train/1_cat /1.png", "train/mr./1.png",
    ],
)  # fmt: skip
def test_names_that_are_devices_or_lose_their_end_on_some_system_are_refused(name):
    with pytest.raises(ProtocolError) as refused:
        make_manifest([file(name)])
    assert refused.value.code == "inputs.manifest"
    assert refused.value.fix


@pytest.mark.parametrize(
    "name", ["conan.png", "com.png", "com10", "nul-1.txt", "1_aux/1.png", ".x", " a", "a.b", "auxiliary"]
)
def test_names_that_only_begin_like_those_may_travel(name):
    check_name(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.png", "A.png"), ("\u00e9.png", "e\u0301.png"), ("train/x", "TRAIN/x"), ("ß", "ss"),
        ("train/1_Cat/1.png", "train/1_cat/1.PNG"), ("\u212a.png", "k.png"), ("\ufb01.png", "FI.png"),
    ],
)  # fmt: skip
def test_names_that_some_system_takes_for_one_are_refused(one, other):
    with pytest.raises(ProtocolError):
        make_manifest([file(one), file(other)])


@given(st.text(max_size=60))
def test_a_name_that_is_accepted_lies_below_the_folder_it_is_joined_to(name):
    try:
        check_name(name)
    except ProtocolError:
        return
    path = PurePosixPath("/base") / name
    assert path.is_relative_to("/base")
    assert ".." not in path.parts
    assert path != PurePosixPath("/base")


rows = st.lists(
    st.lists(st.none() | st.integers() | st.text(max_size=8) | st.just(HASH) | st.booleans(), max_size=4), max_size=4
)


@given(st.binary(max_size=200) | rows.map(lambda each: json.dumps({"files": each}).encode()))
def test_whatever_comes_as_a_manifest_is_one_or_refused(content):
    try:
        manifest = parse_manifest(content)
    except ProtocolError:
        return
    for each in manifest.files:
        check_name(each.name)
        assert type(each.size) is int
        assert is_sha256(each.sha256)


@pytest.mark.parametrize("row", [["a", -1, HASH], ["a", True, HASH], ["a", 1, HASH.upper()], ["a", 1 << 60, HASH]])
def test_sizes_and_hashes_that_are_none_are_refused(row):
    with pytest.raises(ProtocolError):
        parse_manifest(json.dumps({"files": [row]}).encode())
