"""A real agent process whose trainers are stand-ins: ``python agent_with_stand_in.py HOME [OPTIONS as JSON]``."""

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loratui_agent.headless import RunOptions, run
from loratui_agent.supervisor import ServeOptions, serve
from loratui_agent.worker import Patience
from loratui_protocol.errors import LoratuiError
from support import stand_in_trainer


def main() -> int:
    options = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    patience = Patience(**options.pop("patience", {}))
    reaper = options.pop("reaper", False)
    common = {"trainer_argv": stand_in_trainer.ARGV, "patience": patience}
    try:
        if "config" in options:
            return run(RunOptions(config=Path(options.pop("config")), out=Path(sys.argv[1]), **common, **options))
        again = [sys.executable, *sys.argv] if reaper else []
        asyncio.run(serve(ServeOptions(home=Path(sys.argv[1]), restart_argv=again, **common, **options)))
    except LoratuiError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
