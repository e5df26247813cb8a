"""What captions say, how they are told to the model, and what is wrong with them."""

from pathlib import Path

import pytest

from loratui_protocol.subsets import DatasetConfig, Subset
from support.captioned import look, look_all, write_captioned

LONG = "zorbix stands in a wide field of grass under a grey sky, seen from far away"


def varied(count: int, text: str = "zorbix number {}, standing in a wide green field of grass") -> dict[str, str]:
    return {f"p{index:02}": text.format(index) for index in range(count)}


# --- the sentence that is trained -------------------------------------------------------------------------------------


def test_each_folder_shows_the_sentence_that_it_trains_on(tmp_path: Path) -> None:
    write_captioned(tmp_path / "10_zorbix", {"a": "a red scarf", "b": None})
    write_captioned(tmp_path / "2_a house", {"c": None})
    told = [
        found
        for found in look_all(tmp_path, caption_prefix="photo of zorbix,", caption_suffix="film grain")
        if found.code == "caption.trains_on"
    ]
    assert [(found.what, found.path) for found in told] == [
        (
            "10_zorbix, 2 pictures: a.png is trained with 'photo of zorbix, a red scarf film grain'; "
            "1 has no caption file: trained with 'photo of zorbix, zorbix film grain'",
            str(tmp_path / "10_zorbix"),
        ),
        (
            "2_a house, 1 picture: none has a caption file: trained with 'photo of zorbix, a house film grain'",
            str(tmp_path / "2_a house"),
        ),
    ]


def test_a_shuffled_sentence_says_that_it_is_and_what_stays(tmp_path: Path) -> None:
    tags = [f"tag{index}" for index in range(12)]
    write_captioned(tmp_path / "1_z", {"a": ", ".join(("zorbix", *tags))})
    settings = {"shuffle_caption": True, "keep_tokens": 1, "caption_dropout_rate": 0.5, "seed": 3}
    what = look(tmp_path, **settings)["caption.trains_on"].what
    assert "its tags are shuffled at every step but the first 1, 50% of the time it is empty" in what
    shown = what.split("'")[1].split(", ")
    assert shown[0] == "zorbix"
    assert sorted(shown[1:]) == sorted(tags)
    assert shown[1:] != tags


def test_subsets_have_a_sentence_each_by_their_own_settings(tmp_path: Path) -> None:
    folders = [write_captioned(tmp_path / name, {"x": "a field"}) for name in ("one", "two")]
    subsets = (
        Subset(image_dir=str(folders[0]), settings={"caption_prefix": "zorbix"}),
        Subset(image_dir=str(folders[1]), is_reg=True, settings={"caption_suffix": "plain"}),
    )
    told = [
        each.what for each in look_all(None, datasets=(DatasetConfig(subsets=subsets),)) if "trains_on" in each.code
    ]
    assert told == [
        "one, 1 picture: x.png is trained with 'zorbix a field'",
        "two (regularisation), 1 picture: x.png is trained with 'a field plain'",
    ]


# --- what they say ----------------------------------------------------------------------------------------------------


def test_a_caption_of_two_words_among_long_ones_is_short(tmp_path: Path) -> None:
    write_captioned(tmp_path / "1_z", {**varied(6), "few": "zorbix sitting"})
    found = look(tmp_path)["caption.short"]
    assert found.what == "1 of 7 captions have fewer than 3 words, where 11 are usual (first: few.txt)"
    write_captioned(tmp_path / "1_all", {"a": "zorbix", "b": "zorbix sitting"})
    assert "caption.short" not in look(tmp_path / "1_all")


@pytest.mark.parametrize("caption", ["a woman", "Fantasy art", "photo of a man, best quality"])
def test_a_caption_that_fits_any_picture_is_generic(tmp_path: Path, caption: str) -> None:
    write_captioned(tmp_path / "1_z", {"a": caption, "b": LONG, "c": "photo of zorbix, smiling"})
    assert "caption.generic" not in look(write_captioned(tmp_path / "empty", {"a": "", "b": "..."}))
    found = look(tmp_path)["caption.generic"]
    assert found.what.startswith(f"1 of 3 captions say nothing of their pictures, as {caption!r}")


def test_captions_that_are_the_same_are_counted_with_their_share(tmp_path: Path) -> None:
    same = dict.fromkeys(("a", "b", "c"), "zorbix in the rain")
    write_captioned(tmp_path / "1_z", {**varied(7), **same})
    found = look(tmp_path)["caption.identical"]
    assert found.severity == "warning"
    assert found.what.startswith("3 of 10 captions are the same as another (30%); 3 are 'zorbix in the rain'")
    write_captioned(tmp_path / "1_z", varied(10))
    write_captioned(tmp_path / "1_z", {"a": "one", "b": "two", "c": "three"})
    assert "caption.identical" not in look(tmp_path)


def test_pictures_that_share_a_file_have_no_caption_that_was_written_twice(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "1_z", {"a": LONG})
    (folder / "a.jpg").write_bytes((folder / "a.png").read_bytes())
    found = look(tmp_path)
    assert "caption.identical" not in found
    assert "a.jpg and a.png" in found["caption.shared"].what


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_captions_over_the_limit_are_told_with_their_tokens_and_the_setting_that_would_do(tmp_path: Path) -> None:
    # A word and a comma: two tokens.
    write_captioned(tmp_path / "1_z", {"fits": "cat, " * 37, "over": "cat, " * 40, "far": "cat, " * 70})
    found = look(tmp_path)["caption.too_many_tokens"]
    assert found.what == (
        "2 of 3 captions are longer than the 75 tokens that are read; the longest has 140, so 65 are cut off "
        "(first: far.txt, over.txt)"
    )
    assert "set max_token_length = 150" in found.fix
    assert "caption.too_many_tokens" not in look(tmp_path, max_token_length=150)
    write_captioned(tmp_path / "1_z", {"book": "cat, " * 200})
    assert "max_token_length" not in look(tmp_path)["caption.too_many_tokens"].fix


def test_prefix_and_suffix_count_as_tokens(tmp_path: Path) -> None:
    write_captioned(tmp_path / "1_z", {"a": "cat, " * 37})
    assert "caption.too_many_tokens" in look(tmp_path, caption_prefix="photo of", caption_suffix="at night")


def test_the_built_in_models_tokens_are_not_clips(tmp_path: Path) -> None:
    write_captioned(tmp_path / "1_z", {"a": "cat, " * 80, "b": "\u05d7\u05ea\u05d5\u05dc \u05e7\u05d8\u05df"})
    found = look(tmp_path, pretrained_model_name_or_path="builtin:tiny", trigger_word="cat")
    assert not found.keys() & {"caption.too_many_tokens", "caption.script", "caption.trigger_common"}


@pytest.mark.parametrize(
    ("caption", "script"),
    [
        ("\u05d0\u05d9\u05e9\u05d4 \u05e2\u05dd \u05e6\u05e2\u05d9\u05e3", "Hebrew"),
        ("\u0627\u0645\u0631\u0623\u0629 \u0628\u0648\u0634\u0627\u062d", "Arabic"),
        ("\u0436\u0435\u043d\u0449\u0438\u043d\u0430 \u0441 \u0448\u0430\u0440\u0444\u043e\u043c", "Cyrillic"),
        ("\u7ea2\u8272\u56f4\u5dfe\u7684\u5973\u4eba", "CJK"),
        ("\ube68\uac04 \ubaa9\ub3c4\ub9ac", "Hangul"),
    ],
)
def test_captions_in_letters_that_clip_hardly_reads_are_told_with_what_a_word_costs(
    tmp_path: Path, caption: str, script: str
) -> None:
    write_captioned(tmp_path / "1_z", {"a": caption, "b": LONG, "c": "zorbix with a face like (\u03c9), in a café"})
    found = look(tmp_path)["caption.script"]
    assert found.what.startswith(f"1 of 3 captions are written in {script} letters")
    tokens = float(found.what.partition("reads: ")[2].split()[0])
    assert tokens > 2
    assert "English" in found.fix


# --- tags -------------------------------------------------------------------------------------------------------------


def test_tags_are_counted_and_those_in_every_caption_named(tmp_path: Path) -> None:
    captions = {f"p{n}": f"zorbix, 1girl, blue eyes, {'sofa' if n < 5 else 'tree'}, number {n}" for n in range(10)}
    write_captioned(tmp_path / "1_z", captions)
    found = look(tmp_path, trigger_word="zorbix")
    assert found["caption.tags"].what.startswith(
        "15 different tags in 10 captions; most often: 'zorbix' 100%, '1girl' 100%, 'blue eyes' 100%, 'sofa' 50%"
    )
    assert found["caption.tags_in_all"].what.startswith("in every caption: '1girl', 'blue eyes'; what they name")


def test_sentences_that_are_shuffled_are_told(tmp_path: Path) -> None:
    write_captioned(
        tmp_path / "1_z", varied(4, "A photo of zorbix{} standing in a field, wearing a red hat. It is noon.")
    )
    assert look(tmp_path, shuffle_caption=True)["caption.shuffled_sentences"].what == (
        "4 of 4 captions are sentences (first: p00.png, p01.png, p02.png and 1 more), and shuffle_caption cuts them "
        "at each ',' and mixes the parts"
    )
    assert "caption.shuffled_sentences" not in look(tmp_path)
    write_captioned(tmp_path / "1_z", varied(4, "zorbix{}, standing in a field, red hat, noon"))
    assert "caption.shuffled_sentences" not in look(tmp_path, shuffle_caption=True)


def test_tags_joined_by_underscores_are_told_with_the_command_that_writes_spaces(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "1_z", varied(4, "zorbix{}, 1girl, long_hair, blue_eyes, sofa"))
    found = look(tmp_path)["caption.underscores"]
    assert found.what.startswith("tags in 4 of 4 captions have underscores, as 'long_hair': ")
    assert found.fix.startswith(f"loratui caption {folder} --replace _ ' '")
    # A command that would spoil others is not told.
    write_captioned(tmp_path / "1_z", varied(4, "zorbix{}, score_9, long_hair, o_o, sofa"))
    assert "--replace" not in look(tmp_path)["caption.underscores"].fix
    for tags in ("score_9, rating_safe, o_o, sofa", "long_hair, 1girl, sofa, grass", "long hair, 1girl, sofa, grass"):
        write_captioned(tmp_path / "1_z", varied(4, f"zorbix{{}}, {tags}"))
        assert "caption.underscores" not in look(tmp_path, trigger_word="long_hair")


def test_sentences_are_not_taken_for_tags(tmp_path: Path) -> None:
    sentence = "Photo of zorbix, a woman with short hair, wearing a blue sweater, smiling, number {}."
    write_captioned(tmp_path / "1_z", varied(5, sentence))
    assert not look(tmp_path).keys() & {"caption.tags", "caption.tags_in_all"}


# --- what is no description -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caption", "kind", "part"),
    [
        ("zorbix, <lora:detail:0.8>, in a field", "names of LoRAs", "<lora:detail:0.8>"),
        ("(zorbix in red:1.3), in a field", "weights", "(zorbix in red:1.3)"),
        ("zorbix, ((masterpiece)), in a field", "weights", "((masterpiece))"),
        ("zorbix in a {red|blue} hat", "choices", "{red|blue}"),
        ("zorbix in a __color__ hat", "choices", "__color__"),
        ("zorbix, embedding:easyneg, in a field", "embeddings", "embedding:easyneg"),
        ("zorbix BREAK in a field", "words for a program", "BREAK"),
        ("zorbix \\(toy\\) in a field", "escaped brackets", "\\("),
        ("# about the third one", "comments", "# about the third one"),
        ("zorbix &amp; a dog", "HTML", "&amp;"),
        ('{"caption": "zorbix"}', "JSON", '{"'),
    ],
)
def test_what_is_meant_for_a_program_is_told_since_it_is_trained_as_it_stands(
    tmp_path: Path, caption: str, kind: str, part: str
) -> None:
    write_captioned(tmp_path / "1_z", {"a": LONG, "b": caption})
    found = look(tmp_path)["caption.prompt_syntax"]
    assert found.what == (
        f"1 of 2 captions hold what is no description: {kind} in 1, as {part!r} in b. It is trained letter by letter"
    )
    assert found.path.endswith("b.txt")


@pytest.mark.parametrize(
    "caption",
    [
        "zorbix_(toy), >_<, a break at 12:30 (16:9), looking [up]",
        "a sign that says <3 & nothing else; 2 > 1",
        "the #1 zorbix (a toy: see the first)",
        "\U0001f600 smiling, \u05e9\u05dc\u05d5\u05dd",
    ],
)
def test_marks_that_people_write_are_no_syntax(tmp_path: Path, caption: str) -> None:
    write_captioned(tmp_path / "1_z", {"a": caption})
    assert "caption.prompt_syntax" not in look(tmp_path)


def test_choices_are_meant_where_wildcards_are_on(tmp_path: Path) -> None:
    write_captioned(tmp_path / "1_z", {"a": "zorbix in a {red|blue} hat"})
    assert "caption.prompt_syntax" not in look(tmp_path, enable_wildcard=True)
