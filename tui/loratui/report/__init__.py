"""The report of a run: one HTML file that needs nothing else, made from what is on this machine."""

from loratui.report.page import write, write_contact_sheets

__all__ = ["write", "write_contact_sheets"]
