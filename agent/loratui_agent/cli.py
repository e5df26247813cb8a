"""The commands of ``loratui-agent``. Each imports what it needs when it runs: none waits for another's parts."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loratui_agent import __version__
from loratui_protocol.errors import LoratuiError
from loratui_protocol.paths import FILES_SOCKET, AgentHome, default_home


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; return its exit status. Deliberate errors go to standard error, ours keep their traceback."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except LoratuiError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except BaseExceptionGroup as group:
        deliberate = _first_deliberate(group)
        if deliberate is None:
            raise
        print(deliberate, file=sys.stderr)
        return deliberate.exit_status
    except BrokenPipeError:
        # Whoever read our output has gone (`loratui-agent status | head`). The interpreter must not flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="loratui-agent", description="Trains LoRAs where the GPU is.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="train one config in the foreground: config in, LoRA out")
    run.add_argument("config", type=Path, metavar="JOB.toml")
    run.add_argument("--out", type=Path, metavar="DIR", help="where the LoRA and the job's folder go")
    run.add_argument("--resume", action="store_true", help="go on with the run that is in the output folder")
    run.add_argument("--json", action="store_true", help="print one JSON object a line")
    run.set_defaults(command=_run)

    serve = commands.add_parser("serve", help="run jobs and serve clients on a private socket")
    _add_home(serve)
    _add_idle_exit(serve)
    serve.set_defaults(command=_serve)

    start = commands.add_parser("start", help="have an agent run in the background, and say where once it answers")
    _add_home(start)
    _add_nonce(start)
    _add_idle_exit(start)
    start.add_argument("--keep", action="store_true", help="keep the one that runs, of whatever version it is")
    start.set_defaults(command=_start)

    receive = commands.add_parser("receive", help="take what a client uploads on standard input")
    _add_home(receive)
    _add_nonce(receive)
    receive.set_defaults(command=_receive)

    secret = commands.add_parser("secret", help="take, on standard input, a token for downloads from a host")
    _add_home(secret)
    _add_nonce(secret)
    secret.add_argument("--host", required=True, metavar="NAME", help="the one host that gets to see it")
    secret.set_defaults(command=_secret)

    weigh = commands.add_parser(
        "weigh", help="say how large a base model, named on standard input, is and how fast it comes"
    )
    _add_home(weigh)
    _add_nonce(weigh)
    weigh.set_defaults(command=_weigh)

    arm = commands.add_parser("arm", help="have this machine end its own rental; what is asked comes on standard input")
    _add_home(arm)
    _add_nonce(arm)
    arm.set_defaults(command=_arm)

    purge = commands.add_parser("purge", help="say what is in the agent's folder, or end and remove all of it")
    _add_home(purge)
    _add_nonce(purge)
    how = purge.add_mutually_exclusive_group()
    how.add_argument("--remove", action="store_true", help="end what runs there, and remove the folder")
    how.add_argument("--data", action="store_true", help="remove runs, inputs, models, tokens; the rental is to end")
    purge.set_defaults(command=_purge)

    proxy = commands.add_parser("proxy", help="carry bytes between standard input and output and the agent's socket")
    _add_home(proxy)
    proxy.add_argument("--nonce", default="", metavar="HEX", help="say with a frame of this nonce when bytes flow")
    proxy.add_argument(
        "--socket", default="agent.sock", choices=("agent.sock", FILES_SOCKET), help="which socket (%(default)s)"
    )
    proxy.set_defaults(command=_proxy)

    status = commands.add_parser("status", help="print, as JSON, whether an agent runs and what its jobs are")
    _add_home(status)
    status.set_defaults(command=_status)

    model_path = commands.add_parser("model-path", help="print the folder of a built-in base model")
    model_path.add_argument("name", metavar="NAME", help="builtin:tiny")
    model_path.set_defaults(command=_model_path)

    demo_job = commands.add_parser("demo-job", help="write the demo's pictures and config; print where, as JSON")
    demo_job.add_argument("--out", type=Path, required=True, metavar="DIR")
    demo_job.add_argument("--concept", default="demo", metavar="NAME", help="demo or second (%(default)s)")
    demo_job.add_argument("--steps", type=int, metavar="N", help="training steps instead of the demo's own number")
    demo_job.set_defaults(command=_demo_job)
    return parser


def _add_home(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--home", type=Path, default=default_home(), metavar="DIR", help="the agent's folder (%(default)s)"
    )


def _add_nonce(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nonce", default="-", metavar="HEX", help="mark of the lines that a client reads")


def _add_idle_exit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--idle-exit-s",
        type=_seconds,
        default=600.0,
        metavar="S",
        help="end after S seconds without work or client; 0: never",
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError("must be 0 or more seconds")
    return seconds


def _run(options: argparse.Namespace) -> int:
    from loratui_agent.headless import RunOptions, run

    return run(RunOptions(config=options.config, out=options.out, resume=options.resume, json=options.json))


def _serve(options: argparse.Namespace) -> int:
    from loratui_agent.supervisor import ServeOptions, serve

    home = options.home.absolute()
    again = [sys.executable, "-m", "loratui_agent.cli", "serve", "--home", str(home)]
    again += ["--idle-exit-s", str(options.idle_exit_s)]
    asyncio.run(serve(ServeOptions(home=home, idle_exit_s=options.idle_exit_s, restart_argv=again)))
    return 0


def _start(options: argparse.Namespace) -> int:
    from loratui_agent.start import StartOptions, start

    home = options.home.absolute()
    return _framed(
        options.nonce, lambda: start(StartOptions(home=home, idle_exit_s=options.idle_exit_s, keep=options.keep))
    )


def _receive(options: argparse.Namespace) -> int:
    from loratui_agent.receive import receive

    return receive(AgentHome(options.home.absolute()), options.nonce, sys.stdin.fileno(), sys.stdout.fileno())


def _secret(options: argparse.Namespace) -> int:
    from loratui_agent.secrets import keep_secret

    def keep() -> dict[str, Any]:
        keep_secret(AgentHome(options.home.absolute()), options.host, sys.stdin.read(1 << 16).strip())
        return {"kept": True}

    return _framed(options.nonce, keep)


def _weigh(options: argparse.Namespace) -> int:
    from loratui_agent.fetch.weigh import weigh

    return _framed(options.nonce, lambda: weigh(AgentHome(options.home.absolute()), sys.stdin.read(1 << 16)))


def _arm(options: argparse.Namespace) -> int:
    from loratui_agent.arm import arm

    return _framed(options.nonce, lambda: arm(AgentHome(options.home.absolute()), sys.stdin.read(1 << 16)))


def _purge(options: argparse.Namespace) -> int:
    from loratui_agent.purge import purge, purge_data, survey

    home = AgentHome(options.home.absolute())
    work = purge if options.remove else purge_data if options.data else survey
    return _framed(options.nonce, lambda: work(home))


def _proxy(options: argparse.Namespace) -> int:
    from loratui_agent.proxy import proxy

    asyncio.run(proxy(options.home, options.nonce, options.socket))
    return 0


def _status(options: argparse.Namespace) -> int:
    from loratui_agent.status import status

    print(json.dumps(status(AgentHome(options.home.absolute())), indent=1), flush=True)
    return 0


def _model_path(options: argparse.Namespace) -> int:
    from loratui_agent.model_path import resolve_model

    print(resolve_model(options.name))
    return 0


def _demo_job(options: argparse.Namespace) -> int:
    from loratui_agent.demo.job import write_demo

    config = write_demo(options.out.absolute(), options.concept, options.steps)
    print(json.dumps({"config": str(config), "concept": options.concept}))
    return 0


def _framed(nonce: str, work: Callable[[], dict[str, Any]]) -> int:
    """Print what comes of ``work`` as a frame, a deliberate error as ``{"error": ...}``."""
    from loratui_protocol.framing import frame_line

    status = 0
    try:
        fields = work()
    except LoratuiError as error:
        fields = {"error": {"code": error.code, "what": error.what, "fix": error.fix}}
        status = error.exit_status
    sys.stdout.buffer.write(frame_line(nonce, fields))
    sys.stdout.buffer.flush()
    return status


def _first_deliberate(group: BaseExceptionGroup[BaseException]) -> LoratuiError | None:
    """Return the error to show for a group of failures that are all deliberate, None when one of them is a bug."""
    _ours, others = group.split(LoratuiError)
    if others is not None:
        return None
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if isinstance(first, LoratuiError) else None


if __name__ == "__main__":
    sys.exit(main())
