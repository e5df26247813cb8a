from loratui.domain.phases import Phase, amount, title, took
from loratui_protocol.messages import Setup


def phase(setup: Setup, ts: float = 0.0) -> Phase:
    return Phase(setup=setup, started_ts=ts, last_ts=ts)


def test_a_phase_is_over_when_all_of_it_is_done_and_keeps_the_time_that_it_took():
    upload = phase(Setup(phase="upload", done=0, total=10), 100.0).heard(Setup(phase="upload", done=4, total=10), 103.0)
    assert not upload.is_over
    upload = upload.heard(Setup(phase="upload", done=10, total=10), 130.0)
    assert upload.is_over
    assert took(upload, 0) == "30 s"
    assert took(upload, 720_000) == "30 s, $0.0060"


def test_a_phase_that_begins_anew_has_its_own_time():
    over = phase(Setup(phase="upload", done=1, total=1), 50.0)
    assert over.heard(Setup(phase="upload", done=0, total=1), 90.0).started_ts == 90.0


def test_bytes_are_told_as_sizes_with_their_share_and_unknown_totals_not_at_all():
    assert amount(Setup(phase="upload", done=5_000_000, total=20_000_000, unit="bytes")) == "5.0 MB of 20 MB (25 %)"
    assert amount(Setup(phase="latents", done=3, total=8, unit="pictures")) == "3 of 8 pictures"
    assert amount(Setup(phase="environment")) == ""


def test_a_clock_that_goes_back_costs_nothing_and_short_phases_keep_their_tenths():
    back = phase(Setup(phase="environment"), 100.0).heard(Setup(phase="environment"), 90.0)
    assert took(back, 1_000_000) == "0.0 s, $0.00"


def test_unknown_phases_are_shown_by_their_own_name():
    assert title("base_model") == "base model"
    assert title("from_the_future") == "from the future"


def test_a_phase_of_the_same_name_that_follows_a_complete_one_has_its_own_time():
    brought = phase(Setup(phase="dataset", done=8, total=8, unit="bytes"), 100.0)
    read = brought.heard(Setup(phase="dataset", message="reading the dataset"), 160.0)
    assert (read.started_ts, read.seconds) == (160.0, 0.0)
