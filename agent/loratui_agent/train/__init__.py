"""The trainer process: everything that imports torch."""
