"""The interface. This package imports no Textual: ``environment.prepare`` must run before ``app`` is imported."""
