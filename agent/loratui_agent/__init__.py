"""What runs on the GPU box: supervisor, trainer, reaper."""

__version__ = "0.1.0"
