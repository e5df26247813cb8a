"""A run that goes on elsewhere: nobody pays for its first machine and for another one without having said so."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui.cli.arguments import Arguments
from loratui.cli.first_machine import may_leave
from loratui.domain.rental import RentalState
from loratui.sessions.ending import StillBillingError
from loratui.settings import load
from loratui.store import Store
from loratui_protocol.messages import JobState
from support.fake_vast import FakeVast
from support.left_rented import ledger_of, rented, stored_run
from support.local_cli import LocalCli, local_cli

RUN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture
def cli(tmp_path: Path, vast: FakeVast, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCli]:
    """A user whose run has failed on a machine that is still rented."""
    monkeypatch.setenv("LORATUI_VAST_API_KEY", vast.key)
    with local_cli(tmp_path, LORATUI_PROVIDERS__VAST__URL=vast.url) as cli:
        rented(cli, vast, "loratui-mine", RentalState.READY, RUN)
        stored_run(cli, RUN, "loratui-mine", JobState.FAILED)
        yield cli


def may(cli: LocalCli, *accept: str) -> bool:
    preferences = load(environ=cli.environment)
    with Store(preferences.database) as store:
        run = store.run(RUN)
    arguments = Arguments(yes=True, accept=list(accept), on="runpod")
    answer = may_leave(preferences, run, arguments)
    assert arguments.accept == [], "what comes after knows no such code"
    return answer


def test_a_machine_that_is_still_there_is_said_and_not_left_unasked(cli: LocalCli, vast: FakeVast) -> None:
    with pytest.raises(
        StillBillingError, match=r"which cat was on, is still there: \$0\.\d\d/h; .*terminate"
    ) as caught:
        may(cli)
    assert (caught.value.code, caught.value.exit_status) == ("resume.billing", 5)
    assert "--accept resume.billing" in caught.value.fix
    assert vast.num_living() == 1


def test_whoever_accepts_to_pay_for_both_is_told_what_the_first_one_costs(
    cli: LocalCli, vast: FakeVast, capsys: pytest.CaptureFixture[str]
) -> None:
    assert may(cli, "resume.billing")
    assert "warning: vast " in capsys.readouterr().err
    assert vast.num_living() == 1


def test_a_machine_that_its_provider_shows_gone_is_left_unasked(cli: LocalCli, vast: FakeVast) -> None:
    vast.instances.clear()
    assert may(cli)
    assert [rental.proven_gone for rental in ledger_of(cli)] == [True]


def test_a_provider_that_can_not_be_asked_or_understood_does_not_show_it_gone(
    cli: LocalCli, vast: FakeVast, monkeypatch: pytest.MonkeyPatch
) -> None:
    vast.answer("list", 200, b'""', times=100)
    with pytest.raises(StillBillingError, match="may still be there"):
        may(cli)
    monkeypatch.delenv("LORATUI_VAST_API_KEY")
    with pytest.raises(StillBillingError, match=r"may still be there \(there is no key of vast to ask with\)"):
        may(cli)


def test_other_runs_on_its_machine_are_named(cli: LocalCli) -> None:
    stored_run(cli, "01BX5ZZKBKACTAV9WEVGEMMVS0", "loratui-mine", name="dog")
    with pytest.raises(StillBillingError, match="dog may go on there"):
        may(cli)
