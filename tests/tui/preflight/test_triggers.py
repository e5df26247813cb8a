"""A trigger word is one that can be taught, and it is in every caption as it is written."""

import json
from pathlib import Path

import pytest

from loratui.cli import main
from support.captioned import look, write_captioned

PLACES = ("a field", "a forest", "a street", "a kitchen", "the snow", "the rain")


def with_trigger(tmp_path: Path, *changed: str, trigger: str = "zorbix") -> Path:
    """Write six captions that have the trigger, the last ones changed."""
    captions = [f"photo of {trigger} in {place}, at noon" for place in PLACES]
    captions[len(captions) - len(changed) :] = changed
    write_captioned(tmp_path / "1_z", {f"p{n}": caption for n, caption in enumerate(captions)})
    return tmp_path


def triggers(found: dict) -> set[str]:
    return {code.removeprefix("caption.") for code in found if code.startswith("caption.trigger")}


def test_a_trigger_in_every_caption_has_nothing_to_be_said_of(tmp_path: Path) -> None:
    assert triggers(look(with_trigger(tmp_path), trigger_word="zorbix")) == set()


@pytest.mark.parametrize("caption", ["photo of a dog in the rain", "photo of dorbaxa in the rain", ""])
def test_captions_without_it_are_counted_and_named(tmp_path: Path, caption: str) -> None:
    found = look(with_trigger(tmp_path, caption), trigger_word="zorbix")
    assert found["caption.trigger_not_in_all"].what == "1 of 6 captions lack the trigger 'zorbix' (first: p5.txt)"


@pytest.mark.parametrize("caption", ["zorbix_(toy), snow", "(zorbix:1.2) at sea", "a cap of zorbix's"])
def test_signs_beside_it_make_no_other_word_of_it(tmp_path: Path, caption: str) -> None:
    assert triggers(look(with_trigger(tmp_path, caption), trigger_word="zorbix")) == set()


def test_one_that_is_nowhere_is_told_with_the_setting_that_puts_it_everywhere(tmp_path: Path) -> None:
    found = look(with_trigger(tmp_path), trigger_word="quuxol")
    assert triggers(found) == {"trigger_missing"}
    assert 'set caption_prefix = "quuxol,"' in found["caption.trigger_missing"].fix
    assert f"loratui check {tmp_path / '1_z'} --fix --trigger quuxol" in found["caption.trigger_missing"].fix
    assert triggers(look(tmp_path, trigger_word="quuxol", caption_prefix="quuxol,")) == set()


def test_capitals_are_told_apart_from_another_spelling(tmp_path: Path) -> None:
    changed = ("Zorbix in the snow, at noon", "zorbixx in the rain, at noon", "zor-bix at sea, in a boat")
    found = look(with_trigger(tmp_path, *changed), trigger_word="zorbix")
    assert triggers(found) == {"trigger_case", "trigger_spelling"}
    assert found["caption.trigger_case"].severity == "info"
    assert found["caption.trigger_case"].what.startswith("1 of 6 captions spell the trigger 'zorbix' as 'Zorbix'")
    assert found["caption.trigger_spelling"].severity == "warning"
    assert "as 'zorbixx' and 'zor-bix' (first: p4.txt, p5.txt)" in found["caption.trigger_spelling"].what


def test_a_trigger_of_two_words_is_looked_for_as_a_whole(tmp_path: Path) -> None:
    folder = with_trigger(tmp_path, "photo of zorbix, alone in a wide field", trigger="zorbix mikari")
    assert "caption.trigger_not_in_all" in look(folder, trigger_word="zorbix mikari")


def test_the_folders_words_count_for_pictures_without_a_caption(tmp_path: Path) -> None:
    write_captioned(tmp_path / "3_zorbix", {"a": None, "b": None})
    assert triggers(look(tmp_path, trigger_word="zorbix")) == set()


@pytest.mark.parametrize("trigger", ["dog", "woman", "wizard", "Dog", "armchair"])
def test_a_word_that_the_base_knows_is_no_good_trigger(tmp_path: Path, trigger: str) -> None:
    found = look(with_trigger(tmp_path, trigger=trigger), trigger_word=trigger)["caption.trigger_common"]
    assert found.severity == "warning"
    assert "of 49,408" in found.what


@pytest.mark.parametrize("trigger", ["woman", "armchair", "fantasy art"])
def test_that_a_word_is_known_and_that_no_caption_has_it_are_both_told(tmp_path: Path, trigger: str) -> None:
    assert triggers(look(with_trigger(tmp_path), trigger_word=trigger)) == {"trigger_common", "trigger_missing"}


def test_a_folder_is_checked_for_the_trigger_that_is_given_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_trigger(tmp_path)
    assert main(["check", str(tmp_path), "--trigger", "woman", "--json"]) == 0
    codes = {each["code"] for each in json.loads(capsys.readouterr().out)["findings"]}
    assert {"caption.trigger_common", "caption.trigger_missing"} <= codes
    assert main(["check", str(tmp_path), "--trigger", "zorbix", "--json"]) == 0
    assert "caption.trigger" not in capsys.readouterr().out


def test_a_word_that_has_the_trigger_in_it_is_another_word(tmp_path: Path) -> None:
    found = look(with_trigger(tmp_path, trigger="risks"), trigger_word="sks")
    assert triggers(found) == {"trigger_missing"}


@pytest.mark.parametrize("trigger", ["sks", "ohwx", "zorbix", "sks dog"])
def test_a_rare_word_is_none_of_them(tmp_path: Path, trigger: str) -> None:
    assert triggers(look(with_trigger(tmp_path, trigger=trigger), trigger_word=trigger)) == set()


def test_known_words_together_are_worth_knowing(tmp_path: Path) -> None:
    found = look(with_trigger(tmp_path, trigger="fantasy art"), trigger_word="fantasy art")
    assert found["caption.trigger_common"].severity == "info"


def test_a_long_trigger_is_told_with_its_pieces(tmp_path: Path) -> None:
    found = look(with_trigger(tmp_path, trigger="xqzvbkw"), trigger_word="xqzvbkw")["caption.trigger_long"]
    tokens = found.what.split("is ")[1].split(" tokens (")
    assert int(tokens[0]) > 3
    assert tokens[1].split(")")[0].replace(" + ", "") == "xqzvbkw"


def test_a_trigger_in_other_letters_is_told(tmp_path: Path) -> None:
    trigger = "\u05d6\u05d5\u05e8\u05d1\u05d9\u05e7\u05e1"
    found = look(with_trigger(tmp_path, trigger=trigger), trigger_word=trigger)
    assert triggers(found) == {"trigger_script"}
    assert "Hebrew letters: CLIP cuts it into 14 pieces" in found["caption.trigger_script"].what


def test_regularisation_pictures_that_have_the_trigger_are_told_and_may_lack_it(tmp_path: Path) -> None:
    train = with_trigger(tmp_path / "train")
    reg = write_captioned(tmp_path / "reg" / "1_dog", {"a": "a dog in a field", "b": "zorbix by a tree"}).parent
    found = look(train, reg_data_dir=str(reg), trigger_word="zorbix")
    assert triggers(found) == {"trigger_in_reg"}
    assert found["caption.trigger_in_reg"].what.startswith("1 of 2 regularisation captions have the trigger 'zorbix'")


def test_what_every_caption_begins_with_is_suggested_where_no_trigger_is_set(tmp_path: Path) -> None:
    write_captioned(tmp_path / "1_z", {f"p{n}": f"zorbix, {place}, noon" for n, place in enumerate(PLACES)})
    assert 'set trigger_word = "zorbix"' in look(tmp_path)["caption.trigger_unset"].fix
    write_captioned(tmp_path / "1_z", {f"p{n}": f"zorbix in {place}" for n, place in enumerate(PLACES)})
    assert 'set trigger_word = "zorbix"' in look(tmp_path)["caption.trigger_unset"].fix


@pytest.mark.parametrize("start", ["a dog", "photo of zorbix", "1girl, zorbix"])
def test_an_ordinary_beginning_is_not_suggested(tmp_path: Path, start: str) -> None:
    write_captioned(tmp_path / "1_z", {f"p{n}": f"{start} in {place}, noon" for n, place in enumerate(PLACES)})
    assert "caption.trigger_unset" not in look(tmp_path)


# --- where it stands --------------------------------------------------------------------------------------------------


def tagged(tmp_path: Path, caption: str) -> Path:
    write_captioned(tmp_path / "1_z", {f"p{n}": caption.format(place) for n, place in enumerate(PLACES)})
    return tmp_path


@pytest.mark.parametrize(
    ("caption", "settings", "severity"),
    [
        ("1girl, solo, zorbix, {}", {"shuffle_caption": True, "keep_tokens": 1}, "info"),
        ("zorbix, 1girl, {}", {"shuffle_caption": True}, "info"),
        ("1girl, zorbix woman, {}", {"caption_tag_dropout_rate": 0.2}, "warning"),
    ],
)
def test_a_trigger_among_tags_that_move_or_are_left_out_is_told(
    tmp_path: Path, caption: str, settings: dict, severity: str
) -> None:
    found = look(tagged(tmp_path, caption), trigger_word="zorbix", **settings)["caption.trigger_not_kept"]
    assert found.severity == severity
    assert found.what.startswith("in 6 of 6 captions the trigger 'zorbix' is not among the tags that stay in place")
    assert found.fix == "begin each caption with it, and set keep_tokens = 1"


@pytest.mark.parametrize(
    ("caption", "settings"),
    [
        ("1girl, zorbix, {}", {}),
        ("zorbix, 1girl, {}", {"shuffle_caption": True, "keep_tokens": 1}),
        ("1girl, {}, zorbix ||| solo", {"caption_tag_dropout_rate": 0.2, "keep_tokens_separator": "|||"}),
        ("1girl, {}", {"shuffle_caption": True, "caption_prefix": "zorbix,", "keep_tokens": 1}),
    ],
)
def test_one_that_stays_in_place_is_not(tmp_path: Path, caption: str, settings: dict) -> None:
    assert triggers(look(tagged(tmp_path, caption), trigger_word="zorbix", **settings)) == set()


def test_a_folders_name_that_captions_make_unused_is_told(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "10_ohwx woman", {f"p{n}": f"a photo in {at}" for n, at in enumerate(PLACES)})
    found = look(tmp_path)["caption.folder_words"]
    assert found.what == (
        "the folder's name says 'ohwx woman', and every picture in it has a caption of its own: then the name teaches "
        "nothing, and 'ohwx' is in none of the 6 captions"
    )
    assert {"trigger_missing"} <= triggers(look(tmp_path, trigger_word="ohwx"))
    # Captions that name something else, or the same, leave nothing to be said of it.
    assert "caption.folder_words" not in look(tmp_path, trigger_word="photo")
    (folder / "p0.txt").write_text("a photo of Ohwx", "utf-8")
    assert "caption.folder_words" not in look(tmp_path)
    folder.rename(tmp_path / "10_photos")
    assert "caption.folder_words" not in look(tmp_path)


def test_the_folders_words_are_suggested_where_they_are_all_that_pictures_are_told(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "10_ohwx woman", {"a": None, "b": None})
    assert look(tmp_path)["caption.trigger_unset"].fix.startswith('set trigger_word = "ohwx woman"')
    assert triggers(look(tmp_path, trigger_word="ohwx woman")) == set()
    folder.rename(tmp_path / "10_woman")
    assert triggers(look(tmp_path)) == set()
