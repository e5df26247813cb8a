"""The trainer process: everything that imports torch."""

import sys

# PEFT and others import bitsandbytes wherever they find it, which takes a second of every start, and a wrong CUDA
# library fails there. ``optim`` imports it, and only when a config asks for one of its optimizers.
sys.modules.setdefault("bitsandbytes", None)  # type: ignore[arg-type]
