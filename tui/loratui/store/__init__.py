"""What the client remembers: runs, their records, costs and downloads, in one SQLite file."""

from loratui.store.store import Download, Store, StoredRun

__all__ = ["Download", "Store", "StoredRun"]
