"""The Python environment that a run trains in, made on the box: over the torch that is there, or with one of its own.

Start reading at ``ensure.py``. Nothing here imports torch; ``smoke.py`` is run by the new environment's own Python.
"""
