import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.local_names import MAX_NAME_CHARS, LocalNames, may_be, numbered, report_name, run_name
from loratui_protocol.messages import Artifact, ArtifactKind

DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}


def artifact(name: str, kind: ArtifactKind = ArtifactKind.SAMPLE, artifact_id: str = "a") -> Artifact:
    return Artifact(id=artifact_id, kind=kind, name=name, size=1, sha256="0")


def local_names(artifacts: Iterable[Artifact]) -> dict[str, str]:
    names = LocalNames()
    return {each.id: names.choose(each) for each in artifacts}


def name_of(name: str, kind: ArtifactKind = ArtifactKind.SAMPLE) -> str:
    return local_names([artifact(name, kind)])["a"]


@pytest.mark.parametrize(
    ("suggested", "chosen"),
    [
        ("sample-1.png", "sample-1.png"),
        ("../../etc/passwd", "_.._etc_passwd.png"),
        ("/absolute.png", "_absolute.png"),
        ("..", "sample.png"),
        ("", "sample.png"),
        (".hidden.png", "hidden.png"),
        ("-rf.png", "rf.png"),
        ("C:\\evil.exe", "C__evil.exe.png"),
        ("con.png", "_con.png"),
        ("COM1.x.png", "_COM1.x.png"),
        ("NUL", "_NUL.png"),
        ("aux.txt", "_aux.txt.png"),
        ("nul. .png", "_nul._.png"),
        ("...con", "_con.png"),
        ("com\u00b9.png", "com_.png"),
        ("x. ", "x._.png"),
        ("x...", "x.png"),
        ("a\x00b\x1b[2J.png", "a_b__2J.png"),
        ("né.png", "n_.png"),
        ("x.part", "x.part.png"),
    ],
)
def test_suggested_name_becomes_a_harmless_one(suggested: str, chosen: str) -> None:
    assert name_of(suggested) == chosen


def test_kind_decides_what_a_file_is() -> None:
    assert name_of("lora.exe", ArtifactKind.LORA) == "lora.exe.safetensors"
    assert name_of("Lora.SafeTensors", ArtifactKind.LORA) == "Lora.safetensors"
    assert name_of("evaluation.json", ArtifactKind.EVALUATION) == "evaluation.json"


def test_no_two_files_share_a_name_even_where_case_does_not_count() -> None:
    names = local_names(
        [artifact("A.png", artifact_id="1"), artifact("a.png", artifact_id="2"), artifact("a-2.png", artifact_id="3")]
    )
    assert names == {"1": "A.png", "2": "a-2.png", "3": "a-2-2.png"}


def test_names_that_windows_takes_for_one_become_several() -> None:
    wished = ["x", "X", "x.", "x.png", "x.PNG.", "x.png", "nul", "NUL.png", "_nul", "\u212a.png", "K.png", "\u00e9.png"]
    names = local_names([artifact(name, artifact_id=str(number)) for number, name in enumerate(wished)])
    assert len({name.rstrip(". ").lower() for name in names.values()}) == len(wished)


def test_thousands_that_wish_for_one_name_take_no_longer_than_others() -> None:
    began_s = time.process_time()
    names = local_names([artifact("Same.png", artifact_id=str(number)) for number in range(20_000)])
    # Trying all that went before took a hundred times as long.
    assert time.process_time() - began_s < 5
    assert len({name.lower() for name in names.values()}) == 20_000


def test_name_that_is_taken_stays_with_its_file() -> None:
    names = LocalNames()
    names.take("A.png")
    assert [names.choose(artifact("a.png")), names.choose(artifact("a-2.png"))] == ["a-2.png", "a-2-2.png"]


def test_kind_decides_what_a_name_may_end_in() -> None:
    assert may_be("A.safetensors", ArtifactKind.LORA)
    assert not may_be("a.png", ArtifactKind.LORA)


@pytest.mark.parametrize(
    ("name", "report"),
    [
        ("cat", "cat-report.html"),
        ("cat.v2", "cat.v2-report.html"),
        ("/victim/docs/pwn", "_victim_docs_pwn-report.html"),
        ("..", "run-report.html"),
        ("../../x", "_.._x-report.html"),
        ("-o", "o-report.html"),
        ("x" * 300, "x" * 94 + "-report.html"),
    ],
)
def test_report_is_named_here_whatever_the_run_is_called(name: str, report: str) -> None:
    assert report_name(name) == report


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        ("my style (v2)", "my style (v2)"),
        ("/victim/docs/pwn", "victim docs pwn"),
        ("..\\..\\x", "x"),
        ("..", "run"),
        ("--on\nssh://evil", "on ssh: evil"),
        ("-" * 300 + "x", "run"),
        ("y" * 300, "y" * MAX_NAME_CHARS),
        ("Stil \u00fc", "Stil \u00fc"),
    ],
)
def test_run_of_another_machine_gets_a_name_of_one_line_that_is_no_path_and_no_option(wish: str, name: str) -> None:
    assert run_name(wish) == name


def test_number_goes_before_the_suffix() -> None:
    assert numbered("style.v2.safetensors", 3) == "style.v2-3.safetensors"


@given(st.lists(st.text(max_size=300), max_size=8), st.sampled_from(list(ArtifactKind)))
def test_every_name_is_a_plain_one_of_its_own(suggested: list[str], kind: ArtifactKind) -> None:
    names = local_names([artifact(name, kind, str(number)) for number, name in enumerate(suggested)])
    assert len({name.lower() for name in names.values()}) == len(suggested)
    for name in names.values():
        assert len(name) <= MAX_NAME_CHARS
        assert name.isascii()
        assert not set(name) & set('/\\:*?"<>|\0 ')
        assert name[0] not in ".-"
        assert name[-1] not in ". "
        assert not name.endswith(".part")
        assert name.partition(".")[0].lower() not in DEVICES
