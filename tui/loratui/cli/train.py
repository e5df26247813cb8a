"""``train`` and ``demo``: check everything, then start a run and follow it; on another machine see ``hosts``."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.check import check_all, print_findings, refuse_errors
from loratui.cli.disk import check_space
from loratui.cli.following import announce, hosting, watch
from loratui.cli.limits import agrees, check_accepted, max_runtime_s
from loratui.cli.market_query import refuse_market_options
from loratui.cli.tried_out import tell_tried
from loratui.remote.local_agent import check_installed, check_platform
from loratui.sessions.checking import Checked, check_base_model, check_config
from loratui.sessions.judging import check_features_here
from loratui.sessions.market import MARKETS
from loratui.sessions.run_space import needed_bytes
from loratui.sessions.start_run import start_run
from loratui.sessions.targets import LOCAL
from loratui_protocol.config_file import to_toml
from loratui_protocol.errors import JobError, UsageError


def train(arguments: Arguments) -> int:
    """Train what a config describes."""
    if arguments.budget == 0:
        raise UsageError("a budget of $0 buys nothing", fix="leave --budget away for no limit", code="usage.money")
    check_accepted(arguments)
    if arguments.on in MARKETS:
        from loratui.cli.rent import train_on_market

        return train_on_market(arguments, arguments.on)
    refuse_market_options(arguments)
    if arguments.on != LOCAL:
        from loratui.cli.hosts import train_on_host

        return train_on_host(arguments, arguments.on or "")
    if arguments.on_done or arguments.ask_token or arguments.accept or arguments.keep is not None:
        raise UsageError(
            "--on-done, --keep, --accept and --ask-token are for other machines than this one", fix="leave them away"
        )
    check_platform()
    runs = check_all(arguments)
    for checked in runs:
        check_base_model(checked.config)
        check_features_here(checked.config)
    refuse_errors(runs)
    warnings = [finding for checked in runs for finding in checked.findings if finding.severity == "warning"]
    print_findings(warnings)
    number = "a warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
    tell_tried(runs)
    if warnings and not arguments.yes and not agrees(f"Train in spite of {number}?"):
        return 0
    return _run(runs, arguments)


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
    checked = replace(checked, config=replace(checked.config, output_dir=str(folder)))
    return _run([checked], arguments, concept=job["concept"])


def _run(runs: Sequence[Checked], arguments: Arguments, concept: str = "") -> int:
    """Start runs, which come one after the other, and follow them, or leave them to themselves."""
    preferences = settings.load()
    needed = [needed_bytes(checked.config, checked.plan) for checked in runs]
    check_space(
        [
            (preferences.local_home, sum(on_home for on_home, _ in needed)),
            (preferences.state_dir, sum(handed_over for _, handed_over in needed)),
        ]
    )
    limit_s = max_runtime_s(arguments, preferences.local_price_microusd_per_h, "local.price_usd_per_h")
    with hosting(preferences) as host:
        run_ids = []
        for checked in runs:
            run_id = start_run(
                host,
                name=checked.config.output_name,
                target=LOCAL,
                config_toml=to_toml(checked.config),
                home=preferences.local_home,
                price_microusd_per_h=preferences.local_price_microusd_per_h,
                # The limit is of them all together.
                max_runtime_s=None if limit_s is None else limit_s / len(runs),
                evaluate_concept=concept,
                resumed=checked.resumed,
            )
            run_ids.append(run_id)
            if arguments.detach and not arguments.json:
                print(run_id)
            else:
                announce(run_id, checked, "this machine", arguments)
        return 0 if arguments.detach else watch(host, preferences, run_ids, arguments)
