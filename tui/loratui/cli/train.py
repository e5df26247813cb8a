"""``train`` and ``demo``: check everything, then start a run and follow it; on another machine see ``hosts``."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.check import check_base_model, check_config, print_findings
from loratui.cli.disk import check_space, needed_bytes
from loratui.cli.following import hosting, watch
from loratui.cli.limits import agrees, max_runtime_s
from loratui.cli.market_query import refuse_market_options
from loratui.headless.json_lines import to_json
from loratui.remote.local_agent import check_installed, check_platform
from loratui.sessions.market import MARKETS
from loratui.sessions.start_run import start_run
from loratui.sessions.targets import LOCAL
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import to_toml
from loratui_protocol.errors import JobError, UsageError
from loratui_protocol.plan import Plan


def train(arguments: Arguments) -> int:
    """Train what a config describes."""
    if arguments.budget == 0:
        raise UsageError("a budget of $0 buys nothing", fix="leave --budget away for no limit", code="usage.money")
    if arguments.on in MARKETS:
        from loratui.cli.rent import train_on_market

        return train_on_market(arguments, arguments.on)
    refuse_market_options(arguments)
    if arguments.on != LOCAL:
        from loratui.cli.hosts import train_on_host

        return train_on_host(arguments, arguments.on or "")
    if arguments.on_done or arguments.ask_token:
        raise UsageError("--on-done and --ask-token are for other machines than this one", fix="leave them away")
    check_platform()
    checked = check_config(arguments.config)
    check_base_model(checked.config)
    warnings = [finding for finding in checked.findings if finding.severity == "warning"]
    print_findings(warnings)
    number = "a warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
    if warnings and not arguments.yes and not agrees(f"Train in spite of {number}?"):
        return 0
    return _run(checked.config, checked.plan, arguments)


def demo(arguments: Arguments) -> int:
    """Train the built-in tiny model on a concept that it has never seen."""
    check_platform()
    check_installed()
    folder = arguments.out.absolute()
    argv = [sys.executable, "-m", "loratui_agent.cli", "demo-job", "--out", str(folder)]
    argv += ["--steps", str(arguments.steps)] if arguments.steps else []
    written = subprocess.run(argv, capture_output=True, text=True, check=False)
    if written.returncode:
        said = written.stderr.strip().splitlines() or ["no reason was given"]
        # A deliberate error begins with its code; of a traceback the last line says most.
        reason = said[0] if said[0].startswith("[") else said[-1]
        raise JobError(
            f"the demo's pictures could not be made: {reason}",
            fix="give another folder with --out",
            code="demo.failed",
        )
    job = json.loads(written.stdout)
    checked = check_config(Path(job["config"]))
    return _run(replace(checked.config, output_dir=str(folder)), checked.plan, arguments, concept=job["concept"])


def _run(config: TrainingConfig, plan: Plan, arguments: Arguments, concept: str = "") -> int:
    """Start a run and follow it, or leave it to itself."""
    preferences = settings.load()
    on_home, handed_over = needed_bytes(config, plan)
    check_space([(preferences.local_home, on_home), (preferences.state_dir, handed_over)])
    with hosting(preferences) as host:
        run_id = start_run(
            host,
            name=config.output_name,
            target=LOCAL,
            config_toml=to_toml(config),
            home=preferences.local_home,
            price_microusd_per_h=preferences.local_price_microusd_per_h,
            max_runtime_s=max_runtime_s(arguments, preferences.local_price_microusd_per_h, "local.price_usd_per_h"),
            evaluate_concept=concept,
        )
        if arguments.json:
            fields = {"event": "run", "ts": time.time(), "seq": 0, "run": run_id, "name": config.output_name}
            print(to_json(fields), flush=True)
        elif arguments.detach:
            print(run_id)
        else:
            print(
                f"run {run_id}: {config.output_name}, {plan.steps} steps on this machine", file=sys.stderr, flush=True
            )
        return 0 if arguments.detach else watch(host, preferences, run_id, arguments)
