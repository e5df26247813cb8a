"""Whether the pictures may be trained on is asked once, before anything is rented, and remembered."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loratui import settings
from loratui.cli.rights import agreed_rights
from loratui.sessions.rights import rights_of
from loratui.settings import Settings
from loratui.store.rights import RightsAnswer, last_answer, note_answer
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import UsageError
from support.fake_runpod import FakeRunPod
from support.fake_vast import FakeVast
from support.local_cli import LocalCli
from support.market_cli import config_file, market_cli
from support.small_dataset import small_config
from support.terminal import Terminal

SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
QUESTION = b"Are you allowed to train on these pictures? (yes/no)"


@pytest.fixture
def preferences(tmp_path: Path) -> Settings:
    return settings.load(environ={"LORATUI_STATE_DIR": str(tmp_path / "state"), "HOME": str(tmp_path)})


def config(folder: str = "/pictures", **changes: Any) -> TrainingConfig:
    return small_config(Path(folder), **{"pretrained_model_name_or_path": SD15, **changes})


def answer(preferences: Settings, told: TrainingConfig, *, may_train: bool) -> None:
    rights = rights_of(told, preferences)
    note_answer(
        preferences.database,
        RightsAnswer(
            dataset=rights.dataset,
            base=rights.base,
            may_train=may_train,
            license=rights.license,
            author="ann",
            ts=time.time(),
        ),
    )


def agreed(preferences: Settings, *told: TrainingConfig) -> list[str] | None:
    return agreed_rights(preferences, told, asks=False, otherwise="nothing was rented")


def test_where_nobody_is_asked_it_is_a_warning_and_no_refusal(
    preferences: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert agreed(preferences, config()) == [""]
    said = capsys.readouterr().err
    assert "warning: [rights.unstated]" in said
    assert "CreativeML Open RAIL-M" in said
    assert "rights_statement" in said


def test_what_the_config_states_is_an_answer(preferences: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert agreed(preferences, config(rights_statement="All mine")) == ["stated in the config: All mine"]
    assert capsys.readouterr().err == ""


def test_of_files_that_are_judged_without_pictures_nothing_is_asked(
    preferences: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert agreed(preferences, config(train_data_dir=None, evaluate_loras=("/a.safetensors",))) == [
        "no pictures go with it"
    ]
    assert capsys.readouterr().err == ""


def test_an_answer_holds_for_that_dataset_and_that_base_model(
    preferences: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(preferences, config(), may_train=True)
    [said] = agreed(preferences, config(network_dim=64)) or []
    assert said.startswith("the pictures may be trained on, said ann on 20")
    assert capsys.readouterr().err == ""
    for other in (config("/others"), config(pretrained_model_name_or_path="org/other")):
        assert agreed(preferences, other) == [""]
        assert "rights.unstated" in capsys.readouterr().err


def test_a_model_is_the_same_under_the_name_it_had_before_it_moved(preferences: Settings) -> None:
    answer(preferences, config(pretrained_model_name_or_path="runwayml/stable-diffusion-v1-5"), may_train=True)
    assert rights_of(config(), preferences).are_given


def test_a_no_is_remembered_until_it_is_taken_back(preferences: Settings) -> None:
    answer(preferences, config(), may_train=False)
    with pytest.raises(UsageError) as caught:
        agreed(preferences, config())
    assert caught.value.code == "rights.refused"
    answer(preferences, config(), may_train=True)
    assert agreed(preferences, config())


def test_no_secret_of_an_address_is_kept(preferences: Settings) -> None:
    named = config(pretrained_model_name_or_path="https://example.org/model.safetensors?token=canary")
    assert "canary" not in rights_of(named, preferences).base


@pytest.fixture
def cli(tmp_path: Path, vast: FakeVast, runpod: FakeRunPod) -> Iterator[LocalCli]:
    with market_cli(tmp_path, vast, runpod, LORATUI_REMOTE__HUB_URL="http://127.0.0.1:9") as cli:
        yield cli


def test_a_person_is_asked_once_before_anything_is_rented(cli: LocalCli, vast: FakeVast) -> None:
    config_path = config_file(cli, pretrained_model_name_or_path=SD15)
    argv = [sys.executable, "-m", "loratui.cli", "train", str(config_path), "--on", "vast", "--budget", "5"]
    database = settings.load(environ=cli.environment).database

    def asked(*answers: tuple[bytes, str]) -> bytes:
        with Terminal(argv, environ=cli.environment) as terminal:
            for question, typed in answers:
                terminal.read_until(lambda output, question=question: question in output)  # type: ignore[misc]
                terminal.press(typed)
            assert terminal.wait() == 0
            terminal.read(0.1)
            return bytes(terminal.received)

    refused = asked((QUESTION, "no\n"))
    assert b"RAIL-M" in refused
    assert b"nothing was rented" in refused
    assert b"[y/N]" not in refused
    asked((QUESTION, "yes\n"), (b"[y/N]", "n\n"))
    assert QUESTION not in asked((b"[y/N]", "n\n"))
    assert vast.num_requests("create") == 0
    rights = rights_of(config(str(cli.folder / "pictures")), settings.load(environ=cli.environment))
    last = last_answer(database, rights.dataset, rights.base)
    assert last is not None
    assert (last.may_train, last.license) == (True, "CreativeML Open RAIL-M")
    said = [line for line in cli.run("plan", config_path).lines if line.startswith("rights to the pictures")]
    assert "may be trained on, said" in said[0]
