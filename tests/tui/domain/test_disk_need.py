from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.disk_need import DiskNeed, disk_need
from support.estimates import A_WORK, a_feature_model

SIZES = st.integers(0, 10**12)
PARTS = [field.name for field in fields(DiskNeed) if field.name.endswith("_bytes")]
GB = 10**9


def needs(**changes: int) -> DiskNeed:
    return replace(disk_need(A_WORK, 500_000_000), **changes)


@given(sizes=st.fixed_dictionaries(dict.fromkeys(PARTS, SIZES)), part=st.sampled_from(PARTS), more=SIZES)
def test_more_of_anything_never_needs_less_disk_and_all_of_it_fits(sizes: dict[str, int], part: str, more: int) -> None:
    need = DiskNeed(**sizes)
    larger = replace(need, **{part: sizes[part] + more})
    assert need.gb <= larger.gb <= need.gb + -(-more // GB)
    assert sum(sizes.values()) <= need.gb * GB
    assert need.gb == 40 or need.gb * GB - sum(sizes.values()) < GB


@given(model=SIZES, run=SIZES, upload=SIZES)
def test_what_a_run_brings_along_counts(model: int, run: int, upload: int) -> None:
    need = disk_need(replace(A_WORK, base_model_bytes=model, upload_bytes=upload), run)
    assert need.gb * GB >= model + run + upload + need.environment_bytes + need.image_bytes


def test_a_small_run_gets_forty_gigabytes_and_a_large_one_whole_ones() -> None:
    assert needs().gb == 40
    assert needs(run_bytes=50 * GB).gb > 40
    assert needs(run_bytes=50 * GB + 1).gb == needs(run_bytes=50 * GB).gb


def test_a_base_model_of_unknown_size_counts_as_a_large_one_and_is_said_to_be_assumed() -> None:
    unknown = disk_need(replace(A_WORK, base_model_bytes=None), 0)
    assert unknown.model_bytes > disk_need(A_WORK, 0).model_bytes
    assert "base model (assumed) 7.7 GB" in unknown.sentence
    assert "base model 4.3 GB" in disk_need(A_WORK, 0).sentence
    assert "base model" not in disk_need(replace(A_WORK, base_model_bytes=0), 0).sentence


def test_models_to_judge_with_need_room_and_those_of_unknown_size_are_said_to_be_assumed() -> None:
    known = disk_need(replace(A_WORK, features=(a_feature_model("org/dino", 88 * 10**6),)), 0)
    assert known.feature_bytes == 88 * 10**6
    assert "models to judge with 88 MB" in known.sentence
    unknown = disk_need(replace(A_WORK, features=(a_feature_model("org/dino", None),)), 0)
    assert unknown.feature_bytes > known.feature_bytes
    assert "models to judge with (assumed) 1.7 GB" in unknown.sentence
    assert "to judge with" not in disk_need(A_WORK, 0).sentence
