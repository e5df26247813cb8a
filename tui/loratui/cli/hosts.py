"""``train --on ssh://…``: what the host is and what it is sent is said first, then the run starts there."""

import difflib
import getpass
import shlex
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.check import check_all, print_findings, refuse_errors
from loratui.cli.copying import with_copies
from loratui.cli.disk import check_space
from loratui.cli.following import announce, hosting, say, watch
from loratui.cli.limits import agrees, check_cap, floor_microusd, max_runtime_s
from loratui.cli.rights import agreed_rights
from loratui.cli.terms import check_upload, hashing_progress, tell_terms, warn_of_power
from loratui.cli.tried_out import tell_tried
from loratui.headless.follow import SupplyNarrator
from loratui.remote.ssh import parse_target
from loratui.sessions.adopt import adopt, runs_on
from loratui.sessions.checking import Checked, check_base_model
from loratui.sessions.host import SessionHost
from loratui.sessions.judging import feature_sources
from loratui.sessions.machine import HostOptions
from loratui.sessions.model_source import model_source, server_of, token_source
from loratui.sessions.preconditions import matters
from loratui.sessions.prepare import Prepared, give_token, prepare
from loratui.sessions.run_space import needed_bytes
from loratui.sessions.start_run import start_run
from loratui.sessions.targets import Targets
from loratui.settings import Settings
from loratui.store import Store
from loratui_protocol.config_file import to_toml
from loratui_protocol.errors import UsageError
from loratui_protocol.inputs import ModelSource

_ON_DONE = ("stop", "poweroff")


def host_options(arguments: Arguments) -> HostOptions:
    """Return how a host is reached, as far as the command line says."""
    return HostOptions(
        identity=arguments.identity,
        ssh_config=True if arguments.ssh_config else None,
        host_key=arguments.host_key,
        passphrase=_passphrase if sys.stdin.isatty() else None,
    )


def train_on_host(arguments: Arguments, target: str) -> int:
    """Train what configs describe on the host ``target``, one after the other."""
    target = str(parse_target(target))
    preferences = settings.load()
    action = _on_done(arguments)
    price = preferences.ssh_price_microusd_per_h
    check_cap(arguments, price)
    floor = floor_microusd(arguments, price, preferences.ssh_billing_floor_s)
    runs = check_all(arguments)
    models = [model_source(run.config.pretrained_model_name_or_path, preferences.remote_hub_url) for run in runs]
    for checked, model in zip(runs, models, strict=True):
        if model is None:
            check_base_model(checked.config)
    refuse_errors(runs)
    for checked, model in zip(runs, models, strict=True):
        print_findings(finding for finding in checked.findings if matters(finding, model))
    limit_s = max_runtime_s(arguments, price, "ssh.price_usd_per_h")
    check_space([(preferences.state_dir, needed_bytes(run.config, run.plan)[1]) for run in runs])
    features = [feature_sources(run.config, preferences.remote_hub_url) for run in runs]
    owners = [token_source(model, of_run) for model, of_run in zip(models, features, strict=True)]
    token = token_of(next(filter(None, owners), None)) if arguments.ask_token else ""
    runs = [with_copies(run, preferences) for run in runs]
    tell_tried(runs)
    with hosting(preferences) as host:
        options, run_ids, rights = host_options(arguments), list[str](), list[str]()
        for checked, owner in zip(runs, owners, strict=True):
            prepared = host.perform(preparing(target, checked, preferences, token, options)).result()
            tell_terms(prepared, price, limit_s, floor_microusd=floor)
            check_upload(prepared, price, arguments.accept)
            if not run_ids:
                if action == "poweroff":
                    warn_of_power(host, target)
                configs = [run.config for run in runs]
                agreed = agreed_rights(preferences, configs, asks=not arguments.yes, otherwise="nothing was started")
                if agreed is None:
                    return 0
                rights = agreed
                if not arguments.yes and not agrees("Start?"):
                    return 0
                # Now, with its own words where that can't be: a session that follows the run would go on trying.
                host.perform(lambda targets: targets.machine(target).agent.ensure()).result()
            if token and owner is not None:
                hand_over_token(host, target, owner, token)
            run_id = start_run(
                host,
                name=checked.config.output_name,
                target=target,
                config_toml=to_toml(checked.config),
                home=Path(prepared.home),
                price_microusd_per_h=price,
                # The limit is of them all together.
                max_runtime_s=None if limit_s is None else limit_s / len(runs),
                supply=prepared.supply,
                on_done=action,
                keep_s=arguments.keep,
                accepted=arguments.accept,
                resumed=checked.resumed,
                rights=rights[len(run_ids)],
            )
            run_ids.append(run_id)
            announce(run_id, checked, target, arguments)
        if arguments.detach:
            return max(stay_while_needed(host, run_id, arguments) for run_id in run_ids)
        return watch(host, preferences, run_ids, arguments)


def preparing(
    target: str, checked: Checked, preferences: Settings, token: str, options: HostOptions | None = None
) -> Callable[[Targets], Coroutine[Any, Any, Prepared]]:
    """Return what looks at a machine, and plans what it is sent for a run, for ``SessionHost.perform``."""
    on_box, _ = needed_bytes(checked.config, checked.plan)
    return lambda targets: prepare(
        targets.machine(target, options),
        checked.config,
        preferences,
        on_box,
        token=token,
        state=checked.resumed.state if checked.resumed else None,
        progress=hashing_progress(),
    )


def find_runs(host: SessionHost, store: Store, target: str, arguments: Arguments) -> list[str]:
    """Take up the runs that are on the host ``target``; return their ids, oldest first.

    Raises:
        UsageError: there are none.
    """
    options = host_options(arguments)
    there = host.perform(lambda targets: runs_on(targets.machine(target, options))).result()
    if not there.jobs:
        raise UsageError(
            f"there is no run on {target}",
            fix=f"loratui train starts one there: give it a config and --on {shlex.quote(target)}",
            code="run.none",
        )
    return adopt(store, str(parse_target(target)), there)


def stay_while_needed(host: SessionHost, run_id: str, arguments: Arguments) -> int:
    """Stay until the host has all that it needs of this machine, then leave the run to itself."""
    view, narrator = host.view(run_id), SupplyNarrator()
    while (
        view.given_up is None
        and view.may_need_supply
        and not (view.supply and (view.supply.is_complete or view.supply.error))
    ):
        narrator.look(view)
        view = host.wait(run_id, view.version, 1.0)
    if view.supply is not None and view.supply.error is not None:
        raise view.supply.error
    if view.given_up is not None:
        raise view.given_up
    if not arguments.json:
        print(run_id)
    return 0


def _on_done(arguments: Arguments) -> str:
    """Return what happens in the end, as the wire has it."""
    if arguments.keep is not None and not arguments.on_done:
        raise UsageError("--keep says how long --on-done waits", fix="give --on-done too")
    action = arguments.on_done or ""
    near = difflib.get_close_matches(action.lower(), (*_ON_DONE, "shutdown"), 1, 0.8)
    if near and action not in _ON_DONE:
        # As a command it would be tried hours later, on a machine that then stays on.
        raise UsageError(
            f"--on-done {action}: is that a command, or is {near[0].replace('shutdown', 'poweroff')} meant?",
            fix="write stop, poweroff, or a command with its path",
        )
    return action if action in ("", *_ON_DONE) else f"run:{action}"


def token_of(model: ModelSource | None) -> str:
    """Ask for the token that a model is downloaded with; it is neither shown nor kept here."""
    if model is None:
        raise UsageError("no model is downloaded, so no token is needed", fix="leave --ask-token away")
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    server = server_of(model)
    say(f"the token goes to that host, which shows it to {server} and forgets it; whoever runs the host could read it")
    return getpass.getpass(f"token for {server} (not shown, not kept here): ", sys.stderr).strip()


def hand_over_token(host: SessionHost, target: str, model: ModelSource, token: str) -> None:
    """Give the machine the token that it downloads a model with."""
    host.perform(lambda targets: give_token(targets.machine(target), server_of(model), token)).result()


def _passphrase(key: Path) -> str:
    return getpass.getpass(f"passphrase of {key}: ", sys.stderr)
