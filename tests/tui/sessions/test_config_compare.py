"""What a config comes to while it is changed, and how it differs from presets and from runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from loratui.sessions.config_compare import differences, others
from loratui.sessions.config_plan import ConfigPlan, ConfigPlanner
from loratui.sessions.presets import SHIPPED
from loratui.settings import Settings, load
from loratui.store import Store, StoredRun
from loratui_protocol.config_file import parse_config, to_toml
from loratui_protocol.ids import new_id
from support.small_dataset import small_config, write_small_dataset

SDXL = "stabilityai/stable-diffusion-xl-base-1.0"


@pytest.fixture
def preferences(tmp_path: Path) -> Settings:
    return load({"state_dir": str(tmp_path / "state")}, {"LORATUI_CONFIG_DIR": str(tmp_path / "config")})


@pytest.fixture
def plan(tmp_path: Path, preferences: Settings) -> Callable[..., ConfigPlan]:
    data = write_small_dataset(tmp_path / "data")
    planner = ConfigPlanner(preferences)

    def planned(**changes: object) -> ConfigPlan:
        text = to_toml(small_config(data, **changes))
        return planner.plan(parse_config(text, tmp_path), tmp_path / "x.toml")

    return planned


def test_the_figures_follow_the_config(plan: Callable[..., ConfigPlan]) -> None:
    small, large = plan(max_train_epochs=2), plan(max_train_epochs=4, network_dim=64)

    assert small.plan is not None
    assert large.plan is not None
    assert (small.plan.steps, large.plan.steps) == (4, 8)
    assert large.plan.exposures_per_picture == 2 * small.plan.exposures_per_picture
    assert large.lora_bytes > small.lora_bytes
    assert small.errors == []
    assert small.num_warnings > 0


def test_memory_and_time_are_told_of_gpus_that_are_rented(plan: Callable[..., ConfigPlan]) -> None:
    changes = {"pretrained_model_name_or_path": SDXL, "resolution": (1024, 1024), "max_train_steps": 1000}
    planned = plan(**changes)

    assert planned.base_name == "SDXL"
    assert next(card.vram_mib // 1024 for card in planned.cards if card.fits) > 8
    assert any(card.given_up for card in planned.cards)
    assert {each.gpu for each in planned.times} == {"RTX 3090", "RTX 4090"}
    assert all(0 < each.seconds[0] <= each.seconds[1] for each in planned.times)
    assert [each.microusd for each in planned.times] == [None, None], "nothing was ever paid"


def test_pictures_that_are_not_there_are_an_error_and_no_crash(plan: Callable[..., ConfigPlan]) -> None:
    planned = plan(train_data_dir="/no/such/folder")

    assert planned.plan is None
    assert [each.severity for each in planned.errors] == ["error"]
    assert "/no/such/folder" in planned.errors[0].what


def test_a_picture_that_can_not_be_read_is_named(plan: Callable[..., ConfigPlan], tmp_path: Path) -> None:
    (tmp_path / "data" / "1_cat" / "evil\x1b[31m.png").write_bytes(b"no picture")
    planned = plan()

    assert planned.errors
    assert any("evil" in each.what for each in planned.errors)


def test_presets_and_runs_can_be_compared_with(preferences: Settings, tmp_path: Path) -> None:
    config = small_config(tmp_path / "data", network_dim=8)
    with Store(preferences.database) as store:
        for name, dim, created in (("older", 16, 1.0), ("evil\x1b[2J[b]", 32, 2.0)):
            text = to_toml(small_config(tmp_path / "data", network_dim=dim, output_name="other"))
            run = StoredRun(id=new_id(), name=name, target="local", created_ts=created, config_toml=text, home=tmp_path)
            store.add_run(run)
        store.add_run(StoredRun(id=new_id(), name="found", target="h", created_ts=3.0, config_toml="", home=tmp_path))
    found = others(preferences)

    assert [each.name for each in found if each.kind == "preset"] == list(SHIPPED)
    assert [each.title for each in found if each.kind == "run"] == ["evil\x1b[2J[b]", "older"]
    rows = {each.key: (each.here, each.there) for each in differences(config, found[-1], preferences)}
    assert rows == {"network_dim": ("8", "16"), "output_name": ("cat", "other")}


@pytest.mark.parametrize("preset", SHIPPED)
def test_of_a_preset_only_what_it_sets_is_compared(preferences: Settings, preset: str, tmp_path: Path) -> None:
    config = small_config(tmp_path / "data", training_comment="mine", trigger_word="zog")
    other = next(each for each in others(preferences) if each.name == preset)
    rows = {each.key: each.there for each in differences(config, other, preferences)}

    assert "training_comment" not in rows
    assert "train_data_dir" not in rows
    assert rows["lr_scheduler"]
    assert "{trigger}" not in rows["sample_prompts"]
    assert "zog" in rows["sample_prompts"]
