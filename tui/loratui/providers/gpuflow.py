"""GPUFlow: no adapter, and why there is none.

Its documents of September 2026 tell of an API key for one GPU, started in the web dashboard, with two paths to ask: the
list of models and chat completions. There is nothing to search, rent or end through, and nothing to log into.
"""

NAME = "gpuflow"
WHY_NOT = (
    "GPUFlow rents chat API keys today: there is no server to log into and nothing can be installed, so nothing can be "
    "trained there, and there is no API to rent or end one. If you have SSH access to a GPU of theirs, "
    "--on ssh://USER@HOST:PORT trains on it."
)
"""Said wherever providers are listed."""
