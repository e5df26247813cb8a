import subprocess
import sys

PROGRAM = """
import pkgutil, sys, importlib, loratui_protocol
for module in pkgutil.iter_modules(loratui_protocol.__path__):
    importlib.import_module(f"loratui_protocol.{module.name}")
heavy = {"PIL", "numpy", "torch", "textual", "asyncio", "loratui", "loratui_agent"} & set(sys.modules)
assert not heavy, heavy
"""


def test_the_protocol_stands_alone_and_decodes_no_picture_unasked() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)
