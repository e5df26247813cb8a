"""What can be typed: the parser of all commands."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from loratui.cli.advice_options import advice_options
from loratui.cli.dataset_options import caption_options, check_options, convert_options, plan_options
from loratui.cli.market_options import market_options, offer_option
from loratui.cli.new_options import new_options
from loratui.cli.screen_options import screen_options
from loratui.cli.try_out_options import try_out_options
from loratui.cli.values import duration, positive
from loratui.domain.formatting import parse_microusd
from loratui.domain.run import CommandKind
from loratui_protocol.errors import UsageError

if TYPE_CHECKING:
    from loratui.sessions.resumed import Resumed


class Arguments(argparse.Namespace):
    """What was typed; every command reads what its own parser sets. Money in micro-dollars, times in seconds."""

    handler: str
    readonly: bool
    slow: bool
    ascii: bool
    no_mouse: bool
    no_diff: bool
    plain: bool
    json: bool
    run: str | None
    follow: bool
    config: Path
    configs: list[Path]
    resumed: "Resumed | None"
    path: list[Path]
    loras: list[Path]
    like: Path | None
    crops: Path | None
    on: str | None
    identity: Path | None
    ssh_config: bool
    host_key: str | None
    on_done: str | None
    keep: float | None
    accept: list[str]
    ask_token: bool
    deadline: float | None
    budget: int | None
    detach: bool
    yes: bool
    steps: int | None
    stop_at_epoch: int | None
    epochs: int | None
    out: Path
    command_kind: CommandKind
    duration: float
    origin: bool
    provider: str | None
    forget: bool
    gpu: str | None
    vram: int | None
    disk: int
    max_price: int | None
    wait_price: int | None
    region: frozenset[str] | None
    cuda: tuple[int, int] | None
    compute_capability: tuple[int, int] | None
    min_reliability: float | None
    datacenter: bool
    config_for: Path | None
    offer: str | None
    sort: str | None
    action: str | None
    rental: str | None
    all: bool
    fix: bool
    to: str
    to_file: Path | None
    dry_run: bool
    trigger: str | None
    repeats: int | None
    folder: Path
    set_text: str | None
    prefix: str | None
    suffix: str | None
    replace: list[list[str]]
    remove_tag: list[str]
    prune_above: float | None
    move_captions: bool
    undo: bool
    review: bool
    list_captions: bool
    captioner: str | None
    model: str | None
    threshold: float | None
    overwrite: bool
    preset: str | None
    base: str | None
    kind: str | None
    data: Path | None
    name: str | None
    output: Path | None
    list: bool
    from_run: str | None
    save_preset: str | None
    write: int | None


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are errors like all others."""

    def error(self, message: str) -> NoReturn:
        """Refuse what was typed."""
        raise UsageError(message, fix=f"{self.prog} --help")


class _Version(argparse.Action):
    """Prints the version and ends; the metadata is read only when asked for, because that takes a while."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"loratui {version('loratui')}")
        parser.exit()


class _Configs(argparse.Action):
    """Keeps all configs, and the first one by itself."""

    def __call__(self, _: argparse.ArgumentParser, typed: argparse.Namespace, values: Any, *__: object) -> None:
        typed.configs, typed.config = values, values[0]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of everything."""
    parser = Parser(
        prog="loratui",
        description="Train Stable Diffusion LoRAs from a terminal. Without a command: open the newest run.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="say which version this is")
    parser.set_defaults(handler="attach:open_interface", plain=False, json=False, run=None, on=None)
    screen_options(parser, default=False)
    screen = Parser(add_help=False)
    screen_options(screen, default=argparse.SUPPRESS)
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)

    def add(name: str, handler: str, summary: str, *parents: Parser) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + ".", parents=parents, allow_abbrev=False
        )
        command.set_defaults(handler=handler)
        return command

    demo = add("demo", "train:demo", "train a LoRA for real on this machine, with the built-in tiny model", screen)
    _format_options(demo)
    demo.set_defaults(resumed=None, deadline=None, budget=None, detach=False, on_done=None, keep=None)
    demo.add_argument("--steps", type=positive, metavar="N", help="training steps; by default as many as it needs")
    demo.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR", help="where the results go")

    train = add("train", "train:train", "train the LoRA that a config describes", screen)
    train.add_argument(
        "configs",
        type=Path,
        nargs="+",
        metavar="CONFIG",
        action=_Configs,
        help="training_config.toml, kohya's keys; several are trained one after the other on one machine",
    )
    train.add_argument(
        "--on", required=True, metavar="TARGET", help="local, ssh://user@host:port, or rented: vast, runpod, cheapest"
    )
    train.add_argument(
        "--stop-at-epoch",
        type=positive,
        metavar="N",
        help="stop after so many epochs, to look; the schedule stays that of the whole run, and resume goes on",
    )
    _train_options(train)
    train.set_defaults(resumed=None)

    test = add(
        "test", "try_out:test", "try LoRA files out: a grid of pictures, scored; priced before it begins", screen
    )
    try_out_options(test)
    _train_options(test)
    test.set_defaults(resumed=None, stop_at_epoch=None)

    advice = add("advice", "advice:advice", "say which file of a run the scores speak for, and what to try next")
    _run_argument(advice)
    advice_options(advice)

    attach = add("attach", "attach:attach", "follow a run, from its beginning, in the interface or as lines", screen)
    _run_argument(attach)
    _on_option(attach)
    _format_options(attach)

    download = add("download", "attach:download", "fetch every file that a run has now, and print where they are")
    _run_argument(download)
    _on_option(download)

    listing = add("ls", "listing:ls", "list the runs")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    _on_option(listing)
    status = add("status", "listing:status", "say how a run is doing")
    _run_argument(status)
    status.add_argument("--json", action="store_true", help="one JSON document")
    support = add("support", "support:support", "write a file for whoever is to find out what went wrong with a run")
    _run_argument(support)
    support.add_argument("--out", type=Path, metavar="FILE", help="where; by default in the current folder")
    logs = add("logs", "attach:logs", "print what a run has logged")
    _run_argument(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")

    for kind, summary in (
        ("pause", "hold a run after the current step; whatever it runs on goes on costing"),
        ("checkpoint", "save the full state and a LoRA file after the current step"),
        ("sample", "make the sample pictures after the current step"),
        ("stop", "finish the current step, save everything, and end the run"),
    ):
        command = add(kind, "control:send", summary)
        command.set_defaults(command_kind=kind, duration=0.0)
        _run_argument(command)
    resume = add(
        "resume",
        "resume:resume",
        "go on with a paused run, or with an ended one from its last checkpoint; with --on on another machine",
        screen,
    )
    resume.set_defaults(command_kind="resume", duration=0.0, resumed=None, stop_at_epoch=None)
    _run_argument(resume)
    resume.add_argument(
        "--epochs",
        type=positive,
        metavar="N",
        help="train to so many epochs in all, a run that is done, too; beyond its plan the schedule is planned anew",
    )
    resume.add_argument(
        "--on",
        metavar="TARGET",
        help="where to go on from the newest saved state that is on this machine: local, ssh://user@host:port, or "
        "rented: vast, runpod, cheapest. What follows counts with it alone",
    )
    _train_options(resume)
    extend = add("extend", "control:send", "move the auto-stop of a run; of a rented machine with its budget, priced")
    extend.add_argument("--yes", action="store_true", help="ask nothing")
    extend.set_defaults(command_kind="extend")
    extend.add_argument("run", metavar="RUN", help="name or beginning of an id")
    extend.add_argument("duration", type=duration, metavar="30m", help="by how much")

    clean = add("clean", "clean:clean_host", "end and remove everything of loratui on a host, once it is named")
    clean.add_argument("on", metavar="TARGET", help="ssh://user@host:port")
    clean.add_argument("--yes", action="store_true", help="ask nothing")
    _host_options(clean)

    keys = add("keys", "keys:keys", "enter a provider's key, hidden, or show which keys there are and what they open")
    keys.add_argument("provider", nargs="?", metavar="PROVIDER", help="vast or runpod")
    keys.add_argument("--forget", action="store_true", help="remove the key that is kept here")

    offers = add("offers", "offers:offers", "list what can be rented now, the cheapest first")
    offers.add_argument("--provider", metavar="P", help="vast or runpod; by default all")
    offers.add_argument(
        "--disk", type=positive, default=40, metavar="GB", help="disk that the price is for (%(default)s)"
    )
    offers.add_argument(
        "--for",
        type=Path,
        dest="config_for",
        metavar="CONFIG",
        help="say what the run of this config would take on each, in time and money, and list only what it fits on",
    )
    market_options(offers)
    offers.add_argument("--json", action="store_true", help="one JSON document")

    rentals = add("rentals", "rentals:rentals", "list what is rented in your name now, whoever started it")
    rentals.add_argument(
        "action", nargs="?", choices=("sweep",), help="sweep: end what nobody minds, once you have agreed"
    )
    rentals.add_argument(
        "--yes", action="store_true", help="with sweep: ask nothing, also about what another computer may have rented"
    )
    rentals.add_argument("--json", action="store_true", help="one JSON document")
    terminate = add("terminate", "rentals:terminate", "end rentals for good, and prove that they ended")
    terminate.add_argument(
        "rental", nargs="?", metavar="RENTAL", help="id or label, as loratui rentals shows it, or a run on it"
    )
    terminate.add_argument("--all", action="store_true", help="everything that bears a label of ours")
    terminate.add_argument("--yes", action="store_true", help="ask nothing")

    check = add("check", "check:check", "say what is wrong with configs and datasets")
    check_options(check)
    convert = add("convert", "convert:convert", "write a config as our own file, or as one for sd-scripts")
    convert_options(convert)
    caption = add("caption", "caption:caption", "edit the captions of a folder in bulk, or let a model draft them")
    caption_options(caption)
    plan = add("plan", "plan:plan", "say what a config amounts to: steps, buckets, exposures; time and cost")
    plan_options(plan)
    new = add("new", "new:new", "ask a few questions and write a training config, each setting with its reason")
    new_options(new)

    config = add("config", "preferences:show", "show the settings of loratui itself")
    actions = config.add_subparsers(metavar="ACTION", required=True, parser_class=Parser)
    show = actions.add_parser("show", help="every setting and its value")
    show.add_argument("--origin", action="store_true", help="and where each value comes from")
    show.set_defaults(handler="preferences:show")
    actions.add_parser("schema", help="every setting, its type, default and meaning").set_defaults(
        handler="preferences:schema"
    )
    actions.add_parser("path", help="where the settings file is").set_defaults(handler="preferences:path")
    return parser


def _train_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--deadline", type=duration, metavar="3h", help="save and stop after this time")
    parser.add_argument("--budget", type=parse_microusd, metavar="USD", help="save and stop when this much is spent")
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.add_argument(
        "--detach", action="store_true", help="start the run and return once nothing needs this machine"
    )
    parser.add_argument(
        "--on-done",
        metavar="WHAT",
        help="what the host does when the files are here, verified: stop (the agent), poweroff, or a command",
    )
    parser.add_argument(
        "--keep",
        type=duration,
        metavar="30m",
        help="a rented machine is kept for so long once the files are here; a host waits with --on-done for so long "
        "for someone to fetch them",
    )
    parser.add_argument(
        "--wait-price",
        type=parse_microusd,
        metavar="USD",
        help="wait until a machine is to be rented for at most so much an hour",
    )
    parser.add_argument(
        "--accept", action="append", default=[], metavar="CODE", help="go on in spite of what would be refused"
    )
    parser.add_argument(
        "--ask-token", action="store_true", help="ask for a token, hidden, that the host downloads the base model with"
    )
    _host_options(parser)
    market_options(parser)
    offer_option(parser)
    _format_options(parser)


def _run_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="name or beginning of an id; by default the active run, or the newest",
    )


def _on_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--on",
        metavar="TARGET",
        help="also the runs that are on this host (ssh://user@host:port), whoever started them",
    )
    _host_options(parser)


def _host_options(parser: argparse.ArgumentParser) -> None:
    options = parser.add_argument_group("ssh hosts; what is given once is remembered for the host")
    options.add_argument("--identity", type=Path, metavar="FILE", help="private key; by default one of its own is made")
    options.add_argument(
        "--ssh-config", action="store_true", help="heed ~/.ssh/config and the ssh agent, which are left alone otherwise"
    )
    options.add_argument(
        "--host-key", metavar="SHA256:…", help="fingerprint that the host must show; by default the first one is pinned"
    )


def _format_options(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--plain", action="store_true", help="a sentence a change instead of the interface")
    form.add_argument("--json", action="store_true", help="a JSON object a line instead of the interface")
