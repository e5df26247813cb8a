"""The records of a followed run one after another, as commands without a screen print them."""

from collections.abc import Iterator

from loratui.sessions.host import SessionHost
from loratui.store import Store
from loratui_protocol.messages import Record

_LOOK_EVERY_S = 1.0


def tail(host: SessionHost, store: Store, run_id: str, after_seq: int = 0) -> Iterator[Record]:
    """Yield every record after ``after_seq``, those stored and those to come, each once and in order.

    Ends when the run is over and its files are here or can't be had, or when it is followed no more (``given_up``).
    ``store`` belongs to the calling thread.
    """
    view = host.view(run_id)
    journal = view.journal
    while True:
        if journal and view.journal != journal:
            after_seq = 0
        journal = view.journal
        for record in store.records(run_id, after_seq):
            after_seq = record.seq
            yield record
        if (view.is_settled or view.given_up is not None) and after_seq >= view.last_seq:
            return
        view = host.wait_for_record(run_id, after_seq, view.version, _LOOK_EVERY_S)
