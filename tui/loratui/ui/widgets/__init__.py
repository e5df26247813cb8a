"""Widgets: they take plain values and draw rows of text; none of them does I/O."""
