"""What is said of the cost of a run on a machine whose price nobody has said: that it is not known, and no $0.00."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui.domain.formatting import UNKNOWN
from loratui_protocol.messages import JobState
from support.left_rented import stored_run
from support.local_cli import LocalCli, local_cli

FREE, PRICED, UNPRICED = "01ARZ3NDEKTSV4RRFFQ69G5FA0", "01ARZ3NDEKTSV4RRFFQ69G5FA1", "01ARZ3NDEKTSV4RRFFQ69G5FA2"
PRICE = 400_000


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[LocalCli]:
    with local_cli(tmp_path) as cli:
        stored_run(cli, FREE, "", JobState.DONE, target="local", name="free")
        stored_run(cli, PRICED, "", JobState.DONE, target="ssh://box", name="priced", price_microusd_per_h=PRICE)
        stored_run(cli, UNPRICED, "", JobState.DONE, target="ssh://box", name="unpriced")
        yield cli


def test_the_list_has_an_amount_where_there_is_one(cli: LocalCli) -> None:
    rows = {line.split()[1]: line.split() for line in cli.run("ls").lines}
    assert "$0.00" in rows["free"]
    assert "$0.00" in rows["priced"]
    assert UNKNOWN in rows["unpriced"]
    assert not any("$" in part for part in rows["unpriced"])

    costs = {run["name"]: (run["usd"], run["usd_per_h"]) for run in json.loads(cli.run("ls", "--json").lines[0])}
    assert costs == {"free": (0.0, 0.0), "priced": (0.0, 0.4), "unpriced": (None, None)}


def test_the_status_names_the_setting_that_says_it(cli: LocalCli) -> None:
    assert any(line.startswith("spent $0.00 at $0.40/h") for line in cli.run("status", PRICED).lines)
    told = cli.run("status", UNPRICED).lines
    assert any(line.startswith("what it costs is not known (ssh.price_usd_per_h is not set)") for line in told)
    assert not any("$" in line for line in told)
