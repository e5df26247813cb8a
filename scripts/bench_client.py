"""Events all the way to where the client's commands read them: journalled, sent, stored, folded into the view.

    python scripts/bench_client.py

The agent is a real process and the trainer a stand-in, as in ``bench_wire.py``, which measures the way without the
client's store.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from loratui import settings
from loratui.sessions.host import SessionHost
from loratui.sessions.start_run import start_run
from loratui.sessions.tail import tail
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui_protocol.messages import Step
from support.agent_process import AgentProcess, running_agent, wait_until

NUM_LIVE = 1_000
NUM_REPLAYED = 20_000
NUM_MISSED = 1_000
DEADLINE_S = 120.0


def client(folder: Path) -> Settings:
    """Return the settings of a client that keeps its state in ``folder``."""
    return settings.load({"state_dir": str(folder)}, {"LORATUI_CONFIG_DIR": str(folder)})


def hosted(here: Settings) -> SessionHost:
    """Return a started session host."""
    host = SessionHost(here)
    host.start()
    return host


def train(host: SessionHost, agent: AgentProcess, script: str) -> str:
    """Start a run of the stand-in trainer."""
    return start_run(host, name="bench", target="local", config_toml=script, home=agent.home.path)


def measure_live(folder: Path, agent: AgentProcess) -> tuple[float, float]:
    """Return p50 and p99 of the milliseconds from the trainer's step to the reader of the client's store."""
    here = client(folder / "live")
    host = hosted(here)
    run_id = train(host, agent, f"steps = {NUM_LIVE}\nstep_s = 0.02\ncheckpoint_every = 100000")
    with Store(here.database) as store:
        late_ms = [
            (time.time() - record.ts) * 1000 for record in tail(host, store, run_id) if isinstance(record.event, Step)
        ]
    host.close()
    cuts = statistics.quantiles(late_ms, n=100)
    return cuts[49], cuts[98]


def measure_replay(folder: Path, agent: AgentProcess) -> tuple[float, float]:
    """Return events per second into an empty store, and the milliseconds to make up for ``NUM_MISSED``."""
    first = client(folder / "first")
    host = hosted(first)
    run_id = train(host, agent, f"steps = {NUM_REPLAYED}\nstep_s = 0.0\ncheckpoint_every = 1000000")
    wait_until(lambda: host.view(run_id).is_settled, "the run's end", DEADLINE_S)
    head = host.view(run_id).last_seq
    host.close()
    with Store(first.database) as store:
        run, history = store.run(run_id), list(store.records(run_id))

    began_s = time.perf_counter()
    _follow_to(client(folder / "empty"), run, head)
    replay_s = time.perf_counter() - began_s

    took_ms = []
    for number in range(5):
        here = client(folder / f"missed-{number}")
        with Store(here.database) as store:
            store.add_run(run)
            store.begin_history(run_id, run.epoch, reset=False)
            store.append(run_id, run.epoch, history[: head - NUM_MISSED])
        took_ms.append(_follow_to(here, run, head))
    return head / replay_s, statistics.median(took_ms)


def _follow_to(here: Settings, run: StoredRun, head: int) -> float:
    """Follow until the store has everything; return the milliseconds since the history so far was read."""
    with Store(here.database) as store:
        store.add_run(run)
    host = hosted(here)
    host.follow(run.id)
    began_s = time.perf_counter()
    view = host.view(run.id)
    while view.last_seq < head:
        view = host.wait(run.id, view.version, DEADLINE_S)
    took_ms = (time.perf_counter() - began_s) * 1000
    host.close()
    return took_ms


def main() -> int:
    """Measure, print, and return 1 if a limit is missed."""
    with tempfile.TemporaryDirectory() as name, running_agent(Path(name) / "home") as agent:
        p50_ms, p99_ms = measure_live(Path(name), agent)
        per_s, reconnect_ms = measure_replay(Path(name), agent)
    figures = (
        ("event to the reader of the store, p50", p50_ms, "ms", p50_ms <= 5),
        ("event to the reader of the store, p99", p99_ms, "ms", p99_ms <= 75),
        ("replay into an empty store", per_s, "events/s", per_s >= 10_000),
        (f"reconnection with {NUM_MISSED} missed events", reconnect_ms, "ms", reconnect_ms <= 250),
    )
    for title, value, unit, holds in figures:
        print(f"  {title:<46} {value:>10,.2f} {unit:<9}{'' if holds else ' MISSED'}")
    return 0 if all(holds for *_, holds in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
