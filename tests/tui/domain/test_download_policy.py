import pytest

from loratui.domain.download_policy import MAX_FILES, DownloadPolicy, LocalFile, read_amount, read_which
from loratui_protocol.messages import Artifact, ArtifactKind


def artifact(number: int, kind: ArtifactKind = ArtifactKind.SAMPLE, size: int = 10) -> Artifact:
    return Artifact(id=f"a{number}", kind=kind, name="x", size=size, sha256="0" * 64)


RUN = [
    artifact(0),
    artifact(1, ArtifactKind.CHECKPOINT_LORA),
    artifact(2, ArtifactKind.LORA),
    artifact(3, ArtifactKind.CONTACT_SHEET),
]


@pytest.mark.parametrize(
    ("which", "declined"), [("all", set()), ("final", {"a0", "a1"}), ("none", {"a0", "a1", "a2", "a3"})]
)
def test_policy_says_what_is_left_on_the_agent(which: str, declined: set[str]) -> None:
    assert set(DownloadPolicy(which=read_which(which)).declined(RUN)) == declined


def test_only_what_final_leaves_out_is_not_wanted_at_all() -> None:
    def unwanted(policy: DownloadPolicy) -> set[str]:
        return {each.id for each in RUN if policy.is_unwanted(each)}

    assert unwanted(DownloadPolicy(which="final")) == {"a0", "a1"}
    assert unwanted(DownloadPolicy(which="none")) == unwanted(DownloadPolicy(max_gib=0)) == set()


def test_small_pictures_come_with_final_too_and_count_as_what_lies_on_the_way() -> None:
    small = artifact(7, ArtifactKind.THUMBNAIL, size=2**30)
    assert DownloadPolicy(which="final").declined([small]) == {}
    assert set(DownloadPolicy(max_gib=1).declined([small, artifact(8, ArtifactKind.LORA, size=10)])) == {"a7"}


def test_results_come_before_what_lies_on_the_way_to_them() -> None:
    gib = 2**30
    run = [*(artifact(n, size=gib) for n in range(5)), artifact(9, ArtifactKind.LORA, size=gib)]
    assert set(DownloadPolicy(max_gib=3).declined(run)) == {"a2", "a3", "a4"}


def test_host_that_announces_without_end_fills_no_disk() -> None:
    flood = [artifact(number, size=0) for number in range(MAX_FILES + 10)]
    assert len(DownloadPolicy().declined(flood)) == 10
    assert set(DownloadPolicy().declined([artifact(0, size=2**60), artifact(1, size=-5)])) == {"a0"}


def begun(kind: ArtifactKind, gib: int, num_versions: int = 1) -> LocalFile:
    return LocalFile(name="x", kind=kind, sha256="old", num_versions=num_versions, num_bytes=gib * 2**30)


def test_what_was_ever_begun_counts_whatever_was_announced_since() -> None:
    policy, gib = DownloadPolicy(max_gib=3), 2**30
    files = {"a1": begun(ArtifactKind.SAMPLE, 3, num_versions=3)}
    assert set(policy.declined([artifact(1, size=gib)], files)) == {"a1"}
    assert policy.declined([artifact(2, ArtifactKind.LORA, size=3 * gib)], files) == {}
    files = {"a2": begun(ArtifactKind.LORA, 3)}
    assert set(policy.declined([artifact(2, ArtifactKind.LORA, size=gib), artifact(1, size=gib)], files)) == {
        "a1",
        "a2",
    }
    assert set(DownloadPolicy().declined([artifact(1)], {"x": begun(ArtifactKind.SAMPLE, 0, MAX_FILES)})) == {"a1"}


def test_version_that_was_begun_is_fetched_to_its_end() -> None:
    half = LocalFile(name="x", kind=ArtifactKind.LORA, sha256="0" * 64, size=2**30, num_versions=1, num_bytes=2**30)
    lora = artifact(1, ArtifactKind.LORA, size=2**30)
    assert DownloadPolicy(max_gib=1).declined([lora], {"a1": half}) == {}


def test_settings_that_mean_nothing_are_refused() -> None:
    for text in ("-1", "nan", "inf", "x"):
        with pytest.raises(ValueError, match=r".?"):
            read_amount(text)
    with pytest.raises(ValueError, match="some"):
        read_which("some")
