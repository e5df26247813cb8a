"""What holds for every test: nothing reaches beyond this machine, and who started the tests changes nothing."""

import os
import signal

# Commands that tests start inherit all of it, as do workers that run tests.
os.environ["LORATUI_NETWORK__PORT_PROBE"] = "none"
# Every process that they start would compile the whole program again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Under nohup hang-ups are ignored, in the background of a shell Ctrl-C is, and so would be those that tests send.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
