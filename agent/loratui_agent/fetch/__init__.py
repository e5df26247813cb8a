"""Downloads models with the standard library alone."""
