import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.local_names import MAX_NAME_CHARS, local_names, numbered
from loratui_protocol.messages import Artifact, ArtifactKind


def artifact(name: str, kind: ArtifactKind = ArtifactKind.SAMPLE, artifact_id: str = "a") -> Artifact:
    return Artifact(id=artifact_id, kind=kind, name=name, size=1, sha256="0")


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
        assert not name.endswith(".part")
