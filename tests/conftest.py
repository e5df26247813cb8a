"""What holds for every test: nothing reaches beyond this machine, and who started the tests changes nothing."""

import os
import signal

# Commands that tests start inherit all of it, as do workers that run tests.
os.environ["LORATUI_NETWORK__PORT_PROBE"] = "none"
if os.environ.get("LORATUI_LIVE") != "1":
    # Before the first look, which keyring remembers: it would find those that tests define, or that of who runs them.
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
# Every process that they start would compile the whole program again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Under nohup hang-ups are ignored, in the background of a shell Ctrl-C is, and so would be those that tests send.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
