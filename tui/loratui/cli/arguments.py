"""What can be typed: the parser of all commands."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from loratui.cli.advice_options import advice_options
from loratui.cli.config_options import config_options
from loratui.cli.dataset_options import caption_options, check_options, convert_options, plan_options
from loratui.cli.edit_options import edit_options
from loratui.cli.file_options import file_options
from loratui.cli.install_options import install_options
from loratui.cli.market_options import market_options
from loratui.cli.new_options import new_options
from loratui.cli.queue_options import queue_options
from loratui.cli.report_options import report_options
from loratui.cli.run_options import (
    format_options,
    host_options,
    on_option,
    run_argument,
    train_arguments,
    train_options,
)
from loratui.cli.screen_options import screen_options
from loratui.cli.try_out_options import try_out_options
from loratui.cli.values import duration, positive
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
    key: str
    value: str
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
    back: bool
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
    to_folder: Path | None
    ui: str | None
    with_pictures: bool
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
    settings: list[str]
    unset: list[str]
    editor: bool
    only: list[str]
    words: list[str]
    files: list[str]
    stars: int
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


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of everything."""
    parser = Parser(
        prog="loratui",
        description="Train Stable Diffusion LoRAs from a terminal. Without a command: open the newest run.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="say which version this is")
    parser.set_defaults(handler="attach:open_interface", plain=False, json=False, run=None, on=None, back=False)
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
    format_options(demo)
    demo.set_defaults(resumed=None, deadline=None, budget=None, detach=False, on_done=None, keep=None)
    demo.add_argument("--steps", type=positive, metavar="N", help="training steps; by default as many as it needs")
    demo.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR", help="where the results go")

    train = add("train", "train:train", "train the LoRA that a config describes", screen)
    train_arguments(train, is_detached=False)

    test = add(
        "test", "try_out:test", "try LoRA files out: a grid of pictures, scored; priced before it begins", screen
    )
    try_out_options(test)
    train_options(test)
    test.set_defaults(resumed=None, stop_at_epoch=None)

    advice = add("advice", "advice:advice", "say which file of a run the scores speak for, and what to try next")
    run_argument(advice)
    advice_options(advice)

    attach = add("attach", "attach:attach", "follow a run, from its beginning, in the interface or as lines", screen)
    run_argument(attach)
    on_option(attach)
    format_options(attach)

    download = add("download", "attach:download", "fetch every file that a run has now, and print where they are")
    run_argument(download)
    on_option(download)

    listing = add("ls", "listing:ls", "list the runs")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    on_option(listing)
    status = add("status", "listing:status", "say how a run is doing")
    run_argument(status)
    status.add_argument("--json", action="store_true", help="one JSON document")
    report = add("report", "report_file:write_again", "write the report of a run anew, from what is on this machine")
    run_argument(report)
    report_options(report)
    support = add("support", "support:support", "write a file for whoever is to find out what went wrong with a run")
    run_argument(support)
    support.add_argument("--out", type=Path, metavar="FILE", help="where; by default in the current folder")
    logs = add("logs", "attach:logs", "print what a run has logged")
    run_argument(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")

    for kind, summary in (
        ("pause", "hold a run after the current step; whatever it runs on goes on costing"),
        ("checkpoint", "save the full state and a LoRA file after the current step"),
        ("sample", "make the sample pictures after the current step"),
        ("stop", "finish the current step, save everything, and end the run"),
    ):
        command = add(kind, "control:send", summary)
        command.set_defaults(command_kind=kind, duration=0.0)
        run_argument(command)
    resume = add(
        "resume",
        "resume:resume",
        "go on with a paused run, or with an ended one from its last checkpoint; with --on on another machine",
        screen,
    )
    resume.set_defaults(command_kind="resume", duration=0.0, resumed=None, stop_at_epoch=None)
    run_argument(resume)
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
    train_options(resume)
    extend = add("extend", "control:send", "move the auto-stop of a run; of a rented machine with its budget, priced")
    extend.add_argument("--yes", action="store_true", help="ask nothing")
    extend.add_argument("--back", action="store_true", help="take so much of it back again")
    extend.set_defaults(command_kind="extend")
    extend.add_argument("run", metavar="RUN", help="name or beginning of an id")
    extend.add_argument("duration", type=duration, metavar="30m", help="by how much")

    clean = add("clean", "clean:clean_host", "end and remove everything of loratui on a host, once it is named")
    clean.add_argument("on", metavar="TARGET", help="ssh://user@host:port")
    clean.add_argument("--yes", action="store_true", help="ask nothing")
    host_options(clean)

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

    check = add("check", "check:check", "say what is wrong with configs, datasets and LoRA files")
    check_options(check)
    install = add("install", "install:install", "copy LoRA files to where A1111, Forge or ComfyUI looks for them")
    install_options(install)
    convert = add("convert", "convert:convert", "write a config as our own file, or as one for sd-scripts")
    convert_options(convert)
    caption = add("caption", "caption:caption", "edit the captions of a folder in bulk, or let a model draft them")
    caption_options(caption)
    plan = add("plan", "plan:plan", "say what a config amounts to: steps, buckets, exposures; time and cost")
    plan_options(plan)
    edit_options(add("edit", "edit:edit", "change keys of a config in its own text; comments and order stay"))
    new = add("new", "new:new", "ask a few questions and write a training config, each setting with its reason")
    new_options(new)

    queue = add("queue", "queueing:show", "list what trains and waits on each machine; add to that, remove from it")
    train_arguments(queue_options(queue), is_detached=True)
    files = add("files", "files:show", "list all LoRAs made here; verify, rate or delete them")
    file_options(files)

    config_options(add("config", "preferences:show", "show the settings of loratui itself, and set them"))
    return parser
