"""Names under which an agent gives out what helps to find out what went wrong. No artifact can have such a name."""

SUPPORT_FILES = {
    "support:trainer.log": ("job", "log"),
    "support:on_done.log": ("job", "on_done.log"),
    "support:state.json": ("job", "state.json"),
    "support:exit.json": ("job", "exit.json"),
    "support:agent.log": ("run", "agent.log"),
    "support:reaper.log": ("run", "reaper.log"),
}
"""Name -> where it lies (the job's folder, or that of the running agent) and what it is called there."""
MAX_SUPPORT_BYTES = 4 << 20
"""Of each file the end is what counts: so much of it is fetched."""
