"""The report of a run: one HTML file that needs nothing else, made from what is on this machine."""
