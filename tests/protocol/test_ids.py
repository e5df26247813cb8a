import time

from loratui_protocol.ids import LENGTH, is_id, new_id


def test_ids_differ_and_are_ids() -> None:
    made = {new_id() for _ in range(2000)}
    assert len(made) == 2000
    assert all(len(text) == LENGTH and is_id(text) for text in made)


def test_ids_carry_the_time_they_were_made() -> None:
    before = time.time_ns() // 1_000_000
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    made_ms = 0
    for character in new_id()[:10]:
        made_ms = made_ms * 32 + alphabet.index(character)
    assert before <= made_ms <= time.time_ns() // 1_000_000


def test_what_could_be_a_path_is_no_id() -> None:
    good = new_id()
    for bad in ("", good[:-1], good + "0", good.lower(), "../" + good[3:], good[:-1] + "U", good[:-1] + "\n"):
        assert not is_id(bad)
