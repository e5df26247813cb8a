"""Downloads base models with the standard library alone."""
