"""What holds for every test: nothing reaches beyond this machine, and who started the tests changes nothing."""

import os
import signal

# Commands that tests start inherit both, as do workers that run tests.
os.environ["LORATUI_NETWORK__PORT_PROBE"] = "none"
# Under nohup hang-ups are ignored, and so would be those that tests send.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
