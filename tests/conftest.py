"""What holds for every test: nothing reaches beyond this machine, whatever the settings say by default."""

import os

# Commands that tests start inherit it, as do workers that run tests.
os.environ["LORATUI_NETWORK__PORT_PROBE"] = "none"
