"""``train`` and ``demo``: check everything, then start a run on this machine and follow it."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.check import check_base_model, check_config, print_findings
from loratui.cli.disk import check_space
from loratui.cli.following import hosting, watch
from loratui.domain import formatting
from loratui.headless.json_lines import to_json
from loratui.remote.local_agent import check_installed, check_platform
from loratui.sessions.start_run import start_run
from loratui.sessions.targets import LOCAL
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import to_toml
from loratui_protocol.errors import JobError, UsageError
from loratui_protocol.plan import Plan


def train(arguments: Arguments) -> int:
    """Train what a config describes."""
    if arguments.on != LOCAL:
        raise UsageError(
            f"--on {arguments.on} is not there yet", fix="--on local trains on this machine", code="target.unknown"
        )
    if arguments.budget == 0:
        raise UsageError("a budget of $0 buys nothing", fix="leave --budget away for no limit", code="usage.money")
    check_platform()
    checked = check_config(arguments.config)
    check_base_model(checked.config)
    warnings = [finding for finding in checked.findings if finding.severity == "warning"]
    print_findings(warnings)
    if warnings and not arguments.yes and sys.stdin.isatty() and sys.stderr.isatty() and not _agrees(len(warnings)):
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


def _agrees(num_warnings: int) -> bool:
    warnings = "a warning" if num_warnings == 1 else f"{num_warnings} warnings"
    print(f"Train in spite of {warnings}? [y/N] ", end="", file=sys.stderr, flush=True)
    agrees = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not agrees:
        print("nothing was started", file=sys.stderr)
    return agrees


def _run(config: TrainingConfig, plan: Plan, arguments: Arguments, concept: str = "") -> int:
    """Start a run and follow it, or leave it to itself."""
    preferences = settings.load()
    check_space(config, plan, preferences.local_home, preferences.state_dir)
    with hosting(preferences) as host:
        run_id = start_run(
            host,
            name=config.output_name,
            target=LOCAL,
            config_toml=to_toml(config),
            home=preferences.local_home,
            price_microusd_per_h=preferences.local_price_microusd_per_h,
            max_runtime_s=_max_runtime_s(arguments, preferences.local_price_microusd_per_h),
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


def _max_runtime_s(arguments: Arguments, price_microusd_per_h: int) -> float | None:
    """Return the time after which the run saves and stops: the earlier of deadline and spent budget."""
    limits = [] if arguments.deadline is None else [arguments.deadline]
    if arguments.budget is not None and price_microusd_per_h:
        limits.append(3600 * arguments.budget / price_microusd_per_h)
    elif arguments.budget is not None:
        print(
            f"warning: --budget {formatting.money(arguments.budget)} has no effect, this machine costs $0 an hour; "
            "set local.price_usd_per_h",
            file=sys.stderr,
        )
    return min(limits, default=None)
